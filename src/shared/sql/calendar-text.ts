/**
 * Dates and times of day in the text that PostgreSQL's output functions give (DateStyle ISO). Owns that form; must
 * never see an infinity, which has a word of its own. Pure. Called for constants as they are read (time-input.ts) and
 * for values as they are printed (text-form.ts).
 */

import { civilFromDays, MICROSECONDS_PER_DAY } from "../calendar.ts";

/** A day since 2000-01-01; the era stands at the very end, behind a time and its zone. */
export function datePieces(days: number): { readonly date: string; readonly era: string } {
	const { year, month, day } = civilFromDays(days);
	const shownYear = year > 0 ? year : 1 - year;
	return {
		date: `${String(shownYear).padStart(4, "0")}-${two(month)}-${two(day)}`,
		era: year > 0 ? "" : " BC",
	};
}

/** Microseconds since midnight, 24:00:00 included. */
export function clockText(microseconds: number): string {
	const seconds = Math.floor(Math.min(microseconds, MICROSECONDS_PER_DAY) / 1_000_000);
	const fraction = microseconds - seconds * 1_000_000;
	const text = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
	return fraction === 0 ? text : `${text}.${String(fraction).padStart(6, "0").replace(/0+$/, "")}`;
}

function two(value: number): string {
	return String(value).padStart(2, "0");
}
