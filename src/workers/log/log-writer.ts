/**
 * The only writer of log segments: chains of entries to bytes in files, as docs/LOG-FORMAT.md says. Owns two
 * scratch buffers and the lane's open files; must never write anything but at positions that a ShapeLog's tail
 * gives, so that a failed write is undone by going back to the tail from before the group. Called by the
 * lane's batch processor.
 */

import { ByteWriter } from "../../shared/byte-writer.ts";
import { diskError } from "../../shared/disk-error.ts";
import { ITEM_END, LAST_MARK } from "../../shared/entry-encoder.ts";
import { FLAG_LAST, INDEX_RECORD_BYTES } from "../../shared/log-layout.ts";
import { lastSegmentIn, removeSegments, truncateFile, writeFully } from "./disk-operations.ts";
import type { EntryArena } from "./entry-arena.ts";
import { putIndexRecord } from "./index-record.ts";
import type { OpenFiles } from "./open-files.ts";
import { rangeCrc32 } from "./range-crc32.ts";
import type { ShapeLog } from "./shape-log.ts";

/** Entries of one log are gathered up to this size before they are written. */
const GATHER_BYTES = 1024 * 1024;
const INDEX_BYTES = 64 * 1024;

const COMMA = 0x2c;
const SEAL = Buffer.concat([LAST_MARK, ITEM_END]);

export interface LogWriterOptions {
	/** A segment of this size is closed before the next entry. */
	readonly chunkBytes: number;
	readonly files: OpenFiles;
	/** Passes the fault point before each write. */
	readonly beforeWrite: () => void;
}

export class LogWriter {
	readonly #options: LogWriterOptions;
	readonly #data = new ByteWriter(GATHER_BYTES);
	readonly #index = Buffer.allocUnsafeSlow(INDEX_BYTES);
	readonly #indexView: DataView;
	#indexLength = 0;
	/** Where the gathered bytes go. */
	#dataAt = 0;
	#indexAt = 0;
	/** Bytes written to log files so far, for a gauge. */
	appendedBytes = 0;

	constructor(options: LogWriterOptions) {
		this.#options = options;
		this.#indexView = new DataView(this.#index.buffer, this.#index.byteOffset, this.#index.byteLength);
	}

	/**
	 * Writes the chain of `log`, and the seal of its last entry on disk if that is due. On failure the group has
	 * to be given up with {@link rollback} for every log it touched.
	 * @throws SluiceError `SLUICE_DISK_FULL`, `SLUICE_DISK_FAILED`, `SLUICE_LOG_CORRUPT` (its files are gone)
	 */
	flush(log: ShapeLog, arena: EntryArena): void {
		if (!log.hasWork) {
			return;
		}
		log.save();
		try {
			if (log.excessSegment >= 0) {
				this.#trim(log);
			}
			this.#write(log, arena);
		} catch (error) {
			throw diskError(error, "write");
		}
		log.written();
	}

	/** Undoes what the group did to `log`. When the disk refuses even that, the next flush does it first. */
	rollback(log: ShapeLog): void {
		log.revert();
		this.trimExcess(log);
	}

	/** Removes bytes beyond the tail, if there are any; a refusal leaves them for the next flush. */
	trimExcess(log: ShapeLog): void {
		if (log.excessSegment < 0) {
			return;
		}
		try {
			this.#trim(log);
		} catch (error) {
			// Nobody reads beyond the tail, and the next flush trims before it writes: only real bugs are passed on.
			const mapped = diskError(error, "truncate");
			if (mapped === error) {
				throw error;
			}
		}
	}

