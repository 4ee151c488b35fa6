/**
 * Why the socket is paused: a set of reasons, so that one cause cannot release another's pause. Owns the set;
 * must call its callbacks on the edges only (first reason in, last reason out). Called by the flow and the pool.
 */

import { invariant } from "../../shared/assert.ts";
import type { PauseReason } from "../../shared/status.ts";

export class PauseGate {
	readonly #reasons = new Set<PauseReason>();
	readonly #onPause: () => void;
	readonly #onResume: () => void;
	#pauses = 0;
	#pausedSinceMs = 0;

	constructor(onPause: () => void, onResume: () => void) {
		this.#onPause = onPause;
		this.#onResume = onResume;
	}

	get paused(): boolean {
		return this.#reasons.size > 0;
	}

	get reasons(): readonly PauseReason[] {
		return [...this.#reasons];
	}

	/** How often the gate went from open to paused. */
	get pauses(): number {
		return this.#pauses;
	}

	/** Since the pause began (monotonic clock); null while open. */
	pausedForMs(nowMs: number): number | null {
		return this.paused ? nowMs - this.#pausedSinceMs : null;
	}

	has(reason: PauseReason): boolean {
		return this.#reasons.has(reason);
	}

	/** Adds a reason that must not be there yet. */
	acquire(reason: PauseReason): void {
		invariant(!this.#reasons.has(reason), `pause reason ${reason} acquired twice`);
		this.#reasons.add(reason);
		if (this.#reasons.size === 1) {
			this.#pauses += 1;
			this.#pausedSinceMs = performance.now();
			this.#onPause();
		}
	}

	/** Takes away a reason that must be there. */
	release(reason: PauseReason): void {
		invariant(this.#reasons.delete(reason), `pause reason ${reason} released but not held`);
		if (this.#reasons.size === 0) {
			this.#onResume();
		}
	}

	/** Makes the reason present or absent; no change when it already is. */
	set(reason: PauseReason, present: boolean): void {
		if (present && !this.#reasons.has(reason)) {
			this.acquire(reason);
		} else if (!present && this.#reasons.has(reason)) {
			this.release(reason);
		}
	}
}
