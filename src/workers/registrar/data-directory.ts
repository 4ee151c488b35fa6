/**
 * The data directory: makes its folders and holds the lock by which one daemon at a time writes in it. Owns
 * lock.sqlite only; must never touch the catalogue or a shape's files. Called by the registrar, first and last, and
 * again and again while another daemon writes.
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SluiceError } from "../../shared/errors.ts";
import { shapesDirectory } from "../../shared/log-layout.ts";

/** SQLite's primary result codes. Source: sqlite.org/rescode.html. */
const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;

/**
 * The lock is a file lock that SQLite takes, so the operating system releases it however the process ends, and a
 * process id says nothing.
 */
export class DataDirectory {
	readonly #path: string;
	readonly #database: DatabaseSync;

	private constructor(path: string, database: DatabaseSync) {
		this.#path = path;
		this.#database = database;
	}

	/** Creates the directory when it is missing. Takes no lock. @throws SluiceError `SLUICE_DATA_DIR_UNUSABLE` */
	static open(path: string): DataDirectory {
		try {
			// It holds rows of the application's tables: nobody else on the machine may read them.
			mkdirSync(path, { recursive: true, mode: 0o700 });
			mkdirSync(shapesDirectory(path), { recursive: true, mode: 0o700 });
			return new DataDirectory(path, new DatabaseSync(join(path, "lock.sqlite"), { timeout: 0 }));
		} catch (cause) {
			throw new SluiceError("SLUICE_DATA_DIR_UNUSABLE", { dataDir: path, cause });
		}
	}

	/** False while another process (or another owner in this one) has the lock. @throws SluiceError `SLUICE_DATA_DIR_UNUSABLE` */
	tryLock(): boolean {
		try {
			// Nothing is ever written in this transaction: it only holds the lock.
			this.#database.exec("BEGIN EXCLUSIVE");
			return true;
		} catch (cause) {
			if (isBusy(cause)) {
				return false;
			}
			throw new SluiceError("SLUICE_DATA_DIR_UNUSABLE", { dataDir: this.#path, cause });
		}
	}

	/** Gives the lock up if it is held. Idempotent. */
	close(): void {
		if (this.#database.isOpen) {
			this.#database.close();
		}
	}
}

function isBusy(error: unknown): boolean {
	if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") {
		return false;
	}
	const primary = error.errcode & 0xff;
	return primary === SQLITE_BUSY || primary === SQLITE_LOCKED;
}
