/**
 * Reads along in a log that another process writes: where does it end by now, for readers? Owns one position in
 * the log and no file; must never change a file, and never show an entry whose transaction is not complete. The
 * writer puts bytes before records and replaces the end of its last record when it seals it, so what does not hold
 * yet is looked at again. Synchronous; called by the registrar through its entry. docs/LOG-FORMAT.md, "Reading along".
 */

import { statSync } from "node:fs";
import {
	FLAG_LAST,
	INDEX_RECORD_BYTES,
	type IndexRecord,
	logIndexPath,
	ORDINAL_MODULUS,
} from "../../shared/log-layout.ts";
import type { FollowedLog, FollowStep } from "../../shared/log-store.ts";
import type { LogState } from "../../shared/shape-table.ts";
import { surveyLog } from "./log-recovery.ts";
import type { LogTail } from "./log-tail.ts";
import { SegmentReader } from "./segment-reader.ts";

/** A place between two entries. */
interface Place {
	readonly segment: number;
	readonly segmentBytes: number;
	readonly segmentEntries: number;
	/** Ordinal of the next entry. */
	readonly entries: number;
	/** The entry before, as its record said; null at the start of the log. */
	readonly last: Pick<IndexRecord, "tx" | "op" | "flags"> | null;
}

/**
 * Looks at a log as the recovery would, without changing it.
 * @param acknowledgedLsn as the catalogue has it: transactions that commit below were synced
 * @throws SluiceError `SLUICE_LOG_CORRUPT`: something that was synced is damaged; `SLUICE_DISK_FAILED`
 */
export function followLog(directory: string, acknowledgedLsn: bigint, chunkBytes: number): FollowedLog {
	return new LogFollower(directory, placeOf(surveyLog(directory, { acknowledgedLsn, keep: null }, chunkBytes)));
}

class LogFollower implements FollowedLog {
	readonly #directory: string;
	/** After the last complete transaction. */
	#visible: Place;
	/** Beyond it, inside an open transaction: what need not be looked at again. */
	#scanned: Place;

	constructor(directory: string, visible: Place) {
		this.#directory = directory;
		this.#visible = visible;
		this.#scanned = visible;
	}

	get state(): LogState {
		const { segment, segmentBytes, segmentEntries, last } = this.#visible;
		return {
			opened: true,
			lastOffset: { tx: last?.tx ?? 0n, op: last?.op ?? 0 },
			segment,
			segmentBytes,
			segmentEntries,
		};
	}

	advance(): FollowStep {
		const before = this.#visible;
		if (this.#recordsOf(before.segment) < before.segmentEntries) {
			return "lost";
		}
		if (!this.#readOn()) {
			// Something was taken back behind what was complete: from there again.
			this.#scanned = this.#visible;
			this.#readOn();
		}
		return this.#visible === before ? "unchanged" : "advanced";
	}

	/** False when the place that was scanned is no longer there, or does not go on as it should. */
	#readOn(): boolean {
		for (;;) {
			const { segment, segmentEntries } = this.#scanned;
			const records = this.#recordsOf(segment);
			if (records < segmentEntries || (records === 0 && segment > 0)) {
				return false;
			}
			if (records > segmentEntries) {
				const verdict = this.#readSegment(segment);
				if (verdict !== "whole") {
					return verdict === "waiting";
				}
			}
			// A segment is closed by the one after it.
			if (this.#scanned.segmentEntries === 0 || this.#recordsOf(segment + 1) === 0) {
				return true;
			}
			this.#scanned = { ...this.#scanned, segment: segment + 1, segmentBytes: 0, segmentEntries: 0 };
		}
	}

	/** "whole": every record that is there was taken. "waiting": what follows does not hold yet. */
	#readSegment(segment: number): "whole" | "waiting" | "broken" {
		const reader = new SegmentReader(this.#directory, segment);
		try {
			for (let number = this.#scanned.segmentEntries; number < reader.count; number += 1) {
				const record = reader.record(number);
				if (record === null || reader.entryCrc(record) !== record.crc) {
					return "waiting";
				}
				const { last } = this.#scanned;
				if (!follows(this.#scanned, record) || (last !== null && last.flags !== FLAG_LAST && last.tx !== record.tx)) {
					return "broken";
				}
				const isLast = number === reader.count - 1 && this.#recordsOf(segment + 1) === 0;
				if (record.flags !== FLAG_LAST && isLast) {
					// It may still be sealed in place.
					return "waiting";
				}
				this.#scanned = after(this.#scanned, record);
				if (record.flags === FLAG_LAST) {
					this.#visible = this.#scanned;
				}
			}
			return "whole";
		} finally {
			reader.close();
		}
	}

	#recordsOf(segment: number): number {
		const size = statSync(logIndexPath(this.#directory, segment), { throwIfNoEntry: false })?.size ?? 0;
		return Math.floor(size / INDEX_RECORD_BYTES);
	}
}

function follows(place: Place, record: IndexRecord): boolean {
	const { last, segmentBytes, segmentEntries, entries } = place;
	const position = segmentEntries === 0 ? 0 : segmentBytes + 1;
	const isBeyond = last === null || record.tx > last.tx || (record.tx === last.tx && record.op > last.op);
	return record.position === position && record.ordinal === entries % ORDINAL_MODULUS && isBeyond;
}

function after(place: Place, record: IndexRecord): Place {
	return {
		segment: place.segment,
		segmentBytes: record.position + record.length,
		segmentEntries: place.segmentEntries + 1,
		entries: place.entries + 1,
		last: record,
	};
}

function placeOf(tail: LogTail): Place {
	const tx = (BigInt(tail.lsnHigh) << 32n) | BigInt(tail.lsnLow);
	return {
		segment: tail.segment,
		segmentBytes: tail.segmentBytes,
		segmentEntries: tail.segmentEntries,
		entries: tail.entries,
		last: tx === 0n ? null : { tx, op: tail.op, flags: FLAG_LAST },
	};
}
