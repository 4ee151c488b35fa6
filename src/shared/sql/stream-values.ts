/**
 * Values of the stream, from PostgreSQL's text form (UTF-8 bytes) to something that compares as PostgreSQL
 * compares. Pure; must give up (UNEVALUABLE) rather than guess. Called for
 * rows by the match room, for constants, which are in the same text form, by both rooms.
 */

import { daysFromCivil, MICROSECONDS_PER_DAY } from "../calendar.ts";
import { type Exact, UNEVALUABLE } from "./value.ts";

/** Digits that surely fit a double exactly. */
const SAFE_DIGITS = 15;

const ZERO = 0x30;
const MINUS = 0x2d;
const DOT = 0x2e;

/** A decimal integer. */
export function readInteger(buffer: Buffer, start: number, length: number): Exact {
	const negative = buffer[start] === MINUS;
	const first = negative ? start + 1 : start;
	const end = start + length;
	if (end - first > SAFE_DIGITS) {
		return readLongInteger(buffer.toString("latin1", start, end));
	}
	if (first === end) {
		throw UNEVALUABLE;
	}
	const value = readDigits(buffer, first, end);
	return negative ? -value : value;
}

function readLongInteger(text: string): bigint {
	if (!/^-?[0-9]+$/.test(text)) {
		throw UNEVALUABLE;
	}
	return BigInt(text);
}

function readDigits(buffer: Buffer, start: number, end: number): number {
	let value = 0;
	for (let index = start; index < end; index += 1) {
		const digit = (buffer[index] ?? 0) - ZERO;
		if (digit < 0 || digit > 9) {
			throw UNEVALUABLE;
		}
		value = value * 10 + digit;
	}
	return value;
}

export function compareExact(left: Exact, right: Exact): number {
	return left < right ? -1 : left > right ? 1 : 0;
}

/** float4 when `single`, else float8; also the value of an integer or numeric converted to it. */
export function readFloat(buffer: Buffer, start: number, length: number, single: boolean): number {
	const text = buffer.toString("latin1", start, start + length);
	if (text === "NaN") {
		return Number.NaN;
	}
	const value = Number(text);
	if (Number.isNaN(value) || length === 0) {
		throw UNEVALUABLE;
	}
	return single ? Math.fround(value) : value;
}

/** NaN equals NaN and is above everything; zeros of both signs are equal. */
export function compareFloat(left: number, right: number): number {
	if (left < right) {
		return -1;
	}
	if (left > right) {
		return 1;
	}
	const leftNan = Number.isNaN(left);
	const rightNan = Number.isNaN(right);
	return leftNan === rightNan ? 0 : leftNan ? 1 : -1;
}

/** The end of a numeric's text without zeros that do not count after the decimal point. */
export function endWithoutZeros(buffer: Buffer, start: number, end: number): number {
	let point = start;
	while (point < end && buffer[point] !== DOT) {
		point += 1;
	}
	if (point === end) {
		return end;
	}
	let last = end;
	while (buffer[last - 1] === ZERO) {
		last -= 1;
	}
	return last - 1 === point ? point : last;
}

/** A numeric as text with one form a value: no exponent, no zeros that do not count. */
export function readNumeric(buffer: Buffer, start: number, length: number): string {
	const text = buffer.toString("latin1", start, endWithoutZeros(buffer, start, start + length));
	if (!/^(?:-?[0-9]+(?:\.[0-9]+)?|NaN|-?Infinity)$/.test(text)) {
		throw UNEVALUABLE;
	}
	return text;
}

/** Orders texts of {@link readNumeric}, of any length. */
export function compareNumeric(left: string, right: string): number {
	if (left === right) {
		return 0;
	}
	const leftClass = numericClass(left);
	const rightClass = numericClass(right);
	if (leftClass !== rightClass || Math.abs(leftClass) > 1) {
		return leftClass - rightClass;
	}
	return leftClass < 0 ? compareMagnitude(right, left, 1) : compareMagnitude(left, right, 0);
}

/** -2 -Infinity, -1 negative, 0 not negative, 2 Infinity, 3 NaN. */
function numericClass(text: string): number {
	switch (text) {
		case "NaN":
			return 3;
		case "Infinity":
			return 2;
		case "-Infinity":
			return -2;
		default:
			return text.charCodeAt(0) === MINUS ? -1 : 0;
	}
}

function compareMagnitude(left: string, right: string, start: number): number {
	const leftWhole = wholeEnd(left);
	const rightWhole = wholeEnd(right);
	if (leftWhole !== rightWhole) {
		return leftWhole - rightWhole;
	}
	const leftDigits = start === 0 ? left : left.slice(start);
	const rightDigits = start === 0 ? right : right.slice(start);
	return leftDigits < rightDigits ? -1 : leftDigits > rightDigits ? 1 : 0;
}

