/**
 * Integers and floating-point numbers: arithmetic with PostgreSQL's checks for overflow, and conversions to and
 * from numeric and text. Pure; throws UNEVALUABLE where PostgreSQL raises an error. Source: PostgreSQL `int.c`,
 * `int8.c`, `float.c`, `numeric.c`.
 */

import { Decimal, INFINITE, MINUS_INFINITE, NAN, powerOfTen, roundDecimal } from "./decimal.ts";
import { type Exact, exactOf, UNEVALUABLE } from "./value.ts";

export type IntegerName = "int2" | "int4" | "int8";

const LIMITS: Readonly<Record<IntegerName, readonly [Exact, Exact]>> = {
	int2: [-32_768, 32_767],
	int4: [-2_147_483_648, 2_147_483_647],
	int8: [-(2n ** 63n), 2n ** 63n - 1n],
};

/** @throws UNEVALUABLE out of range */
export function inRange(value: Exact, type: IntegerName): Exact {
	const [low, high] = LIMITS[type];
	if (value < low || value > high) {
		throw UNEVALUABLE;
	}
	return value;
}

export function multiplyExact(left: Exact, right: Exact): Exact {
	if (typeof left === "number" && typeof right === "number") {
		const product = left * right;
		if (Number.isSafeInteger(product)) {
			// Not -0: it would print as one.
			return product + 0;
		}
	}
	return exactOf(BigInt(left) * BigInt(right));
}

/** Towards zero. @throws UNEVALUABLE for a division by zero */
export function divideExact(left: Exact, right: Exact): Exact {
	const divisor = BigInt(right);
	if (divisor === 0n) {
		throw UNEVALUABLE;
	}
	return exactOf(BigInt(left) / divisor);
}

export function moduloExact(left: Exact, right: Exact): Exact {
	const divisor = BigInt(right);
	if (divisor === 0n) {
		throw UNEVALUABLE;
	}
	return exactOf(BigInt(left) % divisor);
}

/** A sum or difference; infinite only if an operand was. */
export function finiteSum(result: number, left: number, right: number): number {
	if (!Number.isFinite(result) && Number.isFinite(left) && Number.isFinite(right)) {
		throw UNEVALUABLE;
	}
	return result;
}

/** A product: neither infinite nor zero unless an operand was. */
export function checkedProduct(result: number, left: number, right: number): number {
	if (!Number.isFinite(result) && Number.isFinite(left) && Number.isFinite(right)) {
		throw UNEVALUABLE;
	}
	if (result === 0 && left !== 0 && right !== 0) {
		throw UNEVALUABLE;
	}
	return result;
}

/** @throws UNEVALUABLE for a division by zero, overflow and underflow */
export function checkedQuotient(result: number, left: number, right: number): number {
	if (right === 0 && !Number.isNaN(left)) {
		throw UNEVALUABLE;
	}
	if ((result === Number.POSITIVE_INFINITY || result === Number.NEGATIVE_INFINITY) && Number.isFinite(left)) {
		throw UNEVALUABLE;
	}
	if (result === 0 && left !== 0 && Number.isFinite(right)) {
		throw UNEVALUABLE;
	}
	return result;
}

/** rint(), then the range of the type. @throws UNEVALUABLE for what does not fit, NaN too */
export function integerOfFloat(value: number, rounded: number, type: IntegerName): Exact {
	const top = type === "int8" ? 2 ** 63 : type === "int4" ? 2 ** 31 : 2 ** 15;
	if (Number.isNaN(value) || rounded < -top || rounded >= top) {
		throw UNEVALUABLE;
	}
	return exactOf(BigInt(rounded));
}

export function integerOfDecimal(value: Decimal, type: IntegerName): Exact {
	if (value.special !== "") {
		throw UNEVALUABLE;
	}
	return inRange(exactOf(roundDecimal(value, 0).unscaled), type);
}

