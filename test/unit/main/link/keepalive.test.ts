import { describe, expect, it } from "vitest";
import { decideTick, type LivenessState, livenessTimings } from "../../../../src/main/link/keepalive.ts";

describe("livenessTimings", () => {
	it.each([
		[60_000, 15_000],
		[45_000, 15_000],
		[30_000, 10_000],
		[3_000, 1_000],
		[5_000, 1_666],
		[1, 1],
		[3_600_000, 15_000],
	])("sends a third of wal_sender_timeout %d ms, capped: every %d ms", (timeoutMs, intervalMs) => {
		expect(livenessTimings(timeoutMs).intervalMs).toBe(intervalMs);
	});

	it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])(
		"takes %d as a server that never times out, and sends",
		(setting) => {
			expect(livenessTimings(setting)).toEqual({ intervalMs: 15_000, silenceLimitMs: 30_000, lateMs: 30_000 });
		},
	);

	it("calls a peer dead after wal_sender_timeout, and after a minute when that is longer", () => {
		expect(livenessTimings(3_000).silenceLimitMs).toBe(3_000);
		expect(livenessTimings(60_000).silenceLimitMs).toBe(60_000);
		expect(livenessTimings(3_600_000).silenceLimitMs).toBe(60_000);
	});
});

describe("decideTick with wal_sender_timeout 60 s", () => {
	const timings = livenessTimings(60_000);
	const state = (change: Partial<LivenessState>): LivenessState => ({
		nowMs: 100_000,
		dueMs: 100_000,
		lastInboundMs: 99_000,
		windowStartMs: 0,
		firstAskMs: null,
		paused: false,
		...change,
	});

	it("asks nothing of a peer that was heard within the interval", () => {
		expect(decideTick(state({}), timings)).toEqual({ askReply: false, silent: false, late: false });
	});

	it("asks for a reply after an interval of silence", () => {
		expect(decideTick(state({ lastInboundMs: 85_000 }), timings)).toEqual({
			askReply: true,
			silent: false,
			late: false,
		});
	});

	it("goes on asking while the silence is not long enough", () => {
		const decision = decideTick(state({ lastInboundMs: 41_000, firstAskMs: 56_000 }), timings);
		expect(decision).toEqual({ askReply: true, silent: false, late: false });
	});

	it("calls the peer dead when it was asked and stayed silent to the limit", () => {
		expect(decideTick(state({ lastInboundMs: 40_000, firstAskMs: 55_000 }), timings).silent).toBe(true);
	});

	it("never calls a peer dead that was not asked", () => {
		expect(decideTick(state({ lastInboundMs: 0, firstAskMs: null }), timings).silent).toBe(false);
	});

	it("never calls a peer dead that was asked only just now", () => {
		expect(decideTick(state({ lastInboundMs: 0, firstAskMs: 99_999 }), timings).silent).toBe(false);
	});

	it("neither asks nor judges while paused: the silence is ours", () => {
		const decision = decideTick(state({ lastInboundMs: 0, firstAskMs: 10_000, paused: true }), timings);
		expect(decision).toEqual({ askReply: false, silent: false, late: false });
	});

	it("starts the window anew at the resume, so that the first tick after a long pause kills nothing", () => {
		const decision = decideTick(state({ lastInboundMs: 0, windowStartMs: 99_000, firstAskMs: null }), timings);
		expect(decision).toEqual({ askReply: false, silent: false, late: false });
	});

	it("leaves the judgement to the next tick when this one came too late: bytes may be waiting", () => {
		const decision = decideTick(state({ dueMs: 39_000, lastInboundMs: 20_000, firstAskMs: 24_000 }), timings);
		expect(decision).toEqual({ askReply: true, silent: false, late: true });
	});

	it("does not call an ordinary delay late", () => {
		expect(decideTick(state({ dueMs: 40_000 }), timings).late).toBe(false);
		expect(decideTick(state({ dueMs: 39_999 }), timings).late).toBe(true);
	});
});
