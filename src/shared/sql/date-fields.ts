/**
 * extract, date_part and date_trunc. Owns which units exist for which type, and what each gives. Pure; throws
 * UNEVALUABLE for a unit that the type does not have. Source: PostgreSQL `timestamp.c`, `date.c`.
 */

import { civilFromDays, daysFromCivil, MICROSECONDS_PER_DAY } from "../calendar.ts";
import { checkedTimestamp, isInfinite, splitTimestamp, timestampOfDate } from "./date-time.ts";
import { Decimal, divideDecimal, INFINITE, MINUS_INFINITE, roundDecimal } from "./decimal.ts";
import { Interval } from "./interval.ts";
import { timestampOf } from "./stream-values.ts";
import { type Exact, exactOf, UNEVALUABLE } from "./value.ts";

const EPOCH_DAYS = daysFromCivil(1970, 1, 1);
const EPOCH = timestampOf(EPOCH_DAYS, 0);

/** Spellings of PostgreSQL's deltatktbl and datetktbl that this language takes. */
const UNITS: Readonly<Record<string, string>> = {
	microsecond: "microsecond",
	microseconds: "microsecond",
	us: "microsecond",
	millisecond: "millisecond",
	milliseconds: "millisecond",
	ms: "millisecond",
	second: "second",
	seconds: "second",
	sec: "second",
	s: "second",
	minute: "minute",
	minutes: "minute",
	min: "minute",
	m: "minute",
	hour: "hour",
	hours: "hour",
	h: "hour",
	day: "day",
	days: "day",
	d: "day",
	week: "week",
	weeks: "week",
	w: "week",
	month: "month",
	months: "month",
	mon: "month",
	quarter: "quarter",
	year: "year",
	years: "year",
	y: "year",
	decade: "decade",
	decades: "decade",
	century: "century",
	centuries: "century",
	millennium: "millennium",
	millennia: "millennium",
	epoch: "epoch",
	dow: "dow",
	isodow: "isodow",
	doy: "doy",
	isoyear: "isoyear",
};

/** The one name of a unit. @throws UNEVALUABLE when there is no such unit here */
function unitNamed(text: string): string {
	const name = text.toLowerCase();
	const unit = Object.hasOwn(UNITS, name) ? UNITS[name] : undefined;
	if (unit === undefined) {
		throw UNEVALUABLE;
	}
	return unit;
}

const whole = (value: number): Decimal => new Decimal(BigInt(value), 0);

/** Units that grow with time: infinity has them too, and no others. */
const MONOTONIC: readonly string[] = ["year", "decade", "century", "millennium", "isoyear", "epoch"];

function infiniteField(unit: string, value: Exact): Decimal | null {
	return MONOTONIC.includes(unit) ? (value > 0 ? INFINITE : MINUS_INFINITE) : null;
}

const DATE_UNITS: readonly string[] = [
	"day",
	"week",
	"month",
	"quarter",
	"year",
	"decade",
	"century",
	"millennium",
	"dow",
	"isodow",
	"doy",
	"isoyear",
	"epoch",
];

export function extractFromDate(name: string, date: number): Decimal | null {
	const unit = unitNamed(name);
	if (!DATE_UNITS.includes(unit)) {
		throw UNEVALUABLE;
	}
	if (isInfinite(date)) {
		return infiniteField(unit, date);
	}
	return unit === "epoch" ? whole((date - EPOCH_DAYS) * 86_400) : dayField(unit, date);
}

export function extractFromTime(name: string, time: number): Decimal {
	const unit = unitNamed(name);
	return unit === "epoch" ? new Decimal(BigInt(time), 6) : clockField(unit, BigInt(time));
}

export function extractFromTimestamp(name: string, value: Exact): Decimal | null {
	const unit = unitNamed(name);
	if (isInfinite(value)) {
		return infiniteField(unit, value);
	}
	if (unit === "epoch") {
		const difference = BigInt(value) - BigInt(EPOCH);
		// What does not fit 64 bits PostgreSQL divides as numeric, with fewer digits.
		return value < BigInt(EPOCH) + 2n ** 63n - 1n
			? new Decimal(difference, 6)
			: roundDecimal(divideDecimal(new Decimal(difference, 0), new Decimal(1_000_000n, 0)), 6);
	}
	const { day, time } = splitTimestamp(value);
	return DATE_UNITS.includes(unit) ? dayField(unit, day) : clockField(unit, BigInt(time));
}

