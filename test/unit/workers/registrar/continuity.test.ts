/**
 * Which transactions may be missing from a snapshot although they were streamed: the rule without a database.
 */

import { describe, expect, it } from "vitest";
import type { SnapshotInfo } from "../../../../src/shared/shape-definition.ts";
import { mayBeCommitting, unfinishedBelow } from "../../../../src/workers/registrar/continuity.ts";

const snapshot = (xmax: number, ...xipList: number[]): SnapshotInfo => ({
	xmin: String(Math.min(xmax, ...xipList)),
	xmax: String(xmax),
	xipList: xipList.map(String),
	insertLsn: "0",
});

describe("transactions that a snapshot has in progress", () => {
	it.each([
		["nothing, once the boundary itself is over", snapshot(101), []],
		["nothing but younger ones", snapshot(110, 103, 105), []],
		["older ones", snapshot(110, 90, 99, 105), [90n, 99n]],
		["it cannot say, when it is older than the boundary", snapshot(100), null],
	] as const)("are %s", (_name, info, expected) => {
		expect(unfinishedBelow(info, 100n)).toEqual(expected);
	});

	it("may be committing unless their session is seen to do something else", () => {
		const epoch = 2n ** 32n;
		const sessions = [
			{ xid: "1", pid: 11, state: "idle in transaction", wait: "Client" },
			{ xid: "2", pid: 12, state: "active", wait: "IPC" },
			{ xid: "3", pid: 13, state: "active", wait: null },
			{ xid: "4", pid: 14, state: "active", wait: "Lock" },
			{ xid: "5", pid: 15, state: null, wait: null },
			{ xid: "7", pid: 17, state: "idle in transaction (aborted)", wait: "Client" },
		];
		const xids = [1n, 2n, 3n, 4n, 5n, 6n, 7n].map((xid) => epoch + xid);
		expect(mayBeCommitting(xids, sessions)).toEqual([
			{ xid: epoch + 2n, pid: 12 },
			{ xid: epoch + 3n, pid: 13 },
			{ xid: epoch + 5n, pid: 15 },
			{ xid: epoch + 6n, pid: null },
		]);
	});
});
