/**
 * Batches through decode, match, encode and the logs on disk: what a reader of a shape sees afterwards.
 */

import { readdirSync, statSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
	INVALIDATED_QUARANTINE,
	INVALIDATED_REPLICA_IDENTITY,
	INVALIDATED_SCHEMA,
	INVALIDATED_TRUNCATE,
} from "../../../../src/shared/shape-table.ts";
import * as frames from "../../../support/pgoutput-frames.ts";
import { useTemporaryDirectory } from "../../../support/temporary-directory.ts";
import { brief, FakeMatcher, ITEMS, itemsRelation, LaneFixture, transaction } from "./lane-fixture.ts";

const directory = useTemporaryDirectory("lane");
let serial = 0;

function fixture(options: Partial<ConstructorParameters<typeof LaneFixture>[0]> = {}): LaneFixture {
	serial += 1;
	return new LaneFixture({ directory: `${directory.path()}/${serial}`, ...options });
}

const row = (id: string, owner: string, title = "t"): string[] => [id, owner, title];

describe("batch processor", () => {
	it("publishes an insert at its commit LSN with the last-mark", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		lane.process([itemsRelation(), ...transaction(500n, 7, frames.insert(ITEMS, row("1", "a")))]);
		expect(lane.visible(1)).toEqual([
			{
				key: '"public"."items"/"1"',
				value: { id: "1", owner: "a", title: "t" },
				headers: {
					operation: "insert",
					relation: ["public", "items"],
					txids: [7],
					lsn: "500",
					op_position: 2,
					last: true,
				},
			},
		]);
		expect(lane.table.logState(1)).toMatchObject({ opened: true, lastOffset: { tx: 500n, op: 2 } });
	});

	it("counts op over all relations and all changes, matched or not", async () => {
		const lane = fixture();
		await lane.addSpliced(1, { equals: ["owner", "a"] });
		lane.process([
			itemsRelation(),
			itemsRelation(["id"], 200, "other"),
			...transaction(
				500n,
				7,
				frames.insert(200, ["x"]),
				frames.insert(ITEMS, row("1", "b")),
				frames.insert(ITEMS, row("2", "a")),
				frames.truncate([200, 201]),
				frames.insert(ITEMS, row("3", "a")),
			),
		]);
		expect(lane.visible(1).map(brief)).toEqual(["insert 2@500_6", "insert 3@500_12!"]);
	});

	it("turns updates into insert, update, delete or nothing by where the rows stand", async () => {
		const lane = fixture();
		await lane.addSpliced(1, { equals: ["owner", "a"], selected: ["id", "title"] });
		lane.process([
			itemsRelation(),
			...transaction(
				500n,
				7,
				frames.update(ITEMS, row("1", "b"), row("1", "a")),
				frames.update(ITEMS, row("1", "a", "x"), row("1", "a", "y")),
				frames.update(ITEMS, row("1", "a"), row("1", "a")),
				frames.update(ITEMS, row("1", "a"), row("9", "b")),
				frames.update(ITEMS, row("1", "b"), row("9", "b")),
			),
		]);
		expect(lane.visible(1).map(brief)).toEqual(["insert 1@500_2", "update 1@500_4", "delete 1@500_8!"]);
	});

	it("writes a key change as a pair at op and op + 1, the mark on the insert", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		lane.process([itemsRelation(), ...transaction(500n, 7, frames.update(ITEMS, row("1", "a"), row("2", "a")))]);
		expect(lane.visible(1).map(brief)).toEqual(["delete 1@500_2", "insert 2@500_3!"]);
	});

	it("fills an unchanged value from the old row", async () => {
		const lane = fixture();
		await lane.addSpliced(1, { replica: "full" });
		lane.process([
			itemsRelation(),
			...transaction(500n, 7, frames.update(ITEMS, ["1", "a", "long"], ["1", "b", undefined])),
		]);
		expect(lane.visible(1)[0]).toMatchObject({
			value: { id: "1", owner: "b", title: "long" },
			old_value: { owner: "a" },
		});
		expect(lane.visible(1)[0]?.old_value).toEqual({ owner: "a" });
	});

	it("gives one change to several shapes, each with its own mark", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		await lane.addSpliced(2, { equals: ["owner", "a"] });
		await lane.addSpliced(3, { equals: ["owner", "a"], replica: "full" });
		lane.process([
			itemsRelation(),
			...transaction(500n, 7, frames.insert(ITEMS, row("1", "a")), frames.insert(ITEMS, row("2", "b"))),
		]);
		expect(lane.visible(1).map(brief)).toEqual(["insert 1@500_2", "insert 2@500_4!"]);
		expect(lane.visible(2).map(brief)).toEqual(["insert 1@500_2!"]);
		expect(lane.visible(3).map(brief)).toEqual(["insert 1@500_2!"]);
	});

	it("shows rows of a partition under the root's relation and key, whatever its column order", async () => {
		const lane = fixture();
		await lane.addSpliced(1, { name: "root", leafOids: [101] });
		lane.process([
			itemsRelation(["title", "owner", "id"], 101, "leaf"),
			...transaction(500n, 7, frames.insert(101, ["t", "a", "1"])),
		]);
		expect(lane.visible(1)[0]).toMatchObject({
			key: '"public"."root"/"1"',
			value: { id: "1", owner: "a", title: "t" },
			headers: { relation: ["public", "root"] },
		});
	});

	it("answers the commit LSN and its end, and null for a batch inside a transaction", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		const first = lane.process([itemsRelation(), ...transaction(500n, 7, frames.insert(ITEMS, row("1", "a")))]);
		expect(first).toEqual({ sequence: 1, streamEpoch: 1, committedLsn: 500n, committedEndLsn: 516n });
		const second = lane.process([itemsRelation(), frames.begin(600n, 8)], { endsInside: true });
		expect(second).toEqual({ sequence: 2, streamEpoch: 1, committedLsn: null, committedEndLsn: null });
	});

	it("hides a transaction over several batches until its commit and seals its last entry in place", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		await lane.addSpliced(2, { equals: ["owner", "b"] });
		lane.process(
			[
				itemsRelation(),
				frames.begin(500n, 7),
				frames.insert(ITEMS, row("1", "b")),
				frames.insert(ITEMS, row("2", "a")),
			],
			{ endsInside: true },
		);
		expect(lane.visible(1)).toEqual([]);
		lane.process([itemsRelation(), frames.insert(ITEMS, row("3", "a"))], {
			open: { lsn: 500n, xid: 7, changes: 2 },
			endsInside: true,
		});
		lane.process([frames.commit(500n, 516n), ...transaction(600n, 8)], { open: { lsn: 500n, xid: 7, changes: 3 } });
		expect(lane.visible(1).map(brief)).toEqual(["insert 1@500_2", "insert 2@500_4", "insert 3@500_6!"]);
		expect(lane.visible(2).map(brief)).toEqual(["insert 1@500_2!"]);
		lane.process([itemsRelation(), ...transaction(700n, 9, frames.insert(ITEMS, row("4", "b")))]);
		expect(lane.visible(2).map(brief)).toEqual(["insert 1@500_2!", "insert 4@700_2!"]);
	});

	it("closes a segment after the entry that fills it, without regard to transactions", async () => {
		const lane = fixture({ chunkBytes: 300 });
		await lane.addSpliced(1);
		lane.process([
			itemsRelation(),
			...transaction(500n, 7, ...["1", "2", "3", "4", "5"].map((id) => frames.insert(ITEMS, row(id, "a")))),
		]);
		expect(lane.visible(1).map(brief)).toEqual([
			"insert 1@500_2",
			"insert 2@500_4",
			"insert 3@500_6",
			"insert 4@500_8",
			"insert 5@500_10!",
		]);
		expect(lane.table.logState(1)).toMatchObject({ segment: 2, segmentEntries: 1 });
	});

	it("discards the open transaction when a new epoch sends it again", async () => {
		const lane = fixture({ chunkBytes: 300 });
		await lane.addSpliced(1);
		lane.process([itemsRelation(), ...transaction(400n, 6, frames.insert(ITEMS, row("0", "a")))]);
		const changes = ["1", "2", "3", "4"].map((id) => frames.insert(ITEMS, row(id, "a")));
		lane.process([itemsRelation(), frames.begin(500n, 7), ...changes], { endsInside: true });
		lane.process([itemsRelation(), ...transaction(500n, 7, ...changes)], { epoch: 2 });
		expect(lane.visible(1).map(brief)).toEqual([
			"insert 0@400_2!",
			"insert 1@500_2",
			"insert 2@500_4",
			"insert 3@500_6",
			"insert 4@500_8!",
		]);
	});

	it("skips replayed changes that are present, marks the shape dirty, and applies the rest", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		const first = transaction(500n, 7, frames.insert(ITEMS, row("1", "a")));
		const second = transaction(600n, 8, frames.insert(ITEMS, row("2", "a")));
		lane.process([itemsRelation(), ...first]);
		lane.book.takeDirty().forEach((shape) => {
			lane.store.takeSync(shape.log as NonNullable<typeof shape.log>);
		});
		expect(lane.book.dirtyCount).toBe(0);
		lane.process([itemsRelation(), ...first], { epoch: 2 });
		expect(lane.book.dirtyCount).toBe(1);
		lane.process([itemsRelation(), ...second], { epoch: 2 });
		expect(lane.visible(1).map(brief)).toEqual(["insert 1@500_2!", "insert 2@600_2!"]);
	});

	it("ends the shapes of a truncated table and no others", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		await lane.addSpliced(2, { oid: 200, name: "other" });
		lane.process([itemsRelation(), ...transaction(500n, 7, frames.truncate([ITEMS]))]);
		expect(lane.events).toEqual([{ kind: "invalidated", slot: 1, generation: 1, reason: INVALIDATED_TRUNCATE }]);
		expect(lane.table.invalidated(1)).toBe(INVALIDATED_TRUNCATE);
		expect(lane.book.find(2)).toBeDefined();
		expect([...(lane.book.takeChanged() ?? [])]).toContain(1);
	});

	it("ends the shapes of a table whose changes come without the old row, and goes on", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		await lane.addSpliced(2, { oid: 200, name: "other", columns: ["id"] });
		lane.process([
			itemsRelation(),
			itemsRelation(["id"], 200, "other"),
			...transaction(500n, 7, frames.update(ITEMS, null, row("1", "a")), frames.insert(200, ["5"])),
		]);
		expect(lane.table.invalidated(1)).toBe(INVALIDATED_REPLICA_IDENTITY);
		expect(lane.visible(2).map(brief)).toEqual(["insert 5@500_4!"]);
	});

	it("ends shapes whose relation was renamed, re-typed or lost a needed column, at the first change", async () => {
		const lane = fixture();
		await lane.addSpliced(1, { equals: ["owner", "a"], selected: ["id"] });
		await lane.addSpliced(2, { selected: ["id", "title"] });
		await lane.addSpliced(3);
		lane.process([
			itemsRelation(["id", "title", "extra"]),
			...transaction(500n, 7, frames.insert(ITEMS, ["1", "t", "e"])),
		]);
		expect(lane.table.invalidated(1)).toBe(INVALIDATED_SCHEMA);
		expect(lane.visible(2).map(brief)).toEqual(["insert 1@500_2!"]);
		expect(lane.table.invalidated(3)).toBe(INVALIDATED_SCHEMA);
		lane.process([
			itemsRelation(["id", "title", "extra"], ITEMS, "renamed"),
			...transaction(600n, 8, frames.insert(ITEMS, ["2", "t", "e"])),
		]);
		expect(lane.table.invalidated(2)).toBe(INVALIDATED_SCHEMA);
	});

	it("ends shapes whose table was dropped and made anew under the same name", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		lane.process([
			itemsRelation(["id", "owner", "title"], 777, "items"),
			...transaction(500n, 7, frames.insert(777, row("1", "a"))),
		]);
		expect(lane.table.invalidated(1)).toBe(INVALIDATED_SCHEMA);
	});

	it("tells once of a relation that nobody watches: it may be a new partition", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		const unknown = itemsRelation(["id", "owner", "title"], 777, "items_2026");
		lane.process([unknown, ...transaction(500n, 7, frames.insert(777, row("1", "a")))]);
		lane.process([unknown, itemsRelation(), ...transaction(600n, 8, frames.insert(ITEMS, row("2", "b")))]);
		expect(lane.events).toEqual([{ kind: "relation-unknown", oid: 777 }]);
		expect(lane.visible(1)).toHaveLength(1);
	});

	it("ends only the shape whose handling fails, not the others", async () => {
		class Repeating extends FakeMatcher {
			override match(...[oid, oldTuple, newTuple, sink]: Parameters<FakeMatcher["match"]>): void {
				super.match(oid, oldTuple, newTuple, (slot, inOld, inNew) => {
					sink(slot, inOld, inNew);
					if (slot === 1) {
						sink(slot, inOld, inNew);
					}
				});
			}
		}
		const lane = fixture({ matcher: new Repeating() });
		await lane.addSpliced(1);
		await lane.addSpliced(2);
		lane.process([itemsRelation(), ...transaction(500n, 7, frames.insert(ITEMS, row("1", "a")))]);
		// The second report of one change: settled shapes refuse an offset that is not beyond the last one.
		expect(lane.table.invalidated(1)).toBe(INVALIDATED_QUARANTINE);
		expect(lane.visible(2).map(brief)).toEqual(["insert 1@500_2!"]);
	});

	it("ends the shapes of a relation whose matching fails, not the lane", async () => {
		class Failing extends FakeMatcher {
			override match(...[oid, oldTuple, newTuple, sink]: Parameters<FakeMatcher["match"]>): void {
				if (oid === ITEMS) {
					throw new TypeError("a condition that cannot be evaluated");
				}
				super.match(oid, oldTuple, newTuple, sink);
			}
		}
		const lane = fixture({ matcher: new Failing() });
		await lane.addSpliced(1);
		await lane.addSpliced(2, { oid: 200, name: "other", columns: ["id"] });
		lane.process([
			itemsRelation(),
			itemsRelation(["id"], 200, "other"),
			...transaction(500n, 7, frames.insert(ITEMS, row("1", "a")), frames.insert(200, ["5"])),
		]);
		expect(lane.table.invalidated(1)).toBe(INVALIDATED_QUARANTINE);
		expect(lane.visible(2).map(brief)).toEqual(["insert 5@500_4!"]);
	});

	it("writes inside a batch when it holds too much, and undoes that too when the disk is full", async () => {
		const lane = fixture({
			faults: [{ point: "lane.log.write", skip: 41, action: { kind: "fail", systemCode: "ENOSPC" } }],
		});
		await lane.addSpliced(1, { replica: "full" });
		await lane.addSpliced(2, { equals: ["owner", "a"] });
		const large = "x".repeat(1024 * 1024);
		const batch = [
			itemsRelation(),
			...transaction(
				500n,
				7,
				...Array.from({ length: 40 }, (_, index) =>
					frames.insert(ITEMS, row(String(index), index % 2 === 0 ? "a" : "b", large)),
				),
			),
		];
		expect(() => lane.process(batch)).toThrow(expect.objectContaining({ code: "SLUICE_DISK_FULL" }));
		expect(lane.store.space.heldBytes).toBe(0);
		const path = `${directory.path()}/${serial}`;
		const sizes = [1, 2].flatMap((slot) =>
			readdirSync(`${path}/shape-${slot}`).map((name) => statSync(`${path}/shape-${slot}/${name}`).size),
		);
		expect(sizes.every((size) => size === 0)).toBe(true);
		lane.process(batch);
		expect(lane.visible(1)).toHaveLength(40);
		expect(lane.visible(2)).toHaveLength(20);
		expect(lane.store.space.bytes.buffer.length).toBeLessThanOrEqual(64 * 1024 * 1024);
	});

	it("gives one row to a thousand shapes at the cost of one encoding", async () => {
		const lane = fixture();
		for (let slot = 0; slot < 1000; slot += 1) {
			await lane.addSpliced(slot);
		}
		lane.process([itemsRelation(), ...transaction(500n, 7, frames.insert(ITEMS, row("1", "a")))]);
		const [first, last] = [lane.visible(0), lane.visible(999)];
		expect(first).toHaveLength(1);
		expect(last).toEqual(first);
		expect(lane.processor.entries).toBe(1000);
	});

	it.each([
		["ENOSPC", "SLUICE_DISK_FULL"],
		["EIO", "SLUICE_DISK_FAILED"],
		["EMFILE", "SLUICE_DISK_FAILED"],
	])("is as before a batch that met %s, and takes the batch when it comes again", async (systemCode, code) => {
		const lane = fixture({
			chunkBytes: 300,
			faults: [{ point: "lane.log.write", skip: 4, action: { kind: "fail", systemCode } }],
		});
		await lane.addSpliced(1);
		await lane.addSpliced(2, { equals: ["owner", "a"] });
		lane.process([itemsRelation(), frames.begin(500n, 7), frames.insert(ITEMS, row("1", "a"))], {
			endsInside: true,
		});
		const files = (): string[] =>
			[1, 2].flatMap((slot) => {
				const path = `${directory.path()}/${serial}/shape-${slot}`;
				return readdirSync(path)
					.sort()
					.map((name) => `${slot}/${name} ${statSync(`${path}/${name}`).size}`);
			});
		const before = files();
		const batch = [
			itemsRelation(),
			frames.insert(ITEMS, row("2", "b")),
			frames.insert(ITEMS, row("3", "b")),
			frames.insert(ITEMS, row("4", "b")),
			frames.commit(500n, 516n),
			...transaction(600n, 8, frames.insert(ITEMS, row("5", "a"))),
		];
		const options = { open: { lsn: 500n, xid: 7, changes: 1 } };
		expect(() => lane.process(batch, options)).toThrow(expect.objectContaining({ code }));
		expect(files()).toEqual(before);
		expect(lane.visible(1)).toEqual([]);
		lane.process(batch, options);
		expect(lane.visible(1).map(brief)).toEqual([
			"insert 1@500_2",
			"insert 2@500_4",
			"insert 3@500_6",
			"insert 4@500_8!",
			"insert 5@600_2!",
		]);
		expect(lane.visible(2).map(brief)).toEqual(["insert 1@500_2!", "insert 5@600_2!"]);
	});

	it("takes a batch twice without a trace when the report of the first time was lost", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		const batch = [
			itemsRelation(),
			...transaction(500n, 7, frames.insert(ITEMS, row("1", "a"))),
			frames.begin(600n, 8),
			frames.insert(ITEMS, row("2", "a")),
		];
		lane.process(batch, { endsInside: true, sequence: 1 });
		lane.process(batch, { endsInside: true, sequence: 1 });
		lane.process([frames.commit(600n, 616n)], { open: { lsn: 600n, xid: 8, changes: 1 } });
		expect(lane.visible(1).map(brief)).toEqual(["insert 1@500_2!", "insert 2@600_2!"]);
	});

	it("throws on malformed rows and is as before", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		const bad = frames.insert(ITEMS, row("2", "a")).subarray(0, -1);
		expect(() =>
			lane.process([itemsRelation(), ...transaction(500n, 7, frames.insert(ITEMS, row("1", "a")), bad)]),
		).toThrow(expect.objectContaining({ code: "SLUICE_TUPLE_MALFORMED" }));
		expect(lane.visible(1)).toEqual([]);
		lane.process([itemsRelation(), ...transaction(600n, 8, frames.insert(ITEMS, row("1", "a")))]);
		expect(lane.visible(1).map(brief)).toEqual(["insert 1@600_2!"]);
	});

	it("works with more logs than files it may hold open", async () => {
		const lane = fixture({ openLogsMax: 8 });
		for (let slot = 0; slot < 100; slot += 1) {
			await lane.addSpliced(slot, { equals: ["owner", String(slot)] });
		}
		for (let round = 1; round <= 3; round += 1) {
			const changes = Array.from({ length: 100 }, (_, slot) => frames.insert(ITEMS, row(String(round), String(slot))));
			lane.process([itemsRelation(), ...transaction(BigInt(round) * 100n, round, ...changes)]);
		}
		expect(lane.store.openFiles).toBeLessThanOrEqual(16);
		for (let slot = 0; slot < 100; slot += 1) {
			expect(lane.visible(slot)).toHaveLength(3);
		}
	});
});
