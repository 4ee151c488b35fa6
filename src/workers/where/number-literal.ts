/**
 * Numbers as PostgreSQL's input functions read them, in the one text that both halves use from then on.
 * Pure; accepts only what it can canonicalise exactly, null for everything else. Called by literal.ts.
 */

import { NUMERIC_DIGITS_MAX } from "../../shared/limits.ts";

export type IntegerType = "int2" | "int4" | "int8";

const RANGE: Readonly<Record<IntegerType, readonly [bigint, bigint]>> = {
	int2: [-32_768n, 32_767n],
	int4: [-2_147_483_648n, 2_147_483_647n],
	int8: [-9_223_372_036_854_775_808n, 9_223_372_036_854_775_807n],
};

/** Longest int8 with a sign; leading zeros beyond this are not worth accepting. */
const INTEGER_CHARACTERS_MAX = 64;
const FLOAT_CHARACTERS_MAX = 1_024;

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
export function withoutTrailing(text: string, characters: string): string {
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

/** numeric_in: any size, without exponent, leading and trailing zeros. NaN and infinities as PostgreSQL prints them. */
export function canonicalNumeric(text: string): string | null {
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
	// PostgreSQL's own limits are 131072 digits before and 16383 after the point.
	if (Math.max(digits.length, pointAt) > NUMERIC_DIGITS_MAX || scale > 16_383) {
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

/** Rounds a canonical numeric half away from zero, as the casts to the integer types do; null when it is not finite. */
export function roundNumeric(canonical: string): string | null {
	if (!/^-?[0-9]/.test(canonical)) {
		return null;
	}
	const negative = canonical.startsWith("-");
	const [whole = "0", fraction = ""] = (negative ? canonical.slice(1) : canonical).split(".");
	const magnitude = BigInt(whole) + (fraction !== "" && fraction.charCodeAt(0) >= 0x35 ? 1n : 0n);
	return (negative ? -magnitude : magnitude).toString();
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
	return Object.is(value, -0) ? "-0" : String(value);
}

/**
 * Rounds decimal text to single precision once, not by way of double precision: only a double that lies exactly
 * between two singles can have lost the digit that decides. Those are refused unless the text is that double.
 */
function nearestSingle(text: string, double: number): number | null {
	const single = Math.fround(double);
	const other = Math.fround(double + (double - single));
	const isTie = single !== double && double - single === other - double;
	return isTie && canonicalNumeric(text) !== canonicalNumeric(exactDecimal(double)) ? null : single;
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
