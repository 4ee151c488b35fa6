/** The probe: when one is written, what its lateness means, and when the link is made anew for it. */

import { describe, expect, it, vi } from "vitest";
import { decideProbe, Probe, type ProbeFacts, type ProbeView } from "../../../../src/main/progress/probe.ts";
import { PROBE_LATE_MS, PROBE_RECONNECT_AFTER_MS, PROBE_RECONNECT_MAX_MS } from "../../../../src/shared/limits.ts";
import { createLogger } from "../../../../src/shared/logging.ts";
import type { ProbeEmission } from "../../../../src/shared/messages.ts";

const quiet: ProbeFacts = {
	intervalMs: 30_000,
	unprovenForMs: 30_000,
	refusedForMs: null,
	canProbe: true,
	stage: null,
	stageForMs: 0,
	walsenderBusy: false,
	reconnects: 0,
};

describe("decideProbe", () => {
	it("writes one when nothing has come all the way for an interval, and only then", () => {
		expect(decideProbe(quiet)).toEqual({ emit: true, problem: null, reconnect: false });
		expect(decideProbe({ ...quiet, unprovenForMs: 29_999 }).emit).toBe(false);
		expect(decideProbe({ ...quiet, canProbe: false }).emit).toBe(false);
		expect(decideProbe({ ...quiet, intervalMs: 0, unprovenForMs: 1e9 }).emit).toBe(false);
		expect(decideProbe({ ...quiet, stage: "sent" }).emit).toBe(false);
	});

	it("asks rarely again where the role may not write one", () => {
		expect(decideProbe({ ...quiet, refusedForMs: 60_000 }).emit).toBe(false);
		expect(decideProbe({ ...quiet, refusedForMs: 31 * 60_000 }).emit).toBe(true);
	});

	it.each([
		["emitting", "blind"],
		["sent", "blind"],
		["received", "stalled"],
		["written", "stalled"],
	] as const)("a probe that stays %s for long means %s", (stage, state) => {
		expect(decideProbe({ ...quiet, stage, stageForMs: PROBE_LATE_MS - 1 }).problem).toBeNull();
		expect(decideProbe({ ...quiet, stage, stageForMs: PROBE_LATE_MS }).problem?.state).toBe(state);
	});

	it("has the link made anew for one that does not come, after twice as long each time, never in a loop", () => {
		const unseen: ProbeFacts = { ...quiet, stage: "sent", stageForMs: PROBE_RECONNECT_AFTER_MS };
		expect(decideProbe(unseen).reconnect).toBe(true);
		expect(decideProbe({ ...unseen, stageForMs: PROBE_RECONNECT_AFTER_MS - 1 }).reconnect).toBe(false);
		expect(decideProbe({ ...unseen, reconnects: 1 }).reconnect).toBe(false);
		expect(decideProbe({ ...unseen, reconnects: 1, stageForMs: 2 * PROBE_RECONNECT_AFTER_MS }).reconnect).toBe(true);
		expect(decideProbe({ ...unseen, reconnects: 1_000, stageForMs: PROBE_RECONNECT_MAX_MS }).reconnect).toBe(true);
		for (const other of [{ walsenderBusy: true }, { stage: "received" as const }, { canProbe: false }]) {
			expect(decideProbe({ ...unseen, stageForMs: 1e9, ...other }).reconnect).toBe(false);
		}
	});
});

function setUp(emission: ProbeEmission = { kind: "written" }) {
	const sent: string[] = [];
	const log = createLogger("silent", "test");
	const warn = vi.spyOn(log, "warn");
	const probe = new Probe({
		intervalMs: 1_000,
		instanceId: "life",
		emit: async (content) => {
			sent.push(content);
			return emission;
		},
		log,
	});
	let view: ProbeView = {
		nowMs: performance.now(),
		linkStreaming: true,
		paused: false,
		frameCount: 0,
		walsenderBusy: false,
		writtenByAll: 0,
		handedOutLsn: 0n,
		receivedLsn: 0n,
		acknowledgedLsn: 0n,
	};
	const look = (change: Partial<ProbeView>, afterMs = 0) => {
		view = { ...view, ...change, nowMs: view.nowMs + afterMs };
		return probe.look(view);
	};
	look({});
	return { probe, sent, look, warn };
}

describe("Probe", () => {
	it("is home when every lane has written its batch and its position is acknowledged", async () => {
		const { probe, sent, look } = setUp();
		look({}, 1_100);
		expect(sent).toEqual(["life:1"]);
		await vi.waitFor(() => expect(probe.status().stage).toBe("sent"));
		probe.received("life:1", 7, 500n);
		look({ writtenByAll: 6, acknowledgedLsn: 500n });
		expect(probe.status().stage).toBe("received");
		look({ writtenByAll: 7, acknowledgedLsn: 499n });
		expect(probe.status().stage).toBe("written");
		expect(probe.status().provenAgeMs).toBeNull();
		look({ acknowledgedLsn: 500n });
		expect(probe.status()).toMatchObject({ stage: null, sent: 1, lost: 0 });
		expect(probe.status().roundTripMs).toBeTypeOf("number");
		expect(probe.status().provenAgeMs).toBeTypeOf("number");
	});

	it("is not needed while transactions come all the way", () => {
		const { sent, look } = setUp();
		for (let lsn = 1n; lsn < 20n; lsn += 1n) {
			look({ handedOutLsn: lsn * 100n, acknowledgedLsn: (lsn - 1n) * 100n }, 900);
		}
		expect(sent).toEqual([]);
		look({}, 1_100);
		expect(sent).toHaveLength(1);
	});

	it("may come before the database has answered, and a stranger's or an old one counts for nothing", async () => {
		const { probe, look } = setUp();
		look({}, 1_100);
		probe.received("other-life:1", 3, 400n);
		expect(probe.status().stage).toBe("emitting");
		probe.received("life:1", 3, 400n);
		await Promise.resolve();
		expect(probe.status().stage).toBe("received");
	});

	it("counts no time against it while the socket is paused or the stream brings other things", async () => {
		const { probe, look } = setUp();
		look({}, 1_100);
		await vi.waitFor(() => expect(probe.status().stage).toBe("sent"));
		expect(look({ paused: true }, 100_000).problem).toBeNull();
		expect(look({ paused: false, frameCount: 5 }, 100_000).problem).toBeNull();
		expect(look({}, PROBE_LATE_MS + 1).problem?.state).toBe("blind");
	});

	it("is given up with its connection", async () => {
		const { probe, sent, look } = setUp();
		look({}, 1_100);
		await vi.waitFor(() => expect(probe.status().stage).toBe("sent"));
		expect(look({}, PROBE_RECONNECT_AFTER_MS + 1).reconnect).toBe(true);
		expect(probe.status()).toMatchObject({ stage: null, lost: 1 });
		look({ linkStreaming: false });
		look({ linkStreaming: true }, 100);
		expect(sent).toHaveLength(1);
		look({}, 1_100);
		expect(sent).toHaveLength(2);
	});

	it("says once that the role may not write it, and leaves it at that", async () => {
		const { probe, sent, look, warn } = setUp({ kind: "refused", sqlState: "42501" });
		look({}, 1_100);
		await vi.waitFor(() => expect(probe.status()).toMatchObject({ stage: null, refused: true }));
		look({}, 2_000);
		look({}, 2_000);
		expect(sent).toHaveLength(1);
		look({}, 70_000);
		await vi.waitFor(() => expect(probe.status().stage).toBeNull());
		expect(sent).toHaveLength(2);
		expect(warn).toHaveBeenCalledTimes(1);
	});
});
