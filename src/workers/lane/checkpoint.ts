/**
 * Makes what the lane wrote durable, about once a second and off the path of batches, and says up to where. Owns
 * the order: the position is taken before the syncs begin and reported after the last one has succeeded, and
 * not before the shapes that have ended are out of the catalogue. A log whose sync fails is given up, never
 * synced again; one that cannot be opened for it only waits. Called by the shell.
 */

import type { FaultInjector } from "../../shared/fault-points.ts";
import { LANE_SYNC_CONCURRENCY } from "../../shared/limits.ts";
import type { LogStore, SyncOutcome } from "../../shared/log-store.ts";
import type { Logger } from "../../shared/logging.ts";
import { INVALIDATED_CORRUPT } from "../../shared/shape-table.ts";
import type { LaneShape } from "./lane-shape.ts";
import type { ShapeBook } from "./shape-book.ts";

/** A commit, by its end. */
export interface StreamPoint {
	readonly streamEpoch: number;
	readonly endLsn: bigint;
}

export interface CheckpointOptions {
	readonly book: ShapeBook;
	readonly store: LogStore;
	readonly faults: FaultInjector;
	readonly report: (point: StreamPoint) => void;
	readonly log: Logger;
}

/** Whether a point says more than what was reported last. A new epoch may lie before the old one. */
export function isNews(point: StreamPoint, reported: StreamPoint | null): boolean {
	return reported === null || point.streamEpoch !== reported.streamEpoch || point.endLsn > reported.endLsn;
}

export class Checkpoint {
	readonly #options: CheckpointOptions;
	#processed: StreamPoint | null = null;
	/** Everything up to here is synced; what ended on the way may still be in the catalogue. */
	#synced: StreamPoint | null = null;
	#reported: StreamPoint | null = null;
	#running: Promise<void> | null = null;
	/** Duration of the last one that had something to sync. */
	lastMs = 0;

	constructor(options: CheckpointOptions) {
		this.#options = options;
	}

	/** A group completed transactions up to this point. With nothing to sync it is durable at once. */
	processed(point: StreamPoint): void {
		this.#processed = point;
		this.reportIfClean();
	}

	/** There is a gap in the stream: points before it mean nothing. */
	forget(): void {
		this.#processed = null;
		this.#synced = null;
	}

	/** Something may be durable without a sync: nothing is unsynced, or the last shape that ended was removed. */
	reportIfClean(): void {
		if (this.#running === null && this.#options.book.dirtyCount === 0) {
			this.#synced = this.#processed;
		}
		this.#report();
	}

	/** Syncs everything that is unsynced now, and reports. Joins one that is under way. */
	run(): Promise<void> {
		this.#running ??= this.#run().finally(() => {
			this.#running = null;
			this.reportIfClean();
		});
		return this.#running;
	}

	async #run(): Promise<void> {
		const { book } = this.#options;
		const point = this.#processed;
		const shapes = book.takeDirty();
		if (shapes.length > 0) {
			const startedMs = performance.now();
			const isComplete = await this.#sync(shapes);
			this.lastMs = Math.round(performance.now() - startedMs);
			if (!isComplete) {
				return;
			}
		} else {
			this.lastMs = 0;
		}
		// A purge may have come in between.
		if (point?.streamEpoch === this.#processed?.streamEpoch) {
			this.#synced = point;
		}
		this.#report();
	}

	/** Answers whether all were synced, or given up. */
	async #sync(shapes: readonly LaneShape[]): Promise<boolean> {
		const { store, faults } = this.#options;
		// All are taken before the first wait: what is written from now on belongs to the next checkpoint.
		const syncs = shapes.map((shape) => {
			const task = shape.log === null ? null : store.takeSync(shape.log);
			return {
				shape,
				run: () => (task === null ? store.syncWhole(shape.directory) : store.runSync(task)),
			};
		});
		let planned: unknown = null;
		try {
			faults.pass("lane.checkpoint");
		} catch (error) {
			planned = error;
		}
		let next = 0;
		let isComplete = true;
		const worker = async (): Promise<void> => {
			while (next < syncs.length) {
				const sync = syncs[next] as (typeof syncs)[number];
				const fault = next === 0 ? planned : null;
				next += 1;
				if (!(await this.#syncOne(sync.shape, fault === null ? sync.run : () => Promise.reject(fault)))) {
					isComplete = false;
				}
			}
		};
		await Promise.all(Array.from({ length: LANE_SYNC_CONCURRENCY }, worker));
		return isComplete;
	}

	async #syncOne(shape: LaneShape, run: () => Promise<SyncOutcome>): Promise<boolean> {
		const { book } = this.#options;
		try {
			if ((await run()) === "postponed") {
				book.stillDirty(shape);
				return false;
			}
			book.synced(shape);
		} catch (error) {
			if (!shape.isGone) {
				this.#options.log.error({ err: error, slot: shape.slot }, "shape log cannot be synced, dropping the shape");
				book.invalidate(shape, INVALIDATED_CORRUPT);
			}
		}
		return true;
	}

	#report(): void {
		const point = this.#synced;
		if (point !== null && this.#options.book.endingCount === 0 && isNews(point, this.#reported)) {
			this.#reported = point;
			this.#options.report(point);
		}
	}
}
