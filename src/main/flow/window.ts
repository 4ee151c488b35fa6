/**
 * The window: the batches that some lane has not yet written, and the shared memory they lie in. Owns the
 * segments and the queue of batches; must never hand out memory that a lane may still read. It decides
 * nothing: pressure is a pure function of its numbers. Called by the batcher (space), the pool (dispatch,
 * replay) and the pump (pressure).
 */

import { invariant, must } from "../../shared/assert.ts";
import { SEGMENT_BYTES } from "../../shared/limits.ts";

/** The transaction that is open at the end of a batch, as the next batch's header will name it. */
export interface OpenTransaction {
	readonly finalLsn: bigint;
	readonly commitTime: bigint;
	readonly xid: number;
	/** Row changes so far. */
	readonly changeCount: number;
}

/** A closed batch in the window. */
export interface WindowBatch {
	readonly sequence: number;
	/** Index of its shared segment, or -1 when it lies alone in `dedicated`. */
	readonly segment: number;
	readonly dedicated: SharedArrayBuffer | null;
	readonly byteOffset: number;
	readonly byteLength: number;
	/** end_lsn of its last Commit; 0n when it holds none. */
	readonly lastCommitEndLsn: bigint;
	/** Open at its end; null at a transaction border. */
	readonly openAfter: OpenTransaction | null;
}

/** Room to write one batch. */
export interface Region {
	readonly segment: number;
	readonly memory: SharedArrayBuffer;
	readonly byteOffset: number;
	readonly byteCapacity: number;
}

export interface Pressure {
	readonly freeSegments: number;
	readonly totalSegments: number;
	/** Room left in the segment that is being written. */
	readonly openRoomBytes: number;
	/** In batches too large for a segment. */
	readonly dedicatedBytes: number;
	/** Frames that found no room and wait outside the window. */
	readonly backlogBytes: number;
	readonly limitBytes: number;
}

/** What the fill of the window asks of the socket: "high" pauses, "low" resumes, "between" changes nothing. */
export type PressureVerdict = "high" | "between" | "low";

/** One read of the socket may bring this much beyond a decision to pause. */
const READ_RESERVE_BYTES = 256 * 1024;

/** Pure: two marks, so that the socket does not flap. */
export function judgePressure(pressure: Pressure): PressureVerdict {
	if (pressure.backlogBytes > 0 || pressure.dedicatedBytes >= pressure.limitBytes) {
		return "high";
	}
	if (pressure.freeSegments === 0 && pressure.openRoomBytes < READ_RESERVE_BYTES) {
		return "high";
	}
	const lowSegments = Math.max(1, Math.ceil(pressure.totalSegments / 2));
	return pressure.freeSegments >= lowSegments && pressure.dedicatedBytes < pressure.limitBytes / 2 ? "low" : "between";
}

export class Window {
	readonly segments: readonly SharedArrayBuffer[];
	/** Batches that lie in each segment, the one being written included. */
	readonly #liveBatches: number[];
	#current = -1;
	#currentPosition = 0;
	#regionOpen = false;
	#batches: WindowBatch[] = [];
	#head = 0;
	#batchBytes = 0;
	#dedicatedBytes = 0;

	/** @param limitBytes rounded down to whole segments, at least two */
	constructor(limitBytes: number) {
		const count = Math.max(2, Math.floor(limitBytes / SEGMENT_BYTES));
		this.segments = Array.from({ length: count }, () => new SharedArrayBuffer(SEGMENT_BYTES));
		this.#liveBatches = new Array<number>(count).fill(0);
	}

	get limitBytes(): number {
		return this.segments.length * SEGMENT_BYTES;
	}

	/** Bytes of the closed batches. */
	get bytes(): number {
		return this.#batchBytes;
	}

	get batchCount(): number {
		return this.#batches.length - this.#head;
	}

