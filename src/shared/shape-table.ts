/**
 * The shared-memory table of shapes: one slot a shape, so that an HTTP thread learns "is there anything after
 * this offset" without asking a lane. Owns the layout and the memory ordering; must have exactly one writer
 * for each word. Registrar words are written by the registrar; log words by the shape's lane under a sequence
 * lock; header words as named; the time of the last read by every HTTP thread, since theirs agree to a second.
 * Created by main, mapped by every thread.
 *
 * Reading order that matters: read `processedLsn` BEFORE a shape's log state. A lane publishes entries first
 * and its processed LSN after, so an LSN read first never claims more than the log state read second shows.
 */

import { invariant } from "./assert.ts";
import { LANES_MAX, SHAPES_MAX } from "./limits.ts";
import { type LogOffset, OFFSET_LOG_START } from "./offset.ts";

const HEADER_BYTES = 4096;
const SLOT_BYTES = 128;
const SLOT_WORDS = SLOT_BYTES / 4;

/** A writer holds the lock for well under a microsecond. */
const READ_ATTEMPTS_MAX = 100_000;

/** Words of a slot (Int32). */
const WORD_GENERATION = 0;
const WORD_STATE = 1;
const WORD_SNAPSHOT_CHUNKS = 2;
const WORD_SNAPSHOT_FINISHED = 3;
const WORD_LANE = 4;
const WORD_SEQUENCE = 8;
const WORD_OPENED = 9;
const WORD_TX_LOW = 10;
const WORD_TX_HIGH = 11;
const WORD_OP = 12;
const WORD_SEGMENT = 13;
const WORD_SEGMENT_BYTES = 14;
const WORD_SEGMENT_ENTRIES = 15;
const WORD_INVALIDATED = 16;
const WORD_DIRTY = 17;
const WORD_LAST_READ = 18;
const WORD_SCHEMA_VERSION = 19;

/** Header words (Int32), then one BigUint64 a lane, then one Int32 a lane. */
const HEADER_STATUS_LEVEL = 0;
const HEADER_PROGRESS = 1;
const HEADER_IDLE_LSN_BYTE = 64;
const HEADER_LANE_LSN_BYTE = 128;
const HEADER_LANE_WORKING_BYTE = HEADER_LANE_LSN_BYTE + LANES_MAX * 8;

/** What a lane is working on when it is no shape in particular. */
export const NO_SLOT = -1;

/** Life of a slot, written by the registrar. */
export const SLOT_FREE = 0;
/** Registered; the snapshot has not started. */
export const SLOT_CREATING = 1;
/** The snapshot transaction has started: readers may wait for its chunks. */
export const SLOT_SNAPSHOTTING = 2;
/** The snapshot is complete. */
export const SLOT_ACTIVE = 3;
/** Removed: readers answer 409. The slot is reused later under a new generation. */
export const SLOT_REMOVED = 4;

/** Why a lane invalidated a shape (WORD_INVALIDATED); 0 = it did not. */
export const INVALIDATED_NO = 0;
export const INVALIDATED_TRUNCATE = 1;
export const INVALIDATED_SCHEMA = 2;
export const INVALIDATED_REPLICA_IDENTITY = 3;
export const INVALIDATED_CORRUPT = 4;
export const INVALIDATED_QUARANTINE = 5;

/** Ordered levels of the whole service, written by main; see main/status. */
export const LEVEL_STARTING = 0;
/** Another daemon holds the lock; existing shapes can be read. */
export const LEVEL_READ_ONLY = 1;
export const LEVEL_ACTIVE = 2;
export type StatusLevel = typeof LEVEL_STARTING | typeof LEVEL_READ_ONLY | typeof LEVEL_ACTIVE;

/** What readers may see of a shape's log. Everything at or below is complete transactions. */
export interface LogState {
	/** The lane has opened the log; before that the other fields mean nothing. */
	opened: boolean;
	/** Offset of the last visible entry; tx 0 when the log is empty. */
	lastOffset: LogOffset;
	/** Number of the segment that holds it. Segments 0 to segment-1 are complete and wholly visible. */
	segment: number;
	/** Visible bytes and entries of that segment. */
	segmentBytes: number;
	segmentEntries: number;
}

/** Whole seconds of a clock that all threads of the process share and that nobody sets. */
export function readClockSeconds(): number {
	return process.hrtime()[0];
}

export class ShapeTable {
	readonly memory: SharedArrayBuffer;
	readonly #words: Int32Array;
	readonly #longs: BigUint64Array;

	constructor(memory: SharedArrayBuffer) {
		invariant(memory.byteLength === ShapeTable.byteLength, "a shape table of another size");
		this.memory = memory;
		this.#words = new Int32Array(memory);
		this.#longs = new BigUint64Array(memory, 0, HEADER_BYTES / 8);
	}

