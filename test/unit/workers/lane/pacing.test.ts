/**
 * When a lane writes and syncs: from numbers alone.
 */

import { describe, expect, it } from "vitest";
import {
	CHECKPOINT_INTERVAL_MS,
	CHECKPOINT_REST_MAX_MS,
	LANE_FLUSH_WAIT_BUSY_MS,
	LANE_FLUSH_WAIT_MAX_MS,
	LANE_GROUP_BYTES_MAX,
} from "../../../../src/shared/limits.ts";
import { checkpointDelayMs } from "../../../../src/workers/lane/checkpoint-pacing.ts";
import { type FlushSituation, flushDelayMs } from "../../../../src/workers/lane/flush-pacing.ts";

function delayMs(situation: Partial<FlushSituation>): number {
	return flushDelayMs({
		hasWork: true,
		heldBytes: 1_000,
		windowBytes: 1_000,
		windowBytesMax: 8_000_000,
		moreQueued: false,
		sinceFlushMs: 0,
		lastFlushMs: 5,
		...situation,
	});
}

describe("a flush", () => {
	it("comes at once for a lone batch on a lane that was idle", () => {
		expect(delayMs({ sinceFlushMs: Number.POSITIVE_INFINITY, lastFlushMs: 0 })).toBe(0);
		expect(delayMs({ sinceFlushMs: 20 })).toBe(0);
	});

	it("comes at once when no log waits for it, whatever else is queued", () => {
		expect(delayMs({ hasWork: false, moreQueued: true, lastFlushMs: 100 })).toBe(0);
	});

	it("comes at once when the entries, or the batches, take too much memory", () => {
		expect(delayMs({ heldBytes: LANE_GROUP_BYTES_MAX + 1, moreQueued: true })).toBe(0);
		expect(delayMs({ windowBytes: 8_000_001, moreQueued: true })).toBe(0);
	});

	it("rests four times as long as the last one took, and not longer than the bound", () => {
		expect(delayMs({ lastFlushMs: 5 })).toBe(20);
		expect(delayMs({ lastFlushMs: 5, sinceFlushMs: 15 })).toBe(5);
		expect(delayMs({ lastFlushMs: 30 })).toBe(LANE_FLUSH_WAIT_MAX_MS);
	});

	it("takes at most half of the time when thousands of logs make it long", () => {
		expect(delayMs({ lastFlushMs: 120 })).toBe(120);
		expect(delayMs({ lastFlushMs: 10_000 })).toBe(LANE_FLUSH_WAIT_BUSY_MS);
	});

	it("waits longer while more is queued, so that a log is written less often", () => {
		expect(delayMs({ moreQueued: true, lastFlushMs: 1 })).toBe(LANE_FLUSH_WAIT_MAX_MS);
		expect(delayMs({ moreQueued: true, lastFlushMs: 40 })).toBe(160);
		expect(delayMs({ moreQueued: true, lastFlushMs: 1_000 })).toBe(LANE_FLUSH_WAIT_BUSY_MS);
		expect(delayMs({ moreQueued: true, lastFlushMs: 1_000, sinceFlushMs: 300 })).toBe(0);
	});
});

describe("a checkpoint", () => {
	it("comes a second after the last, or four times its duration, and not later than the bound", () => {
		expect(checkpointDelayMs(0)).toBe(CHECKPOINT_INTERVAL_MS);
		expect(checkpointDelayMs(200)).toBe(CHECKPOINT_INTERVAL_MS);
		expect(checkpointDelayMs(600)).toBe(2_400);
		expect(checkpointDelayMs(60_000)).toBe(CHECKPOINT_REST_MAX_MS);
	});
});
