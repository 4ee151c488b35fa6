/** The status monitor: levels and the one asynchronous wait. */

import { describe, expect, it } from "vitest";
import { type Condition, StatusMonitor } from "../../../../src/main/status/status-monitor.ts";
import { LEVEL_ACTIVE, LEVEL_READ_ONLY, LEVEL_STARTING } from "../../../../src/shared/shape-table.ts";

function withConditions(...conditions: Condition[]): StatusMonitor {
	const monitor = new StatusMonitor(() => undefined);
	for (const condition of conditions) {
		monitor.set(condition, true);
	}
	return monitor;
}

describe("StatusMonitor", () => {
	it("is starting until everything that reading needs is there", () => {
		expect(withConditions().level).toBe(LEVEL_STARTING);
		expect(withConditions("lock", "link").level).toBe(LEVEL_STARTING);
	});

	it("is read-only without the lock, starting with it, active with everything", () => {
		const monitor = withConditions("catalogue", "http", "lanes");
		expect(monitor.level).toBe(LEVEL_READ_ONLY);
		monitor.set("lock", true);
		expect(monitor.level).toBe(LEVEL_STARTING);
		monitor.set("link", true);
		expect(monitor.level).toBe(LEVEL_ACTIVE);
		monitor.set("link", false);
		expect(monitor.level).toBe(LEVEL_STARTING);
		expect(monitor.missing).toBe("link");
	});

	it("is read-only without lanes while another daemon is followed", () => {
		const monitor = withConditions("catalogue", "http", "following");
		expect(monitor.level).toBe(LEVEL_READ_ONLY);
		expect(withConditions("catalogue", "following").level).toBe(LEVEL_STARTING);
		monitor.set("lanes", true);
		monitor.set("following", false);
		expect(monitor.level).toBe(LEVEL_READ_ONLY);
		expect(withConditions("catalogue", "http", "following", "lock", "link").level).toBe(LEVEL_STARTING);
	});

	it("does not wake a waiter for active with read-only", async () => {
		const monitor = withConditions("catalogue", "http");
		let woken = false;
		const wait = monitor.waitFor(LEVEL_ACTIVE, { deadlineMs: 5_000 }).then(() => {
			woken = true;
		});
		monitor.set("lanes", true);
		await Promise.resolve();
		expect(woken).toBe(false);
		monitor.set("lock", true);
		monitor.set("link", true);
		await wait;
		expect(woken).toBe(true);
	});

	it("names the missing condition at the deadline", async () => {
		const monitor = withConditions("catalogue");
		await expect(monitor.waitFor(LEVEL_ACTIVE, { deadlineMs: 1 })).rejects.toMatchObject({
			code: "SLUICE_NOT_ACTIVE",
			context: { missing: "http" },
		});
	});

	it("rejects a cancelled wait with the signal's reason and forgets it", async () => {
		const monitor = withConditions();
		const controller = new AbortController();
		const wait = monitor.waitFor(LEVEL_ACTIVE, { deadlineMs: 5_000, signal: controller.signal });
		controller.abort(new Error("not needed any more"));
		await expect(wait).rejects.toThrow("not needed any more");
	});
});
