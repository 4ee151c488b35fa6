/**
 * The open file descriptors of a lane's logs: a data file and an index file for each log that was used lately.
 * Owns the descriptors; must never hold more than its limit, and never close one that a sync is using. The
 * oldest that was not used since it was last looked at goes first. Called by the log writer and the checkpoint.
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
	/** Since the last look for one to close. */
	wasUsed: boolean;
}

export class OpenFiles {
	/** Logs whose `files` are open, in the order in which one is looked for to be closed. */
	readonly #logs = new Set<ShapeLog>();
	readonly #limit: number;
	/** Released pairs that a sync still uses. */
	#lingering = 0;

	constructor(limit: number) {
		this.#limit = limit;
	}

	/** Descriptors held. */
	get count(): number {
		return (this.#logs.size + this.#lingering) * 2;
	}

	/**
	 * The files of a segment of the log, created when missing. `isNew`: whatever they hold is left from before a
	 * crash and goes. @throws the system's error
	 */
	acquire(log: ShapeLog, segment: number, isNew = false): SegmentFiles {
		const present = log.files;
		if (present !== null) {
			if (present.segment === segment) {
				present.wasUsed = true;
				return present;
			}
			this.release(log);
		}
		this.#makeRoom();
		return this.#take(log, this.#open(log, segment, isNew ? OPEN_NEW : OPEN_OR_CREATE));
	}

	/** Takes over descriptors of a segment that were opened elsewhere. */
	adopt(log: ShapeLog, segment: number, data: number, index: number): void {
		this.release(log);
		this.#makeRoom();
		this.#take(log, { segment, data, index, pins: 0, isReleased: false, wasUsed: false });
	}

	/** The open files of that segment, or null; does not count as a use. */
	peek(log: ShapeLog, segment: number): SegmentFiles | null {
		return log.files?.segment === segment ? log.files : null;
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
		const { files } = log;
		if (files !== null) {
			log.files = null;
			this.#logs.delete(log);
			this.#release(files);
		}
	}

	releaseAll(): void {
		for (const log of [...this.#logs]) {
			this.release(log);
		}
	}

	#take(log: ShapeLog, files: SegmentFiles): SegmentFiles {
		log.files = files;
		this.#logs.add(log);
		return files;
	}

	#makeRoom(): void {
		while (this.#logs.size >= this.#limit) {
			this.#evictOne();
		}
	}

	/** Those that were used get a second chance, behind all others. */
	#evictOne(): void {
		for (const log of this.#logs) {
			const { files } = log;
			if (files?.wasUsed !== true) {
				this.release(log);
				return;
			}
			files.wasUsed = false;
			this.#logs.delete(log);
			this.#logs.add(log);
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
			return { segment, data, index, pins: 0, isReleased: false, wasUsed: false };
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
			if (!isFileLimit(error) || this.#logs.size === 0) {
				throw error;
			}
			for (let rest = Math.ceil(this.#logs.size / 2); rest > 0; rest -= 1) {
				this.#evictOne();
			}
			return openFile(path, flags);
		}
	}
}
