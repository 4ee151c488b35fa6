/**
 * PostgreSQL's interval: months, days and microseconds that do not carry into each other. Owns its text form (as
 * the stream prints it, IntervalStyle iso_8601), its arithmetic and its order. Pure; throws UNEVALUABLE where
 * PostgreSQL raises an error. The infinities are those of PostgreSQL 17 and later; earlier ones raise errors instead.
 * Source: PostgreSQL `timestamp.c`, `interval_mul` and its neighbours.
 */

import { MICROSECONDS_PER_DAY } from "../calendar.ts";
import { type Exact, exactOf, UNEVALUABLE } from "./value.ts";

const DAYS_PER_MONTH = 30;
const SECONDS_PER_DAY = 86_400;
const INT4_MIN = -2_147_483_648;
const INT4_MAX = 2_147_483_647;
const INT8_MIN = -(2n ** 63n);
const INT8_MAX = 2n ** 63n - 1n;
const DAY = BigInt(MICROSECONDS_PER_DAY);

export class Interval {
	readonly months: number;
	readonly days: number;
	readonly microseconds: Exact;

	/** @throws UNEVALUABLE when a field is beyond PostgreSQL's range */
	constructor(months: number, days: number, microseconds: Exact) {
		if (!isInt4(months) || !isInt4(days)) {
			throw UNEVALUABLE;
		}
		if (typeof microseconds === "bigint" && (microseconds < INT8_MIN || microseconds > INT8_MAX)) {
			throw UNEVALUABLE;
		}
		this.months = months;
		this.days = days;
		this.microseconds = microseconds;
	}

	/** 1, -1: infinite. From PostgreSQL 17 on, the limits of all fields stand for it. */
	get infinity(): -1 | 0 | 1 {
		const { months, days, microseconds } = this;
		if (months === INT4_MAX && days === INT4_MAX && microseconds === INT8_MAX) {
			return 1;
		}
		return months === INT4_MIN && days === INT4_MIN && microseconds === INT8_MIN ? -1 : 0;
	}

	/** interval_out with IntervalStyle iso_8601. */
	toString(): string {
		const { months, days, infinity } = this;
		if (infinity !== 0) {
			return infinity > 0 ? "infinity" : "-infinity";
		}
		const years = Math.trunc(months / 12);
		const time = this.#time();
		const date = part(years, "Y") + part(months - years * 12, "M") + part(days, "D");
		return date === "" && time === "" ? "PT0S" : `P${date}${time === "" ? "" : `T${time}`}`;
	}

	#time(): string {
		const total = BigInt(this.microseconds);
		const negative = total < 0n;
		const value = negative ? -total : total;
		const sign = negative ? "-" : "";
		const hours = value / 3_600_000_000n;
		const minutes = (value / 60_000_000n) % 60n;
		const seconds = (value / 1_000_000n) % 60n;
		const fraction = (value % 1_000_000n).toString().padStart(6, "0").replace(/0+$/, "");
		const shownSeconds = fraction === "" ? String(seconds) : `${seconds}.${fraction}`;
		return (
			(hours === 0n ? "" : `${sign}${hours}H`) +
			(minutes === 0n ? "" : `${sign}${minutes}M`) +
			(shownSeconds === "0" ? "" : `${sign}${shownSeconds}S`)
		);
	}
}

const INFINITE = new Interval(INT4_MAX, INT4_MAX, INT8_MAX);
const MINUS_INFINITE = new Interval(INT4_MIN, INT4_MIN, INT8_MIN);

/** @throws UNEVALUABLE for 0: no infinity is meant */
export function infiniteInterval(sign: number): Interval {
	if (sign === 0 || Number.isNaN(sign)) {
		throw UNEVALUABLE;
	}
	return sign > 0 ? INFINITE : MINUS_INFINITE;
}

/** The result of arithmetic with finite intervals. */
function finite(value: Interval): Interval {
	if (value.infinity !== 0) {
		throw UNEVALUABLE;
	}
	return value;
}

function isInt4(value: number): boolean {
	return Number.isInteger(value) && value >= INT4_MIN && value <= INT4_MAX;
}

