/**
 * When a lane writes what it holds: a pure function of what is held and of what the last flush cost. Owns the
 * trade of latency against writes: a flush costs a system call or two for each shape, whatever it writes, so it
 * is made rare enough to take about a fifth of the lane's time, and at once when nothing speaks against it.
 * Called by the shell after each batch.
 */

import { LANE_FLUSH_WAIT_BUSY_MS, LANE_FLUSH_WAIT_MAX_MS, LANE_GROUP_BYTES_MAX } from "../../shared/limits.ts";

/** The rest between two flushes, as a multiple of what the last one took. */
const REST_FACTOR = 4;

export interface FlushSituation {
	/** Some log waits to be written. */
	readonly hasWork: boolean;
	/** Encoded entries that are held. */
	readonly heldBytes: number;
	/** Batches of the group: main's window keeps them until they are reported. */
	readonly windowBytes: number;
	/** What the group may keep of the window. */
	readonly windowBytesMax: number;
	/** More batches have arrived already. */
	readonly moreQueued: boolean;
	/** Since the last flush ended, and how long it took. */
	readonly sinceFlushMs: number;
	readonly lastFlushMs: number;
}

/**
 * Milliseconds until the group has to be written, if nothing else arrives; 0 for now. While more is queued,
 * readers wait for the queue anyway: the group may grow for longer, and each log is written less often.
 */
export function flushDelayMs(situation: FlushSituation): number {
	const { hasWork, heldBytes, windowBytes, windowBytesMax, moreQueued, sinceFlushMs, lastFlushMs } = situation;
	if (!hasWork || heldBytes > LANE_GROUP_BYTES_MAX || windowBytes > windowBytesMax) {
		return 0;
	}
	const restMs = REST_FACTOR * lastFlushMs;
	// Thousands of logs take longer than the usual wait: at most half of the time, then.
	const leastMs = Math.min(Math.max(LANE_FLUSH_WAIT_MAX_MS, lastFlushMs), LANE_FLUSH_WAIT_BUSY_MS);
	const dueMs = moreQueued ? Math.max(leastMs, Math.min(restMs, LANE_FLUSH_WAIT_BUSY_MS)) : Math.min(restMs, leastMs);
	return Math.max(0, dueMs - sinceFlushMs);
}
