/**
 * The open file descriptors of a lane's logs: a data file and an index file for each log that was used lately.
 * Owns the descriptors; must never hold more than its limit, and never close one that a sync is using. Least
 * recently used goes first. Called by the log writer and the checkpoint.
 */

import { logIndexPath, logSegmentPath } from "../../shared/log-layout.ts";
import { closeFile, isFileLimit, OPEN_NEW, OPEN_OR_CREATE, openFile } from "./disk-operations.ts";
import type { ShapeLog } from "./shape-log.ts";

export interface SegmentFiles {
	readonly segment: number;
	readonly data: number;
	readonly index: number;
	/** Syncs under way. */
	pins: number;
	/** Closed as soon as nothing pins it. */
	isReleased: boolean;
}

export class OpenFiles {
	/** In the order of use, oldest first. */
	readonly #pairs = new Map<ShapeLog, SegmentFiles>();
	readonly #limit: number;
	/** Released pairs that a sync still uses. */
	#lingering = 0;

	constructor(limit: number) {
		this.#limit = limit;
	}

	/** Descriptors held. */
	get count(): number {
		return (this.#pairs.size + this.#lingering) * 2;
	}

	/**
	 * The files of a segment of the log, created when missing. `isNew`: whatever they hold is left from before a
	 * crash and goes. @throws the system's error
	 */
	acquire(log: ShapeLog, segment: number, isNew = false): SegmentFiles {
		const present = this.#pairs.get(log);
		if (present !== undefined) {
			this.#pairs.delete(log);
			if (present.segment === segment) {
				this.#pairs.set(log, present);
				return present;
			}
			this.#release(present);
		}
		this.#makeRoom();
		const pair = this.#open(log, segment, isNew ? OPEN_NEW : OPEN_OR_CREATE);
		this.#pairs.set(log, pair);
		return pair;
	}

	/** Takes over descriptors of a segment that were opened elsewhere. */
	adopt(log: ShapeLog, segment: number, data: number, index: number): void {
		this.release(log);
		this.#makeRoom();
		this.#pairs.set(log, { segment, data, index, pins: 0, isReleased: false });
	}

	/** The open files of that segment, or null; does not count as a use. */
	peek(log: ShapeLog, segment: number): SegmentFiles | null {
		const pair = this.#pairs.get(log);
		return pair !== undefined && pair.segment === segment ? pair : null;
	}

	/** Keeps the descriptors open until {@link unpin}, whatever happens to the log. */
	pin(pair: SegmentFiles): void {
		pair.pins += 1;
	}

	unpin(pair: SegmentFiles): void {
		pair.pins -= 1;
		if (pair.pins === 0 && pair.isReleased) {
			this.#lingering -= 1;
			this.#close(pair);
		}
	}

	/** Closes the log's files. */
	release(log: ShapeLog): void {
		const pair = this.#pairs.get(log);
		if (pair !== undefined) {
			this.#pairs.delete(log);
			this.#release(pair);
		}
	}

	releaseAll(): void {
		for (const log of [...this.#pairs.keys()]) {
			this.release(log);
		}
	}

	#makeRoom(): void {
		while (this.#pairs.size >= this.#limit) {
			this.#evictOldest();
		}
	}

	#evictOldest(): void {
		const oldest = this.#pairs.keys().next();
		if (!oldest.done) {
			this.release(oldest.value);
		}
	}

	#release(pair: SegmentFiles): void {
		pair.isReleased = true;
		if (pair.pins === 0) {
			this.#close(pair);
		} else {
			this.#lingering += 1;
		}
	}

	#close(pair: SegmentFiles): void {
		closeFile(pair.data);
		closeFile(pair.index);
	}

	#open(log: ShapeLog, segment: number, flags: number): SegmentFiles {
		const data = this.#openOne(logSegmentPath(log.directory, segment), flags);
		try {
			const index = this.#openOne(logIndexPath(log.directory, segment), flags);
			return { segment, data, index, pins: 0, isReleased: false };
		} catch (error) {
			closeFile(data);
			throw error;
		}
	}

	/** Other parts of the process may have used up the limit: half of ours is given up before that is an error. */
	#openOne(path: string, flags: number): number {
		try {
			return openFile(path, flags);
		} catch (error) {
			if (!isFileLimit(error) || this.#pairs.size === 0) {
				throw error;
			}
			for (let rest = Math.ceil(this.#pairs.size / 2); rest > 0; rest -= 1) {
				this.#evictOldest();
			}
			return openFile(path, flags);
		}
	}
}
