/**
 * PostgreSQL's numeric: decimal numbers of any size with a display scale, NaN and infinities. Owns its arithmetic
 * with PostgreSQL's rules for the scale of results. Pure; throws UNEVALUABLE where PostgreSQL raises an error.
 * Source: PostgreSQL `numeric.c`.
 */

import { UNEVALUABLE } from "./value.ts";

/** Digits before the decimal point that PostgreSQL can hold. */
const WHOLE_DIGITS_MAX = 131_072;
const SCALE_MAX = 16_383;
/** NUMERIC_MIN_SIG_DIGITS, NUMERIC_MAX_DISPLAY_SCALE, NUMERIC_MAX_RESULT_SCALE. */
const SIGNIFICANT_DIGITS_MIN = 16;
const DISPLAY_SCALE_MAX = 1_000;
const ROUND_SCALE_MAX = 2_000;
/** DEC_DIGITS: PostgreSQL computes in base 10 000, which shows in the scale of quotients. */
const BASE_DIGITS = 4;

type Special = "" | "NaN" | "Infinity" | "-Infinity";

/** `unscaled` times 10 to the power of -`scale`, or a special value. */
export class Decimal {
	readonly unscaled: bigint;
	readonly scale: number;
	readonly special: Special;

	constructor(unscaled: bigint, scale: number, special: Special = "") {
		this.unscaled = unscaled;
		this.scale = scale;
		this.special = special;
	}

	/** numeric_out. */
	toString(): string {
		if (this.special !== "") {
			return this.special;
		}
		const negative = this.unscaled < 0n;
		const digits = (negative ? -this.unscaled : this.unscaled).toString().padStart(this.scale + 1, "0");
		const whole = digits.slice(0, digits.length - this.scale);
		const text = this.scale === 0 ? whole : `${whole}.${digits.slice(digits.length - this.scale)}`;
		return negative ? `-${text}` : text;
	}
}

export const NAN = new Decimal(0n, 0, "NaN");
export const INFINITE = new Decimal(0n, 0, "Infinity");
export const MINUS_INFINITE = new Decimal(0n, 0, "-Infinity");
const ZERO = new Decimal(0n, 0);

const powers: bigint[] = [1n];

export function powerOfTen(exponent: number): bigint {
	if (exponent > 1_000) {
		return 10n ** BigInt(exponent);
	}
	for (let known = powers.length; known <= exponent; known += 1) {
		powers.push((powers[known - 1] ?? 1n) * 10n);
	}
	return powers[exponent] ?? 1n;
}

/** The text of numeric_out. @throws UNEVALUABLE */
export function readDecimal(text: string): Decimal {
	const match = /^(-?[0-9]+)(?:\.([0-9]+))?$/.exec(text);
	if (match === null) {
		switch (text) {
			case "NaN":
				return NAN;
			case "Infinity":
				return INFINITE;
			case "-Infinity":
				return MINUS_INFINITE;
			default:
				throw UNEVALUABLE;
		}
	}
	const fraction = match[2] ?? "";
	return new Decimal(BigInt((match[1] ?? "") + fraction), fraction.length);
}

function checked(unscaled: bigint, scale: number): Decimal {
	const wholeDigits = digitCount(unscaled) - scale;
	if (wholeDigits > WHOLE_DIGITS_MAX) {
		throw UNEVALUABLE;
	}
	return scale > SCALE_MAX
		? new Decimal(roundedQuotient(unscaled, powerOfTen(scale - SCALE_MAX)), SCALE_MAX)
		: new Decimal(unscaled, scale);
}

function magnitude(value: bigint): bigint {
	return value < 0n ? -value : value;
}

function digitCount(value: bigint): number {
	return magnitude(value).toString().length;
}

/** Rounds half away from zero. */
function roundedQuotient(dividend: bigint, divisor: bigint): bigint {
	const top = magnitude(dividend);
	const bottom = magnitude(divisor);
	const quotient = (2n * top + bottom) / (2n * bottom);
	return dividend < 0n !== divisor < 0n ? -quotient : quotient;
}

/** The unscaled value at a scale that is at least its own. */
function scaledUp(value: Decimal, scale: number): bigint {
	return scale === value.scale ? value.unscaled : value.unscaled * powerOfTen(scale - value.scale);
}

/** -1, 0 or 1; NaN counts as 0. */
function signOf(value: Decimal): number {
	switch (value.special) {
		case "Infinity":
			return 1;
		case "-Infinity":
			return -1;
		case "NaN":
			return 0;
		case "":
			return value.unscaled < 0n ? -1 : value.unscaled > 0n ? 1 : 0;
	}
}

