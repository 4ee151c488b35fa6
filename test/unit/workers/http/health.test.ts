/** Health: the body that clients know, and beside it whether what is served is fresh. */

import { describe, expect, it } from "vitest";
import { LEVEL_ACTIVE, LEVEL_READ_ONLY, LEVEL_STARTING } from "../../../../src/shared/shape-table.ts";
import { PROGRESS_STATES, type ProgressState, type Status } from "../../../../src/shared/status.ts";
import { adminHealthOf, healthOf } from "../../../../src/workers/http/health.ts";

function statusWith(state: ProgressState, ageMs: number): Status {
	return { progress: { state, cause: "lane 0 is suspended", ageMs, sinceLsn: "0/5" }, wal: null } as unknown as Status;
}

const streaming = PROGRESS_STATES.indexOf("streaming");

describe("health", () => {
	it("keeps status and body as clients know them, whatever the progress", () => {
		for (const progress of PROGRESS_STATES.keys()) {
			expect(healthOf(LEVEL_ACTIVE, progress)).toMatchObject({ status: 200, body: '{"status":"active"}' });
			expect(healthOf(LEVEL_READ_ONLY, progress)).toMatchObject({ status: 202, body: '{"status":"waiting"}' });
			expect(healthOf(LEVEL_STARTING, progress)).toMatchObject({ status: 202, body: '{"status":"starting"}' });
		}
	});

	it("tells stale from fresh in a header", () => {
		expect(healthOf(LEVEL_ACTIVE, streaming).headers).toMatchObject({ "sluice-progress": "streaming" });
		const stalled = healthOf(LEVEL_ACTIVE, PROGRESS_STATES.indexOf("stalled"));
		expect(stalled.headers).toMatchObject({ "sluice-progress": "stalled" });
		// Nobody has looked yet.
		expect(healthOf(LEVEL_STARTING, 0).headers).toMatchObject({ "sluice-progress": "blind" });
	});

	it("says on the admin port since when, from where and why", () => {
		const health = adminHealthOf(healthOf(LEVEL_ACTIVE, streaming), statusWith("stalled", 12_000), null);
		expect(health.status).toBe(200);
		expect(JSON.parse(health.body)).toMatchObject({
			status: "active",
			staleMs: 12_000,
			progress: { state: "stalled", cause: "lane 0 is suspended", sinceLsn: "0/5" },
		});
	});

	it("answers 503 on the admin port when it is staler than the caller accepts, or main does not answer", () => {
		const active = healthOf(LEVEL_ACTIVE, streaming);
		expect(adminHealthOf(active, statusWith("stalled", 12_000), 10_000).status).toBe(503);
		expect(adminHealthOf(active, statusWith("stalled", 9_000), 10_000).status).toBe(200);
		expect(adminHealthOf(active, statusWith("streaming", 1e9), 0).status).toBe(200);
		expect(adminHealthOf(active, null, 10_000).status).toBe(503);
		expect(adminHealthOf(healthOf(LEVEL_READ_ONLY, streaming), statusWith("blind", 1e9), 0).status).toBe(202);
	});
});
