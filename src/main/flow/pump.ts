/**
 * The one place that decides the next step of the flow: close the batch or let it grow, hold the socket or
 * read. Pure: the whole state in, the decision out; idempotent, so it may be asked after every event. Its
 * shell is flow.ts.
 */

import { BATCH_AGE_MAX_MS, BATCH_BYTES_MAX } from "../../shared/limits.ts";
import { judgePressure, type Pressure } from "./window.ts";

export interface FlowState {
	/** Bytes of the batch that is being written; 0 when it is empty. */
	readonly openBytes: number;
	/** Since its first frame. */
	readonly openAgeMs: number;
	/** No transaction is open behind its last frame. */
	readonly atCommitBoundary: boolean;
	/** Some lane has written everything that it was given. */
	readonly someLaneIdle: boolean;
	readonly pressure: Pressure;
	readonly pausedForWindow: boolean;
}

export interface FlowDecision {
	readonly closeBatch: boolean;
	readonly pauseForWindow: boolean;
}

/** Inside a transaction, idle lanes are given work from this size on. */
const IDLE_LANE_BYTES = 64 * 1024;

/** What to do now. */
export function decide(state: FlowState): FlowDecision {
	return { closeBatch: shouldClose(state), pauseForWindow: shouldPause(state) };
}

/**
 * A lane that waits gets what there is at the next commit: latency first. Busy lanes get a batch every few
 * milliseconds; they group the writes themselves.
 */
function shouldClose(state: FlowState): boolean {
	if (state.openBytes === 0) {
		return false;
	}
	if (state.openBytes >= BATCH_BYTES_MAX || state.openAgeMs >= BATCH_AGE_MAX_MS) {
		return true;
	}
	return state.someLaneIdle && (state.atCommitBoundary || state.openBytes >= IDLE_LANE_BYTES);
}

function shouldPause(state: FlowState): boolean {
	const verdict = judgePressure(state.pressure);
	return verdict === "high" || (verdict === "between" && state.pausedForWindow);
}
