/**
 * The encoded entries of a batch, before they are written: one buffer for the bytes of all shapes, and one
 * fixed record for each (shape, entry). Owns that memory; must never be read across a `clear`. An entry that
 * several shapes receive is encoded once and referenced by each. Filled by the batch processor, read by the
 * log writer.
 */

import { ByteWriter } from "../../shared/byte-writer.ts";

/** Fields of a record in `fields`. */
const STRIDE = 8;
const FIELD_START = 0;
const FIELD_LENGTH = 1;
const FIELD_OP = 2;
const FIELD_LSN_HIGH = 3;
const FIELD_LSN_LOW = 4;
const FIELD_NEXT = 5;
const FIELD_LAST = 6;

const RECORD_BYTES = STRIDE * 4;
const INITIAL_BYTES = 1024 * 1024;
const INITIAL_RECORDS = 8192;

export class EntryArena {
	/** Where entries are encoded. */
	readonly bytes: ByteWriter = new ByteWriter(INITIAL_BYTES);
	#fields = new Int32Array(INITIAL_RECORDS * STRIDE);
	#count = 0;

	/** Memory in use, for the lane's limit. */
	get heldBytes(): number {
		return this.bytes.length + this.#count * RECORD_BYTES;
	}

	/** Adds a record for the entry at `start` of `bytes`; answers its number. */
	add(start: number, length: number, lsnHigh: number, lsnLow: number, op: number): number {
		const record = this.#count;
		const base = record * STRIDE;
		if (base + STRIDE > this.#fields.length) {
			const larger = new Int32Array(this.#fields.length * 2);
			larger.set(this.#fields);
			this.#fields = larger;
		}
		const fields = this.#fields;
		fields[base + FIELD_START] = start;
		fields[base + FIELD_LENGTH] = length;
		fields[base + FIELD_OP] = op;
		fields[base + FIELD_LSN_HIGH] = lsnHigh;
		fields[base + FIELD_LSN_LOW] = lsnLow;
		fields[base + FIELD_NEXT] = -1;
		fields[base + FIELD_LAST] = 0;
		this.#count = record + 1;
		return record;
	}

	/** Makes `next` the successor of `record` in its shape's chain. */
	link(record: number, next: number): void {
		this.#fields[record * STRIDE + FIELD_NEXT] = next;
	}

	/** The entry becomes the last of its transaction in its shape. */
	markLast(record: number): void {
		this.#fields[record * STRIDE + FIELD_LAST] = 1;
	}

	/** -1 at the end of the chain. */
	next(record: number): number {
		return this.#fields[record * STRIDE + FIELD_NEXT] as number;
	}

	start(record: number): number {
		return this.#fields[record * STRIDE + FIELD_START] as number;
	}

	/** Without the last-mark. */
	length(record: number): number {
		return this.#fields[record * STRIDE + FIELD_LENGTH] as number;
	}

	op(record: number): number {
		return (this.#fields[record * STRIDE + FIELD_OP] as number) >>> 0;
	}

	lsnHigh(record: number): number {
		return (this.#fields[record * STRIDE + FIELD_LSN_HIGH] as number) >>> 0;
	}

	lsnLow(record: number): number {
		return (this.#fields[record * STRIDE + FIELD_LSN_LOW] as number) >>> 0;
	}

	isLast(record: number): boolean {
		return this.#fields[record * STRIDE + FIELD_LAST] === 1;
	}

	/** Forgets everything; gives memory beyond `keepBytes` back. */
	clear(keepBytes: number): void {
		this.bytes.shrink(keepBytes);
		this.#count = 0;
		if (this.#fields.length * 4 > keepBytes) {
			this.#fields = new Int32Array(INITIAL_RECORDS * STRIDE);
		}
	}
}
