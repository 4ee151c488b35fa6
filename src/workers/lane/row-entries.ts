/**
 * One row change to entries: asks the matcher whose row it is, decides what it is for each shape, encodes and
 * appends. Owns the change at hand and what went wrong for single shapes; one bad shape must not stop the others.
 * The hot path of Sluice: nothing is allocated for a row that matches nothing. Called by the batch processor.
 */

import { must } from "../../shared/assert.ts";
import { ByteWriter } from "../../shared/byte-writer.ts";
import type { StreamDecoder } from "../../shared/decoding.ts";
import { diskError } from "../../shared/disk-error.ts";
import { writeTransactionStamp } from "../../shared/entry-encoder.ts";
import { SluiceError } from "../../shared/errors.ts";
import type { LaneLog, LogStore } from "../../shared/log-store.ts";
import type { Logger } from "../../shared/logging.ts";
import type { MatchSink, ShapeMatcher } from "../../shared/matching.ts";
import { INVALIDATED_CORRUPT, INVALIDATED_QUARANTINE } from "../../shared/shape-table.ts";
import type { Tuple } from "../../shared/tuple.ts";
import { ADMIT, admit, PRESENT } from "./admission.ts";
import { DELETE, decideChange, INSERT, NOTHING, UPDATE } from "./change-decision.ts";
import { type EntryKind, KEY_CHANGE_DELETE, KEY_CHANGE_INSERT } from "./encoder-group.ts";
import type { LaneShape } from "./lane-shape.ts";
import type { OpenShapes } from "./open-shapes.ts";
import type { RelationEntry } from "./relation-book.ts";
import type { ShapeBook } from "./shape-book.ts";
import type { StreamPosition } from "./stream-position.ts";
import type { WriteGroup } from "./write-group.ts";

export interface RowEntriesOptions {
	readonly book: ShapeBook;
	readonly matcher: ShapeMatcher;
	readonly decoder: StreamDecoder;
	readonly store: LogStore;
	readonly log: Logger;
	readonly position: StreamPosition;
	readonly openShapes: OpenShapes;
	readonly group: WriteGroup;
}

export class RowEntries {
	/** Entries made since the start. */
	count = 0;

	readonly #options: RowEntriesOptions;
	readonly #sink: MatchSink;
	readonly #stamp = new ByteWriter(128);
	#stampSerial = -1;
	#changeSerial = 0;
	/** The change at hand. */
	#relation: RelationEntry | null = null;
	#op = 0;
	#isUpdate = false;
	/** What a match could not do: thrown, or carried out, when the matcher has returned. */
	#failure: unknown = null;
	#doomed: { readonly shape: LaneShape; readonly reason: number }[] = [];

	constructor(options: RowEntriesOptions) {
		this.#options = options;
		this.#sink = (slot, inOld, inNew) => this.#onMatch(slot, inOld, inNew);
	}

	/**
	 * A row change of the open transaction, whose tuples the decoder shows. Both are given for an update alone.
	 * @throws SluiceError `SLUICE_DISK_FULL`, `SLUICE_DISK_FAILED`: a log could not be opened
	 */
	change(relation: RelationEntry, op: number, oldTuple: Tuple | null, newTuple: Tuple | null): void {
		this.#relation = relation;
		this.#op = op;
		this.#isUpdate = oldTuple !== null && newTuple !== null;
		this.#changeSerial += 1;
		try {
			this.#options.matcher.match(relation.oid, oldTuple, newTuple, this.#sink);
		} catch (error) {
			this.#matchFailed(relation.oid, error);
		}
		if (this.#failure !== null || this.#doomed.length > 0) {
			this.#settleFailures();
		}
	}

	/** The space of the entries was cleared: those of the change at hand are not in it any more. */
	spaceCleared(): void {
		this.#changeSerial += 1;
	}

	/** The group is given up, and the stream goes back. */
	reset(): void {
		this.#doomed = [];
		this.#failure = null;
		this.#stampSerial = -1;
		this.#changeSerial += 1;
	}