	static readonly byteLength: number = HEADER_BYTES + SHAPES_MAX * SLOT_BYTES;

	static create(): ShapeTable {
		return new ShapeTable(new SharedArrayBuffer(ShapeTable.byteLength));
	}

	// --- header

	/** Main only. */
	setStatusLevel(level: StatusLevel): void {
		Atomics.store(this.#words, HEADER_STATUS_LEVEL, level);
	}

	statusLevel(): StatusLevel {
		return Atomics.load(this.#words, HEADER_STATUS_LEVEL) as StatusLevel;
	}

	/** Main only: whether changes get through, as an index of PROGRESS_STATES (status.ts). */
	setProgress(state: number): void {
		Atomics.store(this.#words, HEADER_PROGRESS, state);
	}

	progress(): number {
		return Atomics.load(this.#words, HEADER_PROGRESS);
	}

	/** Main only: with nothing outstanding, every commit at or below this LSN is in the logs. */
	setIdleLsn(lsn: bigint): void {
		Atomics.store(this.#longs, HEADER_IDLE_LSN_BYTE / 8, lsn);
	}

	/** The lane only: every transaction whose commit LSN is at or below is visible in the lane's logs. */
	setLaneProcessedLsn(lane: number, lsn: bigint): void {
		invariant(lane < LANES_MAX, "lane number out of range");
		Atomics.store(this.#longs, HEADER_LANE_LSN_BYTE / 8 + lane, lsn);
	}

	/** Highest commit LSN at or below which the shapes of `lane` have everything. 0n when unknown. */
	processedLsn(lane: number): bigint {
		const idle = Atomics.load(this.#longs, HEADER_IDLE_LSN_BYTE / 8);
		const own = Atomics.load(this.#longs, HEADER_LANE_LSN_BYTE / 8 + lane);
		return idle > own ? idle : own;
	}

	/**
	 * The lane only: the slot whose shape it works for from now on, or NO_SLOT. A plain store, once for each
	 * match: it is read after the lane's thread has ended.
	 */
	setLaneWorkingOn(lane: number, slot: number): void {
		this.#words[HEADER_LANE_WORKING_BYTE / 4 + lane] = slot + 1;
	}

	/** The slot whose row or log a lane's thread was working on when it ended, or NO_SLOT. */
	laneWorkingOn(lane: number): number {
		return Atomics.load(this.#words, HEADER_LANE_WORKING_BYTE / 4 + lane) - 1;
	}

	// --- registrar words

	/** Registrar only: takes a free or removed slot for a new shape; answers its new generation. */
	assign(slot: number, lane: number, state: number): number {
		const base = this.#base(slot);
		for (let word = 2; word < SLOT_WORDS; word += 1) {
			if (word !== WORD_SEQUENCE) {
				Atomics.store(this.#words, base + word, 0);
			}
		}
		Atomics.store(this.#words, base + WORD_LANE, lane);
		Atomics.store(this.#words, base + WORD_STATE, state);
		return Atomics.add(this.#words, base + WORD_GENERATION, 1) + 1;
	}

	/** Registrar only. */
	setState(slot: number, state: number): void {
		Atomics.store(this.#words, this.#base(slot) + WORD_STATE, state);
	}

	/** Registrar only: chunks 0 to count-1 of the snapshot are complete files. */
	setSnapshotProgress(slot: number, chunks: number, finished: boolean): void {
		const base = this.#base(slot);
		Atomics.store(this.#words, base + WORD_SNAPSHOT_CHUNKS, chunks);
		Atomics.store(this.#words, base + WORD_SNAPSHOT_FINISHED, finished ? 1 : 0);
	}

	generation(slot: number): number {
		return Atomics.load(this.#words, this.#base(slot) + WORD_GENERATION);
	}

	/** SLOT_REMOVED also when the lane has invalidated the shape before the registrar heard of it. */
	state(slot: number): number {
		const base = this.#base(slot);
		const state = Atomics.load(this.#words, base + WORD_STATE);
		if (state !== SLOT_FREE && Atomics.load(this.#words, base + WORD_INVALIDATED) !== INVALIDATED_NO) {
			return SLOT_REMOVED;
		}
		return state;
	}

	lane(slot: number): number {
		return Atomics.load(this.#words, this.#base(slot) + WORD_LANE);
	}

	snapshotChunks(slot: number): number {
		return Atomics.load(this.#words, this.#base(slot) + WORD_SNAPSHOT_CHUNKS);
	}

	/** Read before {@link snapshotChunks} when the final count matters. */
	snapshotFinished(slot: number): boolean {
		return Atomics.load(this.#words, this.#base(slot) + WORD_SNAPSHOT_FINISHED) === 1;
	}

	/** Registrar only: what HTTP threads know of the shape beside its log (its `electric-schema`) is out of date. */
	outdateSchema(slot: number): void {
		Atomics.add(this.#words, this.#base(slot) + WORD_SCHEMA_VERSION, 1);
	}

	schemaVersion(slot: number): number {
		return Atomics.load(this.#words, this.#base(slot) + WORD_SCHEMA_VERSION);
	}

	// --- readers' words

	/** An HTTP thread serves the shape to somebody now, and the registrar when it makes it. @param seconds {@link readClockSeconds} */
	markRead(slot: number, seconds: number): void {
		Atomics.store(this.#words, this.#base(slot) + WORD_LAST_READ, seconds);
	}

	/** When the shape was read last, by {@link readClockSeconds}; below zero for before that clock began. */
	lastRead(slot: number): number {
		return Atomics.load(this.#words, this.#base(slot) + WORD_LAST_READ);
	}

	// --- lane words

	/** The shape's lane only: makes everything up to `state` visible, in one step for readers. */
	publishLog(slot: number, state: LogState): void {
		const base = this.#base(slot);
		const words = this.#words;
		Atomics.add(words, base + WORD_SEQUENCE, 1);
		Atomics.store(words, base + WORD_OPENED, state.opened ? 1 : 0);
		Atomics.store(words, base + WORD_TX_LOW, Number(state.lastOffset.tx & 0xffff_ffffn) | 0);
		Atomics.store(words, base + WORD_TX_HIGH, Number(state.lastOffset.tx >> 32n) | 0);
		Atomics.store(words, base + WORD_OP, state.lastOffset.op | 0);
		Atomics.store(words, base + WORD_SEGMENT, state.segment);
		Atomics.store(words, base + WORD_SEGMENT_BYTES, state.segmentBytes | 0);
		Atomics.store(words, base + WORD_SEGMENT_ENTRIES, state.segmentEntries);
		Atomics.add(words, base + WORD_SEQUENCE, 1);
	}

	/** A consistent view of what readers may see. */
	logState(slot: number): LogState {
		const base = this.#base(slot);
		const words = this.#words;
		for (let attempt = 0; attempt < READ_ATTEMPTS_MAX; attempt += 1) {
			const before = Atomics.load(words, base + WORD_SEQUENCE);
			if ((before & 1) === 0) {
				const state: LogState = {
					opened: Atomics.load(words, base + WORD_OPENED) === 1,
					lastOffset: {
						tx:
							(BigInt(Atomics.load(words, base + WORD_TX_HIGH) >>> 0) << 32n) |
							BigInt(Atomics.load(words, base + WORD_TX_LOW) >>> 0),
						op: Atomics.load(words, base + WORD_OP) >>> 0,
					},
					segment: Atomics.load(words, base + WORD_SEGMENT),
					segmentBytes: Atomics.load(words, base + WORD_SEGMENT_BYTES) >>> 0,
					segmentEntries: Atomics.load(words, base + WORD_SEGMENT_ENTRIES),
				};
				if (Atomics.load(words, base + WORD_SEQUENCE) === before) {
					return state;
				}
			}
		}
		// The lane died inside publishLog. Until it is restarted the log counts as not opened: readers wait.
		return { opened: false, lastOffset: OFFSET_LOG_START, segment: 0, segmentBytes: 0, segmentEntries: 0 };
	}

	/** Registrar only, before a lane restart: a lane that died inside publishLog left the lock odd. */
	repairSequence(slot: number): void {
		const base = this.#base(slot);
		if ((Atomics.load(this.#words, base + WORD_SEQUENCE) & 1) === 1) {
			Atomics.add(this.#words, base + WORD_SEQUENCE, 1);
		}
	}

	/** The shape's lane only. */
	invalidate(slot: number, reason: number): void {
		Atomics.store(this.#words, this.#base(slot) + WORD_INVALIDATED, reason);
	}

	invalidated(slot: number): number {
		return Atomics.load(this.#words, this.#base(slot) + WORD_INVALIDATED);
	}

	/** The shape's lane only: written but not yet synced. Outlives a crash of the lane's thread. */
	setDirty(slot: number, dirty: boolean): void {
		Atomics.store(this.#words, this.#base(slot) + WORD_DIRTY, dirty ? 1 : 0);
	}

	isDirty(slot: number): boolean {
		return Atomics.load(this.#words, this.#base(slot) + WORD_DIRTY) === 1;
	}

	#base(slot: number): number {
		invariant(slot >= 0 && slot < SHAPES_MAX, "slot number out of range");
		return HEADER_BYTES / 4 + slot * SLOT_WORDS;
	}
}
