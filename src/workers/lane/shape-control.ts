/**
 * What the registrar may ask of a lane: restore, add, splice, open, remove. Owns the splice (replication.md 5.4);
 * runs between batches, so that the stream stands still for it, and between groups where it has to see what was
 * delivered in the files. Called over the registrar's port.
 */

import { setTimeout as delay } from "node:timers/promises";
import { SluiceError } from "../../shared/errors.ts";
import { LOG_OPEN_RETRY_MS, LOG_OPEN_TRIES_MAX } from "../../shared/limits.ts";
import type { LogStore, SyncOutcome } from "../../shared/log-store.ts";
import type { Logger } from "../../shared/logging.ts";
import type { LaneResume, LaneShapeControl } from "../../shared/messages.ts";
import type { ShapeAssignment, SnapshotInfo } from "../../shared/shape-definition.ts";
import { INVALIDATED_CORRUPT, INVALIDATED_QUARANTINE } from "../../shared/shape-table.ts";
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
	/** Slots whose rows have ended this lane's thread more than once: dropped, so that the others go on. */
	readonly quarantine: readonly number[];
	/** Writes the group of batches that is held, or takes it back. */
	readonly settle: () => void;
	/** Shapes are restored. */
	readonly restored: () => void;
	/** Tells readers which slots changed. */
	readonly announce: () => void;
	/** A shape that ended is out of the catalogue. */
	readonly removed: () => void;
	readonly log: Logger;
}

export class ShapeControl implements LaneShapeControl {
	readonly #options: ShapeControlOptions;

	constructor(options: ShapeControlOptions) {
		this.#options = options;
	}

	async restore(assignments: readonly ShapeAssignment[]): Promise<void> {
		const { book, processor, openTransaction, quarantine } = this.#options;
		const restored = assignments.map((assignment) => book.restore(assignment)).filter((shape) => shape !== null);
		for (const shape of restored.filter(({ slot }) => quarantine.includes(slot))) {
			book.invalidate(shape, INVALIDATED_QUARANTINE);
		}
		const shapes = restored.filter((shape) => !shape.isGone);
		for (const shape of shapes) {
			processor.structure.shapeAdded(shape);
		}
		if (openTransaction !== null) {
			await this.#openAll(shapes);
		}
		this.#options.announce();
		this.#options.restored();
	}

	/**
	 * Entries of an open transaction are kept or cut before its next part arrives: no log may wait. One that
	 * cannot be opened must not stop the others for ever, though.
	 */
	async #openAll(shapes: readonly LaneShape[]): Promise<void> {
		const { book, processor, log } = this.#options;
		let waiting = shapes;
		for (let tries = 1; waiting.length > 0; tries += 1) {
			const failed: LaneShape[] = [];
			for (const shape of waiting) {
				try {
					if (book.openLog(shape)?.isOpen) {
						processor.openShapes.add(shape);
					}
				} catch (error) {
					if (tries === LOG_OPEN_TRIES_MAX) {
						log.error({ err: error, slot: shape.slot }, "shape log cannot be opened, dropping the shape");
						book.invalidate(shape, INVALIDATED_CORRUPT);
					} else {
						failed.push(shape);
					}
				}
			}
			if (failed.length > 0) {
				await delay(LOG_OPEN_RETRY_MS);
			}
			waiting = failed;
		}
	}

	async addShape(assignment: ShapeAssignment): Promise<void> {
		const { book, processor, settle } = this.#options;
		settle();
		const shape = book.add(assignment, this.#pendingFor(assignment));
		processor.structure.shapeAdded(shape);
		this.#options.announce();
	}

	async spliceSnapshot(slot: number, generation: number, info: SnapshotInfo): Promise<"spliced" | "retake"> {
		const { book, settle } = this.#options;
		settle();
		const shape = this.#find(slot, generation);
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
		const isRewritten = this.#removeHeld(shape, snapshot);
		shape.snapshot = snapshot;
		shape.pending = null;
		shape.settledEra = -1;
		book.publish(shape);
		this.#options.announce();
		if (isRewritten) {
			await this.#syncRewritten(shape);
		}
		return "spliced";
	}

	async openShape(slot: number, generation: number): Promise<void> {
		const shape = this.#find(slot, generation);
		if (shape !== undefined) {
			this.#options.book.openLog(shape);
			this.#options.announce();
		}
	}

	async removeShape(slot: number, generation: number): Promise<void> {
		this.#options.book.remove(slot, generation);
		this.#options.removed();
	}

	#find(slot: number, generation: number): LaneShape | undefined {
		const shape = this.#options.book.find(slot);
		return shape?.generation === generation ? shape : undefined;
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

	/**
	 * The new files have taken the place of files that were synced, and what is in them may have been reported as
	 * durable. Until the answer the catalogue does not count the shape as complete: a crash removes it.
	 */
	async #syncRewritten(shape: LaneShape): Promise<void> {
		const { book, store, log } = this.#options;
		if (shape.log === null || shape.isGone) {
			return;
		}
		let outcome: SyncOutcome = "synced";
		try {
			outcome = await store.runSync(store.takeSync(shape.log));
		} catch (error) {
			log.error({ err: error, slot: shape.slot }, "spliced log cannot be synced, dropping the shape");
			book.invalidate(shape, INVALIDATED_CORRUPT);
			this.#options.announce();
		}
		if (shape.isGone) {
			throw new SluiceError("SLUICE_SHAPE_GONE", { slot: shape.slot });
		}
		if (outcome === "postponed") {
			throw new SluiceError("SLUICE_DISK_FAILED", { operation: "splice", directory: shape.directory });
		}
	}

	/** Answers whether the log was written anew. */
	#removeHeld(shape: LaneShape, snapshot: SnapshotVisibility): boolean {
		const { book, store, processor } = this.#options;
		const { log } = shape;
		if (log === null) {
			return false;
		}
		let removed: boolean;
		try {
			removed = store.removeHeld(log, snapshot.insertLsn, (_commitLsn, xid) => snapshot.isVisible(xid));
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
		return removed;
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
