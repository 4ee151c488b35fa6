/**
 * Reads one segment of a log for its owner: records of the index and bytes of entries, each through a window,
 * so that looking at the end of a large segment costs what the end costs. Owns two descriptors until it is
 * closed or they are handed over; must never change a file. Missing files read as empty. Called by the recovery
 * and by the splice.
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
import { closeFile, OPEN_EXISTING, openFile, readFully } from "./disk-operations.ts";
import { rangeCrc32 } from "./range-crc32.ts";

/** The window of data grows from the one to the other while it is moved. */
const WINDOW_FIRST_BYTES = 4096;
const WINDOW_BYTES = 256 * 1024;
/** Records in the index's window: first, then. */
const RECORDS_FIRST = 64;
const RECORDS = 2048;

export class SegmentReader {
	readonly segment: number;
	/** Whole records in the index, readable or not. */
	readonly count: number;
	readonly indexBytes: number;
	readonly dataBytes: number;
	#index: number | null;
	#data: number | null;
	#records: Buffer = Buffer.alloc(0);
	#firstRecord = 0;
	#recordCount = 0;
	#window: Buffer = Buffer.alloc(0);
	#windowStart = 0;
	#windowLength = 0;

	constructor(directory: string, segment: number) {
		this.segment = segment;
		this.#data = openIfPresent(logSegmentPath(directory, segment));
		try {
			this.#index = openIfPresent(logIndexPath(directory, segment));
		} catch (error) {
			this.close();
			throw error;
		}
		this.dataBytes = this.#data === null ? 0 : fstatSync(this.#data).size;
		this.indexBytes = this.#index === null ? 0 : fstatSync(this.#index).size;
		this.count = Math.floor(this.indexBytes / INDEX_RECORD_BYTES);
	}

	get hasFiles(): boolean {
		return this.#data !== null || this.#index !== null;
	}

	close(): void {
		for (const fd of [this.#data, this.#index]) {
			if (fd !== null && fd !== undefined) {
				closeFile(fd);
			}
		}
		this.#data = null;
		this.#index = null;
	}

	/** Both descriptors, for reading and writing: the caller's from now on. Null when a file is missing. */
	handOver(): { readonly data: number; readonly index: number } | null {
		const [data, index] = [this.#data, this.#index];
		if (data === null || index === null) {
			return null;
		}
		this.#data = null;
		this.#index = null;
		return { data, index };
	}

	/** Null when its check does not hold. */
	record(number: number): IndexRecord | null {
		const at = this.#loadRecord(number);
		return readIndexRecord(this.#records, at);
	}

	/** What a record that may be damaged gives as its transaction. */
	rawTx(number: number): bigint {
		const at = this.#loadRecord(number);
		return this.#records.readBigUInt64LE(at);
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

	/** Position of the record in the window of records, which lies before it when it is read backwards. */
	#loadRecord(number: number): number {
		if (number < this.#firstRecord || number >= this.#firstRecord + this.#recordCount) {
			const isForward = this.#recordCount > 0 && number > this.#firstRecord;
			const wanted = this.#recordCount === 0 ? RECORDS_FIRST : RECORDS;
			const first = isForward ? number : Math.max(0, number - wanted + 1);
			const count = Math.min(wanted, this.count - first);
			if (count * INDEX_RECORD_BYTES > this.#records.length) {
				this.#records = Buffer.allocUnsafeSlow(count * INDEX_RECORD_BYTES);
			}
			const fd = this.#index as number;
			const bytes = readFully(fd, this.#records, count * INDEX_RECORD_BYTES, first * INDEX_RECORD_BYTES);
			this.#firstRecord = first;
			this.#recordCount = Math.floor(bytes / INDEX_RECORD_BYTES);
		}
		return (number - this.#firstRecord) * INDEX_RECORD_BYTES;
	}

	/** Position of the bytes in the window, or -1. */
	#load(position: number, length: number): number {
		if (this.#data === null || position + length > this.dataBytes) {
			return -1;
		}
		if (position < this.#windowStart || position + length > this.#windowStart + this.#windowLength) {
			const ahead = this.#windowLength === 0 ? WINDOW_FIRST_BYTES : WINDOW_BYTES;
			const wanted = Math.min(Math.max(length, ahead), this.dataBytes - position);
			if (wanted > this.#window.length) {
				this.#window = Buffer.allocUnsafeSlow(wanted);
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
		return openFile(path, OPEN_EXISTING);
	} catch (error) {
		if (systemCodeOf(error) === "ENOENT") {
			return null;
		}
		throw error;
	}
}
