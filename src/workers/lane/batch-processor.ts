/**
 * Batches to log entries: walks the frames, finds the shapes, has their entries encoded, written and published.
 * Owns what is between two batches (position in the stream, open transaction) and guarantees that a group of
 * batches (any number that are taken before a flush) is processed wholly or not at all. Rows themselves are the
 * business of row-entries.ts. Called by the lane's shell, one batch after the other.
 */

import { invariant, must } from "../../shared/assert.ts";
import {
	BATCH_HEADER_BYTES,
	type BatchHeader,
	FRAME_LENGTH_BYTES,
	TAG_BEGIN,
	TAG_COMMIT,
	TAG_DELETE,
	TAG_INSERT,
	TAG_RELATION,
	TAG_TRUNCATE,
	TAG_UPDATE,
} from "../../shared/batch-layout.ts";
import { type BeginMessage, OLD_WHOLE, type StreamDecoder } from "../../shared/decoding.ts";
import { diskError } from "../../shared/disk-error.ts";
import { SluiceError } from "../../shared/errors.ts";
import type { FaultInjector } from "../../shared/fault-points.ts";
import { LANE_BUFFER_BYTES_MAX } from "../../shared/limits.ts";
import type { LogStore } from "../../shared/log-store.ts";
import type { Logger } from "../../shared/logging.ts";
import type { ShapeMatcher } from "../../shared/matching.ts";
import type { LaneEvent, LaneResume } from "../../shared/messages.ts";
import { opOfChange } from "../../shared/offset.ts";
import { NO_SLOT } from "../../shared/shape-table.ts";
import type { Tuple } from "../../shared/tuple.ts";
import type { LaneShape } from "./lane-shape.ts";
import { OpenShapes } from "./open-shapes.ts";
import { RelationBook } from "./relation-book.ts";
import { RowEntries } from "./row-entries.ts";
import type { ShapeBook } from "./shape-book.ts";
import { NO_EPOCH, StreamPosition } from "./stream-position.ts";
import { StructuralChanges } from "./structural-changes.ts";
import { WriteGroup } from "./write-group.ts";

export interface BatchProcessorOptions {
	readonly book: ShapeBook;
	readonly matcher: ShapeMatcher;
	readonly decoder: StreamDecoder;
	readonly store: LogStore;
	readonly faults: FaultInjector;
	readonly openTransaction: LaneResume["openTransaction"];
	readonly post: (event: LaneEvent) => void;
	readonly log: Logger;
}

/** What a group of batches has moved. */
export interface ProcessedGroup {
	/** Of its last batch. */
	readonly sequence: number;
	readonly streamEpoch: number;
	/** Commit LSN of the last transaction that is complete, null when the group completed none. */
	readonly committedLsn: bigint | null;
	/** End LSN of that commit. */
	readonly committedEndLsn: bigint | null;
}

/** Where a group began. */
interface GroupStart {
	readonly header: BatchHeader;
	readonly openShapes: readonly LaneShape[];
}

export class BatchProcessor {
	readonly relations = new RelationBook();
	readonly position = new StreamPosition();
	readonly openShapes = new OpenShapes();
	readonly structure: StructuralChanges;
	/** Row changes seen since the start. */
	rows = 0;

	readonly #options: BatchProcessorOptions;
	readonly #begin: BeginMessage = { finalLsnHigh: 0, finalLsnLow: 0, xid: 0 };
	readonly #entries: RowEntries;
	#processedSequence = 0;
	readonly #group: WriteGroup;
	/** Null between two groups. */
	#start: GroupStart | null = null;
	#lastHeader: BatchHeader | null = null;
	/** Of the last commit in the group; 0n when it holds none. */
	#committedEndLsn = 0n;
	/** From before this lane's life: parts of it are in the logs. */
	#keptTransaction: LaneResume["openTransaction"];

	constructor(options: BatchProcessorOptions) {
		this.#options = options;
		this.#group = new WriteGroup(options.book, options.store, options.log);
		this.#keptTransaction = options.openTransaction;
		this.structure = new StructuralChanges(options.book, options.matcher, this.relations, this.position, options.post);
		const { position, openShapes } = this;
		this.#entries = new RowEntries({ ...options, position, openShapes, group: this.#group });
	}

	/** Entries made since the start. */
	get entries(): number {
		return this.#entries.count;
	}

	/** Batches were taken that are not written yet. */
	get isHolding(): boolean {
		return this.#start !== null;
	}