/** The text of a float as float8out, or float4out, writes it: the fewest digits that read back as the same value. */
export function floatText(value: number, single: boolean): string {
	if (!Number.isFinite(value)) {
		return Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
	}
	if (value === 0) {
		return Object.is(value, -0) ? "-0" : "0";
	}
	const [mantissa = "", exponentText = "0"] = shortestDigits(value, single).split("e");
	const exponent = Number(exponentText);
	const negative = mantissa.startsWith("-");
	const digits = mantissa.replace(/[-.]/g, "");
	const sign = negative ? "-" : "";
	if (exponent < -4 || exponent >= (single ? 6 : 15)) {
		const shown = digits.length > 1 ? `${digits[0]}.${digits.slice(1)}` : digits;
		return `${sign}${shown}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
	}
	if (exponent < 0) {
		return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
	}
	const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
	return digits.length > exponent + 1 ? `${sign}${whole}.${digits.slice(exponent + 1)}` : `${sign}${whole}`;
}

/** In the form of toExponential. Like PostgreSQL, and unlike JavaScript, nothing that lies midway to a neighbour. */
function shortestDigits(value: number, single: boolean): string {
	const shortest = value.toExponential();
	// Only whole numbers this large have a decimal so short midway.
	if (!single && (Math.abs(value) < 2 ** 53 || isCloserThanHalf(shortest, value, single))) {
		return shortest;
	}
	const first = single ? 0 : (shortest.split("e")[0] ?? "").replace(/[-.]/g, "").length - 1;
	for (let digits = first; digits < 17; digits += 1) {
		const text = exponential(value, digits);
		const read = single ? Math.fround(Number(text)) : Number(text);
		if (read === value && isCloserThanHalf(text, value, single)) {
			return text.replace(/\.?0+e/, "e");
		}
	}
	return shortest;
}

/** toExponential, but of two texts that are as near the one with an even last digit. */
function exponential(value: number, digits: number): string {
	const rounded = value.toExponential(digits);
	const [mantissa = "0", exponent = "0"] = rounded.split("e");
	const last = mantissa.charCodeAt(mantissa.length - 1) - 0x30;
	if (last % 2 === 0) {
		return rounded;
	}
	// toExponential rounds a tie up, so that only an odd last digit can be one; the digit below is even, not negative.
	const even = `${mantissa.slice(0, -1)}${last - 1}e${exponent}`;
	const twice = compareFinite(doubledDecimal(value), sumOf(decimalOfText(rounded), decimalOfText(even)));
	return twice === 0 ? even : rounded;
}

function doubledDecimal(value: number): Decimal {
	const { unscaled, scale } = exactDecimal(value);
	return new Decimal(unscaled * 2n, scale);
}

/** Of a text in the form of toExponential. */
function decimalOfText(text: string): Decimal {
	const [mantissa = "0", exponentText = "0"] = text.split("e");
	const [whole = "0", fraction = ""] = mantissa.split(".");
	const exponent = Number(exponentText) - fraction.length;
	const digits = BigInt(whole + fraction);
	return exponent >= 0 ? new Decimal(digits * powerOfTen(exponent), 0) : new Decimal(digits, -exponent);
}

/** Whether the text is nearer to the value than half the distance to either neighbour. */
function isCloserThanHalf(text: string, value: number, single: boolean): boolean {
	const shown = decimalOfText(text);
	const doubled = new Decimal(shown.unscaled * 2n, shown.scale);
	const own = exactDecimal(value);
	return [1n, -1n].every((step) => {
		const neighbour = neighbourOf(value, step, single);
		if (!Number.isFinite(neighbour)) {
			return true;
		}
		const order = compareFinite(doubled, sumOf(own, exactDecimal(neighbour)));
		return neighbour > value ? order < 0 : order > 0;
	});
}

function sumOf(left: Decimal, right: Decimal): Decimal {
	const scale = Math.max(left.scale, right.scale);
	return new Decimal(
		left.unscaled * powerOfTen(scale - left.scale) + right.unscaled * powerOfTen(scale - right.scale),
		scale,
	);
}

/** The next value away from zero (1) or towards it (-1). */
function neighbourOf(value: number, step: bigint, single: boolean): number {
	const view = new DataView(new ArrayBuffer(8));
	if (single) {
		view.setFloat32(0, value);
		view.setUint32(0, view.getUint32(0) + Number(step));
		return view.getFloat32(0);
	}
	view.setFloat64(0, value);
	view.setBigUint64(0, view.getBigUint64(0) + step);
	return view.getFloat64(0);
}

/** float8_numeric, float4_numeric: 15, or 6, significant digits; half to even, as printf rounds. */
export function decimalOfFloat(value: number, single: boolean): Decimal {
	if (!Number.isFinite(value)) {
		return Number.isNaN(value) ? NAN : value > 0 ? INFINITE : MINUS_INFINITE;
	}
	const { unscaled, scale } = exactDecimal(value);
	const negative = unscaled < 0n;
	let digits = negative ? -unscaled : unscaled;
	let shownScale = scale;
	const excess = digits.toString().length - (single ? 6 : 15);
	if (excess > 0) {
		const divisor = powerOfTen(excess);
		const [kept, rest] = [digits / divisor, digits % divisor];
		const isUp = 2n * rest > divisor || (2n * rest === divisor && kept % 2n === 1n);
		digits = isUp ? kept + 1n : kept;
		shownScale = scale - excess;
	}
	while (shownScale > 0 && digits % 10n === 0n) {
		digits /= 10n;
		shownScale -= 1;
	}
	if (shownScale < 0) {
		digits *= powerOfTen(-shownScale);
		shownScale = 0;
	}
	return new Decimal(negative ? -digits : digits, shownScale);
}

/** All digits of a double. */
function exactDecimal(value: number): Decimal {
	const view = new DataView(new ArrayBuffer(8));
	view.setFloat64(0, value);
	const bits = view.getBigUint64(0);
	const stored = Number((bits >> 52n) & 0x7ffn);
	const fraction = bits & 0xf_ffff_ffff_ffffn;
	const mantissa = stored === 0 ? fraction : fraction | 0x10_0000_0000_0000n;
	const signed = value < 0 ? -mantissa : mantissa;
	const exponent = (stored === 0 ? 1 : stored) - 1075;
	// m / 2^k is m * 5^k / 10^k.
	return exponent >= 0
		? new Decimal(signed << BigInt(exponent), 0)
		: new Decimal(signed * 5n ** BigInt(-exponent), -exponent);
}

/** Rounds decimal text to single precision once, not by way of double precision. */
function singleOfDecimal(text: string, exact: Decimal): number {
	const double = Number(text);
	const single = Math.fround(double);
	if (single === double || !Number.isFinite(single)) {
		return single;
	}
	// A double midway between two singles may have lost the digit that decides.
	const other = Math.fround(double + (double - single));
	if (double - single !== other - double) {
		return single;
	}
	const rest = compareFinite(exact, exactDecimal(double));
	return rest === 0 ? single : rest < 0 ? Math.min(single, other) : Math.max(single, other);
}

function compareFinite(left: Decimal, right: Decimal): number {
	const scale = Math.max(left.scale, right.scale);
	const first = left.unscaled * powerOfTen(scale - left.scale);
	const second = right.unscaled * powerOfTen(scale - right.scale);
	return first < second ? -1 : first > second ? 1 : 0;
}

/** numeric to a float type. @throws UNEVALUABLE on overflow, and on underflow to zero */
export function floatOfDecimal(value: Decimal, single: boolean): number {
	const text = value.toString();
	if (value.special !== "") {
		return Number(text);
	}
	const result = single ? singleOfDecimal(text, value) : Number(text);
	if (!Number.isFinite(result) || (result === 0 && value.unscaled !== 0n)) {
		throw UNEVALUABLE;
	}
	return result;
}

export function floatOfInteger(value: Exact, single: boolean): number {
	return single ? singleOfDecimal(String(value), new Decimal(BigInt(value), 0)) : Number(value);
}