function wholeEnd(text: string): number {
	const point = text.indexOf(".");
	return point === -1 ? text.length : point;
}

/** `2024-02-29`, `infinity`, ` BC`: days since 2000-01-01. */
export function readDate(buffer: Buffer, start: number, length: number): number {
	const special = readInfinity(buffer, start, length);
	if (special !== 0) {
		return special;
	}
	const end = start + length;
	const beforeChrist = endsWithEra(buffer, start, end);
	const dateEnd = beforeChrist ? end - 3 : end;
	return readDay(buffer, start, dateEnd, beforeChrist);
}

/** `08:00:00.5`: microseconds since midnight. */
export function readTime(buffer: Buffer, start: number, length: number): number {
	return readClock(buffer, start, start + length);
}

/** `2024-02-29 08:00:00.5`, with `+00` at its end when `zoned`: microseconds since 2000-01-01 00:00. */
export function readTimestamp(buffer: Buffer, start: number, length: number, zoned: boolean): Exact {
	const special = readInfinity(buffer, start, length);
	if (special !== 0) {
		return special;
	}
	const end = start + length;
	const beforeChrist = endsWithEra(buffer, start, end);
	let clockEnd = beforeChrist ? end - 3 : end;
	if (zoned) {
		clockEnd -= 3;
		const isUtc = buffer[clockEnd] === 0x2b && buffer[clockEnd + 1] === ZERO && buffer[clockEnd + 2] === ZERO;
		if (clockEnd <= start || !isUtc) {
			throw UNEVALUABLE;
		}
	}
	let space = start;
	while (space < clockEnd && buffer[space] !== 0x20) {
		space += 1;
	}
	const day = readDay(buffer, start, space, beforeChrist);
	return timestampOf(day, readClock(buffer, space + 1, clockEnd));
}

/** Days beyond which microseconds since 2000 leave a double's exact range. */
const SAFE_DAYS = Math.floor(Number.MAX_SAFE_INTEGER / MICROSECONDS_PER_DAY) - 1;

/** Microseconds since 2000-01-01 of a day (or an infinity) and a time of day. */
export function timestampOf(day: number, microseconds: number): Exact {
	if (Math.abs(day) <= SAFE_DAYS || !Number.isFinite(day)) {
		return day * MICROSECONDS_PER_DAY + microseconds;
	}
	return BigInt(day) * BigInt(MICROSECONDS_PER_DAY) + BigInt(microseconds);
}

function readInfinity(buffer: Buffer, start: number, length: number): number {
	// Only "infinity" and "-infinity" have an "i" first, or after the sign.
	if (length === 8 && buffer[start] === 0x69) {
		return Number.POSITIVE_INFINITY;
	}
	return length === 9 && buffer[start] === MINUS ? Number.NEGATIVE_INFINITY : 0;
}

function endsWithEra(buffer: Buffer, start: number, end: number): boolean {
	return end - start > 3 && buffer[end - 1] === 0x43 && buffer[end - 2] === 0x42 && buffer[end - 3] === 0x20;
}

function readDay(buffer: Buffer, start: number, end: number, beforeChrist: boolean): number {
	const monthAt = end - 5;
	if (monthAt - 1 <= start || buffer[monthAt - 1] !== MINUS || buffer[end - 3] !== MINUS) {
		throw UNEVALUABLE;
	}
	const year = readDigits(buffer, start, monthAt - 1);
	const month = readDigits(buffer, monthAt, end - 3);
	return daysFromCivil(beforeChrist ? 1 - year : year, month, readDigits(buffer, end - 2, end));
}

const COLON = 0x3a;
const FRACTION_SCALE: readonly number[] = [0, 100_000, 10_000, 1_000, 100, 10, 1];

function readClock(buffer: Buffer, start: number, end: number): number {
	if (end - start < 8 || buffer[start + 2] !== COLON || buffer[start + 5] !== COLON) {
		throw UNEVALUABLE;
	}
	const seconds =
		(readDigits(buffer, start, start + 2) * 60 + readDigits(buffer, start + 3, start + 5)) * 60 +
		readDigits(buffer, start + 6, start + 8);
	if (end - start === 8) {
		return seconds * 1_000_000;
	}
	const scale = FRACTION_SCALE[end - start - 9];
	if (buffer[start + 8] !== DOT || scale === undefined) {
		throw UNEVALUABLE;
	}
	return seconds * 1_000_000 + readDigits(buffer, start + 9, end) * scale;
}
