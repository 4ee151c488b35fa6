/**
 * Arithmetic of dates, times and timestamps (with a time zone: in UTC, the zone of the sessions that read). Owns
 * ranges and calendar rules as PostgreSQL has them. Pure; throws UNEVALUABLE where PostgreSQL raises an error.
 * Source: PostgreSQL `date.c`, `timestamp.c`.
 */

import { civilFromDays, daysFromCivil, daysInMonth, MICROSECONDS_PER_DAY } from "../calendar.ts";
import { addExact, Interval, infiniteInterval } from "./interval.ts";
import { timestampOf } from "./stream-values.ts";
import { type Exact, exactOf, UNEVALUABLE } from "./value.ts";

const DATE_MIN = -2_451_545;
const DATE_END = 2_145_031_949;
const TIMESTAMP_MIN = -211_813_488_000_000_000n;
const TIMESTAMP_END = 9_223_371_331_200_000_000n;
const DAY = BigInt(MICROSECONDS_PER_DAY);

export function isInfinite(value: Exact): boolean {
	return value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY;
}

function checkedDate(days: number): number {
	if (days < DATE_MIN || days >= DATE_END) {
		throw UNEVALUABLE;
	}
	return days;
}

export function checkedTimestamp(value: Exact): Exact {
	if (!isInfinite(value) && (value < TIMESTAMP_MIN || value >= TIMESTAMP_END)) {
		throw UNEVALUABLE;
	}
	return value;
}

/** The day of a timestamp that is not infinite, and the microseconds since its midnight. */
export function splitTimestamp(value: Exact): { day: number; time: number } {
	if (typeof value === "number") {
		const day = Math.floor(value / MICROSECONDS_PER_DAY);
		const time = value - day * MICROSECONDS_PER_DAY;
		// A quotient just below a whole number may have been rounded up to it.
		return time < 0 ? { day: day - 1, time: time + MICROSECONDS_PER_DAY } : { day, time };
	}
	const rest = ((value % DAY) + DAY) % DAY;
	return { day: Number((value - rest) / DAY), time: Number(rest) };
}

export function addDays(date: number, days: Exact): number {
	return isInfinite(date) ? date : checkedDate(date + Number(days));
}

export function dateDifference(left: number, right: number): number {
	if (isInfinite(left) || isInfinite(right)) {
		throw UNEVALUABLE;
	}
	return left - right;
}

/** @throws UNEVALUABLE beyond the range of timestamps */
export function timestampOfDate(date: number, time = 0): Exact {
	return isInfinite(date) ? date : checkedTimestamp(timestampOf(date, time));
}

export function dateOfTimestamp(value: Exact): number {
	return isInfinite(value) ? Number(value) : splitTimestamp(value).day;
}

/** NULL for infinities, as in PostgreSQL. */
export function timeOfTimestamp(value: Exact): number | null {
	return isInfinite(value) ? null : splitTimestamp(value).time;
}

/** Months first, to the last day of the month at most; then days; then time. */
export function addToTimestamp(value: Exact, interval: Interval): Exact {
	const { months, days, microseconds, infinity } = interval;
	if (infinity !== 0) {
		if (value === -infinity / 0) {
			throw UNEVALUABLE;
		}
		return infinity / 0;
	}
	if (isInfinite(value)) {
		return value;
	}
	let { day, time } = splitTimestamp(value);
	if (months !== 0) {
		const civil = civilFromDays(day);
		const monthIndex = civil.year * 12 + civil.month - 1 + months;
		const year = Math.floor(monthIndex / 12);
		const month = monthIndex - year * 12 + 1;
		day = daysFromCivil(year, month, Math.min(civil.day, daysInMonth(year, month)));
		checkedTimestamp(timestampOf(day, time));
	}
	if (days !== 0) {
		day += days;
		checkedTimestamp(timestampOf(day, time));
	}
	return checkedTimestamp(addExact(timestampOf(day, time), microseconds));
}

/** timestamp_mi, with its days taken out of the hours. @throws UNEVALUABLE for two infinities of one sign */
export function timestampDifference(left: Exact, right: Exact): Interval {
	if (isInfinite(left) || isInfinite(right)) {
		return infiniteInterval(Math.sign(Number(left) - Number(right)));
	}
	const difference = BigInt(left) - BigInt(right);
	if (BigInt.asIntN(64, difference) !== difference) {
		throw UNEVALUABLE;
	}
	return new Interval(0, Number(difference / DAY), exactOf(difference % DAY));
}

/** Around the clock. */
export function addToTime(time: number, { microseconds, infinity }: Interval): number {
	if (infinity !== 0) {
		throw UNEVALUABLE;
	}
	const sum = (BigInt(time) + BigInt(microseconds)) % DAY;
	return Number(sum < 0n ? sum + DAY : sum);
}

export function timeOfInterval({ microseconds, infinity }: Interval): number {
	if (infinity !== 0) {
		throw UNEVALUABLE;
	}
	const rest = BigInt(microseconds) % DAY;
	return Number(rest < 0n ? rest + DAY : rest);
}

/** Rounds to a number of digits of a second, half away from zero, as timestamp(p) and time(p) do. */
export function roundMicroseconds(value: Exact, digits: number): Exact {
	if (isInfinite(value) || digits >= 6) {
		return value;
	}
	const unit = 10n ** BigInt(6 - digits);
	const exact = BigInt(value);
	const half = unit / 2n;
	return exactOf(exact >= 0n ? ((exact + half) / unit) * unit : -(((-exact + half) / unit) * unit));
}
