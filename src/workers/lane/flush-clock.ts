/**
 * When the group has to be written: keeps what flush-pacing.ts has to know, and the timer that makes sure that a
 * waiting group does not wait for the next batch. Owns the timer; must never write itself. Called by the shell.
 */

import { flushDelayMs } from "./flush-pacing.ts";

export interface FlushClockOptions {
	/** What a group may keep of main's window. */
	readonly windowBytesMax: number;
	/** Called when a wait is over; decides anew. */
	readonly due: () => void;
}

export class FlushClock {
	readonly #options: FlushClockOptions;
	#windowBytes = 0;
	#endedMs = Number.NEGATIVE_INFINITY;
	#timer: NodeJS.Timeout | null = null;
	/** Duration of the last flush. */
	lastMs = 0;

	constructor(options: FlushClockOptions) {
		this.#options = options;
	}

	/** A batch of so many bytes has joined the group. */
	joined(windowBytes: number): void {
		this.#windowBytes += windowBytes;
	}

	/** The group has ended: written, or given up. */
	ended(): void {
		this.#windowBytes = 0;
	}

	/** The group was written, since `startedMs` on the monotonic clock. */
	flushed(startedMs: number): void {
		this.#endedMs = performance.now();
		this.lastMs = this.#endedMs - startedMs;
	}

	/** Whether to write now. If not, and nothing else is going to ask, `due` will be called. */
	isDue(hasWork: boolean, heldBytes: number, moreQueued: boolean): boolean {
		const delayMs = flushDelayMs({
			hasWork,
			heldBytes,
			windowBytes: this.#windowBytes,
			windowBytesMax: this.#options.windowBytesMax,
			moreQueued,
			sinceFlushMs: performance.now() - this.#endedMs,
			lastFlushMs: this.lastMs,
		});
		if (delayMs > 0 && !moreQueued && this.#timer === null) {
			this.#timer = setTimeout(() => {
				this.#timer = null;
				this.#options.due();
			}, Math.ceil(delayMs));
		}
		return delayMs === 0;
	}

	close(): void {
		if (this.#timer !== null) {
			clearTimeout(this.#timer);
		}
	}
}
