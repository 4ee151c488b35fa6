/**
 * The data directory: makes its folders and holds the lock that keeps a second daemon out. Owns lock.sqlite
 * only; must never touch the catalogue or a shape's files. Called by the registrar, first and last.
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SluiceError } from "../../shared/errors.ts";
import { shapesDirectory } from "../../shared/log-layout.ts";

/** SQLite's primary result codes. Source: sqlite.org/rescode.html. */
const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;

export interface DataDirectoryLock {
	release(): void;
}

/**
 * Creates the directory when it is missing and locks it. The lock is a file lock that SQLite takes, so the
 * operating system releases it however the process ends.
 * @throws SluiceError `SLUICE_DATA_DIR_LOCKED`, `SLUICE_DATA_DIR_UNUSABLE`
 */
export function lockDataDirectory(dataDir: string): DataDirectoryLock {
	let database: DatabaseSync;
	try {
		// It holds rows of the application's tables: nobody else on the machine may read them.
		mkdirSync(dataDir, { recursive: true, mode: 0o700 });
		mkdirSync(shapesDirectory(dataDir), { recursive: true, mode: 0o700 });
		database = new DatabaseSync(join(dataDir, "lock.sqlite"), { timeout: 0 });
	} catch (cause) {
		throw new SluiceError("SLUICE_DATA_DIR_UNUSABLE", { dataDir, cause });
	}
	try {
		// Nothing is ever written in this transaction: it only holds the lock.
		database.exec("BEGIN EXCLUSIVE");
	} catch (cause) {
		database.close();
		const locked = isBusy(cause);
		throw new SluiceError(locked ? "SLUICE_DATA_DIR_LOCKED" : "SLUICE_DATA_DIR_UNUSABLE", { dataDir, cause });
	}
	return {
		release() {
			if (database.isOpen) {
				database.close();
			}
		},
	};
}

function isBusy(error: unknown): boolean {
	if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") {
		return false;
	}
	const primary = error.errcode & 0xff;
	return primary === SQLITE_BUSY || primary === SQLITE_LOCKED;
}
