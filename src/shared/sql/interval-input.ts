/**
 * Intervals as PostgreSQL's interval_in reads them: its own verbose forms, ISO 8601 and the short SQL forms. Pure;
 * accepts only what it reads exactly as PostgreSQL does, null for everything else (fractions of units above the
 * second, whose cascade is inexact, are not accepted). Called for constants.
 */

import { Interval } from "./interval.ts";
import { exactOf, UNEVALUABLE } from "./value.ts";

const CHARACTERS_MAX = 256;

type Unit = "month" | "day" | "microsecond";

const MICROSECONDS: Readonly<Record<string, bigint>> = {
	us: 1n,
	usec: 1n,
	usecs: 1n,
	usecond: 1n,
	useconds: 1n,
	microsecond: 1n,
	microseconds: 1n,
	ms: 1_000n,
	msec: 1_000n,
	msecs: 1_000n,
	millisecond: 1_000n,
	milliseconds: 1_000n,
	s: 1_000_000n,
	sec: 1_000_000n,
	secs: 1_000_000n,
	second: 1_000_000n,
	seconds: 1_000_000n,
	m: 60_000_000n,
	min: 60_000_000n,
	mins: 60_000_000n,
	minute: 60_000_000n,
	minutes: 60_000_000n,
	h: 3_600_000_000n,
	hr: 3_600_000_000n,
	hrs: 3_600_000_000n,
	hour: 3_600_000_000n,
	hours: 3_600_000_000n,
};
const DAYS: Readonly<Record<string, bigint>> = { d: 1n, day: 1n, days: 1n, w: 7n, week: 7n, weeks: 7n };
const MONTHS: Readonly<Record<string, bigint>> = {
	mon: 1n,
	mons: 1n,
	month: 1n,
	months: 1n,
	y: 12n,
	yr: 12n,
	yrs: 12n,
	year: 12n,
	years: 12n,
	decade: 120n,
	decades: 120n,
	century: 1_200n,
	centuries: 1_200n,
	millennium: 12_000n,
	millennia: 12_000n,
};

function unitOf(word: string): { unit: Unit; factor: bigint } | null {
	for (const [unit, table] of [
		["month", MONTHS],
		["day", DAYS],
		["microsecond", MICROSECONDS],
	] as const) {
		const factor = Object.hasOwn(table, word) ? table[word] : undefined;
		if (factor !== undefined) {
			return { unit, factor };
		}
	}
	return null;
}

class Sum {
	month = 0n;
	day = 0n;
	microsecond = 0n;

	interval(negated: boolean): Interval | null {
		const sign = negated ? -1n : 1n;
		try {
			return new Interval(Number(sign * this.month), Number(sign * this.day), exactOf(sign * this.microsecond));
		} catch (error) {
			if (error === UNEVALUABLE) {
				return null;
			}
			throw error;
		}
	}
}

/** The interval that the text stands for, or null. */
export function intervalFromText(text: string): Interval | null {
	const trimmed = text.trim();
	if (trimmed.length > CHARACTERS_MAX) {
		return null;
	}
	return trimmed.startsWith("P") ? isoInterval(trimmed) : verboseInterval(trimmed.toLowerCase());
}

const ISO =
	/^P(?:(-?[0-9]{1,9})Y)?(?:(-?[0-9]{1,9})M)?(?:(-?[0-9]{1,9})W)?(?:(-?[0-9]{1,9})D)?(T(?:(-?[0-9]{1,9})H)?(?:(-?[0-9]{1,9})M)?(?:(-?)([0-9]{1,9})(?:\.([0-9]{1,6}))?S)?)?$/;

function isoInterval(text: string): Interval | null {
	const match = ISO.exec(text);
	if (match === null || text === "P" || text.endsWith("T")) {
		return null;
	}
	const whole = (group: number): bigint => BigInt(match[group] ?? "0");
	const sum = new Sum();
	sum.month = whole(1) * 12n + whole(2);
	sum.day = whole(3) * 7n + whole(4);
	const seconds = whole(9) * 1_000_000n + BigInt((match[10] ?? "").padEnd(6, "0"));
	sum.microsecond = whole(6) * 3_600_000_000n + whole(7) * 60_000_000n + (match[8] === "-" ? -seconds : seconds);
	return sum.interval(false);
}

const TOKEN =
	/([+-]?)(?:([0-9]{1,9}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?|([0-9]{1,9})(?:\.([0-9]{1,6}))?\s*([a-z]+))\s*/y;

/** `1 year -2 days 03:04:05.6 ago`: each number with a unit, each unit once, at most one clock. */
function verboseInterval(text: string): Interval | null {
	const isAgo = /\sago$/.test(text);
	const body = (isAgo ? text.slice(0, -3) : text).replace(/^@\s*/, "").trim();
	const sum = new Sum();
	const seen = new Set<string>();
	if (body === "") {
		return null;
	}
	// A number alone counts seconds.
	if (/^[+-]?[0-9]{1,9}(?:\.[0-9]{1,6})?$/.test(body)) {
		return verboseInterval(`${body} s${isAgo ? " ago" : ""}`);
	}
	TOKEN.lastIndex = 0;
	while (TOKEN.lastIndex < body.length) {
		const match = TOKEN.exec(body);
		if (match === null) {
			return null;
		}
		const added = match[2] === undefined ? addUnit(match, sum, seen) : addClock(match, sum, seen);
		if (!added) {
			return null;
		}
	}
	return sum.interval(isAgo);
}

function addClock(match: RegExpExecArray, sum: Sum, seen: Set<string>): boolean {
	const [, sign, hours = "0", minutes = "0", seconds = "0", fraction = ""] = match;
	if (seen.has("clock") || seen.has("microsecond") || Number(minutes) > 59 || Number(seconds) > 59) {
		return false;
	}
	seen.add("clock");
	const time =
		(BigInt(hours) * 3_600n + BigInt(minutes) * 60n + BigInt(seconds)) * 1_000_000n + BigInt(fraction.padEnd(6, "0"));
	sum.microsecond += sign === "-" ? -time : time;
	return true;
}

function addUnit(match: RegExpExecArray, sum: Sum, seen: Set<string>): boolean {
	const [, sign, , , , , whole = "0", fraction, word = ""] = match;
	const found = unitOf(word);
	// PostgreSQL refuses a unit that comes twice; two spellings of one are refused here too.
	const name = found === null ? "" : `${found.unit} ${found.factor}`;
	if (found === null || seen.has(name) || (found.unit === "microsecond" && seen.has("clock"))) {
		return false;
	}
	if (fraction !== undefined && (found.unit !== "microsecond" || found.factor !== 1_000_000n)) {
		return false;
	}
	seen.add(name);
	if (found.unit === "microsecond") {
		seen.add("microsecond");
	}
	const value = BigInt(whole) * found.factor + BigInt((fraction ?? "").padEnd(6, "0"));
	sum[found.unit] += sign === "-" ? -value : value;
	return true;
}
