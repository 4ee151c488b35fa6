/**
 * Opens a log that an earlier run, or an earlier life of the lane, has left: finds where it ends, cuts off what
 * cannot be trusted or is not complete, and says so in a LogTail. Owns the decision; must never cut what was
 * synced: that is a damaged log. Synchronous; called by the lane, once for each log. docs/LOG-FORMAT.md,
 * "Recovery", is this file in prose.
 */

import { existsSync } from "node:fs";
import { invariant } from "../../shared/assert.ts";
import { diskError } from "../../shared/disk-error.ts";
import { ITEM_END } from "../../shared/entry-encoder.ts";
import { SluiceError } from "../../shared/errors.ts";
import {
	FLAG_LAST,
	INDEX_RECORD_BYTES,
	type IndexRecord,
	logIndexPath,
	logSegmentPath,
	ORDINAL_MODULUS,
} from "../../shared/log-layout.ts";
import type { RecoveryRules } from "../../shared/log-store.ts";
import {
	closeFile,
	lastSegmentIn,
	OPEN_EXISTING,
	openFile,
	removeSegments,
	truncateFile,
	writeFully,
} from "./disk-operations.ts";
import { LogTail } from "./log-tail.ts";
import { SegmentReader } from "./segment-reader.ts";

export interface RecoveredLog {
	/** The end of the log. */
	readonly tail: LogTail;
	/** The end of its last complete transaction. Equal to the tail, unless entries were kept. */
	readonly completed: LogTail;
	/** Everything before this segment was synced by an earlier run. */
	readonly firstUnsyncedSegment: number;
	/** The files of the tail's segment may be younger than the last sync of the directory. */
	readonly createdFiles: boolean;
	/** Open descriptors of the tail's segment, the caller's; null when there are none. */
	readonly files: { readonly data: number; readonly index: number } | null;
}

/**
 * Recovers the log in `directory`, which may hold none. The files are as the answer says afterwards.
 * @param chunkBytes a segment below this size is the last one, unless the next one is there
 * @throws SluiceError `SLUICE_LOG_CORRUPT`: something that was synced is damaged; `SLUICE_DISK_FAILED`
 */
export function recoverLog(directory: string, rules: RecoveryRules, chunkBytes: number): RecoveredLog {
	const recovery = new Recovery(directory, rules, chunkBytes);
	try {
		return recovery.run();
	} catch (error) {
		throw diskError(error, "recover");
	} finally {
		recovery.close();
	}
}

/**
 * Where the recovery would find the last complete transaction to end; no file is changed. For whoever reads along in
 * a log that another process may be writing.
 * @throws SluiceError as {@link recoverLog}
 */
export function surveyLog(directory: string, rules: RecoveryRules, chunkBytes: number): LogTail {
	const recovery = new Recovery(directory, rules, chunkBytes);
	try {
		return recovery.survey();
	} catch (error) {
		throw diskError(error, "survey");
	} finally {
		recovery.close();
	}
}

class Recovery {
	readonly #directory: string;
	readonly #rules: RecoveryRules;
	readonly #chunkBytes: number;
	/** End of the verified entries. */
	readonly #end = new LogTail();
	readonly #tail = new LogTail();
	readonly #completed = new LogTail();
	#previous: IndexRecord | null = null;
	#reader: SegmentReader | null = null;
	#firstUnsyncedSegment = 0;
	/** Segment of the record that was synced for certain, and with it the segment's name in the directory. */
	#syncedSegment = -1;

	constructor(directory: string, rules: RecoveryRules, chunkBytes: number) {
		this.#directory = directory;
		this.#rules = rules;
		this.#chunkBytes = chunkBytes;
	}

	run(): RecoveredLog {
		const last = this.#lastSegment();
		if (last >= 0) {
			this.#verify(last);
			this.#cut(last);
		}
		const tail = this.#tail;
		const files = this.#reader?.segment === tail.segment ? this.#reader.handOver() : null;
		return {
			tail,
			completed: this.#completed,
			firstUnsyncedSegment: Math.min(this.#firstUnsyncedSegment, tail.segment),
			createdFiles: this.#syncedSegment < tail.segment,
			files,
		};
	}

	survey(): LogTail {
		const last = this.#lastSegment();
		if (last >= 0) {
			this.#verify(last);
		}
		return this.#completed;
	}

	close(): void {
		this.#reader?.close();
		this.#reader = null;
	}

	/** Back to the last record that was synced, then forward: the first record that does not hold ends the log. */
	#verify(last: number): void {
		let segment = last;
		let reader = this.#open(segment);
		let synced = this.#lastSynced(reader);
		while (synced < 0 && segment > 0) {
			segment -= 1;
			reader = this.#open(segment);
			synced = this.#lastSynced(reader);
		}
		this.#firstUnsyncedSegment = segment;
		let next = 0;
		if (synced >= 0) {
			this.#syncedSegment = segment;
			this.#trust(reader, synced);
			next = synced + 1;
		}
		while (this.#verifySegment(reader, next) && segment < last) {
			segment += 1;
			reader = this.#open(segment);
			next = 0;
		}
	}

	#open(segment: number): SegmentReader {
		if (this.#reader?.segment === segment) {
			return this.#reader;
		}
		this.close();
		const reader = new SegmentReader(this.#directory, segment);
		this.#reader = reader;
		return reader;
	}