	/** Some log waits for {@link flush}. */
	get hasWork(): boolean {
		return this.#group.hasWork;
	}

	/** Memory of the group's entries. */
	get heldBytes(): number {
		return this.#group.heldBytes;
	}

	/** The batch is of another stream than the group: the group has to be written before it is taken. */
	startsAnew(header: BatchHeader): boolean {
		return header.streamEpoch !== this.position.epoch;
	}

	/**
	 * Takes the batch at `byteOffset` of `buffer` (which `view` shows, too) into the group. When it throws,
	 * everything is as before the group, except for shapes that were invalidated.
	 * @throws SluiceError `SLUICE_DISK_FULL`, `SLUICE_DISK_FAILED`, `SLUICE_TUPLE_MALFORMED`
	 */
	take(header: BatchHeader, buffer: Buffer, view: DataView, byteOffset: number): void {
		invariant(this.#start === null || !this.startsAnew(header), "a group of batches of two streams");
		this.#enter(header);
		this.#start ??= { header, openShapes: this.openShapes.shapes.slice() };
		this.#lastHeader = header;
		this.#try(() => this.#walk(buffer, view, byteOffset + BATCH_HEADER_BYTES, header));
		if (header.lastCommitEndLsn !== 0n) {
			this.#committedEndLsn = header.lastCommitEndLsn;
		}
		this.#options.book.workOn(NO_SLOT);
	}

	/**
	 * Writes what the group holds and shows it to readers. When it throws, everything is as before the group,
	 * except for shapes that were invalidated.
	 * @throws SluiceError `SLUICE_DISK_FULL`, `SLUICE_DISK_FAILED`
	 */
	flush(): ProcessedGroup {
		const last = must(this.#lastHeader, "flushing without a batch");
		this.#try(() => this.#write());
		this.#group.publish();
		this.#processedSequence = last.sequence;
		const { position } = this;
		const endLsn = this.#committedEndLsn;
		this.#endGroup();
		return {
			sequence: last.sequence,
			streamEpoch: last.streamEpoch,
			committedLsn: endLsn === 0n ? null : (BigInt(position.committedHigh) << 32n) | BigInt(position.committedLow),
			committedEndLsn: endLsn === 0n ? null : endLsn,
		};
	}

	/** Takes the group back: everything is as before it. */
	abandon(): void {
		if (this.#start !== null) {
			this.#giveUp(this.#start);
		}
	}

	/** There is a gap in the stream: what is held, and what is remembered of transactions, is of another history. */
	forget(): void {
		this.abandon();
		this.#keptTransaction = null;
		this.position.forget();
		this.relations.forgetTransactions();
	}

	#try(work: () => void): void {
		try {
			work();
		} catch (error) {
			const start = must(this.#start, "work outside a group");
			this.#giveUp(start);
			const mapped = diskError(error, "batch");
			if (mapped instanceof SluiceError) {
				// Otherwise this thread ends, and main looks at what it was working on.
				this.#options.book.workOn(NO_SLOT);
			}
			throw mapped;
		}
	}

	#endGroup(): void {
		this.#start = null;
		this.#lastHeader = null;
		this.#committedEndLsn = 0n;
		this.#options.book.workOn(NO_SLOT);
	}

	/** A new epoch sends the open transaction again, from its start: what there is of it goes. */
	#enter(header: BatchHeader): void {
		const { position } = this;
		if (header.streamEpoch !== position.epoch) {
			const kept = this.#keptTransaction;
			const goesOn =
				position.epoch === NO_EPOCH && header.startsInside && kept !== null && kept.finalLsn === header.openFinalLsn;
			if (!goesOn) {
				for (const shape of this.openShapes.shapes) {
					if (shape.log !== null && !shape.isGone) {
						this.#options.store.discardOpen(shape.log);
					}
				}
				this.openShapes.replace([]);
			}
			this.#keptTransaction = null;
			position.isOpen = false;
			position.era += 1;
		} else if (header.sequence <= this.#processedSequence) {
			position.era += 1;
		}
		position.enter(header);
	}

