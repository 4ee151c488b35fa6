/**
 * Reads one segment of a log for its owner: records of the index, and the bytes of entries through a window.
 * Owns two descriptors until it is closed; must never change a file. Missing files read as empty. Called by
 * the recovery and by the splice.
 */

import { fstatSync } from "node:fs";
import { systemCodeOf } from "../../shared/disk-error.ts";
import { ITEM_END } from "../../shared/entry-encoder.ts";
import {
	INDEX_RECORD_BYTES,
	type IndexRecord,
	logIndexPath,
	logSegmentPath,
	readIndexRecord,
} from "../../shared/log-layout.ts";
import { closeFile, openReadOnly, readFully } from "./disk-operations.ts";
import { rangeCrc32 } from "./range-crc32.ts";

const WINDOW_BYTES = 256 * 1024;

export class SegmentReader {
	readonly segment: number;
	/** Whole records in the index, readable or not. */
	readonly count: number;
	readonly #index: Buffer;
	#data: number | null;
	readonly #dataBytes: number;
	#window: Buffer = Buffer.alloc(0);
	#windowStart = 0;
	#windowLength = 0;

	constructor(directory: string, segment: number) {
		this.segment = segment;
		this.#index = readWhole(logIndexPath(directory, segment));
		this.count = Math.floor(this.#index.length / INDEX_RECORD_BYTES);
		this.#data = openIfPresent(logSegmentPath(directory, segment));
		this.#dataBytes = this.#data === null ? 0 : fstatSync(this.#data).size;
	}

	close(): void {
		if (this.#data !== null) {
			closeFile(this.#data);
			this.#data = null;
		}
	}

	/** Null when its check does not hold. */
	record(number: number): IndexRecord | null {
		return readIndexRecord(this.#index, number * INDEX_RECORD_BYTES);
	}

	/** What a record that may be damaged gives as its transaction. */
	rawTx(number: number): bigint {
		return this.#index.readBigUInt64LE(number * INDEX_RECORD_BYTES);
	}

	/** CRC-32 of the entry's bytes; -1 when the file does not hold them all. */
	entryCrc(record: IndexRecord): number {
		const at = this.#load(record.position, record.length);
		return at < 0 ? -1 : rangeCrc32(this.#window, at, at + record.length);
	}

	/** Without the closing `}}`. */
	prefixCrc(record: IndexRecord): number {
		const at = this.#load(record.position, record.length);
		return at < 0 ? -1 : rangeCrc32(this.#window, at, at + record.length - ITEM_END.length);
	}

	/** Of the entry as it was before a last-mark overwrote its end. */
	crcWithoutMark(record: IndexRecord): number {
		return rangeCrc32(ITEM_END, 0, ITEM_END.length, this.prefixCrc(record));
	}

	/** The entry's bytes, valid until the next read, or null when the file does not hold them all. */
	entry(record: IndexRecord): Buffer | null {
		const at = this.#load(record.position, record.length);
		return at < 0 ? null : this.#window.subarray(at, at + record.length);
	}

	/** Position of the bytes in the window, or -1. */
	#load(position: number, length: number): number {
		if (this.#data === null || position + length > this.#dataBytes) {
			return -1;
		}
		if (position < this.#windowStart || position + length > this.#windowStart + this.#windowLength) {
			const wanted = Math.min(Math.max(length, WINDOW_BYTES), this.#dataBytes - position);
			if (wanted > this.#window.length) {
				this.#window = Buffer.allocUnsafeSlow(Math.max(wanted, WINDOW_BYTES));
			}
			this.#windowStart = position;
			this.#windowLength = readFully(this.#data, this.#window, wanted, position);
			if (this.#windowLength < length) {
				return -1;
			}
		}
		return position - this.#windowStart;
	}
}

function openIfPresent(path: string): number | null {
	try {
		return openReadOnly(path);
	} catch (error) {
		if (systemCodeOf(error) === "ENOENT") {
			return null;
		}
		throw error;
	}
}

function readWhole(path: string): Buffer {
	const fd = openIfPresent(path);
	if (fd === null) {
		return Buffer.alloc(0);
	}
	try {
		const bytes = Buffer.allocUnsafeSlow(fstatSync(fd).size);
		return bytes.subarray(0, readFully(fd, bytes, bytes.length, 0));
	} finally {
		closeFile(fd);
	}
}