	/**
	 * -1 when there is none. Most logs have one segment: that is seen without reading the directory. Remnants of a
	 * crash beyond it are the business of whoever begins segment 1.
	 */
	#lastSegment(): number {
		const first = this.#open(0);
		if (first.dataBytes < this.#chunkBytes && !existsSync(logSegmentPath(this.#directory, 1))) {
			return first.hasFiles ? 0 : -1;
		}
		return lastSegmentIn(this.#directory);
	}

	/** Number of the last record that was synced for certain, or -1. */
	#lastSynced(reader: SegmentReader): number {
		for (let number = reader.count - 1; number >= 0; number -= 1) {
			const record = reader.record(number);
			if (record !== null && record.tx < this.#rules.acknowledgedLsn) {
				return number;
			}
		}
		return -1;
	}

	/** Starts from a synced record: it must hold, and its transaction must be complete. */
	#trust(reader: SegmentReader, number: number): void {
		const record = reader.record(number);
		invariant(record !== null, "a synced record that cannot be read");
		if (record.flags !== FLAG_LAST || reader.entryCrc(record) !== record.crc) {
			throw this.#corrupt(reader.segment, number);
		}
		this.#advance(reader.segment, number + 1, record, 0);
		// Ordinals wrap; only their differences count from here on.
		this.#end.entries = record.ordinal + 1;
		this.#accept(record);
	}

	/** True when the segment holds records and all of them are as they should be. */
	#verifySegment(reader: SegmentReader, from: number): boolean {
		for (let number = from; number < reader.count; number += 1) {
			const record = reader.record(number);
			if (record === null) {
				const tx = reader.rawTx(number);
				if (tx !== 0n && tx < this.#rules.acknowledgedLsn) {
					throw this.#corrupt(reader.segment, number);
				}
				return false;
			}
			if (!this.#follows(number, record)) {
				return false;
			}
			const isSealed = record.flags === FLAG_LAST;
			// A lane that died between the two writes of a seal left the mark in the entry and not in its record.
			const holds =
				reader.entryCrc(record) === record.crc || (!isSealed && reader.crcWithoutMark(record) === record.crc);
			if (!holds) {
				return false;
			}
			this.#advance(reader.segment, number + 1, record, isSealed ? 0 : reader.prefixCrc(record));
			this.#accept(record);
		}
		return reader.count > 0;
	}

	#follows(number: number, record: IndexRecord): boolean {
		const previous = this.#previous;
		if (record.ordinal !== this.#end.entries % ORDINAL_MODULUS) {
			return false;
		}
		if (number === 0) {
			return record.position === 0 && (previous === null || isBeyond(record, previous));
		}
		return (
			previous !== null && record.position === previous.position + previous.length + 1 && isBeyond(record, previous)
		);
	}

	#advance(segment: number, segmentEntries: number, record: IndexRecord, prefixCrc: number): void {
		const end = this.#end;
		end.segment = segment;
		end.segmentBytes = record.position + record.length;
		end.segmentEntries = segmentEntries;
		end.entries += 1;
		end.lsnHigh = Number(record.tx >> 32n);
		end.lsnLow = Number(record.tx & 0xffff_ffffn);
		end.op = record.op;
		end.lastPosition = record.position;
		end.lastLength = record.length;
		end.lastPrefixCrc = prefixCrc;
		end.sealed = record.flags === FLAG_LAST;
		this.#previous = record;
	}

	/** A sealed entry completes what came before it; an unsealed one stays only if the rules keep it. */
	#accept(record: IndexRecord): void {
		const { keep } = this.#rules;
		if (this.#end.sealed) {
			this.#completed.copyFrom(this.#end);
			this.#tail.copyFrom(this.#end);
		} else if (keep !== null && record.tx === keep.finalLsn && record.op < keep.belowOp) {
			this.#tail.copyFrom(this.#end);
		}
	}

	/** Makes the files end at the tail. */
	#cut(lastSegment: number): void {
		const tail = this.#tail;
		removeSegments(this.#directory, tail.segment, lastSegment);
		const { segment } = tail;
		const reader = this.#open(segment);
		const indexBytes = tail.segmentEntries * INDEX_RECORD_BYTES;
		if (reader.indexBytes !== indexBytes) {
			withFile(logIndexPath(this.#directory, segment), (index) => truncateFile(index, indexBytes));
		}
		if (reader.dataBytes !== tail.segmentBytes || !tail.sealed) {
			withFile(logSegmentPath(this.#directory, segment), (data) => {
				truncateFile(data, tail.segmentBytes);
				if (!tail.sealed) {
					writeFully(data, ITEM_END, ITEM_END.length, tail.segmentBytes - ITEM_END.length);
				}
			});
		}
	}

	#corrupt(segment: number, record: number): SluiceError {
		return new SluiceError("SLUICE_LOG_CORRUPT", { directory: this.#directory, segment, record });
	}
}

function withFile(path: string, action: (fd: number) => void): void {
	const fd = openFile(path, OPEN_EXISTING);
	try {
		action(fd);
	} finally {
		closeFile(fd);
	}
}

function isBeyond(record: IndexRecord, previous: IndexRecord): boolean {
	return record.tx > previous.tx || (record.tx === previous.tx && record.op > previous.op);
}
