/**
 * When to read at once and when to let bytes gather: numbers in, decision out. An eager reader of a backlog gets
 * a few hundred bytes a read and makes the walsender wake for each; reading about once a millisecond costs a
 * fifth of the processor time. Must never delay the first bytes after quiet: latency comes first there.
 * Called by the paced socket after each read.
 */

import { READ_GATHER_MS, READ_GATHER_SOON_MS, READ_GATHER_STREAK } from "../../shared/limits.ts";

export interface PacingSettings {
	/** How long reading rests. */
	readonly gatherMs: number;
	/** A read this soon after the last one, or after reading went on, follows it: there is more. */
	readonly soonMs: number;
	/** Reads that follow each other before gathering begins: one transaction alone comes in a few pieces. */
	readonly streak: number;
}

export const PACING: PacingSettings = {
	gatherMs: READ_GATHER_MS,
	soonMs: READ_GATHER_SOON_MS,
	streak: READ_GATHER_STREAK,
};

/** Reads at once, always. For measurements and tests. */
export const EAGER: PacingSettings = { ...PACING, streak: Number.POSITIVE_INFINITY };

export interface PacingState {
	/** Reads in a row that came soon after the one before. */
	readonly streak: number;
	/** Since when the socket has been open for the next read. */
	readonly openSinceMs: number;
}

export const PACING_START: PacingState = { streak: 0, openSinceMs: Number.NEGATIVE_INFINITY };

/** What follows a read at `nowMs`: the new state, and whether reading rests now. A full read needs no rest. */
export function afterRead(
	state: PacingState,
	nowMs: number,
	full: boolean,
	settings: PacingSettings,
): { readonly state: PacingState; readonly gather: boolean } {
	const streak = nowMs - state.openSinceMs <= settings.soonMs ? state.streak + 1 : 0;
	return {
		state: { streak, openSinceMs: nowMs },
		gather: streak >= settings.streak && !full,
	};
}

/** Reading goes on after a rest: the clock of "soon" starts anew. */
export function afterRest(state: PacingState, nowMs: number): PacingState {
	return { streak: state.streak, openSinceMs: nowMs };
}