function isNan(left: Decimal, right: Decimal): boolean {
	return left.special === "NaN" || right.special === "NaN";
}

function infinityOf(sign: number): Decimal {
	return sign < 0 ? MINUS_INFINITE : INFINITE;
}

/** NaN equals itself and is above everything. */
export function compareDecimal(left: Decimal, right: Decimal): number {
	if (left.special !== "" || right.special !== "") {
		return rank(left) - rank(right);
	}
	const scale = Math.max(left.scale, right.scale);
	const [first, second] = [scaledUp(left, scale), scaledUp(right, scale)];
	return first < second ? -1 : first > second ? 1 : 0;
}

function rank(value: Decimal): number {
	return value.special === "NaN" ? 2 : value.special === "Infinity" ? 1 : value.special === "-Infinity" ? -1 : 0;
}

export function addDecimal(left: Decimal, right: Decimal): Decimal {
	if (left.special !== "" || right.special !== "") {
		if (isNan(left, right) || (left.special !== "" && right.special !== "" && left.special !== right.special)) {
			return NAN;
		}
		return left.special !== "" ? left : right;
	}
	const scale = Math.max(left.scale, right.scale);
	return checked(scaledUp(left, scale) + scaledUp(right, scale), scale);
}

export function negateDecimal(value: Decimal): Decimal {
	switch (value.special) {
		case "NaN":
			return value;
		case "Infinity":
			return MINUS_INFINITE;
		case "-Infinity":
			return INFINITE;
		case "":
			return new Decimal(-value.unscaled, value.scale);
	}
}

export function subtractDecimal(left: Decimal, right: Decimal): Decimal {
	return addDecimal(left, negateDecimal(right));
}

export function multiplyDecimal(left: Decimal, right: Decimal): Decimal {
	if (left.special !== "" || right.special !== "") {
		const sign = signOf(left) * signOf(right);
		return isNan(left, right) || sign === 0 ? NAN : infinityOf(sign);
	}
	return checked(left.unscaled * right.unscaled, left.scale + right.scale);
}

/** Results of dividing by, or into, a special value; null when both are finite. */
function specialQuotient(left: Decimal, right: Decimal): Decimal | null {
	if (left.special === "" && right.special === "") {
		return null;
	}
	if (isNan(left, right)) {
		return NAN;
	}
	if (left.special === "") {
		return ZERO;
	}
	if (right.special !== "") {
		return NAN;
	}
	const sign = signOf(right);
	if (sign === 0) {
		throw UNEVALUABLE;
	}
	return infinityOf(sign * signOf(left));
}

/** @throws UNEVALUABLE for a division by zero */
export function divideDecimal(left: Decimal, right: Decimal): Decimal {
	const special = specialQuotient(left, right);
	if (special !== null) {
		return special;
	}
	return quotientAt(left, right, quotientScale(left, right));
}

function quotientAt(left: Decimal, right: Decimal, scale: number): Decimal {
	if (right.unscaled === 0n) {
		throw UNEVALUABLE;
	}
	const shift = scale + right.scale - left.scale;
	const top = shift >= 0 ? left.unscaled * powerOfTen(shift) : left.unscaled;
	const bottom = shift >= 0 ? right.unscaled : right.unscaled * powerOfTen(-shift);
	return checked(roundedQuotient(top, bottom), scale);
}

/** select_div_scale. */
function quotientScale(left: Decimal, right: Decimal): number {
	const [first, second] = [leadingDigit(left), leadingDigit(right)];
	const weight = first.weight - second.weight - (first.digit <= second.digit ? 1 : 0);
	const scale = Math.max(SIGNIFICANT_DIGITS_MIN - weight * BASE_DIGITS, left.scale, right.scale, 0);
	return Math.min(scale, DISPLAY_SCALE_MAX);
}

/** The first digit in base 10 000 that is not zero, and its power. */
function leadingDigit(value: Decimal): { weight: number; digit: number } {
	if (value.unscaled === 0n) {
		return { weight: 0, digit: 0 };
	}
	const digits = magnitude(value.unscaled).toString();
	const exponent = digits.length - 1 - value.scale;
	const weight = Math.floor(exponent / BASE_DIGITS);
	const width = exponent - weight * BASE_DIGITS + 1;
	return { weight, digit: Number(digits.slice(0, width).padEnd(width, "0")) };
}

