/**
 * The splice of a snapshot and the stream: no row lost, none doubled, whatever the order in which transactions
 * become visible (replication.md 5.2, S2 and S3; 5.4; 5.5).
 */

import { describe, expect, it } from "vitest";
import type { SnapshotInfo } from "../../../../src/shared/shape-definition.ts";
import { INVALIDATED_SCHEMA, INVALIDATED_TRUNCATE } from "../../../../src/shared/shape-table.ts";
import { extendXid, SnapshotVisibility } from "../../../../src/workers/lane/snapshot-visibility.ts";
import * as frames from "../../../support/pgoutput-frames.ts";
import { useTemporaryDirectory } from "../../../support/temporary-directory.ts";
import { brief, ITEMS, itemsRelation, LaneFixture, transaction } from "./lane-fixture.ts";

const directory = useTemporaryDirectory("splice");
let serial = 0;

function fixture(options: Partial<ConstructorParameters<typeof LaneFixture>[0]> = {}): LaneFixture {
	serial += 1;
	return new LaneFixture({ directory: `${directory.path()}/${serial}`, ...options });
}

const insert = (id: string): Buffer => frames.insert(ITEMS, [id, "a", "t"]);

function snapshot(xmin: number, xmax: number, xip: readonly number[], insertLsn: number): SnapshotInfo {
	return { xmin: String(xmin), xmax: String(xmax), xipList: xip.map(String), insertLsn: String(insertLsn) };
}

describe("transaction ids", () => {
	it("are extended to the epoch nearest to the snapshot's end", () => {
		const epoch3 = 3n << 32n;
		expect(extendXid(726, epoch3 + 730n)).toBe(epoch3 + 726n);
		expect(extendXid(0xffff_fff0, epoch3 + 5n)).toBe(epoch3 - 16n);
		expect(extendXid(5, epoch3 - 16n)).toBe(epoch3 + 5n);
		expect(extendXid(700, 710n)).toBe(700n);
		expect(extendXid(0xffff_fff0, 5n)).toBe(0xffff_fff0n);
	});

	it("are found in a list of running transactions with an epoch (hole S4)", () => {
		const seen = new SnapshotVisibility({
			xmin: "12884902614",
			xmax: "12884902616",
			xipList: ["12884902614"],
			insertLsn: "100",
		});
		expect(seen.isVisible(726)).toBe(false);
		expect(seen.isVisible(727)).toBe(true);
		expect(seen.isVisible(728)).toBe(false);
		expect(seen.isVisible(725)).toBe(true);
	});
});

