/**
 * What the registrar may ask of a lane: restore, add, splice, open, remove. Owns the splice (replication.md 5.4);
 * runs between batches, so that the stream stands still for it. Called over the registrar's port.
 */

import { SluiceError } from "../../shared/errors.ts";
import type { LogStore } from "../../shared/log-store.ts";
import type { LaneResume, LaneShapeControl } from "../../shared/messages.ts";
import type { ShapeAssignment, SnapshotInfo } from "../../shared/shape-definition.ts";
import { INVALIDATED_CORRUPT } from "../../shared/shape-table.ts";
import type { BatchProcessor } from "./batch-processor.ts";
import type { LaneShape, PendingSplice } from "./lane-shape.ts";
import { everyTransaction } from "./recent-transactions.ts";
import type { ShapeBook } from "./shape-book.ts";
import { SnapshotVisibility } from "./snapshot-visibility.ts";

export interface ShapeControlOptions {
	readonly book: ShapeBook;
	readonly processor: BatchProcessor;
	readonly store: LogStore;
	readonly openTransaction: LaneResume["openTransaction"];
	/** Shapes are restored. */
	readonly restored: () => void;
	/** Tells readers which slots changed. */
	readonly announce: () => void;
}

export class ShapeControl implements LaneShapeControl {
	readonly #options: ShapeControlOptions;

	constructor(options: ShapeControlOptions) {
		this.#options = options;
	}

	async restore(assignments: readonly ShapeAssignment[]): Promise<void> {
		const { book, processor, openTransaction } = this.#options;
		for (const assignment of assignments) {
			const shape = book.restore(assignment);
			processor.structure.shapeAdded(shape);
			// Entries of an open transaction are kept or cut before its next part arrives: no log may wait.
			if (openTransaction !== null && book.openLog(shape)?.isOpen) {
				processor.openShapes.add(shape);
			}
		}
		this.#options.announce();
		this.#options.restored();
	}

	async addShape(assignment: ShapeAssignment): Promise<void> {
		const { book, processor } = this.#options;
		const shape = book.add(assignment, this.#pendingFor(assignment));
		processor.structure.shapeAdded(shape);
		this.#options.announce();
	}

	async spliceSnapshot(slot: number, info: SnapshotInfo): Promise<"spliced" | "retake"> {
		const { book } = this.#options;
		const shape = book.find(slot);
		if (shape === undefined) {
			throw new SluiceError("SLUICE_SHAPE_GONE", { slot });
		}
		const { pending } = shape;
		if (pending === null) {
			return "spliced";
		}
		const snapshot = new SnapshotVisibility(info);
		if (!isWhole(pending, snapshot)) {
			return "retake";
		}
		const unexcused = pending.excuses.find(({ lsnHigh, lsnLow, xid }) => !snapshot.holds(lsnHigh, lsnLow, xid));
		if (unexcused !== undefined) {
			book.invalidate(shape, unexcused.reason);
			this.#options.announce();
			throw new SluiceError("SLUICE_SHAPE_GONE", { slot, reason: unexcused.reason });
		}
		this.#removeHeld(shape, snapshot);
		shape.snapshot = snapshot;
		shape.pending = null;
		shape.settledEra = -1;
		book.publish(shape);
		this.#options.announce();
		return "spliced";
	}

	async openShape(slot: number): Promise<void> {
		const shape = this.#options.book.find(slot);
		if (shape !== undefined) {
			this.#options.book.openLog(shape);
			this.#options.announce();
		}
	}

	async removeShape(slot: number): Promise<void> {
		this.#options.book.remove(slot);
	}

	/** What was delivered before this moment, and what is half delivered, the snapshot has to show. */
	#pendingFor(assignment: ShapeAssignment): PendingSplice {
		const { position, relations } = this.#options.processor;
		const { table } = assignment.definition;
		const marks = [table.oid, ...table.leafOids].flatMap((oid) => relations.find(oid)?.recent.mark() ?? []);
		const { lsnHigh, lsnLow, xid } = position;
		return {
			marks,
			open: position.isOpen ? { lsnHigh, lsnLow, xid } : null,
			openEpoch: position.epoch,
			excuses: [],
		};
	}

	#removeHeld(shape: LaneShape, snapshot: SnapshotVisibility): void {
		const { book, store, processor } = this.#options;
		const { log } = shape;
		if (log === null) {
			return;
		}
		try {
			const removed = store.removeHeld(log, snapshot.insertLsn, (_commitLsn, xid) => snapshot.isVisible(xid));
			if (removed) {
				book.markDirty(shape);
			}
		} catch (error) {
			if (error instanceof SluiceError && error.code === "SLUICE_LOG_CORRUPT") {
				book.invalidate(shape, INVALIDATED_CORRUPT);
				this.#options.announce();
			}
			throw error;
		}
		if (!log.isOpen) {
			processor.openShapes.delete(shape);
		}
	}
}

/**
 * No transaction that was delivered before the shape was added is missing from the snapshot. Commits at or above
 * the insert position cannot be of the same history (the snapshot was taken later): they are from before a purge.
 */
function isWhole(pending: PendingSplice, snapshot: SnapshotVisibility): boolean {
	const isThere = (xid: number, lsnHigh: number, lsnLow: number): boolean =>
		!snapshot.decides(lsnHigh, lsnLow) || snapshot.isVisible(xid);
	const { open } = pending;
	return (
		pending.marks.every((mark) => everyTransaction(mark, isThere)) &&
		(open === null || isThere(open.xid, open.lsnHigh, open.lsnLow))
	);
}
