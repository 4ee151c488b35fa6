/** E rows of docs/ACCEPTANCE.md: the level that each set of conditions makes, and what waiters are told. */

import { describe, expect, it } from "vitest";
import { type Condition, levelOf, StatusMonitor } from "../../../../src/main/status/status-monitor.ts";
import { LEVEL_ACTIVE, LEVEL_READ_ONLY, LEVEL_STARTING } from "../../../../src/shared/shape-table.ts";

const ALL: readonly Condition[] = ["catalogue", "http", "lanes", "lock", "link"];

function levelWithout(...missing: Condition[]) {
	return levelOf(new Set(ALL.filter((condition) => !missing.includes(condition))));
}

describe("levels", () => {
	it("E1: starting while nothing holds", () => {
		expect(levelOf(new Set())).toBe(LEVEL_STARTING);
	});

	it("E2: read-only when shapes can be read and somebody else has the lock", () => {
		expect(levelWithout("lock", "link")).toBe(LEVEL_READ_ONLY);
	});

	it("E3: not active with the lock while the link is not there", () => {
		expect(levelWithout("link")).not.toBe(LEVEL_ACTIVE);
	});

	it("E4, E7: starting while lanes or HTTP threads are not there, whatever else holds", () => {
		expect(levelWithout("lanes")).toBe(LEVEL_STARTING);
		expect(levelWithout("http")).toBe(LEVEL_STARTING);
		expect(levelWithout("catalogue")).toBe(LEVEL_STARTING);
	});

	it("E5: active with all of it", () => {
		expect(levelWithout()).toBe(LEVEL_ACTIVE);
	});

	it.each(ALL)("E6: loses its level with %s, and has it again with it", (condition) => {
		const levels: number[] = [];
		const monitor = new StatusMonitor((level) => levels.push(level));
		for (const each of ALL) {
			monitor.set(each, true);
		}
		expect(monitor.level).toBe(LEVEL_ACTIVE);
		monitor.set(condition, false);
		expect(monitor.level).not.toBe(LEVEL_ACTIVE);
		expect(monitor.missing).toBe(condition);
		monitor.set(condition, true);
		expect(monitor.level).toBe(LEVEL_ACTIVE);
	});

	it("E9: tells each waiter once, at its own level", async () => {
		const monitor = new StatusMonitor(() => undefined);
		const told: string[] = [];
		const readers = monitor.waitFor(LEVEL_READ_ONLY, { deadlineMs: 5_000 }).then(() => told.push("reader"));
		const maker = monitor.waitFor(LEVEL_ACTIVE, { deadlineMs: 5_000 }).then(() => told.push("maker"));
		for (const condition of ["catalogue", "http", "lanes"] as const) {
			monitor.set(condition, true);
		}
		await readers;
		expect(told).toEqual(["reader"]);
		monitor.set("lock", true);
		monitor.set("link", true);
		await maker;
		monitor.set("link", false);
		monitor.set("link", true);
		expect(told).toEqual(["reader", "maker"]);
	});
});
