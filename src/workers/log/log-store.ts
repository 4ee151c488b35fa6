/**
 * The log room as the lane uses it: one arena, one writer, one set of open files. Owns how they are put
 * together; must hold no rule of its own. Made by the lane's entry.
 */

import { mkdirSync } from "node:fs";
import { descriptorLimit, openLogsMax } from "../../shared/descriptors.ts";
import { diskError } from "../../shared/disk-error.ts";
import { LANE_BUFFER_BYTES_MAX } from "../../shared/limits.ts";
import type { IsHeld, LogStore, RecoveryRules, SyncOutcome } from "../../shared/log-store.ts";

import { EntryArena } from "./entry-arena.ts";
import { recoverLog } from "./log-recovery.ts";
import { removeHeldTransactions } from "./log-rewrite.ts";
import { runSync, type SyncTask, syncWholeLog, takeSync } from "./log-sync.ts";
import { LogWriter } from "./log-writer.ts";
import { OpenFiles } from "./open-files.ts";
import { ShapeLog } from "./shape-log.ts";

/** A batch with large values may exceed the lane's limit by one entry; that memory is given back. */
const SPACE_KEPT_BYTES = LANE_BUFFER_BYTES_MAX;

export interface FileLogStoreOptions {
	readonly chunkBytes: number;
	/** Lanes of the process, which share its limit of open files. */
	readonly lanes: number;
	readonly beforeWrite: () => void;
	/** Logs whose files stay open; derived from the process's limit when absent. */
	readonly openLogsMax?: number;
}

export class FileLogStore implements LogStore {
	readonly space: EntryArena = new EntryArena();
	readonly #files: OpenFiles;
	readonly #writer: LogWriter;
	readonly #chunkBytes: number;

	constructor(options: FileLogStoreOptions) {
		this.#files = new OpenFiles(options.openLogsMax ?? openLogsMax(descriptorLimit(), options.lanes));
		this.#chunkBytes = options.chunkBytes;
		this.#writer = new LogWriter({
			chunkBytes: options.chunkBytes,
			files: this.#files,
			beforeWrite: options.beforeWrite,
		});
	}

	get appendedBytes(): number {
		return this.#writer.appendedBytes;
	}

	get openFiles(): number {
		return this.#files.count;
	}

	create(directory: string): ShapeLog {
		const log = new ShapeLog(directory);
		try {
			mkdirSync(directory, { recursive: true });
			// Creating files is slow, opening them is not: the first change must not wait for it.
			this.#files.acquire(log, 0, true);
		} catch (error) {
			throw diskError(error, "create");
		}
		log.createdFiles = true;
		return log;
	}

	open(directory: string, rules: RecoveryRules): ShapeLog {
		const { tail, completed, firstUnsyncedSegment, createdFiles, files } = recoverLog(
			directory,
			rules,
			this.#chunkBytes,
		);
		const log = new ShapeLog(directory);
		log.restore(tail, completed, firstUnsyncedSegment, createdFiles);
		if (files !== null) {
			this.#files.adopt(log, tail.segment, files.data, files.index);
		}
		return log;
	}

	isAtHand(log: ShapeLog): boolean {
		return log.files !== null;
	}

	flush(log: ShapeLog): void {
		this.#writer.flush(log, this.space);
	}

	commit(log: ShapeLog): void {
		log.commit();
	}

	rollback(log: ShapeLog): void {
		this.#writer.rollback(log);
	}

	discardOpen(log: ShapeLog): void {
		log.discardOpen();
		this.#writer.trimExcess(log);
	}

	clearSpace(): void {
		this.space.clear(SPACE_KEPT_BYTES);
	}

	removeHeld(log: ShapeLog, belowLsn: bigint, isHeld: IsHeld): boolean {
		return removeHeldTransactions(log, this.#writer, this.#files, belowLsn, isHeld);
	}

	takeSync(log: ShapeLog): SyncTask {
		return takeSync(log);
	}

	runSync(task: SyncTask): Promise<SyncOutcome> {
		return runSync(task, this.#files);
	}

	syncWhole(directory: string): Promise<SyncOutcome> {
		return syncWholeLog(directory);
	}

	release(log: ShapeLog): void {
		this.#files.release(log);
	}

	releaseAll(): void {
		this.#files.releaseAll();
	}
}
