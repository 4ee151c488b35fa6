/**
 * Numbers as PostgreSQL's input functions read them, in the one text that both halves use from then on.
 * Pure; accepts only what it can canonicalise exactly, null for everything else. Called by text-input.ts.
 */

import { NUMERIC_DIGITS_MAX } from "../limits.ts";
import { floatText } from "./number-functions.ts";

export type IntegerType = "int2" | "int4" | "int8";

const RANGE: Readonly<Record<IntegerType, readonly [bigint, bigint]>> = {
	int2: [-32_768n, 32_767n],
	int4: [-2_147_483_648n, 2_147_483_647n],
	int8: [-9_223_372_036_854_775_808n, 9_223_372_036_854_775_807n],
};

/** Longest int8 with a sign; leading zeros beyond this are not worth accepting. */
const INTEGER_CHARACTERS_MAX = 64;
const FLOAT_CHARACTERS_MAX = 1_024;

/** PostgreSQL's limits are 131072 digits before and 16383 after the point. */
const NUMERIC_SCALE_MAX = 16_383;

const SPACES = " \t\n\r\f\v";

/** Without what isspace() takes in the C locale, at both ends: input functions of numbers ignore it. */
export function trimSpace(text: string): string {
	let start = 0;
	while (start < text.length && SPACES.includes(text[start] ?? "")) {
		start += 1;
	}
	return withoutTrailing(text.slice(start), SPACES);
}

/** Without trailing characters of a set. A loop: a regular expression anchored at the end takes quadratic time. */
function withoutTrailing(text: string, characters: string): string {
	let end = text.length;
	while (end > 0 && characters.includes(text[end - 1] ?? "")) {
		end -= 1;
	}
	return text.slice(0, end);
}

/** int2in, int4in, int8in: decimal only, so that 15 and 18 agree. */
export function canonicalInteger(text: string, type: IntegerType): string | null {
	const trimmed = trimSpace(text);
	if (trimmed.length > INTEGER_CHARACTERS_MAX || !/^[+-]?[0-9]+$/.test(trimmed)) {
		return null;
	}
	const value = BigInt(trimmed.startsWith("+") ? trimmed.slice(1) : trimmed);
	const [low, high] = RANGE[type];
	return value < low || value > high ? null : value.toString();
}

/** numeric_in, with the scale that is written, which shows in the results of arithmetic. */
export function canonicalNumeric(text: string): string | null {
	const trimmed = trimSpace(text);
	const plain = plainNumeric(trimmed);
	const match = plain === null ? null : /^[+-]?[0-9]*(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?$/.exec(trimmed);
	if (plain === null || match === null) {
		return plain;
	}
	const written = (match[1] ?? "").length - Number(match[2] ?? "0");
	const point = plain.indexOf(".");
	const scale = point < 0 ? 0 : plain.length - point - 1;
	if (written <= scale) {
		return plain;
	}
	return written > NUMERIC_SCALE_MAX ? null : `${plain}${point < 0 ? "." : ""}${"0".repeat(written - scale)}`;
}

/** A canonical numeric without zeros that do not count after the decimal point: one text a value. */
export function withoutScale(canonical: string): string {
	return canonical.includes(".") ? withoutTrailing(withoutTrailing(canonical, "0"), ".") : canonical;
}

/** Any size, without exponent, leading and trailing zeros. NaN and infinities as PostgreSQL prints them. */
function plainNumeric(text: string): string | null {
	const trimmed = trimSpace(text);
	const special = specialNumber(trimmed);
	if (special !== null) {
		return special;
	}
	const match = /^([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,6}))?$/.exec(trimmed);
	if (match === null) {
		return null;
	}
	const [, sign = "", whole = "", fraction = "", exponentText = "0"] = match;
	if (whole === "" && fraction === "") {
		return null;
	}
	const digits = withoutTrailing((whole + fraction).replace(/^0+/, ""), "0");
	if (digits === "") {
		return "0";
	}
	// Digits before the decimal point, counted from the first digit that is not zero.
	const leading = (whole + fraction).search(/[1-9]/);
	const pointAt = whole.length - leading + Number(exponentText);
	const scale = Math.max(0, digits.length - pointAt);
	if (Math.max(digits.length, pointAt) > NUMERIC_DIGITS_MAX || scale > NUMERIC_SCALE_MAX) {
		return null;
	}
	const minus = sign === "-" ? "-" : "";
	if (pointAt >= digits.length) {
		return `${minus}${digits}${"0".repeat(pointAt - digits.length)}`;
	}
	return pointAt > 0
		? `${minus}${digits.slice(0, pointAt)}.${digits.slice(pointAt)}`
		: `${minus}0.${"0".repeat(-pointAt)}${digits}`;
}

/**
 * float4in, float8in: the nearest value, printed so that it reads back as the same one. Overflow, and underflow
 * to zero, are errors in PostgreSQL too. Hexadecimal floats are not accepted.
 */
export function canonicalFloat(text: string, type: "float4" | "float8"): string | null {
	const trimmed = trimSpace(text);
	const special = specialNumber(trimmed);
	if (special !== null) {
		return special;
	}
	if (
		trimmed.length > FLOAT_CHARACTERS_MAX ||
		!/^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,6})?$/.test(trimmed)
	) {
		return null;
	}
	const nearest = Number(trimmed);
	const value = type === "float4" ? nearestSingle(trimmed, nearest) : nearest;
	const hasDigit = /[1-9]/.test(trimmed.replace(/[eE].*$/, ""));
	if (value === null || !Number.isFinite(value) || (value === 0 && hasDigit)) {
		return null;
	}
	return floatText(value, type === "float4");
}

/**
 * Rounds decimal text to single precision once, not by way of double precision: only a double that lies exactly
 * between two singles can have lost the digit that decides. Those are refused unless the text is that double.
 */
function nearestSingle(text: string, double: number): number | null {
	const single = Math.fround(double);
	const other = Math.fround(double + (double - single));
	const isTie = single !== double && double - single === other - double;
	return isTie && plainNumeric(text) !== plainNumeric(exactDecimal(double)) ? null : single;
}

/** All digits of a double of moderate size; toPrecision gives at most 100, enough for a tie between singles. */
function exactDecimal(double: number): string {
	return double.toPrecision(100);
}

function specialNumber(text: string): string | null {
	switch (text.toLowerCase()) {
		case "nan":
			return "NaN";
		case "infinity":
		case "+infinity":
		case "inf":
		case "+inf":
			return "Infinity";
		case "-infinity":
		case "-inf":
			return "-Infinity";
		default:
			return null;
	}
}