function part(value: number, unit: string): string {
	return value === 0 ? "" : `${value}${unit}`;
}

const PATTERN =
	/^P(?:(-?[0-9]{1,10})Y)?(?:(-?[0-9]{1,10})M)?(?:(-?[0-9]{1,10})D)?(?:T(?:(-?[0-9]{1,10})H)?(?:(-?[0-9]{1,2})M)?(?:(-?)([0-9]{1,2})(?:\.([0-9]{1,6}))?S)?)?$/;

/** The text of interval_out with IntervalStyle iso_8601. @throws UNEVALUABLE */
export function readInterval(text: string): Interval {
	const match = PATTERN.exec(text);
	if (match === null) {
		if (text === "infinity" || text === "-infinity") {
			return infiniteInterval(text === "infinity" ? 1 : -1);
		}
		throw UNEVALUABLE;
	}
	const whole = (group: number): number => Number(match[group] ?? "0");
	const fraction = Number((match[8] ?? "").padEnd(6, "0"));
	const seconds = BigInt(match[7] ?? "0") * 1_000_000n + BigInt(fraction);
	const time =
		BigInt(match[4] ?? "0") * 3_600_000_000n +
		BigInt(match[5] ?? "0") * 60_000_000n +
		(match[6] === "-" ? -seconds : seconds);
	return new Interval(whole(1) * 12 + whole(2), whole(3), exactOf(time));
}

/** interval_cmp: a month is 30 days, a day 24 hours. */
export function compareInterval(left: Interval, right: Interval): number {
	const [first, second] = [span(left), span(right)];
	return first < second ? -1 : first > second ? 1 : 0;
}

function span({ months, days, microseconds }: Interval): bigint {
	return (BigInt(months) * 30n + BigInt(days)) * DAY + BigInt(microseconds);
}

export function addExact(left: Exact, right: Exact): Exact {
	if (typeof left === "number" && typeof right === "number") {
		const sum = left + right;
		if (Number.isSafeInteger(sum)) {
			return sum;
		}
	}
	return exactOf(BigInt(left) + BigInt(right));
}

export function addInterval(left: Interval, right: Interval): Interval {
	if (left.infinity !== 0 || right.infinity !== 0) {
		return infiniteInterval(Math.sign(left.infinity + right.infinity));
	}
	return finite(
		new Interval(left.months + right.months, left.days + right.days, addExact(left.microseconds, right.microseconds)),
	);
}

export function negateInterval(value: Interval): Interval {
	if (value.infinity !== 0) {
		return infiniteInterval(-value.infinity);
	}
	const { months, days, microseconds } = value;
	return finite(new Interval(0 - months, 0 - days, exactOf(-BigInt(microseconds))));
}

export function subtractInterval(left: Interval, right: Interval): Interval {
	if (left.infinity !== 0 || right.infinity !== 0) {
		return infiniteInterval(Math.sign(left.infinity - right.infinity));
	}
	return finite(
		new Interval(
			left.months - right.months,
			left.days - right.days,
			exactOf(BigInt(left.microseconds) - BigInt(right.microseconds)),
		),
	);
}

export function multiplyInterval(value: Interval, factor: number): Interval {
	if (value.infinity !== 0) {
		return infiniteInterval(value.infinity * Math.sign(factor));
	}
	if (!Number.isFinite(factor)) {
		return infiniteInterval(compareInterval(value, ZERO) * Math.sign(factor));
	}
	return scaled(value, (amount) => amount * factor);
}

/** @throws UNEVALUABLE for a division by zero */
export function divideInterval(value: Interval, divisor: number): Interval {
	if (divisor === 0 || Number.isNaN(divisor) || (value.infinity !== 0 && !Number.isFinite(divisor))) {
		throw UNEVALUABLE;
	}
	return value.infinity === 0
		? scaled(value, (amount) => amount / divisor)
		: infiniteInterval(value.infinity * Math.sign(divisor));
}

const ZERO = new Interval(0, 0, 0);

