/**
 * The logs that a group of batches has touched: written, made final and shown to readers together, or taken back
 * together. Owns that list; must never leave a log half way. Called by the batch processor.
 */

import { SluiceError } from "../../shared/errors.ts";
import type { LaneLog, LogStore } from "../../shared/log-store.ts";
import type { Logger } from "../../shared/logging.ts";
import { INVALIDATED_CORRUPT } from "../../shared/shape-table.ts";
import type { LaneShape } from "./lane-shape.ts";
import type { ShapeBook } from "./shape-book.ts";

export class WriteGroup {
	readonly #book: ShapeBook;
	readonly #store: LogStore;
	readonly #log: Logger;
	#serial = 0;
	#touched: LaneShape[] = [];
	/** Entries of the group that were written already, because they were too large to hold. */
	#writtenBytes = 0;

	constructor(book: ShapeBook, store: LogStore, log: Logger) {
		this.#book = book;
		this.#store = store;
		this.#log = log;
	}

	/** Some log was touched. */
	get hasWork(): boolean {
		return this.#touched.length > 0;
	}

	/** Memory of the entries, those included that were written in the middle of a batch. */
	get heldBytes(): number {
		return this.#writtenBytes + this.#store.space.heldBytes;
	}

	touch(shape: LaneShape): void {
		if (shape.touchedGroup !== this.#serial) {
			shape.touchedGroup = this.#serial;
			this.#touched.push(shape);
		}
	}

	/** Writes everything that is held, sealed or not. @throws SluiceError `SLUICE_DISK_FULL`, `SLUICE_DISK_FAILED` */
	write(): void {
		const store = this.#store;
		// Logs whose files are open go first: with more logs than descriptors a round would evict them in turn,
		// each just before it is needed.
		const others: LaneShape[] = [];
		for (const shape of this.#touched) {
			const { log } = shape;
			if (log?.hasWork === true && !shape.isGone) {
				if (store.isAtHand(log)) {
					this.#writeLog(shape, log);
				} else {
					others.push(shape);
				}
			}
		}
		for (const shape of others) {
			if (shape.log !== null) {
				this.#writeLog(shape, shape.log);
			}
		}
		this.#writtenBytes += store.space.heldBytes;
		store.clearSpace();
	}

	#writeLog(shape: LaneShape, log: LaneLog): void {
		const book = this.#book;
		book.workOn(shape.slot);
		book.markDirty(shape);
		try {
			this.#store.flush(log);
		} catch (error) {
			if (!(error instanceof SluiceError) || error.code !== "SLUICE_LOG_CORRUPT") {
				throw error;
			}
			this.#log.error({ err: error, slot: shape.slot }, "the files of a shape log are gone");
			book.invalidate(shape, INVALIDATED_CORRUPT);
		}
	}

	/** What was written is final: readers see what is complete of it. */
	publish(): void {
		for (const shape of this.#touched) {
			if (shape.log !== null && !shape.isGone) {
				this.#store.commit(shape.log);
				if (shape.pending === null && shape.log.completedEntries !== shape.publishedEntries) {
					this.#book.publish(shape);
				}
			}
		}
		this.#begin();
	}

	/** Every log is as before the group. */
	rollback(): void {
		for (const shape of this.#touched) {
			if (shape.log !== null && !shape.isGone) {
				this.#store.rollback(shape.log);
			}
		}
		this.#store.clearSpace();
		this.#begin();
	}

	#begin(): void {
		this.#serial += 1;
		this.#touched = [];
		this.#writtenBytes = 0;
	}
}
