/**
 * Handles are never given out twice, whatever the clock does.
 */

import { describe, expect, it } from "vitest";
import { HandleSource } from "../../../../src/workers/registrar/handle-source.ts";

const IDENTITY = "ffffffff00";

describe("handles", () => {
	it("are a 27-bit hash and unix microseconds", () => {
		const handles = new HandleSource(0, () => {});
		expect(handles.next(IDENTITY, 1_700_000_000_000)).toBe("134217727-1700000000000000");
		expect(handles.next("0000001f", 1_700_000_000_000)).toBe("0-1700000000000001");
	});

	it("stay above everything given out before when the clock steps back and the process restarts", () => {
		let lease = 0;
		const store = (next: number): void => {
			lease = next;
		};
		const seen = new Set<string>();
		let last = 0;
		for (const nowMs of [5_000_000, 5_000_000, 4_000_000, 9_000_000, 1, 8_999_999]) {
			const handles = new HandleSource(lease, store);
			for (let count = 0; count < 50; count += 1) {
				const handle = handles.next(IDENTITY, nowMs);
				const us = Number(handle.split("-")[1]);
				expect(us).toBeGreaterThan(last);
				expect(us).toBeLessThanOrEqual(lease);
				last = us;
				seen.add(handle);
			}
		}
		expect(seen.size).toBe(300);
	});

	it("store a lease before it is used, and rarely", () => {
		let writes = 0;
		const handles = new HandleSource(0, () => {
			writes += 1;
		});
		for (let count = 0; count < 10_000; count += 1) {
			handles.next(IDENTITY, 1_000);
		}
		expect(writes).toBe(1);
		handles.next(IDENTITY, 60_000);
		expect(writes).toBe(2);
	});
});
