/**
 * Waits for a condition by asking again and again, with a deadline and a message. For what announces itself
 * by no event (the server's views, a file); prefer an event where there is one. Called by tests.
 */

import { setTimeout as delay } from "node:timers/promises";

export interface WaitOptions {
	/** Default 10 s. */
	readonly timeoutMs?: number;
	/** Default 20 ms. */
	readonly intervalMs?: number;
}

/**
 * The first value of `probe` that is neither false, null nor undefined. A probe that throws counts as "not yet".
 * @throws Error that names `what`, the last answer and the last error
 */
export async function waitFor<T>(
	what: string,
	probe: () => T | false | null | undefined | Promise<T | false | null | undefined>,
	options: WaitOptions = {},
): Promise<T> {
	const timeoutMs = options.timeoutMs ?? 10_000;
	const deadline = Date.now() + timeoutMs;
	let answer: unknown;
	let problem: unknown;
	for (;;) {
		try {
			const value = await probe();
			if (value !== false && value !== null && value !== undefined) {
				return value;
			}
			answer = value;
			problem = undefined;
		} catch (error) {
			problem = error;
		}
		if (Date.now() >= deadline) {
			const last = problem === undefined ? `the last answer was ${String(answer)}` : `the last try threw`;
			throw new Error(`waited ${timeoutMs} ms for ${what}: ${last}`, { cause: problem });
		}
		await delay(options.intervalMs ?? 20);
	}
}
