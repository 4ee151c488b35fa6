/**
 * Batches that are written together: nothing shows before, everything after, and a failure leaves none of them.
 */

import { statSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { NO_SLOT } from "../../../../src/shared/shape-table.ts";
import * as frames from "../../../support/pgoutput-frames.ts";
import { useTemporaryDirectory } from "../../../support/temporary-directory.ts";
import { brief, FakeMatcher, ITEMS, itemsRelation, LaneFixture, transaction } from "./lane-fixture.ts";

const directory = useTemporaryDirectory("group");
let serial = 0;

function fixture(options: Partial<ConstructorParameters<typeof LaneFixture>[0]> = {}): LaneFixture {
	serial += 1;
	return new LaneFixture({ directory: `${directory.path()}/${serial}`, ...options });
}

const insert = (id: string): Buffer => frames.insert(ITEMS, [id, "a", "t"]);
const batch = (lsn: bigint, id: string): Buffer[] => [itemsRelation(), ...transaction(lsn, Number(lsn), insert(id))];

describe("a group of batches", () => {
	it("shows nothing before it is written and all of it afterwards, with one answer", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		lane.take(batch(500n, "1"));
		lane.take([itemsRelation(), frames.begin(600n, 8), insert("2")], { endsInside: true });
		lane.take([insert("3"), frames.commit(600n, 616n)], { open: { lsn: 600n, xid: 8, changes: 1 } });
		expect(lane.visible(1)).toEqual([]);
		expect(lane.book.dirtyCount).toBe(0);
		expect(lane.flush()).toEqual({ sequence: 3, streamEpoch: 1, committedLsn: 600n, committedEndLsn: 616n });
		expect(lane.visible(1).map(brief)).toEqual(["insert 1@500_2!", "insert 2@600_2", "insert 3@600_4!"]);
		expect(lane.flush()).toBeNull();
	});

	it("is written once for each log, whatever the number of its batches", async () => {
		let writes = 0;
		const lane = fixture({ beforeWrite: () => (writes += 1) });
		await lane.addSpliced(1);
		await lane.addSpliced(2);
		for (let lsn = 500n; lsn < 600n; lsn += 10n) {
			lane.take(batch(lsn, String(lsn)));
		}
		expect(writes).toBe(0);
		lane.flush();
		expect(writes).toBe(2);
	});

	it("leaves no trace when the disk refuses it, and comes again from its first batch", async () => {
		let refuses = false;
		const lane = fixture({
			beforeWrite: () => {
				if (refuses) {
					throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
				}
			},
		});
		await lane.addSpliced(1);
		lane.process([itemsRelation(), frames.begin(500n, 7), insert("1")], { endsInside: true });
		const rest = [
			() => lane.take([insert("2"), frames.commit(500n, 516n)], { open: { lsn: 500n, xid: 7, changes: 1 } }),
			() => lane.take([itemsRelation(), frames.begin(600n, 8), insert("3")], { endsInside: true }),
		];
		refuses = true;
		for (const take of rest) {
			take();
		}
		expect(() => lane.flush()).toThrow(expect.objectContaining({ code: "SLUICE_DISK_FULL" }));
		expect(lane.processor.isHolding).toBe(false);
		expect(lane.visible(1)).toEqual([]);
		refuses = false;
		for (const take of rest) {
			take();
		}
		lane.process([frames.commit(600n, 616n)], { open: { lsn: 600n, xid: 8, changes: 1 } });
		expect(lane.visible(1).map(brief)).toEqual(["insert 1@500_2", "insert 2@500_4!", "insert 3@600_2!"]);
	});

	it("is taken back by a malformed row in its last batch", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		lane.take(batch(500n, "1"));
		const bad = frames.insert(ITEMS, ["2", "a", "t"]).subarray(0, -1);
		expect(() => lane.take([itemsRelation(), ...transaction(600n, 8, bad)])).toThrow(
			expect.objectContaining({ code: "SLUICE_TUPLE_MALFORMED" }),
		);
		expect(lane.flush()).toBeNull();
		expect(statSync(`${directory.path()}/${serial}/shape-1/log-0.json`).size).toBe(0);
		lane.process(batch(500n, "1"));
		expect(lane.visible(1).map(brief)).toEqual(["insert 1@500_2!"]);
	});

	it("is written before a shape is added, spliced, or a stream begins anew", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		lane.take(batch(500n, "1"));
		await lane.addPending(2);
		expect(lane.visible(1)).toHaveLength(1);
		lane.take(batch(600n, "2"));
		await lane.splice(2, { xmin: "600", xmax: "600", xipList: [], insertLsn: "550" });
		expect(lane.visible(2).map(brief)).toEqual(["insert 2@600_2!"]);
		lane.take(batch(700n, "3"));
		lane.take(batch(700n, "3"), { epoch: 2 });
		lane.flush();
		expect(lane.visible(1)).toHaveLength(3);
	});

	it("is forgotten at a gap, with the open transaction and what a new shape would be asked about", async () => {
		const lane = fixture();
		await lane.addSpliced(1);
		lane.take([itemsRelation(), ...transaction(500n, 90, insert("1")), frames.begin(600n, 91), insert("2")], {
			endsInside: true,
		});
		lane.processor.forget();
		expect(lane.flush()).toBeNull();
		await lane.addPending(2);
		expect(await lane.splice(2, { xmin: "50", xmax: "50", xipList: [], insertLsn: "9999" })).toBe("spliced");
		lane.process(batch(300n, "3"), { epoch: 2 });
		expect(lane.visible(1).map(brief)).toEqual(["insert 3@300_2!"]);
	});
});

describe("what a lane is working on", () => {
	it("is named while a shape's row is at hand, and nothing afterwards", async () => {
		const seen: number[] = [];
		const lane = fixture({ beforeWrite: () => seen.push(lane.table.laneWorkingOn(0)) });
		await lane.addSpliced(3);
		lane.take(batch(500n, "1"));
		expect(lane.table.laneWorkingOn(0)).toBe(NO_SLOT);
		lane.flush();
		expect(seen).toEqual([3]);
		expect(lane.table.laneWorkingOn(0)).toBe(NO_SLOT);
	});

	it("stays named when the thread is about to end of it, and not when the disk is full", async () => {
		let error: Error = Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
		const lane = fixture({
			beforeWrite: () => {
				throw error;
			},
		});
		await lane.addSpliced(3);
		expect(() => lane.process(batch(500n, "1"))).toThrow();
		expect(lane.table.laneWorkingOn(0)).toBe(NO_SLOT);
		error = new Error("a bug");
		expect(() => lane.process(batch(500n, "1"))).toThrow("a bug");
		expect(lane.table.laneWorkingOn(0)).toBe(3);
	});

	it("is the shape whose match is being applied", async () => {
		class Watching extends FakeMatcher {
			readonly seen: number[] = [];
			override match(...args: Parameters<FakeMatcher["match"]>): void {
				const [oid, oldTuple, newTuple, sink] = args;
				super.match(oid, oldTuple, newTuple, (slot, inOld, inNew) => {
					sink(slot, inOld, inNew);
					this.seen.push(lane.table.laneWorkingOn(0));
				});
			}
		}
		const matcher = new Watching();
		const lane = fixture({ matcher });
		await lane.addSpliced(3);
		await lane.addSpliced(5);
		lane.process(batch(500n, "1"));
		expect(matcher.seen).toEqual([3, 5]);
	});
});