function clockField(unit: string, time: bigint): Decimal {
	const inMinute = time % 60_000_000n;
	switch (unit) {
		case "microsecond":
			return new Decimal(inMinute, 0);
		case "millisecond":
			return new Decimal(inMinute, 3);
		case "second":
			return new Decimal(inMinute, 6);
		case "minute":
			return new Decimal((time / 60_000_000n) % 60n, 0);
		case "hour":
			return new Decimal(time / 3_600_000_000n, 0);
		default:
			throw UNEVALUABLE;
	}
}

/** Years as extract gives them: there is no year 0. */
function historical(year: number): number {
	return year > 0 ? year : year - 1;
}

function dayField(unit: string, days: number): Decimal {
	const { year, month, day } = civilFromDays(days);
	switch (unit) {
		case "day":
			return whole(day);
		case "month":
			return whole(month);
		case "quarter":
			return whole(Math.floor((month - 1) / 3) + 1);
		case "year":
			return whole(historical(year));
		case "decade":
			return whole(Math.floor(year / 10));
		case "century":
			return whole(year > 0 ? Math.floor((year + 99) / 100) : -Math.floor((99 - (year - 1)) / 100));
		case "millennium":
			return whole(year > 0 ? Math.floor((year + 999) / 1000) : -Math.floor((999 - (year - 1)) / 1000));
		case "dow":
			return whole(weekday(days) % 7);
		case "isodow":
			return whole(weekday(days));
		case "doy":
			return whole(days - daysFromCivil(year, 1, 1) + 1);
		case "week":
			return whole(isoWeek(days).week);
		case "isoyear":
			return whole(historical(isoWeek(days).year));
		default:
			throw UNEVALUABLE;
	}
}

/** 1 Monday to 7 Sunday; 2000-01-01 was a Saturday. */
function weekday(days: number): number {
	return ((((days + 5) % 7) + 7) % 7) + 1;
}

function isoWeek(days: number): { year: number; week: number } {
	// The week belongs to the year of its Thursday.
	const thursday = days - weekday(days) + 4;
	const { year } = civilFromDays(thursday);
	return { year, week: Math.floor((thursday - daysFromCivil(year, 1, 1)) / 7) + 1 };
}

/** Units that grow with an interval. */
const MONOTONIC_SPANS: readonly string[] = ["hour", "day", "year", "decade", "century", "millennium", "epoch"];

export function extractFromInterval(name: string, value: Interval): Decimal | null {
	const { months, days, microseconds, infinity } = value;
	const unit = unitNamed(name);
	if (infinity !== 0) {
		return MONOTONIC_SPANS.includes(unit) ? (infinity > 0 ? INFINITE : MINUS_INFINITE) : null;
	}
	const years = Math.trunc(months / 12);
	switch (unit) {
		case "day":
			return whole(days);
		case "month":
			return whole(months % 12);
		case "year":
			return whole(years);
		case "decade":
			return whole(Math.trunc(years / 10));
		case "century":
			return whole(Math.trunc(years / 100));
		case "millennium":
			return whole(Math.trunc(years / 1000));
		case "epoch": {
			// A year is 365.25 days here, a month 30.
			const seconds = (1_461n * BigInt(years) + 120n * BigInt(months % 12) + 4n * BigInt(days)) * 21_600n;
			return new Decimal(seconds * 1_000_000n + BigInt(microseconds), 6);
		}
		default:
			return clockField(unit, BigInt(microseconds));
	}
}

/** date_part: the same as a double, divided where PostgreSQL divides. */
export function asPart(name: string, field: Decimal | null): number | null {
	if (field === null) {
		return null;
	}
	if (field.special !== "") {
		return Number(field.special);
	}
	const unit = unitNamed(name);
	const value = Number(field.unscaled);
	switch (unit) {
		case "second": {
			const seconds = Math.trunc(value / 1_000_000);
			return seconds + (value - seconds * 1_000_000) / 1_000_000;
		}
		case "millisecond": {
			const seconds = Math.trunc(value / 1_000_000);
			return seconds * 1000 + (value - seconds * 1_000_000) / 1000;
		}
		case "epoch":
			return value / 10 ** field.scale;
		default:
			return value;
	}
}

