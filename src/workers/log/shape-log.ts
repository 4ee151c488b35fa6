/**
 * One shape's log as its lane holds it: what is on disk (`tail`), what readers may see (`completed`), and the
 * chain of entries in the arena that are not written yet. Owns these numbers; must do no I/O (log-writer.ts
 * does, and log-recovery.ts fills a fresh one). The order of calls in a group: `append` and `seal` as the
 * stream says, then the writer's `flush`, then `commit`, or the writer's `rollback`.
 */

import { invariant } from "../../shared/assert.ts";
import type { LaneLog } from "../../shared/log-store.ts";
import type { LogState } from "../../shared/shape-table.ts";
import type { EntryArena } from "./entry-arena.ts";
import { compareHalves, LogTail } from "./log-tail.ts";
import type { SegmentFiles } from "./open-files.ts";

const NO_RECORD = -1;

export class ShapeLog implements LaneLog {
	readonly directory: string;
	/** The end of what was written. */
	readonly tail = new LogTail();
	/** The end of the last complete transaction that was written. */
	readonly completed = new LogTail();
	/** First segment that holds bytes which no checkpoint has synced yet; meaningful while `dirty`. */
	firstUnsyncedSegment = 0;
	/** Something was written, or found written, since the last checkpoint took this log. */
	dirty = false;
	/** Files were created since then: the directory has to be synced too. */
	createdFiles = false;
	/** Open descriptors of its last segment; OpenFiles alone writes this. */
	files: SegmentFiles | null = null;
	/** The files may hold more than `tail` says, up to this segment. -1 when they do not. */
	excessSegment = -1;

	/** Offset of the last entry, written or in the chain. */
	#lsnHigh = 0;
	#lsnLow = 0;
	#op = 0;
	#head = NO_RECORD;
	#last = NO_RECORD;
	#isLastSealed = false;
	#sealsOnDisk = false;
	/** From before the group; valid while `#isSaved`. */
	readonly #savedTail = new LogTail();
	readonly #savedCompleted = new LogTail();
	#isSaved = false;

	constructor(directory: string) {
		this.directory = directory;
	}

	/** Takes over what the recovery found. `createdFiles`: the directory may not be synced. */
	restore(tail: LogTail, completed: LogTail, firstUnsyncedSegment: number, createdFiles: boolean): void {
		this.tail.copyFrom(tail);
		this.completed.copyFrom(completed);
		this.firstUnsyncedSegment = firstUnsyncedSegment;
		this.createdFiles = createdFiles;
		this.#takeOffset();
	}

	/** First record of the chain of entries to write, or -1. */
	get head(): number {
		return this.#head;
	}

	/** The last entry on disk has to be sealed by the next flush. */
	get sealsOnDisk(): boolean {
		return this.#sealsOnDisk;
	}

	get hasWork(): boolean {
		return this.#head !== NO_RECORD || this.#sealsOnDisk;
	}

	/** The last entry belongs to a transaction that is not complete. */
	get isOpen(): boolean {
		return this.#head === NO_RECORD ? !this.tail.sealed && !this.#sealsOnDisk : !this.#isLastSealed;
	}

	get isEmpty(): boolean {
		return this.#lsnHigh === 0 && this.#lsnLow === 0;
	}

	get completedEntries(): number {
		return this.completed.entries;
	}

	lastIsOf(lsnHigh: number, lsnLow: number): boolean {
		return this.#lsnLow === lsnLow && this.#lsnHigh === lsnHigh;
	}

	/** Order of a change against the last entry: zero or negative when the entry is present already. */
	compareWithLast(lsnHigh: number, lsnLow: number, op: number): number {
		return compareHalves(lsnHigh, lsnLow, op, this.#lsnHigh, this.#lsnLow, this.#op);
	}

	/** Adds an entry of the open transaction. @throws InvariantError when its offset is not beyond the last one */
	append(arena: EntryArena, start: number, length: number, lsnHigh: number, lsnLow: number, op: number): void {
		invariant(this.compareWithLast(lsnHigh, lsnLow, op) > 0, "an entry that is not beyond the last one of its log");
		const record = arena.add(start, length, lsnHigh, lsnLow, op);
		if (this.#head === NO_RECORD) {
			this.#head = record;
		} else {
			arena.link(this.#last, record);
		}
		this.#last = record;
		this.#isLastSealed = false;
		this.#lsnHigh = lsnHigh;
		this.#lsnLow = lsnLow;
		this.#op = op;
	}

	/** The open transaction is complete: its last entry gets the mark. */
	seal(arena: EntryArena): void {
		if (this.#head !== NO_RECORD) {
			arena.markLast(this.#last);
			this.#isLastSealed = true;
		} else if (!this.tail.sealed) {
			this.#sealsOnDisk = true;
		}
	}

	/** The writer, before it touches the files or the tail: remembers where the group began. */
	save(): void {
		if (!this.#isSaved) {
			this.#savedTail.copyFrom(this.tail);
			this.#savedCompleted.copyFrom(this.completed);
			this.#isSaved = true;
		}
	}

	/** The writer has written the chain. */
	written(): void {
		this.#head = NO_RECORD;
		this.#last = NO_RECORD;
		this.#sealsOnDisk = false;
	}

	/** The group is written for all shapes: there is no way back to before it. */
	commit(): void {
		this.#isSaved = false;
	}

	/** Back to before the group. The files may now hold more than the tail says (`excessSegment`). */
	revert(): void {
		if (this.#isSaved) {
			this.excessSegment = Math.max(this.excessSegment, this.tail.segment);
			this.tail.copyFrom(this.#savedTail);
			this.completed.copyFrom(this.#savedCompleted);
			this.#isSaved = false;
		}
		this.written();
		this.#takeOffset();
	}

	/** The entries of the open transaction do not exist: it will be sent again. Only between groups. */
	discardOpen(): void {
		invariant(this.#head === NO_RECORD, "discarding in the middle of a group");
		if (!this.tail.sealed) {
			this.excessSegment = Math.max(this.excessSegment, this.tail.segment);
			this.tail.copyFrom(this.completed);
		}
		this.#sealsOnDisk = false;
		this.#takeOffset();
	}

	/** What readers may see. */
	visibleState(): LogState {
		const { completed } = this;
		return {
			opened: true,
			lastOffset: {
				tx: (BigInt(completed.lsnHigh) << 32n) | BigInt(completed.lsnLow),
				op: completed.op,
			},
			segment: completed.segment,
			segmentBytes: completed.segmentBytes,
			segmentEntries: completed.segmentEntries,
		};
	}

	#takeOffset(): void {
		this.#lsnHigh = this.tail.lsnHigh;
		this.#lsnLow = this.tail.lsnLow;
		this.#op = this.tail.op;
	}
}
