/** Retained WAL: how fast, until when, and whose doing. */

import { describe, expect, it } from "vitest";
import {
	describeRetention,
	RetainedWalWindow,
	retentionCause,
	retentionWarnings,
	timeLeftMs,
} from "../../../../src/main/progress/retained-wal.ts";
import { CATALOG_XMIN_AGE_WARN, RETAINED_WAL_WARN_BYTES } from "../../../../src/shared/limits.ts";
import type { ServerObservation } from "../../../../src/shared/messages.ts";

const MIB = 1024 * 1024;

const server: ServerObservation = {
	walStatus: "reserved",
	safeWalBytes: null,
	retainedWalBytes: 16 * MIB,
	unacknowledgedWalBytes: 0,
	catalogXminAge: 100,
	oldestTransaction: null,
	idleSlotTimeoutMs: null,
	walsenderActive: true,
	walsenderWaitEvent: "WalSenderWaitForWal",
	syncState: "async",
	walLsn: 0n,
};

describe("the slope", () => {
	it("is bytes a second between the oldest and the newest sample of the last minutes", () => {
		const window = new RetainedWalWindow();
		expect(window.bytesPerSecond).toBeNull();
		window.add(0, 1_000);
		window.add(2_000, 3_000);
		expect(window.bytesPerSecond).toBeNull();
		window.add(10_000, 11_000);
		expect(window.bytesPerSecond).toBe(1_000);
		window.add(900_000, 11_000);
		expect(window.bytesPerSecond).toBeNull();
		window.add(920_000, 1_000);
		expect(window.bytesPerSecond).toBe(-500);
	});

	it("leaves a time only when it grows towards a limit", () => {
		expect(timeLeftMs(1_000_000, 1_000)).toBe(1_000_000);
		expect(timeLeftMs(-5, 1_000)).toBe(0);
		for (const [safe, slope] of [
			[null, 1_000],
			[1_000, null],
			[1_000, 0],
			[1_000, -3],
		] as const) {
			expect(timeLeftMs(safe, slope)).toBeNull();
		}
	});
});

describe("F22: the cause of retained WAL", () => {
	it("is Sluice when most of it is not acknowledged", () => {
		expect(retentionCause({ ...server, unacknowledgedWalBytes: 8 * MIB })).toBe("sluice");
	});

	it("is an old transaction when all is acknowledged and one is open for long", () => {
		const oldestTransaction = { pid: 7, ageMs: 120_000 };
		expect(retentionCause({ ...server, oldestTransaction })).toBe("transaction");
		expect(retentionCause({ ...server, oldestTransaction: { pid: 7, ageMs: 500 } })).toBe("idle");
	});

	it("is the idle server otherwise, also when there is no slot", () => {
		expect(retentionCause(server)).toBe("idle");
		expect(retentionCause({ ...server, unacknowledgedWalBytes: null, retainedWalBytes: 0 })).toBe("idle");
	});
});

describe("warnings", () => {
	const wal = describeRetention(server, new RetainedWalWindow());

	it("are none while little is kept", () => {
		expect(retentionWarnings(wal, "async")).toEqual([]);
		expect(retentionWarnings(null, null)).toEqual([]);
	});

	it("come with much WAL or little time, and say what to do about the cause", () => {
		const much = retentionWarnings({ ...(wal ?? fail()), retainedBytes: RETAINED_WAL_WARN_BYTES }, "async");
		expect(much).toMatchObject([{ kind: "idle", remedy: expect.stringContaining("CHECKPOINT") }]);
		const soon = retentionWarnings({ ...(wal ?? fail()), timeLeftMs: 60_000, cause: "transaction" }, "async");
		expect(soon).toMatchObject([{ kind: "transaction", message: expect.stringContaining("soon") }]);
	});

	it("F21: come when the slot keeps old catalogue rows", () => {
		const old = { ...(wal ?? fail()), catalogXminAge: CATALOG_XMIN_AGE_WARN };
		expect(retentionWarnings(old, "async")).toMatchObject([{ kind: "catalog-xmin" }]);
	});

	it.each(["sync", "quorum", "potential"])("F23: come when commits wait for Sluice: %s", (state) => {
		expect(retentionWarnings(wal, state)).toMatchObject([{ kind: "synchronous" }]);
	});
});

function fail(): never {
	throw new Error("there is an observation");
}
