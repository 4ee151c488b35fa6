/**
 * Planned faults fire where, when and as often as the plan says, and nowhere without one.
 */

import { describe, expect, it } from "vitest";
import { FaultInjector, type FaultPoint, NO_FAULTS } from "../../../src/shared/fault-points.ts";

function outcomes(injector: FaultInjector, point: FaultPoint, passes: number): string {
	return Array.from({ length: passes }, () => {
		try {
			injector.pass(point);
			return ".";
		} catch {
			return "x";
		}
	}).join("");
}

const full = { kind: "fail", systemCode: "ENOSPC" } as const;

describe("planned faults", () => {
	it("fire after the passes to skip, as often as planned", () => {
		const injector = new FaultInjector([{ point: "lane.log.write", action: full, skip: 2, times: 3 }], 0);
		expect(outcomes(injector, "lane.log.write", 8)).toBe("..xxx...");
	});

	it("fire once, in every lane and only at their point, when nothing else is said", () => {
		const injector = new FaultInjector([{ point: "lane.checkpoint", action: full }], 7);
		expect(outcomes(injector, "lane.log.write", 3)).toBe("...");
		expect(outcomes(injector, "lane.checkpoint", 3)).toBe("x..");
	});

	it("fire only in the lane that is named", () => {
		const plan = [{ point: "lane.checkpoint", action: full, lane: 1 }] as const;
		expect(outcomes(new FaultInjector(plan, 0), "lane.checkpoint", 2)).toBe("..");
		expect(outcomes(new FaultInjector(plan, 1), "lane.checkpoint", 2)).toBe("x.");
	});

	it("carry the system code that a full disk would", () => {
		const injector = new FaultInjector([{ point: "lane.log.write", action: full }], 0);
		expect(() => injector.pass("lane.log.write")).toThrow(expect.objectContaining({ code: "ENOSPC" }));
	});

	it("block the thread for the time that is planned", () => {
		const injector = new FaultInjector([{ point: "lane.batch.before", action: { kind: "block", durationMs: 60 } }], 0);
		const start = performance.now();
		injector.pass("lane.batch.before");
		expect(performance.now() - start).toBeGreaterThan(55);
	});

	it("are none in production", () => {
		expect(outcomes(new FaultInjector(NO_FAULTS, 0), "lane.log.write", 3)).toBe("...");
	});
});