	#walk(buffer: Buffer, view: DataView, payloadStart: number, header: BatchHeader): void {
		const end = payloadStart + header.payloadBytes;
		const middle = header.frameCount >> 1;
		let frame = 0;
		for (let at = payloadStart; at < end; ) {
			if (frame === middle) {
				this.#options.faults.pass("lane.batch.middle");
			}
			const start = at + FRAME_LENGTH_BYTES;
			const stop = start + view.getUint32(at, true);
			invariant(stop > start && stop <= end, "a frame that leaves its batch");
			this.#frame(buffer, start, stop);
			at = stop;
			frame += 1;
		}
	}

	#frame(buffer: Buffer, start: number, stop: number): void {
		const { decoder } = this.#options;
		switch (buffer[start]) {
			case TAG_INSERT:
			case TAG_UPDATE:
			case TAG_DELETE:
				this.#row(buffer, start, stop);
				return;
			case TAG_BEGIN:
				invariant(!this.position.isOpen, "a transaction inside a transaction");
				decoder.readBegin(buffer, start, stop, this.#begin);
				this.position.begin(this.#begin.finalLsnHigh, this.#begin.finalLsnLow, this.#begin.xid);
				return;
			case TAG_COMMIT:
				decoder.checkCommit(buffer, start, stop);
				this.#commit();
				return;
			case TAG_RELATION: {
				const entry = this.relations.take(decoder, buffer, start, stop);
				if (entry !== null) {
					this.structure.relationChanged(entry);
				}
				return;
			}
			case TAG_TRUNCATE:
				this.structure.truncated(decoder.readTruncate(buffer, start, stop));
				return;
			default:
				// Origin, Type and Message say nothing about rows.
				return;
		}
	}

	#row(buffer: Buffer, start: number, stop: number): void {
		const { decoder, matcher } = this.#options;
		const { position } = this;
		invariant(position.isOpen, "a row change outside a transaction");
		const oid = decoder.readRelationOid(buffer, start, stop);
		const relation = this.relations.find(oid);
		if (relation === undefined) {
			throw new SluiceError("SLUICE_TUPLE_MALFORMED", { oid, problem: "a row of a relation that was not described" });
		}
		const op = opOfChange(position.changes);
		position.changes += 1;
		this.rows += 1;
		if (relation.recentSerial !== position.serial) {
			this.relations.noteTransaction(relation, position);
		}
		if (relation.stale !== null) {
			this.structure.checkStale(relation);
		}
		if (!matcher.watches(oid)) {
			return;
		}
		const columnCount = relation.columnNames.length;
		const tag = buffer[start];
		let oldTuple: Tuple | null = null;
		let newTuple: Tuple | null = null;
		if (tag === TAG_INSERT) {
			decoder.readInsert(buffer, start, stop, columnCount);
			newTuple = decoder.newTuple;
		} else {
			const oldKind =
				tag === TAG_UPDATE
					? decoder.readUpdate(buffer, start, stop, columnCount)
					: decoder.readDelete(buffer, start, stop, columnCount);
			if (oldKind !== OLD_WHOLE) {
				this.structure.oldRowMissing(oid);
				return;
			}
			oldTuple = decoder.oldTuple;
			newTuple = tag === TAG_UPDATE ? decoder.newTuple : null;
		}
		this.#entries.change(relation, op, oldTuple, newTuple);
		if (this.#options.store.space.heldBytes > LANE_BUFFER_BYTES_MAX) {
			this.#write();
		}
	}

	/** Seals the transaction's last entry in each shape. */
	#commit(): void {
		const { position } = this;
		invariant(position.isOpen, "a commit outside a transaction");
		position.commit();
		const { shapes } = this.openShapes;
		if (shapes.length === 0) {
			return;
		}
		const others: LaneShape[] = [];
		for (const shape of shapes) {
			const { log } = shape;
			if (log === null || shape.isGone) {
				continue;
			}
			if (!log.lastIsOf(position.lsnHigh, position.lsnLow)) {
				// A batch that is processed twice: these are entries of a later transaction, which is still to come.
				others.push(shape);
				continue;
			}
			log.seal(this.#options.store.space);
			this.#group.touch(shape);
		}
		this.openShapes.replace(others);
	}

	#write(): void {
		this.#group.write();
		this.#entries.spaceCleared();
	}

	/** Everything as before the group. */
	#giveUp(start: GroupStart): void {
		this.#group.rollback();
		this.#entries.reset();
		this.openShapes.replace(start.openShapes.filter(({ isGone }) => !isGone));
		this.position.era += 1;
		this.position.enter(start.header);
		this.#start = null;
		this.#lastHeader = null;
		this.#committedEndLsn = 0n;
	}
}
