/**
 * The shared table of shapes: what one thread publishes another reads whole; lives of a slot stay apart.
 */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it } from "vitest";
import { LANES_MAX, SHAPES_MAX } from "../../../src/shared/limits.ts";
import {
	INVALIDATED_NO,
	INVALIDATED_SCHEMA,
	LEVEL_ACTIVE,
	LEVEL_STARTING,
	type LogState,
	ShapeTable,
	SLOT_ACTIVE,
	SLOT_CREATING,
	SLOT_FREE,
	SLOT_REMOVED,
	SLOT_SNAPSHOTTING,
} from "../../../src/shared/shape-table.ts";

function stateAt(step: number): LogState {
	return {
		opened: true,
		lastOffset: { tx: (BigInt(step) << 32n) | BigInt(step), op: step },
		segment: step,
		segmentBytes: step,
		segmentEntries: step,
	};
}

/** Where the sequence word of a slot lies: a header of 4096 bytes, slots of 128, word 8. */
function sequenceWord(table: ShapeTable, slot: number): { add(): void } {
	const words = new Int32Array(table.memory, 4096 + slot * 128 + 8 * 4, 1);
	return { add: () => void Atomics.add(words, 0, 1) };
}

const workers: Worker[] = [];
afterEach(async () => {
	await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
});

describe("the life of a slot", () => {
	it("starts free and goes through its states", () => {
		const table = ShapeTable.create();
		expect(table.state(5)).toBe(SLOT_FREE);
		expect(table.assign(5, 3, SLOT_CREATING)).toBe(1);
		expect([table.state(5), table.lane(5)]).toEqual([SLOT_CREATING, 3]);
		table.setState(5, SLOT_SNAPSHOTTING);
		table.setSnapshotProgress(5, 2, false);
		expect([table.state(5), table.snapshotChunks(5), table.snapshotFinished(5)]).toEqual([SLOT_SNAPSHOTTING, 2, false]);
		table.setSnapshotProgress(5, 3, true);
		table.setState(5, SLOT_ACTIVE);
		expect([table.snapshotChunks(5), table.snapshotFinished(5)]).toEqual([3, true]);
	});

	it("gives a new generation to each life, and nothing of the last one", () => {
		const table = ShapeTable.create();
		table.assign(9, 1, SLOT_ACTIVE);
		table.publishLog(9, stateAt(7));
		table.setSnapshotProgress(9, 4, true);
		table.setDirty(9, true);
		table.invalidate(9, INVALIDATED_SCHEMA);
		table.setState(9, SLOT_REMOVED);
		expect(table.assign(9, 0, SLOT_CREATING)).toBe(2);
		expect(table.generation(9)).toBe(2);
		expect(table.logState(9).opened).toBe(false);
		expect([table.snapshotChunks(9), table.snapshotFinished(9)]).toEqual([0, false]);
		expect([table.isDirty(9), table.invalidated(9), table.state(9)]).toEqual([false, INVALIDATED_NO, SLOT_CREATING]);
	});

	it("shows as removed as soon as its lane invalidates it, before the registrar hears of it", () => {
		const table = ShapeTable.create();
		table.assign(1, 0, SLOT_ACTIVE);
		table.invalidate(1, INVALIDATED_SCHEMA);
		expect([table.state(1), table.invalidated(1)]).toEqual([SLOT_REMOVED, INVALIDATED_SCHEMA]);
	});

	it("does not touch its neighbours, at both ends of the table", () => {
		const table = ShapeTable.create();
		for (const slot of [0, 1, SHAPES_MAX - 2, SHAPES_MAX - 1]) {
			table.assign(slot, slot % 7, SLOT_ACTIVE);
			table.publishLog(slot, stateAt(slot + 1));
		}
		table.setLaneProcessedLsn(LANES_MAX - 1, 2n ** 64n - 1n);
		for (const slot of [0, 1, SHAPES_MAX - 2, SHAPES_MAX - 1]) {
			expect(table.logState(slot)).toEqual(stateAt(slot + 1));
			expect([table.generation(slot), table.lane(slot)]).toEqual([1, slot % 7]);
		}
	});

	it.each([-1, SHAPES_MAX])("has no slot %i", (slot) => {
		expect(() => ShapeTable.create().state(slot)).toThrow(expect.objectContaining({ name: "InvariantError" }));
	});
});