export function timestampPart(name: string, value: Exact): number | null {
	if (unitNamed(name) !== "epoch" || isInfinite(value)) {
		return asPart(name, extractFromTimestamp(name, value));
	}
	const exact = value < BigInt(EPOCH) + 2n ** 63n - 1n;
	return (exact ? Number(BigInt(value) - BigInt(EPOCH)) : Number(value) - Number(EPOCH)) / 1_000_000;
}

/** The epoch of an interval as date_part adds it up, in doubles. */
export function intervalPart(name: string, value: Interval): number | null {
	if (unitNamed(name) !== "epoch" || value.infinity !== 0) {
		return asPart(name, extractFromInterval(name, value));
	}
	const years = Math.trunc(value.months / 12);
	let result = Number(value.microseconds) / 1_000_000;
	result += 365.25 * 86_400 * years;
	result += 30 * 86_400 * (value.months % 12);
	return result + 86_400 * value.days;
}

export function truncateTimestamp(name: string, value: Exact): Exact {
	const unit = unitNamed(name);
	if (isInfinite(value)) {
		// PostgreSQL 18 refuses here what it refuses for finite values; earlier ones do not look.
		truncated(unit, 0, 0);
		return value;
	}
	const { day, time } = splitTimestamp(value);
	return checkedTimestamp(truncated(unit, day, time));
}

const CLOCK_UNITS: Readonly<Record<string, number>> = {
	microsecond: 1,
	millisecond: 1_000,
	second: 1_000_000,
	minute: 60_000_000,
	hour: 3_600_000_000,
	day: MICROSECONDS_PER_DAY,
};

function truncated(unit: string, day: number, time: number): Exact {
	const step = Object.hasOwn(CLOCK_UNITS, unit) ? CLOCK_UNITS[unit] : undefined;
	if (step !== undefined) {
		return timestampOf(day, time - (time % step));
	}
	return timestampOfDate(firstDay(unit, day));
}

function firstDay(unit: string, day: number): number {
	const { year, month } = civilFromDays(day);
	switch (unit) {
		case "week":
			return day - weekday(day) + 1;
		case "month":
			return daysFromCivil(year, month, 1);
		case "quarter":
			return daysFromCivil(year, month - ((month - 1) % 3), 1);
		case "year":
			return daysFromCivil(year, 1, 1);
		case "decade":
			return daysFromCivil(Math.floor(year / 10) * 10, 1, 1);
		case "century":
			return daysFromCivil(periodStart(year, 100), 1, 1);
		case "millennium":
			return daysFromCivil(periodStart(year, 1000), 1, 1);
		default:
			throw UNEVALUABLE;
	}
}

/** Centuries begin with their year 1. */
function periodStart(year: number, length: number): number {
	return Math.floor((year - 1) / length) * length + 1;
}

const MONTH_UNITS: Readonly<Record<string, number>> = {
	month: 1,
	quarter: 3,
	year: 12,
	decade: 120,
	century: 1_200,
	millennium: 12_000,
};

export function truncateInterval(name: string, value: Interval): Interval {
	const { months, days, microseconds, infinity } = value;
	const unit = unitNamed(name);
	if (infinity !== 0) {
		return value;
	}
	const monthStep = Object.hasOwn(MONTH_UNITS, unit) ? MONTH_UNITS[unit] : undefined;
	if (monthStep !== undefined) {
		return new Interval(months - (months % monthStep), 0, 0);
	}
	if (unit === "day") {
		return new Interval(months, days, 0);
	}
	const step = Object.hasOwn(CLOCK_UNITS, unit) ? CLOCK_UNITS[unit] : undefined;
	if (step === undefined) {
		throw UNEVALUABLE;
	}
	const time = BigInt(microseconds);
	return new Interval(months, days, exactOf(time - (time % BigInt(step))));
}