/** What is lost of months goes to days, what is lost of days to time: never upwards. */
function scaled(value: Interval, scale: (amount: number) => number): Interval {
	const months = truncatedInt4(scale(value.months));
	let days = truncatedInt4(scale(value.days));
	const restDays = roundMicros((scale(value.months) - months) * DAYS_PER_MONTH);
	let seconds = roundMicros((scale(value.days) - days + restDays - Math.trunc(restDays)) * SECONDS_PER_DAY);
	if (Math.abs(seconds) >= SECONDS_PER_DAY) {
		const carried = Math.trunc(seconds / SECONDS_PER_DAY);
		days += carried;
		seconds -= carried * SECONDS_PER_DAY;
	}
	days += Math.trunc(restDays);
	const microseconds = roundHalfEven(scale(Number(value.microseconds)) + seconds * 1_000_000);
	if (!(microseconds >= -(2 ** 63) && microseconds < 2 ** 63)) {
		throw UNEVALUABLE;
	}
	return finite(new Interval(months, days, exactOf(BigInt(microseconds))));
}

function truncatedInt4(value: number): number {
	if (!(value >= INT4_MIN && value <= INT4_MAX)) {
		throw UNEVALUABLE;
	}
	return Math.trunc(value);
}

/** rint(). */
export function roundHalfEven(value: number): number {
	if (Math.abs(value) >= 4_503_599_627_370_496 || !Number.isFinite(value)) {
		return value;
	}
	const floor = Math.floor(value);
	const rest = value - floor;
	const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
	return rounded === 0 && (value < 0 || Object.is(value, -0)) ? -0 : rounded;
}

/** TSROUND: to a millionth. */
function roundMicros(value: number): number {
	return roundHalfEven(value * 1_000_000) / 1_000_000;
}

/** Fields that may be changed while they are brought into range. */
interface Fields {
	months: number;
	days: number;
	time: bigint;
}

function fieldsOf({ months, days, microseconds }: Interval): Fields {
	return { months, days, time: BigInt(microseconds) };
}

function intervalOf({ months, days, time }: Fields): Interval {
	return finite(new Interval(months, days, exactOf(time)));
}

function carryHours(fields: Fields): void {
	fields.days += Number(fields.time / DAY);
	fields.time %= DAY;
}

function carryDays(fields: Fields): void {
	const months = Math.trunc(fields.days / DAYS_PER_MONTH);
	fields.days -= months * DAYS_PER_MONTH;
	fields.months += months;
}

/** Gives day and time one sign. */
function alignTime(fields: Fields): void {
	if (fields.days > 0 && fields.time < 0n) {
		fields.time += DAY;
		fields.days -= 1;
	} else if (fields.days < 0 && fields.time > 0n) {
		fields.time -= DAY;
		fields.days += 1;
	}
}

export function justifyHours(value: Interval): Interval {
	if (value.infinity !== 0) {
		return value;
	}
	const fields = fieldsOf(value);
	carryHours(fields);
	alignTime(fields);
	return intervalOf(fields);
}

export function justifyDays(value: Interval): Interval {
	if (value.infinity !== 0) {
		return value;
	}
	const fields = fieldsOf(value);
	carryDays(fields);
	if (fields.months > 0 && fields.days < 0) {
		fields.days += DAYS_PER_MONTH;
		fields.months -= 1;
	} else if (fields.months < 0 && fields.days > 0) {
		fields.days -= DAYS_PER_MONTH;
		fields.months += 1;
	}
	return intervalOf(fields);
}

export function justifyInterval(value: Interval): Interval {
	if (value.infinity !== 0) {
		return value;
	}
	const fields = fieldsOf(value);
	if ((fields.days > 0 && fields.time > 0n) || (fields.days < 0 && fields.time < 0n)) {
		carryDays(fields);
	}
	carryHours(fields);
	carryDays(fields);
	if (fields.months > 0 && (fields.days < 0 || (fields.days === 0 && fields.time < 0n))) {
		fields.days += DAYS_PER_MONTH;
		fields.months -= 1;
	} else if (fields.months < 0 && (fields.days > 0 || (fields.days === 0 && fields.time > 0n))) {
		fields.days -= DAYS_PER_MONTH;
		fields.months += 1;
	}
	alignTime(fields);
	return intervalOf(fields);
}
