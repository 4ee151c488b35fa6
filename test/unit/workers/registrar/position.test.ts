/**
 * Where streaming starts, and when the shapes on disk cannot be continued (replication.md 3.5, 4.8).
 */

import { describe, expect, it } from "vitest";
import type { LinkFacts, StoredPosition } from "../../../../src/shared/messages.ts";
import { decidePosition } from "../../../../src/workers/registrar/position.ts";

const STORED: StoredPosition = { systemIdentifier: "1", timeline: 1, slotName: "s", acknowledgedLsn: 100n };
const FACTS: LinkFacts = {
	systemIdentifier: "1",
	timeline: 1,
	slotName: "s",
	slotCreated: false,
	confirmedFlushLsn: 100n,
};

describe("the position", () => {
	it.each([
		["the slot stands where we acknowledged", {}, { startLsn: 100n, purge: null }],
		["the slot fell back over a crash", { confirmedFlushLsn: 7n }, { startLsn: 100n, purge: null }],
		["only the timeline changed", { timeline: 2 }, { startLsn: 100n, purge: null }],
		["the slot is past us", { confirmedFlushLsn: 101n }, { startLsn: 101n, purge: "slot-moved" }],
		["the slot is new", { slotCreated: true, confirmedFlushLsn: 50n }, { startLsn: 50n, purge: "slot-created" }],
		[
			"the cluster is another",
			{ systemIdentifier: "2", confirmedFlushLsn: 5n },
			{ startLsn: 5n, purge: "other-cluster" },
		],
		["the slot has another name", { slotName: "t", confirmedFlushLsn: 5n }, { startLsn: 5n, purge: "other-slot" }],
	] as const)("is right when %s", (_name, change, decision) => {
		expect(decidePosition(STORED, { ...FACTS, ...change })).toEqual(decision);
	});

	it("starts at the slot, with a purge, when none is stored", () => {
		expect(decidePosition(null, { ...FACTS, confirmedFlushLsn: 9n })).toEqual({ startLsn: 9n, purge: "no-position" });
	});
});
