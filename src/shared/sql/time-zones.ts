/**
 * AT TIME ZONE for zones of the IANA database: how far local time is from UTC, and back. Owns the offsets of each
 * zone met, taken once from the runtime's own database. Throws UNEVALUABLE for a name that is not accepted.
 *
 * PostgreSQL has a database of its own. Both follow the same source, and names that PostgreSQL may read as an
 * abbreviation are not accepted; releases of the database may still differ, for times before 1970 in what packagers
 * keep.
 */

import { checkedTimestamp, isInfinite } from "./date-time.ts";
import { addExact } from "./interval.ts";
import { type Exact, UNEVALUABLE } from "./value.ts";

/** Milliseconds from 1970 to 2000, to the ends of what is tabulated, and to when local time was the sun's everywhere. */
const UNIX_OFFSET_MS = 946_684_800_000;
const FIRST_MS = 0;
const LAST_MS = Date.UTC(2100, 0, 1);
const SOLAR_MS = Date.UTC(1800, 0, 1);
/** The calendar, weekdays and so the rules repeat after 400 years. */
const CYCLE_MS = 146_097 * 86_400_000;
const DAY_MS = 86_400_000;
const STEP_MS = 14 * DAY_MS;

class Zone {
	readonly #format: Intl.DateTimeFormat;
	/** From each of these moments (milliseconds since 1970) on, the offset beside it holds. */
	readonly #since: number[] = [];
	readonly #offset: number[] = [];

	/** @throws RangeError for an unknown name */
	constructor(name: string) {
		this.#format = new Intl.DateTimeFormat("en-US", {
			timeZone: name,
			hourCycle: "h23",
			year: "numeric",
			month: "numeric",
			day: "numeric",
			hour: "numeric",
			minute: "numeric",
			second: "numeric",
		});
	}

	/** Looks through the years once, when the first row comes. */
	#tabulate(): void {
		this.#since.push(FIRST_MS);
		this.#offset.push(this.#looked(FIRST_MS));
		for (let at = FIRST_MS; at < LAST_MS; at += STEP_MS) {
			let low = at;
			const after = this.#looked(at + STEP_MS);
			while (this.#offset.at(-1) !== after) {
				low = changeBetween(low, at + STEP_MS, (moment) => this.#looked(moment));
				this.#since.push(low);
				this.#offset.push(this.#looked(low));
			}
		}
	}

	/** Milliseconds east of Greenwich at a moment. */
	offsetAt(at: number): number {
		if (at < FIRST_MS) {
			return this.#looked(Math.max(at, SOLAR_MS));
		}
		if (at >= LAST_MS) {
			return this.#looked(LAST_MS + ((at - LAST_MS) % CYCLE_MS));
		}
		if (this.#since.length === 0) {
			this.#tabulate();
		}
		let low = 0;
		let high = this.#since.length;
		while (high - low > 1) {
			const middle = (low + high) >> 1;
			if ((this.#since[middle] ?? 0) <= at) {
				low = middle;
			} else {
				high = middle;
			}
		}
		return this.#offset[low] ?? 0;
	}

	#looked(at: number): number {
		const parts = new Map(this.#format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
		const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
		const shown = Date.UTC(part("year"), part("month") - 1, part("day"), part("hour"), part("minute"), part("second"));
		return shown - Math.floor(at / 1000) * 1000;
	}
}

/** The first second with another offset than at `start`; there is one until `end`. */
function changeBetween(start: number, end: number, offsetAt: (at: number) => number): number {
	const before = offsetAt(start);
	let low = start;
	let high = end;
	while (high - low > 1000) {
		const middle = low + Math.floor((high - low) / 2000) * 1000;
		if (offsetAt(middle) === before) {
			low = middle;
		} else {
			high = middle;
		}
	}
	return high;
}

const zones = new Map<string, Zone>();

/** Whether a zone of this name can be used. */
export function isKnownZone(name: string): boolean {
	return zoneNamed(name) !== null;
}

/** What PostgreSQL surely reads as a name: UTC, or a region and a place. */
const NAME = /^(?:utc|gmt|[a-z]+(?:[/_+-][a-z0-9]+)*\/[a-z0-9_+-]+)$/i;

/** Neither engine minds the case of a name; the map holds no more than there are zones. */
function zoneNamed(written: string): Zone | null {
	const name = written.toLowerCase();
	const known = zones.get(name);
	if (known !== undefined || !NAME.test(name)) {
		return known ?? null;
	}
	try {
		const zone = new Zone(name);
		zones.set(name, zone);
		return zone;
	} catch {
		return null;
	}
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

/** timezone(zone, timestamptz): the local time of a moment. */
export function localTime(name: string, value: Exact): Exact {
	const zone = opened(name);
	return isInfinite(value) ? value : checkedTimestamp(addExact(value, zone.offsetAt(unixMs(value)) * 1000));
}

/**
 * timezone(zone, timestamp): the moment of a local time. Of a time that came twice it is the later one, of a time that
 * was skipped what the offset before gives. Source: PostgreSQL `datetime.c`, DetermineTimeZoneOffset.
 */
export function momentOf(name: string, value: Exact): Exact {
	const zone = opened(name);
	if (isInfinite(value)) {
		return value;
	}
	const local = unixMs(value);
	const [before, after] = [zone.offsetAt(local - DAY_MS), zone.offsetAt(local + DAY_MS)];
	let offset = before;
	if (before !== after) {
		const start = Math.floor((local - DAY_MS) / 1000) * 1000;
		const change = changeBetween(start, start + 2 * DAY_MS + 1000, (at) => zone.offsetAt(at));
		const isPast = local - before >= change;
		const isPastAfter = local - after >= change;
		offset = isPastAfter && (isPast || before > after) ? after : before;
	}
	return checkedTimestamp(addExact(value, -offset * 1000));
}
