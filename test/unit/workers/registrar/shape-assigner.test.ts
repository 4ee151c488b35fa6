/**
 * Shapes keep their lane over restarts and are spread over all lanes; waits grow and are spread too.
 */

import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { backoffMs, waitMs } from "../../../../src/workers/registrar/backoff.ts";
import { laneOfShape } from "../../../../src/workers/registrar/shape-assigner.ts";

describe("the lane of a shape", () => {
	it("is the same each time, and every lane gets its part", () => {
		const counts = [0, 0, 0, 0];
		for (let index = 0; index < 4_000; index += 1) {
			const identity = createHash("sha256").update(String(index)).digest("hex");
			const lane = laneOfShape(identity, 4);
			expect(laneOfShape(identity, 4)).toBe(lane);
			counts[lane] = (counts[lane] ?? 0) + 1;
		}
		expect(Math.min(...counts)).toBeGreaterThan(800);
	});
});

describe("backoff", () => {
	it("doubles up to its maximum and gives away at most half", () => {
		const shape = { firstMs: 100, maxMs: 1_000 };
		expect([0, 1, 2, 3, 4, 400].map((attempt) => backoffMs(attempt, shape, 0))).toEqual([
			100, 200, 400, 800, 1_000, 1_000,
		]);
		expect(backoffMs(0, shape, 0.999)).toBeGreaterThan(50);
	});

	it("ends at once when it is cancelled", async () => {
		const abort = new AbortController();
		const waiting = waitMs(60_000, abort.signal);
		abort.abort();
		await waiting;
		await waitMs(60_000, abort.signal);
	});
});