	/** Must not throw: it is called from inside the matcher. */
	#onMatch(slot: number, inOld: boolean, inNew: boolean): void {
		const shape = this.#options.book.find(slot);
		if (shape === undefined || this.#failure !== null) {
			return;
		}
		this.#options.book.workOn(slot);
		try {
			this.#apply(shape, inOld, inNew);
		} catch (error) {
			this.#applyFailed(shape, error);
		}
	}

	#apply(shape: LaneShape, inOld: boolean, inNew: boolean): void {
		const { position } = this.#options;
		const log = shape.log ?? this.#options.book.recover(shape);
		const relation = must(this.#relation, "a match outside a change");
		if (relation.stale?.has(shape)) {
			return;
		}
		if (shape.settledEra !== position.era) {
			const verdict = admit(shape, log, position, this.#op);
			if (verdict !== ADMIT) {
				if (verdict === PRESENT) {
					this.#options.book.markDirty(shape);
				}
				return;
			}
		}
		const { group } = shape;
		group.turnTo(this.#changeSerial, relation);
		const { oldTuple, newTuple } = this.#options.decoder;
		const changed = this.#isUpdate && inOld && inNew ? group.compare(oldTuple, newTuple) : 0;
		switch (decideChange(inOld, inNew, changed)) {
			case NOTHING:
				return;
			case INSERT:
				this.#append(shape, log, INSERT, this.#op);
				return;
			case UPDATE:
				this.#append(shape, log, UPDATE, this.#op);
				return;
			case DELETE:
				this.#append(shape, log, DELETE, this.#op);
				return;
			default:
				this.#append(shape, log, KEY_CHANGE_DELETE, this.#op);
				this.#append(shape, log, KEY_CHANGE_INSERT, this.#op + 1);
		}
	}

	#append(shape: LaneShape, log: LaneLog, kind: EntryKind, op: number): void {
		const { position } = this.#options;
		const { space } = this.#options.store;
		const { oldTuple, newTuple } = this.#options.decoder;
		if (this.#stampSerial !== position.serial) {
			writeTransactionStamp(this.#stamp, position.xid, position.lsnHigh, position.lsnLow);
			this.#stampSerial = position.serial;
		}
		const { group } = shape;
		group.encode(kind, space.bytes, this.#stamp, op, oldTuple, newTuple);
		log.append(space, group.start(kind), group.length(kind), position.lsnHigh, position.lsnLow, op);
		this.count += 1;
		this.#options.openShapes.add(shape);
		this.#options.group.touch(shape);
	}

	/** One bad shape must not stop the others; a bad disk stops the group. */
	#applyFailed(shape: LaneShape, thrown: unknown): void {
		const error = diskError(thrown, "open");
		if (error instanceof SluiceError && error.code !== "SLUICE_LOG_CORRUPT") {
			this.#failure = error;
			return;
		}
		const reason = error instanceof SluiceError ? INVALIDATED_CORRUPT : INVALIDATED_QUARANTINE;
		this.#options.log.error({ err: error, slot: shape.slot }, "a row change could not be applied to a shape");
		this.#doomed.push({ shape, reason });
	}

	/** A condition that throws cannot be named: all shapes of the relation go, rather than the lane at every try. */
	#matchFailed(oid: number, error: unknown): void {
		this.#options.log.error({ err: error, oid }, "a row change could not be matched, dropping the relation's shapes");
		for (const shape of this.#options.book.on(oid)) {
			this.#doomed.push({ shape, reason: INVALIDATED_QUARANTINE });
		}
	}

	#settleFailures(): void {
		const doomed = this.#doomed;
		const failure = this.#failure;
		this.#doomed = [];
		this.#failure = null;
		for (const { shape, reason } of doomed) {
			this.#options.book.invalidate(shape, reason);
		}
		if (failure !== null) {
			throw failure;
		}
	}
}
