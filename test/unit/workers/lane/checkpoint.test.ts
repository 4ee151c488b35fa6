/**
 * The checkpoint: what it reports was synced before it says so, and what is written meanwhile waits for the next.
 */

import { describe, expect, it } from "vitest";
import { createLogger } from "../../../../src/shared/logging.ts";
import { INVALIDATED_CORRUPT, INVALIDATED_QUARANTINE } from "../../../../src/shared/shape-table.ts";
import { Checkpoint, isNews, type StreamPoint } from "../../../../src/workers/lane/checkpoint.ts";
import * as frames from "../../../support/pgoutput-frames.ts";
import { useTemporaryDirectory } from "../../../support/temporary-directory.ts";
import { ITEMS, itemsRelation, LaneFixture, transaction } from "./lane-fixture.ts";

const directory = useTemporaryDirectory("checkpoint");
let serial = 0;

interface Subject {
	readonly lane: LaneFixture;
	readonly checkpoint: Checkpoint;
	readonly reports: StreamPoint[];
	write(lsn: bigint): void;
}

function subject(): Subject {
	serial += 1;
	const lane = new LaneFixture({ directory: `${directory.path()}/${serial}` });
	const reports: StreamPoint[] = [];
	const checkpoint = new Checkpoint({
		book: lane.book,
		store: lane.store,
		faults: lane.faults,
		report: (point) => reports.push(point),
		log: createLogger("silent", "lane-0"),
	});
	return {
		lane,
		checkpoint,
		reports,
		write: (lsn) => {
			lane.process([itemsRelation(), ...transaction(lsn, Number(lsn), frames.insert(ITEMS, ["1", "a", "t"]))]);
			checkpoint.processed({ streamEpoch: 1, endLsn: lsn + 16n });
		},
	};
}

describe("checkpoint", () => {
	it("reports at once when nothing is dirty, and only what is new", () => {
		const { checkpoint, reports } = subject();
		checkpoint.processed({ streamEpoch: 1, endLsn: 100n });
		checkpoint.processed({ streamEpoch: 1, endLsn: 100n });
		checkpoint.processed({ streamEpoch: 2, endLsn: 50n });
		expect(reports).toEqual([
			{ streamEpoch: 1, endLsn: 100n },
			{ streamEpoch: 2, endLsn: 50n },
		]);
	});

	it("reports the position from before its syncs, and leaves what is written meanwhile to the next one", async () => {
		const { lane, checkpoint, reports, write } = subject();
		await lane.addSpliced(1);
		write(500n);
		expect(reports).toEqual([]);
		const running = checkpoint.run();
		write(600n);
		await running;
		expect(reports).toEqual([{ streamEpoch: 1, endLsn: 516n }]);
		expect(lane.table.isDirty(1)).toBe(true);
		await checkpoint.run();
		expect(reports.at(-1)).toEqual({ streamEpoch: 1, endLsn: 616n });
		expect(lane.table.isDirty(1)).toBe(false);
	});

	it("joins a checkpoint that is under way", async () => {
		const { lane, checkpoint, write } = subject();
		await lane.addSpliced(1);
		write(500n);
		expect(checkpoint.run()).toBe(checkpoint.run());
		await checkpoint.run();
	});

	it("syncs a log that was removed, evicted or rotated meanwhile without an error", async () => {
		serial += 1;
		const lane = new LaneFixture({ directory: `${directory.path()}/${serial}`, openLogsMax: 8, chunkBytes: 100 });
		for (let slot = 0; slot < 30; slot += 1) {
			await lane.addSpliced(slot);
		}
		const reports: StreamPoint[] = [];
		const checkpoint = new Checkpoint({
			book: lane.book,
			store: lane.store,
			faults: lane.faults,
			report: (point) => reports.push(point),
			log: createLogger("silent", "lane-0"),
		});
		const batch = (lsn: bigint): Buffer[] => [
			itemsRelation(),
			...transaction(lsn, 7, frames.insert(ITEMS, ["1", "a", "t"]), frames.insert(ITEMS, ["2", "a", "t"])),
		];
		lane.process(batch(500n));
		checkpoint.processed({ streamEpoch: 1, endLsn: 516n });
		const running = checkpoint.run();
		await lane.remove(3);
		lane.process(batch(600n));
		await running;
		expect(reports).toEqual([{ streamEpoch: 1, endLsn: 516n }]);
		expect(lane.events).toEqual([]);
		expect(lane.store.openFiles).toBeLessThanOrEqual(16);
	});

	it("gives a log up whose sync fails, and never tries it again", async () => {
		const { lane, checkpoint, reports, write } = subject();
		await lane.addSpliced(1);
		write(500n);
		let syncs = 0;
		lane.store.runSync = () => {
			syncs += 1;
			return Promise.reject(Object.assign(new Error("input/output error"), { code: "EIO" }));
		};
		await checkpoint.run();
		await checkpoint.run();
		expect(syncs).toBe(1);
		expect(lane.events).toMatchObject([{ slot: 1, reason: INVALIDATED_CORRUPT }]);
		expect(reports).toEqual([]);
		await lane.remove(1);
		checkpoint.reportIfClean();
		expect(reports).toEqual([{ streamEpoch: 1, endLsn: 516n }]);
	});

	it("syncs what an earlier life of the lane has left dirty, though its log is not open", async () => {
		const { lane, write, checkpoint } = subject();
		await lane.addSpliced(1);
		write(500n);
		await checkpoint.run();
		lane.table.setDirty(1, true);
		const heir = new LaneFixture({ directory: `${directory.path()}/${serial}`, table: lane.table });
		heir.book.restore(heir.assignment(1));
		expect(heir.book.dirtyCount).toBe(1);
		const second = new Checkpoint({
			book: heir.book,
			store: heir.store,
			faults: heir.faults,
			report: () => undefined,
			log: createLogger("silent", "lane-0"),
		});
		await second.run();
		expect(lane.table.isDirty(1)).toBe(false);
		expect(heir.events).toEqual([]);
	});

	it("an heir drops the shape whose row ended its predecessors, and keeps the others", async () => {
		const { lane } = subject();
		await lane.addSpliced(1);
		await lane.addSpliced(2);
		const heir = new LaneFixture({
			directory: `${directory.path()}/${serial}`,
			table: lane.table,
			resume: { quarantine: [1] },
		});
		await heir.control.restore([heir.assignment(1), heir.assignment(2)]);
		expect(heir.events).toMatchObject([{ kind: "invalidated", slot: 1, reason: INVALIDATED_QUARANTINE }]);
		expect(heir.book.find(1)).toBeUndefined();
		expect(heir.book.find(2)).toBeDefined();
	});

	it("counts a new epoch as news, whatever its position", () => {
		const point = { streamEpoch: 2, endLsn: 10n };
		expect(isNews(point, null)).toBe(true);
		expect(isNews(point, { streamEpoch: 1, endLsn: 99n })).toBe(true);
		expect(isNews(point, { streamEpoch: 2, endLsn: 10n })).toBe(false);
		expect(isNews(point, { streamEpoch: 2, endLsn: 9n })).toBe(true);
	});
});
