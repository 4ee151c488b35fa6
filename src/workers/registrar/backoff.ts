/**
 * Waiting times between attempts, and one cancellable wait. Pure apart from the timer it owns; must never
 * decide whether to try again. Called by everything in the registrar that retries.
 */

import { setTimeout as delay } from "node:timers/promises";

export interface BackoffShape {
	readonly firstMs: number;
	readonly maxMs: number;
}

/**
 * Doubles from `firstMs` up to `maxMs`. `random` in [0, 1) takes away up to half, so that many waiters do not
 * come back together.
 */
export function backoffMs(attempt: number, shape: BackoffShape, random: number): number {
	const full = Math.min(shape.maxMs, shape.firstMs * 2 ** Math.min(attempt, 30));
	return full * (1 - random / 2);
}

/** Waits; ends early (without throwing) when `signal` is aborted. */
export async function waitMs(milliseconds: number, signal: AbortSignal): Promise<void> {
	try {
		await delay(milliseconds, undefined, { signal, ref: false });
	} catch (error) {
		if (!signal.aborted) {
			throw error;
		}
	}
}