describe("splice", () => {
	it("publishes nothing before the snapshot and everything after it that the snapshot lacks", async () => {
		const lane = fixture();
		await lane.addPending(1);
		lane.process([itemsRelation(), ...transaction(500n, 10, insert("1")), ...transaction(600n, 11, insert("2"))]);
		expect(lane.visible(1)).toEqual([]);
		expect(lane.table.logState(1)).toMatchObject({ opened: true, lastOffset: { tx: 0n, op: 0 } });
		expect(await lane.splice(1, snapshot(11, 11, [], 550))).toBe("spliced");
		expect(lane.visible(1).map(brief)).toEqual(["insert 2@600_2!"]);
		lane.process([itemsRelation(), ...transaction(700n, 12, insert("3"))]);
		expect(lane.visible(1).map(brief)).toEqual(["insert 2@600_2!", "insert 3@700_2!"]);
	});

	it("keeps the log as it is when the snapshot holds none of it", async () => {
		const lane = fixture();
		await lane.addPending(1);
		lane.process([itemsRelation(), ...transaction(500n, 10, insert("1"))]);
		expect(await lane.splice(1, snapshot(10, 11, [10], 550))).toBe("spliced");
		expect(lane.visible(1).map(brief)).toEqual(["insert 1@500_2!"]);
	});

	it("rewrites a log of several segments and of one transaction that is still open", async () => {
		const lane = fixture({ chunkBytes: 300 });
		await lane.addPending(1);
		lane.process([itemsRelation(), ...transaction(500n, 10, ...["1", "2", "3", "4"].map(insert))]);
		lane.process([itemsRelation(), ...transaction(510n, 11, ...["5", "6", "7", "8"].map(insert))]);
		lane.process([itemsRelation(), frames.begin(520n, 12), ...["9", "10"].map(insert)], { endsInside: true });
		expect(await lane.splice(1, snapshot(11, 12, [11], 515))).toBe("spliced");
		expect(lane.visible(1).map((item) => item.value["id"])).toEqual(["5", "6", "7", "8"]);
		lane.process([itemsRelation(), insert("11"), frames.commit(520n, 536n)], {
			open: { lsn: 520n, xid: 12, changes: 2 },
		});
		expect(lane.visible(1).map(brief).slice(4)).toEqual(["insert 9@520_2", "insert 10@520_4", "insert 11@520_6!"]);
	});

	it("drops the open transaction, written and to come, when the snapshot holds it", async () => {
		const lane = fixture();
		await lane.addPending(1);
		lane.process([itemsRelation(), frames.begin(500n, 10), insert("1")], { endsInside: true });
		expect(await lane.splice(1, snapshot(11, 11, [], 550))).toBe("spliced");
		lane.process([itemsRelation(), insert("2"), frames.commit(500n, 516n), ...transaction(600n, 11, insert("3"))], {
			open: { lsn: 500n, xid: 10, changes: 1 },
		});
		expect(lane.visible(1).map(brief)).toEqual(["insert 3@600_2!"]);
	});

	it("retakes when a transaction delivered before the shape is missing from the snapshot (hole S2)", async () => {
		const lane = fixture();
		lane.process([itemsRelation(), ...transaction(500n, 942, insert("1"))]);
		await lane.addPending(1);
		expect(await lane.splice(1, snapshot(942, 942, [], 550))).toBe("retake");
		expect(await lane.splice(1, snapshot(942, 943, [942], 560))).toBe("retake");
		expect(await lane.splice(1, snapshot(943, 943, [], 570))).toBe("spliced");
	});

	it("retakes when the transaction that was open as the shape came is missing, and never writes its rest", async () => {
		const lane = fixture();
		lane.process([itemsRelation(), frames.begin(500n, 10)], { endsInside: true });
		await lane.addPending(1);
		lane.process([itemsRelation(), insert("1"), frames.commit(500n, 516n), ...transaction(600n, 11, insert("2"))], {
			open: { lsn: 500n, xid: 10, changes: 0 },
		});
		expect(await lane.splice(1, snapshot(10, 12, [10], 650))).toBe("retake");
		expect(await lane.splice(1, snapshot(11, 12, [11], 650))).toBe("spliced");
		expect(lane.visible(1).map(brief)).toEqual(["insert 2@600_2!"]);
	});

	it("does not ask for transactions on other tables", async () => {
		const lane = fixture();
		lane.process([itemsRelation(["id"], 200, "other"), ...transaction(500n, 942, frames.insert(200, ["1"]))]);
		await lane.addPending(1);
		expect(await lane.splice(1, snapshot(942, 942, [], 550))).toBe("spliced");
	});

	it("filters by position, not by the first id beyond the snapshot (hole S3)", async () => {
		const lane = fixture();
		await lane.addSplicedWith(1, snapshot(20, 30, [], 1000));
		// 31 committed first and is not in the snapshot; 25 came after it in the WAL and is in it.
		lane.process([itemsRelation(), ...transaction(900n, 31, insert("1")), ...transaction(950n, 25, insert("2"))]);
		lane.process([itemsRelation(), ...transaction(1000n, 25, insert("3"))]);
		expect(lane.visible(1).map(brief)).toEqual(["insert 1@900_2!", "insert 3@1000_2!"]);
	});

	it("filters again when a new epoch sends transactions of the snapshot again", async () => {
		const lane = fixture();
		await lane.addSplicedWith(1, snapshot(20, 30, [], 1000));
		lane.process([itemsRelation(), ...transaction(1100n, 40, insert("1"))]);
		lane.process([itemsRelation(), ...transaction(900n, 25, insert("0")), ...transaction(1100n, 40, insert("1"))], {
			epoch: 2,
		});
		expect(lane.visible(1).map(brief)).toEqual(["insert 1@1100_2!"]);
	});

	it("filters again when a batch that had gone beyond the snapshot comes again", async () => {
		const lane = fixture({
			faults: [{ point: "lane.log.write", action: { kind: "fail", systemCode: "ENOSPC" } }],
		});
		await lane.addSplicedWith(1, snapshot(20, 30, [], 1000));
		const batch = [itemsRelation(), ...transaction(900n, 25, insert("0")), ...transaction(1100n, 40, insert("1"))];
		expect(() => lane.process(batch)).toThrow(expect.objectContaining({ code: "SLUICE_DISK_FULL" }));
		lane.process(batch);
		expect(lane.visible(1).map(brief)).toEqual(["insert 1@1100_2!"]);
	});

	it("forgives what the snapshot holds: an old TRUNCATE and an old Relation", async () => {
		const lane = fixture();
		await lane.addPending(1);
		lane.process([
			itemsRelation(["id"]),
			...transaction(500n, 10, frames.truncate([ITEMS])),
			...transaction(510n, 11, frames.insert(ITEMS, ["1"])),
			itemsRelation(),
			...transaction(600n, 12, insert("2")),
		]);
		expect(lane.events).toEqual([]);
		expect(await lane.splice(1, snapshot(12, 12, [], 550))).toBe("spliced");
		expect(lane.visible(1).map(brief)).toEqual(["insert 2@600_2!"]);
	});

	it.each([
		["TRUNCATE", INVALIDATED_TRUNCATE, [itemsRelation(), ...transaction(500n, 10, frames.truncate([ITEMS]))]],
		[
			"change of the schema",
			INVALIDATED_SCHEMA,
			[itemsRelation(["id"]), ...transaction(500n, 10, frames.insert(ITEMS, ["1"]))],
		],
	] as const)("ends the shape at the splice when a %s was not in the snapshot", async (_name, reason, batch) => {
		const lane = fixture();
		await lane.addPending(1);
		lane.process(batch);
		expect(lane.events).toEqual([]);
		await expect(lane.splice(1, snapshot(10, 10, [], 550))).rejects.toMatchObject({
			code: "SLUICE_SHAPE_GONE",
		});
		expect(lane.table.invalidated(1)).toBe(reason);
	});

	it("forgets a shape that was removed before its snapshot came", async () => {
		const lane = fixture();
		await lane.addPending(1);
		await lane.remove(1);
		await lane.remove(1);
		await expect(lane.splice(1, snapshot(10, 10, [], 550))).rejects.toMatchObject({
			code: "SLUICE_SHAPE_GONE",
		});
	});

	it("remembers the last 16 384 transactions of a table and shares them between new shapes", async () => {
		const lane = fixture();
		const many = Array.from({ length: 20_000 }, (_, index) =>
			transaction(BigInt(1000 + index * 10), 5000 + index, insert(String(index))),
		).flat();
		lane.process([itemsRelation(), ...many]);
		await lane.addPending(1);
		// Older than the list: taken to be visible. The newest must be seen.
		expect(await lane.splice(1, snapshot(5001, 25_000, [5001], 1_000_000))).toBe("spliced");
		await lane.addPending(2);
		expect(await lane.splice(2, snapshot(24_999, 24_999, [], 1_000_000))).toBe("retake");
	});
});
