/** The delays between two links, and the wait that can be ended. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { retryDelayMs, stayAwayMs, Wait } from "../../../src/main/between-links.ts";

const NEVER = Number.POSITIVE_INFINITY;

describe("the delay after a failure", () => {
	it("doubles from half a second and stays at ten seconds", () => {
		const delays = [0, 1, 2, 3, 4, 5, 60].map((attempt) => retryDelayMs(attempt, false, 0.5));
		expect(delays).toEqual([500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
	});

	it("is ten seconds from the first attempt where an operator has to act", () => {
		expect(retryDelayMs(0, true, 0.5)).toBe(10_000);
	});

	it("has a fifth of jitter to both sides", () => {
		expect(retryDelayMs(0, false, 0)).toBe(400);
		expect(retryDelayMs(0, false, 0.999_999)).toBe(600);
	});
});

describe("a link that was given up on purpose", () => {
	it("may be made again once there is room and nothing forbids it", () => {
		expect(stayAwayMs({ isForbidden: false, isPaused: false, idleLeftMs: NEVER })).toBeNull();
	});

	it("stays away while there is no room, and looks every ten seconds", () => {
		expect(stayAwayMs({ isForbidden: false, isPaused: true, idleLeftMs: NEVER })).toBe(10_000);
	});

	it("comes back without room when the slot would be invalidated for being idle", () => {
		expect(stayAwayMs({ isForbidden: false, isPaused: true, idleLeftMs: 3_000 })).toBe(3_000);
		expect(stayAwayMs({ isForbidden: false, isPaused: true, idleLeftMs: 0 })).toBeNull();
	});

	it.each([
		[true, NEVER],
		[true, 0],
		[false, NEVER],
		[false, 0],
	])("stays away while it is forbidden (without room: %s, %s ms left)", (isPaused, idleLeftMs) => {
		expect(stayAwayMs({ isForbidden: true, isPaused, idleLeftMs })).toBe(10_000);
	});
});

describe("a wait", () => {
	beforeEach(() => {
		vi.useFakeTimers();
	});
	afterEach(() => {
		vi.useRealTimers();
	});

	it("lasts its time", async () => {
		let isOver = false;
		const over = new Wait().for(1_000).then(() => {
			isOver = true;
		});
		await vi.advanceTimersByTimeAsync(999);
		expect(isOver).toBe(false);
		await vi.advanceTimersByTimeAsync(1);
		expect(isOver).toBe(true);
		await over;
	});

	it("ends at once when it is ended, and leaves no timer", async () => {
		const wait = new Wait();
		const over = wait.for(1_000);
		wait.end();
		await over;
		expect(vi.getTimerCount()).toBe(0);
	});

	it("is not shortened by an end that came before it", async () => {
		const wait = new Wait();
		wait.end();
		let isOver = false;
		void wait.for(1_000).then(() => {
			isOver = true;
		});
		await vi.advanceTimersByTimeAsync(999);
		expect(isOver).toBe(false);
		expect(vi.getTimerCount()).toBe(1);
	});
});
