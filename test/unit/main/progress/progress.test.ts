/** Whether the service advances, and why not. */

import { describe, expect, it } from "vitest";
import {
	BEHIND_BYTES,
	judgeProgress,
	type ProgressObservation,
	STALLED_AFTER_MS,
} from "../../../../src/main/progress/progress.ts";

const well: ProgressObservation = {
	linkState: "streaming",
	linkStep: "streaming",
	lastErrorCode: null,
	pauseReasons: [],
	lanes: [{ id: 0, state: "running", waitingForMs: 0, retryCode: null }],
	probeProblem: null,
	behindBytes: 0,
};

describe("judgeProgress", () => {
	it("is streaming, without a cause, when all is well", () => {
		expect(judgeProgress(well)).toEqual({ state: "streaming", cause: null });
	});

	it("is blind while no connection streams, and names the rung and the error", () => {
		expect(
			judgeProgress({
				...well,
				linkState: "waiting",
				linkStep: "reconnecting",
				lastErrorCode: "SLUICE_LINK_UNREACHABLE",
			}),
		).toEqual({ state: "blind", cause: "reconnecting: SLUICE_LINK_UNREACHABLE" });
	});

	it("is backpressured while the socket is paused, and stalled once a lane has waited too long", () => {
		const paused: ProgressObservation = { ...well, pauseReasons: ["window"] };
		expect(judgeProgress(paused)).toEqual({ state: "backpressured", cause: "window" });
		expect(
			judgeProgress({
				...paused,
				lanes: [{ id: 1, state: "retrying", waitingForMs: STALLED_AFTER_MS, retryCode: "SLUICE_DISK_FULL" }],
			}),
		).toEqual({ state: "stalled", cause: "lane 1 is retrying: SLUICE_DISK_FULL" });
	});

	it("counts a lane that an operator has suspended as stalled, too: nothing advances", () => {
		expect(
			judgeProgress({ ...well, lanes: [{ id: 0, state: "suspended", waitingForMs: 60_000, retryCode: null }] }),
		).toEqual({ state: "stalled", cause: "lane 0 is suspended" });
	});

	it("says what a late probe means, unless something else explains it", () => {
		const probeProblem = { state: "blind", cause: "a probe does not come" } as const;
		expect(judgeProgress({ ...well, probeProblem })).toEqual(probeProblem);
		expect(judgeProgress({ ...well, probeProblem, pauseReasons: ["window"] }).state).toBe("backpressured");
	});

	it("is behind when the server has much more than we have received", () => {
		expect(judgeProgress({ ...well, behindBytes: BEHIND_BYTES }).state).toBe("behind");
	});
});
