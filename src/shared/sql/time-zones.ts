/**
 * AT TIME ZONE for zones of the IANA database: how far local time is from UTC, and back. Owns the offsets of each
 * zone met, taken once from the runtime's own database. Throws UNEVALUABLE for a name that is not accepted.
 *
 * PostgreSQL has a database of its own. Both follow the same source; names that PostgreSQL may read as an
 * abbreviation are not accepted, nor are times before 1970, where packagers of the database differ.
 */

import { checkedTimestamp, isInfinite } from "./date-time.ts";
import { addExact } from "./interval.ts";
import { type Exact, UNEVALUABLE } from "./value.ts";

/** Milliseconds between 1970 and 2000, and from 1970 to the ends of what is tabulated. */
const UNIX_OFFSET_MS = 946_684_800_000;
const FIRST_MS = 0;
const LAST_MS = Date.UTC(2100, 0, 1);
const STEP_MS = 14 * 86_400_000;

interface Zone {
	/** From each of these moments (milliseconds since 1970) on, the offset beside it holds. */
	readonly since: readonly number[];
	/** Milliseconds east of Greenwich. */
	readonly offset: readonly number[];
}

const zones = new Map<string, Zone | null>();

/** Whether a zone of this name can be used. */
export function isKnownZone(name: string): boolean {
	return zoneNamed(name) !== null;
}

const PLAIN_NAMES: readonly string[] = ["utc", "gmt"];

function zoneNamed(name: string): Zone | null {
	const known = zones.get(name);
	if (known !== undefined) {
		return known;
	}
	const zone =
		PLAIN_NAMES.includes(name.toLowerCase()) || /^[A-Za-z]+(?:[/_+-][A-Za-z0-9]+)*\/[A-Za-z0-9_+-]+$/.test(name)
			? tabulated(name)
			: null;
	zones.set(name, zone);
	return zone;
}

function tabulated(name: string): Zone | null {
	let format: Intl.DateTimeFormat;
	try {
		format = new Intl.DateTimeFormat("en-US", {
			timeZone: name,
			hourCycle: "h23",
			year: "numeric",
			month: "numeric",
			day: "numeric",
			hour: "numeric",
			minute: "numeric",
			second: "numeric",
		});
	} catch {
		return null;
	}
	const since = [FIRST_MS];
	const offset = [offsetAt(format, FIRST_MS)];
	for (let at = FIRST_MS; at < LAST_MS; at += STEP_MS) {
		let low = at;
		const after = offsetAt(format, at + STEP_MS);
		while (offset.at(-1) !== after) {
			// The first second with another offset than the one before; there may be more than one in a step.
			const before = offset.at(-1);
			let high = at + STEP_MS;
			while (high - low > 1000) {
				const middle = low + Math.floor((high - low) / 2000) * 1000;
				if (offsetAt(format, middle) === before) {
					low = middle;
				} else {
					high = middle;
				}
			}
			since.push(high);
			offset.push(offsetAt(format, high));
			low = high;
		}
	}
	return { since, offset };
}

function offsetAt(format: Intl.DateTimeFormat, at: number): number {
	const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
	const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
	return Date.UTC(part("year"), part("month") - 1, part("day"), part("hour"), part("minute"), part("second")) - at;
}

/** Index of the last moment that is not after `at`. */
function indexAt(zone: Zone, at: number): number {
	let low = 0;
	let high = zone.since.length;
	while (high - low > 1) {
		const middle = (low + high) >> 1;
		if ((zone.since[middle] ?? 0) <= at) {
			low = middle;
		} else {
			high = middle;
		}
	}
	return low;
}

function opened(name: string): Zone {
	const zone = zoneNamed(name);
	if (zone === null) {
		throw UNEVALUABLE;
	}
	return zone;
}

function unixMs(value: Exact): number {
	return Math.floor(Number(value) / 1000) + UNIX_OFFSET_MS;
}

/** Zones whose offset never changed may be used at any time. */
function checkRange(zone: Zone, at: number): void {
	if ((at < FIRST_MS || at >= LAST_MS) && zone.since.length > 1) {
		throw UNEVALUABLE;
	}
}

/** timezone(zone, timestamptz): the local time of a moment. */
export function localTime(name: string, value: Exact): Exact {
	const zone = opened(name);
	if (isInfinite(value)) {
		return value;
	}
	const at = unixMs(value);
	checkRange(zone, at);
	return checkedTimestamp(addExact(value, (zone.offset[indexAt(zone, at)] ?? 0) * 1000));
}

/**
 * timezone(zone, timestamp): the moment of a local time. A time that was skipped or came twice is read with the
 * offset that PostgreSQL's DetermineTimeZoneOffset takes: the one in force before the change.
 */
export function momentOf(name: string, value: Exact): Exact {
	const zone = opened(name);
	if (isInfinite(value)) {
		return value;
	}
	const local = unixMs(value);
	checkRange(zone, local);
	// A day before, no change of this local time can have happened yet.
	let index = indexAt(zone, local - 86_400_000);
	for (;;) {
		const next = zone.since[index + 1];
		const before = zone.offset[index] ?? 0;
		const after = zone.offset[index + 1] ?? 0;
		// Both readings lie behind the change: the later offset holds.
		if (next !== undefined && local - before >= next && local - after >= next) {
			index += 1;
			continue;
		}
		const isAmbiguous = next !== undefined && local - before < next && local - after >= next;
		const isSkipped = next !== undefined && local - before >= next && local - after < next;
		return checkedTimestamp(addExact(value, -(isAmbiguous ? after : isSkipped ? before : before) * 1000));
	}
}
