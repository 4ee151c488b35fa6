/**
 * Finds a place in a segment's index file with few, small reads: the tail first (most readers are at the end), then
 * bisection. Checks the records it stands on. Must never read past the entries it was told are visible. Called by
 * the log reader. Layout: docs/LOG-FORMAT.md.
 */

import type { FileHandle } from "node:fs/promises";
import { SluiceError } from "../../shared/errors.ts";
import { INDEX_RECORD_BYTES, type IndexRecord, readIndexRecord } from "../../shared/log-layout.ts";
import { compareOffsets, type LogOffset } from "../../shared/offset.ts";

/** Records of one read: 4 KiB. */
const BLOCK_RECORDS = 128;

/** The entries after an offset, as one run of bytes in the segment. */
export interface EntryRun {
	/** Of the first entry's first byte. */
	readonly position: number;
	/** After the last entry's last byte. */
	readonly end: number;
	readonly lastOffset: LogOffset;
}

/** What a segment's index says, read through an open file. */
export class LogIndex {
	readonly #file: FileHandle;
	readonly #path: string;
	readonly #entries: number;

	/** @param entries visible records */
	constructor(file: FileHandle, path: string, entries: number) {
		this.#file = file;
		this.#path = path;
		this.#entries = entries;
	}

	/** Number of records of a complete segment. @throws SluiceError SLUICE_LOG_CORRUPT */
	static async countEntries(file: FileHandle, path: string): Promise<number> {
		const { size } = await file.stat();
		if (size === 0 || size % INDEX_RECORD_BYTES !== 0) {
			throw new SluiceError("SLUICE_LOG_CORRUPT", { path, problem: "index size", sizeBytes: size });
		}
		return size / INDEX_RECORD_BYTES;
	}

	async lastRecord(): Promise<IndexRecord> {
		const block = await this.#read(this.#entries - 1, 1);
		return block.record(this.#entries - 1);
	}

	/** The run of all entries after `after`, or null when there is none. @throws SluiceError SLUICE_LOG_CORRUPT */
	async runAfter(after: LogOffset): Promise<EntryRun | null> {
		const count = this.#entries;
		const tail = await this.#read(Math.max(0, count - BLOCK_RECORDS), Math.min(count, BLOCK_RECORDS));
		const last = tail.record(count - 1);
		if (compareOffsets(last, after) <= 0) {
			return null;
		}
		const block =
			tail.first === 0 || compareOffsets(tail.record(tail.first), after) <= 0
				? tail
				: await this.#blockAround(after, tail.first);
		const first = firstAfter(block, after);
		const record = block.record(first);
		const expected = first === 0 ? 0 : endOf(block.record(first - 1)) + 1;
		if (record.position !== expected || endOf(last) < endOf(record)) {
			throw new SluiceError("SLUICE_LOG_CORRUPT", { path: this.#path, problem: "position", record: first });
		}
		return { position: record.position, end: endOf(last), lastOffset: { tx: last.tx, op: last.op } };
	}

	/** A block that holds the first record after `after` and the one before it; record `upper` is after it. */
	async #blockAround(after: LogOffset, upper: number): Promise<IndexBlock> {
		let low = 0;
		let high = upper;
		while (high - low >= BLOCK_RECORDS) {
			const middle = (low + high) >>> 1;
			const probe = await this.#read(middle, 1);
			if (compareOffsets(probe.record(middle), after) > 0) {
				high = middle;
			} else {
				low = middle + 1;
			}
		}
		const first = Math.max(0, low - 1);
		return this.#read(first, high - first + 1);
	}

	async #read(first: number, count: number): Promise<IndexBlock> {
		const bytes = Buffer.allocUnsafe(count * INDEX_RECORD_BYTES);
		const { bytesRead } = await this.#file.read(bytes, 0, bytes.length, first * INDEX_RECORD_BYTES);
		if (bytesRead !== bytes.length) {
			throw new SluiceError("SLUICE_LOG_CORRUPT", { path: this.#path, problem: "index too short", record: first });
		}
		return new IndexBlock(bytes, first, count, this.#path);
	}
}

class IndexBlock {
	readonly first: number;
	readonly count: number;
	readonly #bytes: Buffer;
	readonly #path: string;

	constructor(bytes: Buffer, first: number, count: number, path: string) {
		this.#bytes = bytes;
		this.first = first;
		this.count = count;
		this.#path = path;
	}

	/** @param number of the record in the segment */
	record(number: number): IndexRecord {
		const record = readIndexRecord(this.#bytes, (number - this.first) * INDEX_RECORD_BYTES);
		if (record === null) {
			throw new SluiceError("SLUICE_LOG_CORRUPT", { path: this.#path, problem: "record check", record: number });
		}
		return record;
	}
}

/** Number of the first record of the block that is after `after`; there is one. */
function firstAfter(block: IndexBlock, after: LogOffset): number {
	let low = block.first;
	let high = block.first + block.count - 1;
	while (low < high) {
		const middle = (low + high) >>> 1;
		if (compareOffsets(block.record(middle), after) > 0) {
			high = middle;
		} else {
			low = middle + 1;
		}
	}
	return low;
}

function endOf(record: IndexRecord): number {
	return record.position + record.length;
}
