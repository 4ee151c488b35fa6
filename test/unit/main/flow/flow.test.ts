/** The flow as a whole: pause, backlog, resume, release, acknowledgement. */

import { describe, expect, it } from "vitest";
import { Flow } from "../../../../src/main/flow/flow.ts";
import { PauseGate } from "../../../../src/main/flow/pause-gate.ts";
import { decide, type FlowState } from "../../../../src/main/flow/pump.ts";
import type { WindowBatch } from "../../../../src/main/flow/window.ts";
import { BATCH_AGE_MAX_MS, BATCH_BYTES_MAX, SEGMENT_BYTES } from "../../../../src/shared/limits.ts";
import { begin, commit, insert, relation } from "../../../support/pgoutput-frames.ts";

const ITEMS = relation(1000, "public", "items", [{ name: "id", key: true }]);

function setUp(lanes = 1) {
	const calls: string[] = [];
	const batches: WindowBatch[] = [];
	const acknowledgeable: bigint[] = [];
	const flow = new Flow({
		windowBytes: 2 * SEGMENT_BYTES,
		lanes,
		events: {
			dispatch: (batch) => batches.push(batch),
			pause: () => calls.push("pause"),
			resume: () => calls.push("resume"),
			acknowledgeable: (lsn) => acknowledgeable.push(lsn),
		},
	});
	flow.begin(50n, 1, true);
	return { flow, calls, batches, acknowledgeable };
}

describe("Flow", () => {
	it("gives idle lanes a transaction at its commit, at once", () => {
		const { flow, batches } = setUp();
		for (const frame of [begin(100n, 7), ITEMS, insert(1000, ["1"]), commit(100n, 150n)]) {
			flow.frame(frame);
		}
		flow.readEnd();
		expect(batches).toHaveLength(1);
		flow.stop();
	});

	it("pauses when the window is full, keeps what was read in order, resumes once when there is room", () => {
		const { flow, calls, batches } = setUp();
		const sent: string[] = [];
		flow.frame(begin(100n, 7));
		flow.frame(ITEMS);
		for (let index = 0; index < 40; index += 1) {
			flow.frame(insert(1000, [`${index}-${"x".repeat(BATCH_BYTES_MAX / 4)}`]));
			sent.push(String(index));
		}
		flow.frame(commit(100n, 150n));
		flow.readEnd();
		expect(calls).toEqual(["pause"]);
		expect(flow.gate.reasons).toEqual(["window"]);
		const seen: string[] = [];
		let next = 0;
		while (next < batches.length) {
			const batch = batches[next] as WindowBatch;
			const memory = batch.dedicated ?? (flow.window.segments[batch.segment] as SharedArrayBuffer);
			const text = Buffer.from(memory, batch.byteOffset, batch.byteLength).toString("latin1");
			for (const match of text.matchAll(/(\d+)-x/g)) {
				seen.push(match[1] ?? "");
			}
			flow.written(0, batch.sequence);
			next += 1;
		}
		expect(seen).toEqual(sent);
		expect(calls).toEqual(["pause", "resume"]);
		expect(flow.heldBytes).toBe(0);
		flow.stop();
	});

	it("releases a batch only when the slowest lane has written it", () => {
		const { flow } = setUp(2);
		for (const frame of [begin(100n, 7), ITEMS, insert(1000, ["1"]), commit(100n, 150n)]) {
			flow.frame(frame);
		}
		flow.readEnd();
		flow.written(0, 1);
		expect(flow.window.batchCount).toBe(1);
		flow.written(1, 1);
		expect(flow.window.batchCount).toBe(0);
		flow.stop();
	});

	it("offers a position for acknowledgement when every lane is durable, and only when it grew", () => {
		const { flow, acknowledgeable } = setUp(2);
		for (const frame of [begin(100n, 7), ITEMS, insert(1000, ["1"]), commit(100n, 150n)]) {
			flow.frame(frame);
		}
		flow.readEnd();
		flow.durable(0, 150n, 1);
		expect(acknowledgeable).toEqual([]);
		flow.durable(1, 150n, 1);
		flow.durable(1, 150n, 1);
		expect(acknowledgeable).toEqual([150n]);
		flow.stop();
	});

	it("tells a lane that starts again inside a transaction what its predecessor had written", () => {
		const { flow } = setUp();
		flow.frame(begin(100n, 7));
		flow.frame(ITEMS);
		for (let index = 0; index < 5; index += 1) {
			flow.frame(insert(1000, ["x".repeat(BATCH_BYTES_MAX / 2)]));
		}
		flow.readEnd();
		flow.written(0, 1);
		expect(flow.resumeOf(0, 0n)).toEqual({
			expectedSequence: 2,
			openTransaction: { finalLsn: 100n, changeCount: 1 },
			acknowledgedLsn: 0n,
		});
		flow.stop();
	});
});

describe("PauseGate", () => {
	it("resumes only when the last of several reasons is gone", () => {
		const calls: string[] = [];
		const gate = new PauseGate(
			() => calls.push("pause"),
			() => calls.push("resume"),
		);
		gate.acquire("window");
		gate.acquire("lane");
		gate.release("window");
		expect(calls).toEqual(["pause"]);
		gate.release("lane");
		expect(calls).toEqual(["pause", "resume"]);
	});

	it("treats a reason acquired twice as a bug", () => {
		const gate = new PauseGate(
			() => undefined,
			() => undefined,
		);
		gate.acquire("window");
		expect(() => gate.acquire("window")).toThrow("acquired twice");
	});
});

describe("decide", () => {
	const calm: FlowState = {
		openBytes: 1000,
		openAgeMs: 0,
		atCommitBoundary: true,
		someLaneIdle: true,
		pressure: {
			freeSegments: 7,
			totalSegments: 8,
			openRoomBytes: SEGMENT_BYTES,
			dedicatedBytes: 0,
			backlogBytes: 0,
			limitBytes: 8 * SEGMENT_BYTES,
		},
		pausedForWindow: false,
	};

	it("never closes an empty batch", () => {
		expect(decide({ ...calm, openBytes: 0 }).closeBatch).toBe(false);
	});

	it("lets a batch grow while all lanes are busy, up to its size or age", () => {
		const busy = { ...calm, someLaneIdle: false };
		expect(decide(busy).closeBatch).toBe(false);
		expect(decide({ ...busy, openAgeMs: BATCH_AGE_MAX_MS }).closeBatch).toBe(true);
		expect(decide({ ...busy, openBytes: BATCH_BYTES_MAX }).closeBatch).toBe(true);
	});

	it("inside a transaction gives idle lanes work only in worthwhile pieces", () => {
		expect(decide({ ...calm, atCommitBoundary: false }).closeBatch).toBe(false);
		expect(decide({ ...calm, atCommitBoundary: false, openBytes: 100_000 }).closeBatch).toBe(true);
	});

	it("keeps its mind between the marks", () => {
		const between = { ...calm, pressure: { ...calm.pressure, freeSegments: 2 } };
		expect(decide(between).pauseForWindow).toBe(false);
		expect(decide({ ...between, pausedForWindow: true }).pauseForWindow).toBe(true);
		expect(decide({ ...calm, pausedForWindow: true }).pauseForWindow).toBe(false);
	});

	it("pauses while frames wait outside the window", () => {
		expect(decide({ ...calm, pressure: { ...calm.pressure, backlogBytes: 1 } }).pauseForWindow).toBe(true);
	});
});
