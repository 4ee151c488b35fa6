/** Which shapes expire: the decision, and what the shell does with the times it finds. */

import { describe, expect, it } from "vitest";
import { SHAPE_IN_USE_SECONDS, SHAPE_RETURN_SECONDS } from "../../../../src/shared/limits.ts";
import { createLogger } from "../../../../src/shared/logging.ts";
import { ShapeTable, SLOT_ACTIVE } from "../../../../src/shared/shape-table.ts";
import { decideExpiry, ShapeExpiry } from "../../../../src/workers/registrar/expiry.ts";
import type { Shape } from "../../../../src/workers/registrar/shape-registry.ts";

const NOW = 10_000;
const RULES = { maxShapes: 0, idleSeconds: 0, startedSeconds: 0 };

/** Positions that expire, of shapes that were read so many seconds ago (null: being made). */
function expired(ages: readonly (number | null)[], rules: Partial<typeof RULES>) {
	return decideExpiry(
		ages.map((age) => ({ lastRead: age === null ? null : NOW - age })),
		{ ...RULES, ...rules },
		NOW,
	);
}

describe("a shape expires", () => {
	it("never without a limit", () => {
		expect(expired([9_000, 100, 0], {})).toEqual({ idle: [], surplus: [], unexpirable: 0 });
	});

	it("when there are too many and it was read least recently", () => {
		expect(expired([100, 300, 200, 400], { maxShapes: 2 })).toEqual({ idle: [], surplus: [3, 1], unexpirable: 0 });
		expect(expired([100, 300], { maxShapes: 2 }).surplus).toEqual([]);
	});

	it("when it was idle for long enough, which makes room for the others", () => {
		expect(expired([59, 60, 3_600], { idleSeconds: 60 })).toMatchObject({ idle: [2, 1], surplus: [] });
		expect(expired([59, 61, 30], { idleSeconds: 60, maxShapes: 2 })).toMatchObject({ idle: [1], surplus: [] });
	});

	it("not while it is read or made, whatever the limits", () => {
		const ages = [SHAPE_IN_USE_SECONDS - 1, 0, null, null];
		expect(expired(ages, { maxShapes: 1, idleSeconds: 1 })).toEqual({ idle: [], surplus: [], unexpirable: 3 });
	});

	it("not after a restart before its readers had time to come back", () => {
		const soon = { startedSeconds: NOW - SHAPE_RETURN_SECONDS + 1 };
		expect(expired([500, 400], { maxShapes: 1, ...soon }).surplus).toEqual([]);
		expect(expired([500, 20, 30], { maxShapes: 1, ...soon })).toMatchObject({ surplus: [2, 1], unexpirable: 0 });
		const later = { startedSeconds: NOW - SHAPE_RETURN_SECONDS };
		expect(expired([500, 400], { maxShapes: 1, ...later }).surplus).toEqual([0]);
	});

	it("for being idle only by the time that it could be read", () => {
		const rules = { idleSeconds: 100, startedSeconds: NOW - 99 };
		expect(expired([5_000], rules).idle).toEqual([]);
		expect(expired([5_000], { ...rules, startedSeconds: NOW - 100 }).idle).toEqual([0]);
	});
});

describe("the shell", () => {
	function room(options: { maxShapes?: number; idleSeconds?: number; reads?: Map<string, number> } = {}) {
		const table = ShapeTable.create();
		const clock = { seconds: 1_000, unix: 1_700_000_000 };
		const shapes: Shape[] = [];
		const stored: { handle: string; lastRead: number }[][] = [];
		const removed: string[] = [];
		const expiry = new ShapeExpiry({
			table,
			shapes: {
				all: () => shapes,
				remove: async (shape) => {
					removed.push(shape.handle);
					shapes.splice(shapes.indexOf(shape), 1);
				},
			},
			catalogue: {
				lastReads: () => options.reads ?? new Map(),
				storeReads: async (reads) => {
					stored.push(reads.map(({ handle, lastRead }) => ({ handle, lastRead })));
				},
			},
			logger: createLogger("silent", "test"),
			maxShapes: options.maxShapes ?? 0,
			idleSeconds: options.idleSeconds ?? 0,
			enabled: () => true,
			clockSeconds: () => clock.seconds,
			unixSeconds: () => clock.unix,
		});
		const add = (handle: string, state: Shape["state"] = "active"): Shape => {
			const slot = shapes.length;
			table.assign(slot, 0, SLOT_ACTIVE);
			table.markRead(slot, clock.seconds);
			const shape = { handle, slot, state } as Shape;
			shapes.push(shape);
			return shape;
		};
		const pass = (seconds: number): void => {
			clock.seconds += seconds;
			clock.unix += seconds;
			expiry.look();
		};
		return { table, clock, expiry, add, pass, stored, removed };
	}

	it("drops what is read least, and keeps what is marked", () => {
		const { add, pass, removed, table } = room({ maxShapes: 1 });
		add("old");
		const read = add("read");
		pass(1);
		expect(removed).toEqual([]);
		table.markRead(read.slot, 1_009);
		pass(9);
		expect(removed).toEqual(["old"]);
	});

	it("writes down when shapes were read, once a minute, what has changed, by the calendar", async () => {
		const { add, pass, stored, expiry, table } = room({ idleSeconds: 100_000 });
		const one = add("1-1");
		add("2-1");
		add("3-1", "creating");
		pass(59);
		pass(1);
		await expiry.stop();
		expect(stored).toEqual([
			[
				{ handle: "1-1", lastRead: 1_700_000_000 },
				{ handle: "2-1", lastRead: 1_700_000_000 },
			],
		]);
		table.markRead(one.slot, 1_060);
		pass(60);
		await expiry.stop();
		expect(stored[1]).toEqual([{ handle: "1-1", lastRead: 1_700_000_060 }]);
	});

	it("gives shapes of an earlier run the age that they had, and none a read in the future", () => {
		const reads = new Map([
			["1-1", 1_699_999_000],
			["2-1", 1_800_000_000],
		]);
		const { add, expiry, table } = room({ maxShapes: 1, reads });
		const [old, future, unknown, read] = [add("1-1"), add("2-1"), add("3-1"), add("1-1")];
		for (const { slot } of [old, future, unknown]) {
			table.markRead(slot, 0);
		}
		// Of a daemon that read along until now: its own readers count.
		table.markRead(read.slot, 900);
		expiry.restore();
		expect([old, future, unknown, read].map(({ slot }) => table.lastRead(slot))).toEqual([0, 1_000, 999, 900]);
	});

	it("does nothing when there is no limit", async () => {
		const { add, expiry, stored } = room({ reads: new Map([["1-1", 5]]) });
		add("1-1");
		expiry.restore();
		expiry.start();
		await expiry.stop();
		expect(stored).toEqual([]);
	});
});
