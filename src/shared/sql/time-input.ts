/**
 * Dates and times as PostgreSQL's input functions read them, in the text that its output functions give
 * (DateStyle ISO, TimeZone UTC). Pure; accepts ISO forms only, null for everything else: words such as `now`
 * change their meaning with time, and other orders of day and month depend on settings. Called by text-input.ts.
 */

import { daysFromCivil, daysInMonth, MICROSECONDS_PER_DAY } from "../calendar.ts";
import { clockText, datePieces } from "./calendar-text.ts";

export type TimeType = "date" | "time" | "timestamp" | "timestamptz";

/** PostgreSQL's MAXDATELEN. */
const CHARACTERS_MAX = 128;

const DATE = "(?:([0-9]{4,7})-([0-9]{1,2})-([0-9]{1,2})|([0-9]{4})([0-9]{2})([0-9]{2}))";
const TIME = "([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\\.([0-9]{1,30}))?)?";
const ZONE = "( *(?:[Zz]|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2})?)?))?";
const DATE_TIME_PATTERN = new RegExp(`^ *${DATE}(?:(?:T| +)${TIME}${ZONE})?(?: +(BC|AD))? *$`);
const TIME_PATTERN = new RegExp(`^ *${TIME} *$`);

/** Days since 2000-01-01 of the first and the last value, as in PostgreSQL's datetime.h. */
const FIRST_DAY = -2_451_545;
const FIRST_TIMESTAMP_DAY = -2_451_545;
const LAST_DATE = daysFromCivil(5_874_897, 12, 31);
const LAST_TIMESTAMP_DAY = daysFromCivil(294_276, 12, 31);

/** The canonical text, or null when the text is not one that is accepted for the type. */
export function canonicalTime(text: string, type: TimeType): string | null {
	if (text.length > CHARACTERS_MAX) {
		return null;
	}
	if (type === "time") {
		return canonicalTimeOfDay(text);
	}
	const special = specialDate(text, type);
	if (special !== null) {
		return special;
	}
	const match = DATE_TIME_PATTERN.exec(text);
	if (match === null) {
		return null;
	}
	const year = Number(match[1] ?? match[4]);
	const month = Number(match[2] ?? match[5]);
	const day = Number(match[3] ?? match[6]);
	const isBeforeChrist = match[12] === "BC";
	const astronomicalYear = isBeforeChrist ? 1 - year : year;
	if (year === 0 || month < 1 || month > 12 || day < 1 || day > daysInMonth(astronomicalYear, month)) {
		return null;
	}
	const timeMicroseconds =
		match[7] === undefined ? 0 : microsecondsOfDay(match[7], match[8] ?? "0", match[9] ?? "0", match[10] ?? "");
	const offsetSeconds = match[11] === undefined ? 0 : zoneOffsetSeconds(match[11].trim());
	if (timeMicroseconds === null || offsetSeconds === null) {
		return null;
	}
	const days = daysFromCivil(astronomicalYear, month, day);
	if (type === "date") {
		return days < FIRST_DAY || days > LAST_DATE ? null : formatDate(days);
	}
	// A timestamp without time zone ignores the zone that is written with it, as PostgreSQL does.
	const shifted = timeMicroseconds - (type === "timestamptz" ? offsetSeconds * 1_000_000 : 0);
	const dayShift = Math.floor(shifted / MICROSECONDS_PER_DAY);
	const finalDay = days + dayShift;
	if (days < FIRST_DAY || finalDay < FIRST_TIMESTAMP_DAY || finalDay > LAST_TIMESTAMP_DAY) {
		return null;
	}
	const { date, era } = datePieces(finalDay);
	const time = clockText(shifted - dayShift * MICROSECONDS_PER_DAY);
	return `${date} ${time}${type === "timestamptz" ? "+00" : ""}${era}`;
}

function canonicalTimeOfDay(text: string): string | null {
	const match = TIME_PATTERN.exec(text);
	const microseconds =
		match === null ? null : microsecondsOfDay(match[1] ?? "", match[2] ?? "", match[3] ?? "0", match[4] ?? "");
	return microseconds === null || microseconds > MICROSECONDS_PER_DAY ? null : clockText(microseconds);
}

function specialDate(text: string, type: TimeType): string | null {
	switch (text.trim().toLowerCase()) {
		case "infinity":
			return "infinity";
		case "-infinity":
			return "-infinity";
		case "epoch":
			return type === "date" ? "1970-01-01" : `1970-01-01 00:00:00${type === "timestamptz" ? "+00" : ""}`;
		default:
			return null;
	}
}

/** Rounds to microseconds as PostgreSQL's ParseFraction does: through a double, half to even. */
function microsecondsOfDay(hours: string, minutes: string, seconds: string, fraction: string): number | null {
	const [hour, minute, second] = [Number(hours), Number(minutes), Number(seconds)];
	const fractionMicroseconds = fraction === "" ? 0 : roundHalfEven(Number(`0.${fraction}`) * 1_000_000);
	if (
		minute > 59 ||
		second > 59 ||
		hour > 24 ||
		(hour === 24 && (minute > 0 || second > 0 || fractionMicroseconds > 0))
	) {
		return null;
	}
	return ((hour * 60 + minute) * 60 + second) * 1_000_000 + fractionMicroseconds;
}

function roundHalfEven(value: number): number {
	const floor = Math.floor(value);
	const rest = value - floor;
	return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/** Seconds east of Greenwich; null beyond what PostgreSQL takes. */
function zoneOffsetSeconds(zone: string): number | null {
	if (!/^[+-]/.test(zone)) {
		return 0;
	}
	const digits = zone.slice(1).replaceAll(":", "");
	const hours = Number(digits.slice(0, 2));
	const minutes = Number(digits.slice(2, 4) || "0");
	const seconds = Number(digits.slice(4, 6) || "0");
	if (hours > 15 || minutes > 59 || seconds > 59) {
		return null;
	}
	const total = (hours * 60 + minutes) * 60 + seconds;
	return zone.startsWith("-") ? -total : total;
}

function formatDate(days: number): string {
	const { date, era } = datePieces(days);
	return date + era;
}
