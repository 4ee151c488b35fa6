/**
 * Shapes that end, come back, or cannot be opened: what must not be lost, and what must not stop the others.
 */

import { mkdirSync, rmSync } from "node:fs";
import { afterEach, describe, expect, it, vi } from "vitest";
import { LOG_OPEN_PATIENCE_MS } from "../../../../src/shared/limits.ts";
import { createLogger } from "../../../../src/shared/logging.ts";
import {
	INVALIDATED_CORRUPT,
	INVALIDATED_NO,
	INVALIDATED_TRUNCATE,
	SLOT_ACTIVE,
} from "../../../../src/shared/shape-table.ts";
import { Checkpoint, type StreamPoint } from "../../../../src/workers/lane/checkpoint.ts";
import * as frames from "../../../support/pgoutput-frames.ts";
import { useTemporaryDirectory } from "../../../support/temporary-directory.ts";
import { brief, EMPTY_SNAPSHOT, ITEMS, itemsRelation, LaneFixture, transaction } from "./lane-fixture.ts";

const directory = useTemporaryDirectory("life");
let serial = 0;

afterEach(() => {
	vi.restoreAllMocks();
});

function fixture(options: Partial<ConstructorParameters<typeof LaneFixture>[0]> = {}): LaneFixture {
	serial += 1;
	return new LaneFixture({ directory: `${directory.path()}/${serial}`, ...options });
}

/** The next life of the lane, on the same files and the same table. */
function heirOf(lane: LaneFixture, options: Partial<ConstructorParameters<typeof LaneFixture>[0]> = {}): LaneFixture {
	lane.store.releaseAll();
	return new LaneFixture({ directory: `${directory.path()}/${serial}`, table: lane.table, ...options });
}

function checkpointOf(lane: LaneFixture): { checkpoint: Checkpoint; reports: StreamPoint[] } {
	const reports: StreamPoint[] = [];
	const checkpoint = new Checkpoint({
		book: lane.book,
		store: lane.store,
		faults: lane.faults,
		report: (point) => reports.push(point),
		log: createLogger("silent", "lane-0"),
	});
	return { checkpoint, reports };
}

const insert = (id: string): Buffer => frames.insert(ITEMS, [id, "a", "t"]);
const batch = (lsn: bigint, id: string): Buffer[] => [itemsRelation(), ...transaction(lsn, Number(lsn), insert(id))];

describe("a shape that ended", () => {
	it("holds durable back until its removal is confirmed, under its own generation", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		const { checkpoint, reports } = checkpointOf(lane);
		lane.process(batch(500n, "1"));
		checkpoint.processed({ streamEpoch: 1, endLsn: 516n });
		await checkpoint.run();
		lane.process([itemsRelation(), ...transaction(600n, 8, frames.truncate([ITEMS]))]);
		checkpoint.processed({ streamEpoch: 1, endLsn: 616n });
		await checkpoint.run();
		expect(reports).toEqual([{ streamEpoch: 1, endLsn: 516n }]);
		await lane.control.removeShape(1, lane.table.generation(1) + 1);
		checkpoint.reportIfClean();
		expect(reports).toHaveLength(1);
		await lane.remove(1);
		checkpoint.reportIfClean();
		expect(reports.at(-1)).toEqual({ streamEpoch: 1, endLsn: 616n });
	});

	it("is still ended, and reported again, in the lane's next life", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		const assignment = lane.assignment(1, {}, EMPTY_SNAPSHOT);
		lane.process([itemsRelation(), ...transaction(600n, 8, frames.truncate([ITEMS]))]);
		const heir = heirOf(lane);
		await heir.control.restore([assignment]);
		expect(heir.book.find(1)).toBeUndefined();
		expect(heir.events).toMatchObject([{ slot: 1, reason: INVALIDATED_TRUNCATE }]);
		const { checkpoint, reports } = checkpointOf(heir);
		checkpoint.processed({ streamEpoch: 1, endLsn: 616n });
		expect(reports).toEqual([]);
		await heir.remove(1);
		checkpoint.reportIfClean();
		expect(reports).toHaveLength(1);
	});
});