describe("the visible end of a log", () => {
	it("comes back bit for bit at the edges of its fields", () => {
		const table = ShapeTable.create();
		const edges: LogState = {
			opened: true,
			lastOffset: { tx: 0xffff_ffff_ffff_fffen, op: 0xffff_ffff },
			segment: 0x7fff_ffff,
			segmentBytes: 0xffff_fffe,
			segmentEntries: 0x7fff_ffff,
		};
		table.publishLog(3, edges);
		expect(table.logState(3)).toEqual(edges);
	});

	it("is never seen half written while another thread keeps publishing", async () => {
		const table = ShapeTable.create();
		const worker = new Worker(
			`const { workerData, parentPort } = require("node:worker_threads");
			import(workerData.module).then(({ ShapeTable }) => {
				const table = new ShapeTable(workerData.memory);
				parentPort.postMessage("started");
				for (let step = 1; ; step = (step + 1) & 0x7fffffff) {
					table.publishLog(4, { opened: true, lastOffset: { tx: (BigInt(step) << 32n) | BigInt(step), op: step },
						segment: step, segmentBytes: step, segmentEntries: step });
					for (const until = performance.now() + 0.02; performance.now() < until; );
				}
			});`,
			{
				eval: true,
				workerData: {
					memory: table.memory,
					module: new URL("../../../src/shared/shape-table.ts", import.meta.url).href,
				},
			},
		);
		workers.push(worker);
		await once(worker, "message");
		let distinct = 0;
		let last = -1;
		const deadline = Date.now() + 15_000;
		while (distinct < 2_000 && Date.now() < deadline) {
			const state = table.logState(4);
			const step = state.segment;
			if (state.opened && step !== last) {
				distinct += 1;
				last = step;
				expect(state).toEqual(stateAt(step));
			}
		}
		// How many depends on how often a busy machine lets the two threads run at once; each was whole.
		expect(distinct).toBeGreaterThan(50);
	});

	it("counts as not opened while a lane that died in the middle left it locked, and heals by repair", () => {
		const table = ShapeTable.create();
		table.publishLog(2, stateAt(1));
		sequenceWord(table, 2).add();
		expect(table.logState(2).opened).toBe(false);
		table.repairSequence(2);
		expect(table.logState(2)).toEqual(stateAt(1));
		table.repairSequence(2);
		table.publishLog(2, stateAt(2));
		expect(table.logState(2)).toEqual(stateAt(2));
	});
});

describe("the header", () => {
	it("answers for a lane the higher of its own position and the idle one", () => {
		const table = ShapeTable.create();
		expect(table.processedLsn(0)).toBe(0n);
		table.setLaneProcessedLsn(0, 2n ** 60n);
		table.setIdleLsn(5n);
		expect([table.processedLsn(0), table.processedLsn(1)]).toEqual([2n ** 60n, 5n]);
		table.setIdleLsn(2n ** 61n);
		expect(table.processedLsn(0)).toBe(2n ** 61n);
		expect(() => table.setLaneProcessedLsn(LANES_MAX, 1n)).toThrow();
	});

	it("holds the level of the service apart from everything else", () => {
		const table = ShapeTable.create();
		expect(table.statusLevel()).toBe(LEVEL_STARTING);
		table.setIdleLsn(2n ** 64n - 1n);
		table.setStatusLevel(LEVEL_ACTIVE);
		expect([table.statusLevel(), table.processedLsn(0)]).toEqual([LEVEL_ACTIVE, 2n ** 64n - 1n]);
	});

	it("refuses memory of another size", () => {
		expect(() => new ShapeTable(new SharedArrayBuffer(64))).toThrow();
	});
});
