/**
 * Takes transactions out of a log that nobody has read yet: those that the shape's snapshot already holds. Owns
 * the second copy and the swap; must never be used on a log that was published. Reads only the index when
 * nothing has to go. The new files are not synced: the caller has to, before anybody relies on the log. Called by
 * the lane at the splice.
 */

import { mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { must } from "../../shared/assert.ts";
import { diskError } from "../../shared/disk-error.ts";
import { ITEM_END, LAST_MARK } from "../../shared/entry-encoder.ts";
import { SluiceError } from "../../shared/errors.ts";
import { FLAG_LAST, type IndexRecord, logIndexPath, logSegmentPath } from "../../shared/log-layout.ts";
import type { IsHeld } from "../../shared/log-store.ts";
import { removeFile } from "./disk-operations.ts";
import { EntryArena } from "./entry-arena.ts";
import type { LogWriter } from "./log-writer.ts";
import type { OpenFiles } from "./open-files.ts";
import { SegmentReader } from "./segment-reader.ts";
import { ShapeLog } from "./shape-log.ts";

/** The copy is written in steps of this size. */
const STEP_BYTES = 1024 * 1024;
const COPY_DIRECTORY = "splice";
const TXIDS = Buffer.from(',"txids":[', "latin1");

/**
 * Removes the transactions that commit below `belowLsn` and that `isHeld`. Answers whether there were any.
 * @throws SluiceError `SLUICE_DISK_FULL`, `SLUICE_DISK_FAILED`: the log is as before;
 * `SLUICE_LOG_CORRUPT`: it is lost
 */
export function removeHeldTransactions(
	log: ShapeLog,
	writer: LogWriter,
	files: OpenFiles,
	belowLsn: bigint,
	isHeld: IsHeld,
): boolean {
	try {
		const held = findHeld(log, belowLsn, isHeld);
		if (held.size === 0) {
			return false;
		}
		const copy = new ShapeLog(join(log.directory, COPY_DIRECTORY));
		try {
			rmSync(copy.directory, { recursive: true, force: true });
			mkdirSync(copy.directory);
			copyOthers(log, copy, writer, held);
		} catch (error) {
			files.release(copy);
			rmSync(copy.directory, { recursive: true, force: true });
			throw error;
		}
		files.release(copy);
		files.release(log);
		swap(log, copy);
		return true;
	} catch (error) {
		throw diskError(error, "splice");
	}
}

/** Commit LSNs of the transactions that have to go. */
function findHeld(log: ShapeLog, belowLsn: bigint, isHeld: IsHeld): ReadonlySet<bigint> {
	const held = new Set<bigint>();
	let decided = -1n;
	eachRecord(log, (record, reader) => {
		if (record.tx >= belowLsn) {
			return false;
		}
		if (record.tx !== decided) {
			decided = record.tx;
			if (isHeld(record.tx, xidOf(entryOf(log, reader, record)))) {
				held.add(record.tx);
			}
		}
		return true;
	});
	return held;
}

function copyOthers(log: ShapeLog, copy: ShapeLog, writer: LogWriter, held: ReadonlySet<bigint>): void {
	const arena = new EntryArena();
	const flush = (): void => {
		writer.flush(copy, arena);
		arena.clear(STEP_BYTES);
	};
	eachRecord(log, (record, reader) => {
		if (held.has(record.tx)) {
			return true;
		}
		const entry = entryOf(log, reader, record);
		const isLast = record.flags === FLAG_LAST;
		const start = arena.bytes.length;
		if (isLast) {
			arena.bytes.range(entry, 0, entry.length - LAST_MARK.length - ITEM_END.length);
			arena.bytes.bytes(ITEM_END);
		} else {
			arena.bytes.range(entry, 0, entry.length);
		}
		const length = arena.bytes.length - start;
		copy.append(arena, start, length, Number(record.tx >> 32n), Number(record.tx & 0xffff_ffffn), record.op);
		if (isLast) {
			copy.seal(arena);
		}
		if (arena.heldBytes > STEP_BYTES) {
			flush();
		}
		return true;
	});
	flush();
}

/** Puts the copy in the log's place. Half a swap cannot be repaired: the shape has to be built anew. */
function swap(log: ShapeLog, copy: ShapeLog): void {
	try {
		for (let segment = 0; segment <= log.tail.segment; segment += 1) {
			removeFile(logSegmentPath(log.directory, segment));
			removeFile(logIndexPath(log.directory, segment));
		}
		for (let segment = 0; segment <= copy.tail.segment && !copy.isEmpty; segment += 1) {
			renameSync(logSegmentPath(copy.directory, segment), logSegmentPath(log.directory, segment));
			renameSync(logIndexPath(copy.directory, segment), logIndexPath(log.directory, segment));
		}
		rmSync(copy.directory, { recursive: true, force: true });
	} catch (cause) {
		throw new SluiceError("SLUICE_LOG_CORRUPT", { directory: log.directory, operation: "splice", cause });
	}
	log.restore(copy.tail, copy.completed, 0, true);
}

/** Visits the records in order until `visit` answers false. */
function eachRecord(log: ShapeLog, visit: (record: IndexRecord, reader: SegmentReader) => boolean): void {
	let goesOn = !log.isEmpty;
	for (let segment = 0; goesOn && segment <= log.tail.segment; segment += 1) {
		const reader = new SegmentReader(log.directory, segment);
		try {
			for (let number = 0; goesOn && number < reader.count; number += 1) {
				const record = reader.record(number);
				if (record === null) {
					throw new SluiceError("SLUICE_LOG_CORRUPT", { directory: log.directory, segment, record: number });
				}
				goesOn = visit(record, reader);
			}
		} finally {
			reader.close();
		}
	}
}

function entryOf(log: ShapeLog, reader: SegmentReader, record: IndexRecord): Buffer {
	const entry = reader.entry(record);
	if (entry === null) {
		throw new SluiceError("SLUICE_LOG_CORRUPT", { directory: log.directory, segment: reader.segment });
	}
	return entry;
}

/** The transaction id stands in the headers, which are last in an entry and hold no other `txids`. */
function xidOf(entry: Buffer): number {
	const at = entry.lastIndexOf(TXIDS);
	const match = /^\d+/.exec(entry.toString("latin1", at + TXIDS.length, at + TXIDS.length + 10));
	return Number(must(at < 0 ? null : match, "an entry without its transaction id")[0]);
}
