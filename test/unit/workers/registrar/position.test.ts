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
	walLsn: 200n,
	timelineHistory: [],
};
const FAILOVER = { timeline: 2, timelineHistory: [{ timeline: 1, switchLsn: 150n }] };

describe("the position", () => {
	it.each([
		["the slot stands where we acknowledged", {}, { startLsn: 100n, purge: null }],
		["the slot fell back over a crash", { confirmedFlushLsn: 7n }, { startLsn: 100n, purge: null }],
		["the server's WAL ends where we acknowledged", { walLsn: 100n }, { startLsn: 100n, purge: null }],
		[
			"the server's WAL ends below what we acknowledged",
			{ walLsn: 99n, confirmedFlushLsn: 60n },
			{ startLsn: 60n, purge: "server-behind" },
		],
		["the slot is past us", { confirmedFlushLsn: 101n }, { startLsn: 101n, purge: "slot-moved" }],
		["the slot is new", { slotCreated: true, confirmedFlushLsn: 50n }, { startLsn: 50n, purge: "slot-created" }],
		[
			"the cluster is another",
			{ systemIdentifier: "2", confirmedFlushLsn: 5n },
			{ startLsn: 5n, purge: "other-cluster" },
		],
		["the slot has another name", { slotName: "t", confirmedFlushLsn: 5n }, { startLsn: 5n, purge: "other-slot" }],
	] as const)("is right when %s", (_name, change, decision) => {
		expect(decidePosition(STORED, { ...FACTS, ...change }, null)).toEqual(decision);
	});

	it.each([
		["left our timeline above all that we received", 150n, FAILOVER, null],
		["left our timeline above what was acknowledged, below what we received", 151n, FAILOVER, "timeline-diverged"],
		["left our timeline while this process was not running", null, FAILOVER, "timeline-diverged"],
		[
			"never was on our timeline",
			100n,
			{ timeline: 3, timelineHistory: FAILOVER.timelineHistory.slice(1) },
			"timeline-diverged",
		],
		["cannot say where it left our timeline", 100n, { ...FAILOVER, timelineHistory: null }, "timeline-diverged"],
		["is on our timeline, but has lost what we received", 201n, {}, "server-behind"],
		["is on our timeline and holds what we received", 200n, {}, null],
	] as const)("is judged by what we received when the server %s", (_name, receivedLsn, change, purge) => {
		expect(decidePosition(STORED, { ...FACTS, ...change }, receivedLsn).purge).toBe(purge);
	});

	it("starts at the slot, with a purge, when none is stored", () => {
		expect(decidePosition(null, { ...FACTS, confirmedFlushLsn: 9n }, null)).toEqual({
			startLsn: 9n,
			purge: "no-position",
		});
	});
});