describe("a slot that was given to another shape", () => {
	it("is not touched by the former one: not published, not invalidated, not removed, not opened", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		lane.process(batch(500n, "1"));
		const former = lane.table.generation(1);
		lane.table.assign(1, 0, SLOT_ACTIVE);
		lane.process(batch(600n, "2"));
		expect(lane.table.logState(1).opened).toBe(false);
		expect(lane.book.find(1)).toBeUndefined();
		expect(lane.table.invalidated(1)).toBe(INVALIDATED_NO);
		expect(lane.events).toEqual([]);
		await lane.control.addShape({ ...lane.assignment(1), directory: `${directory.path()}/${serial}/other` });
		await lane.control.removeShape(1, former);
		await lane.control.openShape(1, former);
		expect(lane.book.find(1)).toBeDefined();
		await expect(lane.control.spliceSnapshot(1, former, EMPTY_SNAPSHOT)).rejects.toMatchObject({
			code: "SLUICE_SHAPE_GONE",
		});
		expect(await lane.splice(1, EMPTY_SNAPSHOT)).toBe("spliced");
	});

	it("is left alone when a former shape would be invalidated", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		lane.table.assign(1, 0, SLOT_ACTIVE);
		lane.process([itemsRelation(), ...transaction(600n, 8, frames.truncate([ITEMS]))]);
		expect(lane.table.invalidated(1)).toBe(INVALIDATED_NO);
		expect(lane.book.endingCount).toBe(0);
	});
});

describe("a log that cannot be opened", () => {
	const unreadable = (lane: LaneFixture, slot: number): string => {
		const path = `${directory.path()}/${serial}/shape-${slot}/log-0.idx`;
		lane.store.releaseAll();
		rmSync(path, { force: true });
		mkdirSync(path);
		return path;
	};
	const resume = { openTransaction: { finalLsn: 600n, changeCount: 1 } };

	it("costs its shape alone when a lane takes up an open transaction", { timeout: 15_000 }, async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		await lane.addSpliced(2);
		lane.process(batch(500n, "1"));
		unreadable(lane, 2);
		const heir = heirOf(lane, { resume });
		await heir.control.restore([1, 2].map((slot) => heir.assignment(slot, {}, EMPTY_SNAPSHOT)));
		expect(heir.events).toMatchObject([{ slot: 2, reason: INVALIDATED_CORRUPT }]);
		expect(heir.visible(1).map(brief)).toEqual(["insert 1@500_2!"]);
	});

	it("is opened as soon as the disk lets it", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		const path = unreadable(lane, 1);
		const heir = heirOf(lane, { resume });
		const restored = heir.control.restore([heir.assignment(1, {}, EMPTY_SNAPSHOT)]);
		rmSync(path, { recursive: true });
		await restored;
		expect(heir.events).toEqual([]);
		expect(heir.table.logState(1).opened).toBe(true);
	});

	it("fails its batches for a while, and then costs its shape", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		lane.process(batch(500n, "1"));
		unreadable(lane, 1);
		const heir = heirOf(lane);
		await heir.control.restore([heir.assignment(1, {}, EMPTY_SNAPSHOT)]);
		expect(() => heir.process(batch(600n, "2"))).toThrow(expect.objectContaining({ code: "SLUICE_DISK_FAILED" }));
		const nowMs = performance.now();
		vi.spyOn(performance, "now").mockReturnValue(nowMs + LOG_OPEN_PATIENCE_MS + 1);
		heir.process(batch(600n, "2"));
		expect(heir.events).toMatchObject([{ slot: 1, reason: INVALIDATED_CORRUPT }]);
	});
});

describe("a sync", () => {
	it("that cannot open its file is tried again, reports nothing meanwhile, and costs no shape", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		const { checkpoint, reports } = checkpointOf(lane);
		lane.process(batch(500n, "1"));
		checkpoint.processed({ streamEpoch: 1, endLsn: 516n });
		// The files are closed, and the path leads to something that cannot be opened for writing.
		lane.store.releaseAll();
		const path = `${directory.path()}/${serial}/shape-1/log-0.json`;
		const [hidden, obstacle] = [`${path}.hidden`, path];
		const { renameSync } = await import("node:fs");
		renameSync(path, hidden);
		mkdirSync(obstacle);
		await checkpoint.run();
		expect(reports).toEqual([]);
		expect(lane.events).toEqual([]);
		expect(lane.table.isDirty(1)).toBe(true);
		rmSync(obstacle, { recursive: true });
		renameSync(hidden, path);
		await checkpoint.run();
		expect(reports).toEqual([{ streamEpoch: 1, endLsn: 516n }]);
		expect(lane.table.isDirty(1)).toBe(false);
	});

	it("precedes the answer of a splice that wrote the log anew", async () => {
		const lane = fixture();
		await lane.addPending(1);
		lane.process(batch(500n, "1"));
		lane.process(batch(600n, "2"));
		let synced = false;
		const { runSync } = lane.store;
		lane.store.runSync = async (task) => {
			const outcome = await runSync.call(lane.store, task);
			synced = task.syncsDirectory;
			return outcome;
		};
		await lane.splice(1, { xmin: "510", xmax: "510", xipList: [], insertLsn: "550" });
		expect(synced).toBe(true);
		expect(lane.visible(1).map(brief)).toEqual(["insert 2@600_2!"]);
	});
});
