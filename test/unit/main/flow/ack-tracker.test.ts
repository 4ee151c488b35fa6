/** What may be acknowledged (replication.md 3). */

import { describe, expect, it } from "vitest";
import { AckTracker } from "../../../../src/main/flow/ack-tracker.ts";

function streaming(lanes = 2): AckTracker {
	const tracker = new AckTracker(lanes);
	tracker.begin(100n, 1, true);
	return tracker;
}

function transaction(tracker: AckTracker, endLsn: bigint): void {
	tracker.transactionBegins();
	tracker.transactionEnds(endLsn);
}

describe("AckTracker", () => {
	it("acknowledges exactly the end of a transaction once every lane has it durable", () => {
		const tracker = streaming();
		transaction(tracker, 200n);
		expect(tracker.flushLsn()).toBe(100n);
		tracker.durable(0, 200n, 1);
		expect(tracker.flushLsn()).toBe(100n);
		tracker.durable(1, 200n, 1);
		expect(tracker.flushLsn()).toBe(200n);
	});

	it("acknowledges a keepalive's WAL end, unchanged, when nothing is outstanding", () => {
		const tracker = streaming();
		tracker.keepalive(300n);
		expect(tracker.flushLsn()).toBe(300n);
	});

	it("never lets a keepalive pass a transaction that is not durable", () => {
		const tracker = streaming();
		transaction(tracker, 200n);
		tracker.keepalive(900n);
		expect(tracker.flushLsn()).toBe(100n);
		tracker.durable(0, 200n, 1);
		tracker.durable(1, 200n, 1);
		expect(tracker.flushLsn()).toBe(900n);
	});

	it("does not count a keepalive inside a transaction", () => {
		const tracker = streaming();
		tracker.transactionBegins();
		tracker.keepalive(900n);
		expect(tracker.flushLsn()).toBe(100n);
		tracker.transactionEnds(950n);
		expect(tracker.received).toBe(950n);
	});

	it("stops at the first of two transactions while only that one is durable", () => {
		const tracker = streaming(1);
		transaction(tracker, 200n);
		transaction(tracker, 300n);
		tracker.durable(0, 200n, 1);
		expect(tracker.flushLsn()).toBe(200n);
		tracker.durable(0, 300n, 1);
		expect(tracker.flushLsn()).toBe(300n);
	});

	it("never acknowledges beyond what was received, whatever a lane reports", () => {
		const tracker = streaming(1);
		transaction(tracker, 200n);
		tracker.durable(0, 99_999n, 1);
		expect(tracker.flushLsn()).toBe(200n);
	});

	it("never moves back", () => {
		const tracker = streaming(1);
		tracker.keepalive(300n);
		tracker.flushLsn();
		tracker.begin(150n, 2, false);
		transaction(tracker, 350n);
		expect(tracker.flushLsn()).toBe(300n);
	});

	it("is settled again after a cut transaction, which will be sent once more", () => {
		const tracker = streaming(1);
		tracker.transactionBegins();
		tracker.transactionCut();
		expect(tracker.settled).toBe(true);
	});

	it("ignores reports from before a purge: they belong to another life of the slot", () => {
		const tracker = streaming(1);
		tracker.durable(0, 5_000n, 1);
		tracker.begin(10n, 2, true);
		tracker.durable(0, 5_000n, 1);
		transaction(tracker, 20n);
		expect(tracker.flushLsn()).toBe(10n);
		tracker.durable(0, 20n, 2);
		expect(tracker.flushLsn()).toBe(20n);
	});

	it("keeps positions near 2^64 exact", () => {
		const tracker = new AckTracker(1);
		const top = 0xffff_ffff_ffff_fff0n;
		tracker.begin(top, 1, true);
		tracker.keepalive(top + 7n);
		expect(tracker.flushLsn()).toBe(0xffff_ffff_ffff_fff7n);
	});
});