/** div(): the quotient without its fraction. @throws UNEVALUABLE for a division by zero */
export function divideTruncated(left: Decimal, right: Decimal): Decimal {
	const special = specialQuotient(left, right);
	if (special !== null) {
		return special;
	}
	if (right.unscaled === 0n) {
		throw UNEVALUABLE;
	}
	const scale = Math.max(left.scale, right.scale);
	return checked(scaledUp(left, scale) / scaledUp(right, scale), 0);
}

/** @throws UNEVALUABLE for a division by zero */
export function moduloDecimal(left: Decimal, right: Decimal): Decimal {
	if (isNan(left, right)) {
		return NAN;
	}
	if (left.special !== "") {
		if (signOf(right) === 0) {
			throw UNEVALUABLE;
		}
		return NAN;
	}
	if (right.special !== "") {
		return left;
	}
	if (right.unscaled === 0n) {
		throw UNEVALUABLE;
	}
	const scale = Math.max(left.scale, right.scale);
	return new Decimal(scaledUp(left, scale) % scaledUp(right, scale), scale);
}

export function absoluteDecimal(value: Decimal): Decimal {
	return signOf(value) < 0 ? negateDecimal(value) : value;
}

export function signDecimal(value: Decimal): Decimal {
	return value.special === "NaN" ? value : new Decimal(BigInt(signOf(value)), 0);
}

/** Rounds half away from zero. @throws UNEVALUABLE for scales on which servers disagree */
export function roundDecimal(value: Decimal, scale: number): Decimal {
	return rescaled(value, scale, roundedQuotient);
}

export function truncateDecimal(value: Decimal, scale: number): Decimal {
	return rescaled(value, scale, (dividend, divisor) => dividend / divisor);
}

function rescaled(value: Decimal, scale: number, divide: (dividend: bigint, divisor: bigint) => bigint): Decimal {
	if (value.special !== "") {
		return value;
	}
	if (Math.abs(scale) > ROUND_SCALE_MAX) {
		throw UNEVALUABLE;
	}
	const shown = Math.max(scale, 0);
	if (scale >= value.scale) {
		return checked(scaledUp(value, scale), shown);
	}
	const kept = divide(value.unscaled, powerOfTen(value.scale - scale));
	return checked(scale < 0 ? kept * powerOfTen(-scale) : kept, shown);
}

export function ceilDecimal(value: Decimal): Decimal {
	const whole = truncateDecimal(value, 0);
	return value.special === "" && value.unscaled > 0n && whole.unscaled * powerOfTen(value.scale) !== value.unscaled
		? new Decimal(whole.unscaled + 1n, 0)
		: whole;
}

export function floorDecimal(value: Decimal): Decimal {
	return negateDecimal(ceilDecimal(negateDecimal(value)));
}

/** numeric_sqrt. @throws UNEVALUABLE below zero */
export function squareRoot(value: Decimal): Decimal {
	if (signOf(value) < 0) {
		throw UNEVALUABLE;
	}
	if (value.special !== "") {
		return value;
	}
	const wholeDigits = (leadingDigit(value).weight * BASE_DIGITS) / 2 + 1;
	const scale = Math.min(Math.max(SIGNIFICANT_DIGITS_MIN - wholeDigits, value.scale, 0), DISPLAY_SCALE_MAX);
	// One digit more, cut off, then rounded: an exact half cannot come from anything else.
	const guarded = scale + 1;
	const shift = 2 * guarded - value.scale;
	const radicand = shift >= 0 ? value.unscaled * powerOfTen(shift) : value.unscaled / powerOfTen(-shift);
	return new Decimal(roundedQuotient(wholeRoot(radicand), 10n), scale);
}

/** The largest whole number whose square is not above. Newton's iteration from above. */
function wholeRoot(value: bigint): bigint {
	if (value < 2n) {
		return value;
	}
	let root = 1n << BigInt(Math.ceil(value.toString(2).length / 2));
	for (;;) {
		const next = (root + value / root) >> 1n;
		if (next >= root) {
			return root;
		}
		root = next;
	}
}

/** numeric(precision, scale). @throws UNEVALUABLE when it does not fit */
export function fitDecimal(value: Decimal, precision: number, scale: number): Decimal {
	if (value.special === "NaN") {
		return value;
	}
	if (value.special !== "") {
		throw UNEVALUABLE;
	}
	const rounded = roundDecimal(value, scale);
	if (rounded.unscaled !== 0n && digitCount(rounded.unscaled) - rounded.scale > precision - scale) {
		throw UNEVALUABLE;
	}
	return rounded;
}
