/**
 * When to read at once and when to let bytes gather: numbers in, decision out. An eager reader of a backlog gets
 * a few hundred bytes a read and makes the walsender wake for each; reading about once a millisecond costs a
 * fifth of the processor time. Must never delay the first bytes after quiet: latency comes first there.
 * Called by the paced socket after each read.
 */

import {
	READ_GATHER_MS,
	READ_GATHER_SOON_MS,
	READ_GATHER_STREAK,
	READ_GATHER_WORTH_BYTES,
} from "../../shared/limits.ts";

export interface PacingSettings {
	/** How long reading rests. */
	readonly gatherMs: number;
	/** A read this soon after the last one, or after reading went on, follows it: there is more. */
	readonly soonMs: number;
	/** Reads that follow each other before gathering begins: one transaction alone comes in a few pieces. */
	readonly streak: number;
	/** A rest that brought less than this was not worth its delay: there is no backlog. */
	readonly worthBytes: number;
}

/** A long streak is forgotten after this many rests in vain, halved. */
const STREAK_MAX_FACTOR = 8;
/** Nothing for this many times `soonMs` is quiet: whatever comes then is the first. */
const QUIET_FACTOR = 5;

export const PACING: PacingSettings = {
	gatherMs: READ_GATHER_MS,
	soonMs: READ_GATHER_SOON_MS,
	streak: READ_GATHER_STREAK,
	worthBytes: READ_GATHER_WORTH_BYTES,
};

export interface PacingState {
	/** Reads in a row that came soon after the one before. */
	readonly streak: number;
	/** Since when the socket has been open for the next read. */
	readonly openSinceMs: number;
	/** The next read is the first after a rest. */
	readonly rested: boolean;
}

export const PACING_START: PacingState = { streak: 0, openSinceMs: Number.NEGATIVE_INFINITY, rested: false };

/** What follows a read at `nowMs`: the new state, and whether reading rests now. A full read needs no rest. */
export function afterRead(
	state: PacingState,
	nowMs: number,
	read: { readonly bytes: number; readonly full: boolean },
	settings: PacingSettings,
): { readonly state: PacingState; readonly gather: boolean } {
	const waitedMs = nowMs - state.openSinceMs;
	const inVain = state.rested && read.bytes < settings.worthBytes;
	const streak = nextStreak(state.streak, waitedMs, inVain, settings);
	return {
		state: { streak, openSinceMs: nowMs, rested: false },
		gather: streak >= settings.streak && !read.full,
	};
}

/**
 * Slow to forget: a server that shares our processors is late now and then, and one late or small piece in a
 * backlog must not bring back hundreds of tiny reads, each of which costs the server a wake-up.
 */
function nextStreak(streak: number, waitedMs: number, inVain: boolean, settings: PacingSettings): number {
	if (waitedMs > QUIET_FACTOR * settings.soonMs) {
		return 0;
	}
	if (inVain) {
		return Math.max(0, streak - 2 * settings.streak);
	}
	return waitedMs <= settings.soonMs ? Math.min(streak + 1, STREAK_MAX_FACTOR * settings.streak) : streak >> 1;
}

/** Reading goes on after a rest or a pause: the clock of "soon" starts anew. */
export function afterRest(state: PacingState, nowMs: number): PacingState {
	return { streak: state.streak, openSinceMs: nowMs, rested: true };
}
