/**
 * When the next checkpoint begins: a pure function of what the last one took. Owns the bound on how much of the
 * disk's time syncing may take; with ten thousand logs a checkpoint takes seconds. Called by the shell.
 */

import { CHECKPOINT_INTERVAL_MS, CHECKPOINT_REST_MAX_MS } from "../../shared/limits.ts";

/** The rest after a checkpoint, as a multiple of its duration. */
const REST_FACTOR = 4;

/** From the end of a checkpoint that took `lastMs` to the beginning of the next one. */
export function checkpointDelayMs(lastMs: number): number {
	return Math.max(CHECKPOINT_INTERVAL_MS, Math.min(REST_FACTOR * lastMs, CHECKPOINT_REST_MAX_MS));
}