	/** Opens room for a batch of at least `minimumBytes`, or null when there is none now. */
	openRegion(minimumBytes: number): Region | null {
		invariant(!this.#regionOpen, "a region is open already");
		invariant(minimumBytes <= SEGMENT_BYTES, "a region is larger than a segment");
		if (this.#current < 0 || SEGMENT_BYTES - this.#currentPosition < minimumBytes) {
			const free = this.#liveBatches.findIndex((live, segment) => live === 0 && segment !== this.#current);
			const recycled = free < 0 && this.#current >= 0 && this.#liveBatches[this.#current] === 0 ? this.#current : free;
			if (recycled < 0) {
				return null;
			}
			this.#current = recycled;
			this.#currentPosition = 0;
		}
		this.#regionOpen = true;
		return {
			segment: this.#current,
			memory: this.#segmentAt(this.#current),
			byteOffset: this.#currentPosition,
			byteCapacity: SEGMENT_BYTES - this.#currentPosition,
		};
	}

	/** Takes the batch that was written into the open region (or alone in `dedicated`) into the window. */
	push(batch: WindowBatch): void {
		const last = this.#batches.at(-1);
		invariant(
			last === undefined || this.batchCount === 0 || batch.sequence === last.sequence + 1,
			"a batch out of sequence",
		);
		if (batch.dedicated === null) {
			invariant(this.#regionOpen && batch.segment === this.#current, "a batch outside the open region");
			this.#regionOpen = false;
			this.#liveBatches[batch.segment] = (this.#liveBatches[batch.segment] ?? 0) + 1;
			// Regions begin at multiples of 8, so that headers may be read as 64-bit words.
			this.#currentPosition = (batch.byteOffset + batch.byteLength + 7) & ~7;
		} else {
			this.#dedicatedBytes += batch.byteLength;
		}
		this.#batchBytes += batch.byteLength;
		this.#batches.push(batch);
	}

	/** Gives the open region back unused. */
	abandonRegion(): void {
		invariant(this.#regionOpen, "no region is open");
		this.#regionOpen = false;
	}

	/** Every lane has written everything up to `sequence`: forgets it. Answers whether memory came free. */
	release(sequence: number): boolean {
		const before = this.#head;
		for (;;) {
			const batch = this.#batches[this.#head];
			if (batch === undefined || batch.sequence > sequence) {
				break;
			}
			this.#head += 1;
			this.#batchBytes -= batch.byteLength;
			if (batch.dedicated === null) {
				this.#liveBatches[batch.segment] = must(this.#liveBatches[batch.segment], "a known segment") - 1;
			} else {
				this.#dedicatedBytes -= batch.byteLength;
			}
		}
		const released = this.#head > before;
		if (this.#head > 64 && this.#head * 2 > this.#batches.length) {
			this.#batches = this.#batches.slice(this.#head);
			this.#head = 0;
		}
		return released;
	}

	/** The batch with this number, if it is still held. */
	find(sequence: number): WindowBatch | undefined {
		const first = this.#batches[this.#head];
		return first === undefined ? undefined : this.#batches[this.#head + sequence - first.sequence];
	}

	/** The batches from `sequence` on, for a lane that starts again. */
	from(sequence: number): readonly WindowBatch[] {
		return this.#batches.slice(this.#head).filter((batch) => batch.sequence >= sequence);
	}

	/** @param openBytes bytes written into the open region so far */
	pressure(openBytes: number, backlogBytes: number): Pressure {
		return {
			freeSegments: this.#liveBatches.filter((live, segment) => live === 0 && segment !== this.#current).length,
			totalSegments: this.segments.length,
			openRoomBytes: this.#current < 0 ? 0 : SEGMENT_BYTES - this.#currentPosition - openBytes,
			dedicatedBytes: this.#dedicatedBytes,
			backlogBytes,
			limitBytes: this.limitBytes,
		};
	}

	#segmentAt(index: number): SharedArrayBuffer {
		return must(this.segments[index], "a known segment");
	}
}