	#write(log: ShapeLog, arena: EntryArena): void {
		const { tail } = log;
		const data = this.#data;
		const source = arena.bytes.buffer;
		this.#begin(tail.segmentBytes, tail.segmentEntries);
		if (log.sealsOnDisk) {
			this.#sealTail(log);
		}
		let next = -1;
		for (let record = log.head; record >= 0; record = next) {
			next = arena.next(record);
			if (tail.segmentBytes >= this.#options.chunkBytes) {
				this.#writeOut(log);
				if (tail.segment === 0) {
					// The recovery of a single segment did not look for remnants of a crash beyond it.
					removeSegments(log.directory, 0, lastSegmentIn(log.directory));
				}
				tail.segment += 1;
				tail.segmentBytes = 0;
				tail.segmentEntries = 0;
				this.#begin(0, 0);
			}
			if (tail.segmentEntries > 0) {
				data.byte(COMMA);
				tail.segmentBytes += 1;
			} else {
				log.createdFiles = true;
			}
			const from = arena.start(record);
			const to = from + arena.length(record);
			const isLast = arena.isLast(record);
			const entryAt = data.length;
			if (isLast) {
				data.range(source, from, to - ITEM_END.length);
				data.bytes(SEAL);
			} else {
				data.range(source, from, to);
			}
			const length = data.length - entryAt;
			tail.lsnHigh = arena.lsnHigh(record);
			tail.lsnLow = arena.lsnLow(record);
			tail.op = arena.op(record);
			tail.lastPosition = tail.segmentBytes;
			tail.lastLength = length;
			tail.sealed = isLast;
			tail.segmentBytes += length;
			tail.segmentEntries += 1;
			tail.entries += 1;
			// The sum without the end is where a later seal starts from.
			tail.lastPrefixCrc = rangeCrc32(data.buffer, entryAt, data.length - ITEM_END.length);
			this.#putRecord(log, rangeCrc32(ITEM_END, 0, ITEM_END.length, tail.lastPrefixCrc));
			if (isLast && (next < 0 || !arena.isLast(next))) {
				log.completed.copyFrom(tail);
			}
			if (data.length >= GATHER_BYTES || this.#indexLength === INDEX_BYTES) {
				this.#writeOut(log);
			}
		}
		this.#writeOut(log);
		data.shrink(2 * GATHER_BYTES);
	}

	#begin(dataAt: number, indexEntries: number): void {
		this.#data.clear();
		this.#indexLength = 0;
		this.#dataAt = dataAt;
		this.#indexAt = indexEntries * INDEX_RECORD_BYTES;
	}

	/** The last entry on disk turned out to be the last of its transaction: its end and its record are replaced. */
	#sealTail(log: ShapeLog): void {
		const { tail } = log;
		this.#begin(tail.segmentBytes - ITEM_END.length, tail.segmentEntries - 1);
		this.#data.bytes(SEAL);
		tail.lastLength += LAST_MARK.length;
		tail.segmentBytes += LAST_MARK.length;
		tail.sealed = true;
		this.#putRecord(log, rangeCrc32(SEAL, 0, SEAL.length, tail.lastPrefixCrc));
		log.completed.copyFrom(tail);
	}

	/** Adds the record of the tail's last entry. */
	#putRecord(log: ShapeLog, crc: number): void {
		const { tail } = log;
		putIndexRecord(
			this.#indexView,
			this.#index,
			this.#indexLength,
			tail.lsnHigh,
			tail.lsnLow,
			tail.op,
			tail.sealed ? FLAG_LAST : 0,
			tail.entries - 1,
			tail.lastPosition,
			tail.lastLength,
			crc,
		);
		this.#indexLength += INDEX_RECORD_BYTES;
	}

	/** Data before index: a record never describes bytes that are not there. */
	#writeOut(log: ShapeLog): void {
		const { length } = this.#data;
		if (length === 0) {
			return;
		}
		this.#options.beforeWrite();
		const files = this.#options.files.acquire(log, log.tail.segment, this.#dataAt === 0);
		writeFully(files.data, this.#data.buffer, length, this.#dataAt);
		writeFully(files.index, this.#index, this.#indexLength, this.#indexAt);
		this.appendedBytes += length + this.#indexLength;
		this.#dataAt += length;
		this.#indexAt += this.#indexLength;
		this.#data.clear();
		this.#indexLength = 0;
	}

	/** Makes the files end where the tail ends; an entry that was sealed too early gets its old end back. */
	#trim(log: ShapeLog): void {
		const { tail } = log;
		const { files } = this.#options;
		if (log.excessSegment > tail.segment) {
			files.release(log);
			removeSegments(log.directory, tail.segment, log.excessSegment);
		}
		const { data, index } = files.acquire(log, tail.segment);
		truncateFile(index, tail.segmentEntries * INDEX_RECORD_BYTES);
		truncateFile(data, tail.segmentBytes);
		if (!tail.sealed) {
			this.#begin(tail.segmentBytes - ITEM_END.length, tail.segmentEntries - 1);
			this.#putRecord(log, rangeCrc32(ITEM_END, 0, ITEM_END.length, tail.lastPrefixCrc));
			writeFully(data, ITEM_END, ITEM_END.length, this.#dataAt);
			writeFully(index, this.#index, INDEX_RECORD_BYTES, this.#indexAt);
		}
		log.excessSegment = -1;
		log.firstUnsyncedSegment = Math.min(log.firstUnsyncedSegment, tail.segment);
	}
}
