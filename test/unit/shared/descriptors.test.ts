/**
 * The process's descriptors are shared out so that the shares together stay below the limit.
 */

import { describe, expect, it } from "vitest";
import { connectionsMax, descriptorLimit, openLogsMax } from "../../../src/shared/descriptors.ts";

describe("the share of the logs", () => {
	it("leaves room for the rest of the process and divides by the lanes", () => {
		expect(openLogsMax(1024, 1)).toBe(192);
		expect(openLogsMax(1024, 4)).toBe(48);
		expect(openLogsMax(100, 4)).toBe(8);
		expect(openLogsMax(Number.MAX_SAFE_INTEGER, 1)).toBe(65_536);
	});
});

describe("the share of connections", () => {
	it("is what the logs leave, divided by the HTTP threads, and never nothing", () => {
		expect(connectionsMax(1024, 1)).toBe(384);
		expect(connectionsMax(1024, 4)).toBe(96);
		expect(connectionsMax(100, 1)).toBe(153);
		expect(connectionsMax(100, 64)).toBe(32);
	});

	it("stays, together with the logs, below the limit", () => {
		for (const limit of [1024, 4096, 65_536, 1_048_576]) {
			expect(connectionsMax(limit, 1) + 2 * openLogsMax(limit, 1)).toBeLessThan(limit);
		}
	});
});

it("knows the limit of this process", () => {
	expect(descriptorLimit()).toBeGreaterThan(0);
});
