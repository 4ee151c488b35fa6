/**
 * What the registrar remembers across restarts: complete shapes, which requests lead to them, tables that are
 * ready, and the acknowledged position. Owns catalogue.sqlite; a shape is in it only once its snapshot is
 * complete and synced, so whatever it does not name on disk may be removed. Must never hold row values.
 * Called by the registrar's thread only. Changes of shapes are committed in groups: one sync for all that came
 * up in the same turn of the event loop.
 */

import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { must } from "../../shared/assert.ts";
import { writeError } from "../../shared/disk-error.ts";
import { SluiceError } from "../../shared/errors.ts";
import type { StoredPosition } from "../../shared/messages.ts";
import type { ShapeDefinition, TableInfo } from "../../shared/shape-definition.ts";
import {
	FORMAT_VERSION,
	REVISION_KEY,
	readMeta,
	readPosition,
	readShapes,
	type StoredShape,
	textOf,
} from "./catalogue-rows.ts";
import { HandleSource } from "./handle-source.ts";

/** While it is opened: another daemon may look at the same moment. Afterwards nothing may block this thread. */
const OPEN_TIMEOUT_MS = 5_000;

const SCHEMA = `
	CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
	CREATE TABLE IF NOT EXISTS position (
		id INTEGER PRIMARY KEY CHECK (id = 1), system_identifier TEXT NOT NULL, timeline INTEGER NOT NULL,
		slot_name TEXT NOT NULL, acknowledged_lsn TEXT NOT NULL) STRICT;
	CREATE TABLE IF NOT EXISTS tables (digest TEXT PRIMARY KEY, info TEXT NOT NULL) STRICT, WITHOUT ROWID;
	CREATE TABLE IF NOT EXISTS shapes (
		handle TEXT PRIMARY KEY, identity TEXT NOT NULL UNIQUE, table_digest TEXT NOT NULL REFERENCES tables (digest),
		definition TEXT NOT NULL, schema_header TEXT NOT NULL, snapshot TEXT NOT NULL, chunks INTEGER NOT NULL)
		STRICT, WITHOUT ROWID;
	CREATE INDEX IF NOT EXISTS shapes_by_table ON shapes (table_digest);
	CREATE TABLE IF NOT EXISTS requests (
		digest TEXT PRIMARY KEY, handle TEXT NOT NULL REFERENCES shapes (handle) ON DELETE CASCADE) STRICT, WITHOUT ROWID;
	CREATE INDEX IF NOT EXISTS requests_by_handle ON requests (handle);
	CREATE TABLE IF NOT EXISTS reads (
		handle TEXT PRIMARY KEY REFERENCES shapes (handle) ON DELETE CASCADE, last_read INTEGER NOT NULL) STRICT, WITHOUT ROWID;
	CREATE TABLE IF NOT EXISTS ready_tables (oid INTEGER PRIMARY KEY, membership TEXT NOT NULL) STRICT;
`;

interface Change {
	readonly apply: () => void;
	readonly resolve: () => void;
	readonly reject: (error: unknown) => void;
}

export class Catalogue {
	readonly #path: string;
	readonly #shapesDirectory: string;
	readonly #statements = new Map<string, StatementSync>();
	/** Digest of each table object met, so that ten thousand shapes of one table hash it once. */
	readonly #tableDigests = new WeakMap<TableInfo, string>();
	readonly #pending: Change[] = [];
	#database: DatabaseSync | null = null;
	#handles: HandleSource | null = null;
	#flushScheduled = false;
	#shapesRemoved = false;

	/**
	 * Not open yet: only the daemon that holds the data directory may open it.
	 * @param path of catalogue.sqlite
	 * @param shapesDirectory synced before a shape is committed, so that its directory exists after a crash
	 */
	constructor(path: string, shapesDirectory: string) {
		this.#path = path;
		this.#shapesDirectory = shapesDirectory;
	}

	/** @throws SluiceError `SLUICE_CATALOGUE_UNREADABLE` */
	open(): void {
		const path = this.#path;
		let database: DatabaseSync | null = null;
		try {
			database = new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: OPEN_TIMEOUT_MS });
			database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
			const check = database.prepare("PRAGMA quick_check(1)").get();
			if (check?.["quick_check"] !== "ok") {
				throw new SluiceError("SLUICE_CATALOGUE_UNREADABLE", { path, check: check?.["quick_check"] });
			}
			database.exec(SCHEMA);
			database.exec("PRAGMA busy_timeout = 0");
			this.#database = database;
			this.#checkVersion(path);
			this.#handles = new HandleSource(Number(this.#readMeta("handle_lease_us") ?? "0"), (leaseUs) =>
				this.#writeMeta("handle_lease_us", String(leaseUs)),
			);
		} catch (cause) {
			this.#database = null;
			this.#statements.clear();
			database?.close();
			throw cause instanceof SluiceError ? cause : new SluiceError("SLUICE_CATALOGUE_UNREADABLE", { path, cause });
		}
	}

	/** A handle that was never given out before, in this process or an earlier one. */
	newHandle(identity: string): string {
		return must(this.#handles, "handles come from an open catalogue").next(identity, Date.now());
	}

	position(): StoredPosition | null {
		return readPosition(this.#opened);
	}

	/** Durable when it returns. */
	storePosition(position: StoredPosition): void {
		this.#run(
			`INSERT INTO position VALUES (1, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
				system_identifier = excluded.system_identifier, timeline = excluded.timeline,
				slot_name = excluded.slot_name, acknowledged_lsn = excluded.acknowledged_lsn`,
			position.systemIdentifier,
			position.timeline,
			position.slotName,
			String(position.acknowledgedLsn),
		);
	}

	/**
	 * Every complete shape; definitions of one table share one object.
	 * @throws SluiceError `SLUICE_CATALOGUE_UNREADABLE`
	 */
	shapes(): StoredShape[] {
		try {
			return readShapes(this.#opened, this.#tableDigests);
		} catch (cause) {
			throw new SluiceError("SLUICE_CATALOGUE_UNREADABLE", { cause });
		}
	}

	/** Resolves once the shape is durable. */
	addShape(shape: StoredShape): Promise<void> {
		return this.#change(() => {
			const { table, ...rest } = shape.definition;
			const digest = this.#storeTable(table);
			// A shape that was removed, and whose removal is still to come, may have had the same definition.
			this.#run("DELETE FROM shapes WHERE identity = ?", shape.identity);
			this.#run(
				"INSERT INTO shapes VALUES (?, ?, ?, ?, ?, ?, ?)",
				shape.handle,
				shape.identity,
				digest,
				JSON.stringify(rest),
				shape.schemaHeader,
				JSON.stringify(shape.snapshot),
				shape.chunks,
			);
			for (const request of shape.requests) {
				this.#insertRequest(request, shape.handle);
			}
		});
	}

	/** Another request that leads to a shape. Ignored when the shape is not (or no longer) stored. */
	addRequest(digest: string, handle: string): Promise<void> {
		return this.#change(() => this.#insertRequest(digest, handle));
	}

	/** Resolves once the removal is durable: only then may the shape's files go. */
	removeShape(handle: string): Promise<void> {
		return this.#change(() => {
			this.#run("DELETE FROM shapes WHERE handle = ?", handle);
			this.#shapesRemoved = true;
		});
	}

	/** The shape's table has another description now, which changes nothing but the schema header. */
	describeShape(handle: string, definition: ShapeDefinition, schemaHeader: string): Promise<void> {
		return this.#change(() => {
			const { table, ...rest } = definition;
			this.#run(
				"UPDATE shapes SET table_digest = ?, definition = ?, schema_header = ? WHERE handle = ?",
				this.#storeTable(table),
				JSON.stringify(rest),
				schemaHeader,
				handle,
			);
			this.#shapesRemoved = true;
		});
	}

	/** When shapes were read last, in seconds since 1970, by handle. */
	lastReads(): Map<string, number> {
		const rows = this.#prepared("SELECT handle, last_read FROM reads").all();
		return new Map(rows.map((row) => [textOf(row, "handle"), Number(row["last_read"])]));
	}

	/** Resolves once it is durable. Handles that are not (or no longer) stored are left out. */
	storeReads(reads: readonly { readonly handle: string; readonly lastRead: number }[]): Promise<void> {
		return this.#change(() => {
			for (const { handle, lastRead } of reads) {
				this.#run("INSERT OR REPLACE INTO reads SELECT handle, ? FROM shapes WHERE handle = ?", lastRead, handle);
			}
		});
	}

	/** Tables whose membership was waited for, by oid; see publication.ts. */
	readyMembership(tableOid: number): string | null {
		const row = this.#prepared("SELECT membership FROM ready_tables WHERE oid = ?").get(tableOid);
		return row === undefined ? null : textOf(row, "membership");
	}

	storeReadyMembership(tableOid: number, membership: string): void {
		this.#run("INSERT OR REPLACE INTO ready_tables VALUES (?, ?)", tableOid, membership);
	}

	clearReadyMemberships(): void {
		this.#run("DELETE FROM ready_tables");
	}

	/** Commits what is pending and closes the file. */
	close(): void {
		if (this.#database !== null) {
			this.#flush();
			this.#database.close();
			this.#database = null;
			this.#statements.clear();
		}
	}

	// --- groups

	#change(apply: () => void): Promise<void> {
		return new Promise((resolve, reject) => {
			if (this.#database === null) {
				reject(new SluiceError("SLUICE_NOT_ACTIVE"));
				return;
			}
			this.#pending.push({ apply, resolve, reject });
			if (!this.#flushScheduled) {
				this.#flushScheduled = true;
				setImmediate(() => {
					this.#flushScheduled = false;
					this.#flush();
				});
			}
		});
	}

	#flush(): void {
		const changes = this.#pending.splice(0);
		const database = this.#database;
		if (changes.length === 0 || database === null) {
			return;
		}
		try {
			syncDirectory(this.#shapesDirectory);
			database.exec("BEGIN IMMEDIATE");
			for (const change of changes) {
				change.apply();
			}
			if (this.#shapesRemoved) {
				// Tables that no shape names any more go with the last of them.
				this.#run("DELETE FROM tables WHERE NOT EXISTS (SELECT 1 FROM shapes WHERE table_digest = tables.digest)");
				this.#shapesRemoved = false;
			}
			this.#countRevision();
			database.exec("COMMIT");
		} catch (cause) {
			if (database.isOpen && database.isTransaction) {
				database.exec("ROLLBACK");
			}
			const error = storageError(cause);
			for (const change of changes) {
				change.reject(error);
			}
			return;
		}
		for (const change of changes) {
			change.resolve();
		}
	}

	/** Whoever reads along learns from it that shapes or their requests changed. */
	#countRevision(): void {
		this.#writeMeta(REVISION_KEY, String(Number(this.#readMeta(REVISION_KEY) ?? "0") + 1));
	}

	#insertRequest(digest: string, handle: string): void {
		this.#run("INSERT OR REPLACE INTO requests SELECT ?, handle FROM shapes WHERE handle = ?", digest, handle);
	}

	#storeTable(table: TableInfo): string {
		const known = this.#tableDigests.get(table);
		const info = JSON.stringify(table);
		const digest = known ?? createHash("sha256").update(info).digest("hex");
		this.#tableDigests.set(table, digest);
		this.#run("INSERT OR IGNORE INTO tables VALUES (?, ?)", digest, info);
		return digest;
	}

	// --- plumbing

	#checkVersion(path: string): void {
		const found = this.#readMeta("format_version");
		if (found === null) {
			this.#writeMeta("format_version", String(FORMAT_VERSION));
		} else if (found !== String(FORMAT_VERSION)) {
			throw new SluiceError("SLUICE_CATALOGUE_UNREADABLE", {
				path,
				foundVersion: found,
				expectedVersion: FORMAT_VERSION,
			});
		}
	}

	#readMeta(key: string): string | null {
		return readMeta(this.#opened, key);
	}

	#writeMeta(key: string, value: string): void {
		this.#run("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, value);
	}

	/** @throws SluiceError `SLUICE_NOT_ACTIVE` before {@link open}, as long as another daemon writes, and after {@link close} */
	get #opened(): DatabaseSync {
		if (this.#database === null) {
			throw new SluiceError("SLUICE_NOT_ACTIVE");
		}
		return this.#database;
	}

	#prepared(sql: string): StatementSync {
		let statement = this.#statements.get(sql);
		if (statement === undefined) {
			statement = this.#opened.prepare(sql);
			this.#statements.set(sql, statement);
		}
		return statement;
	}

	#run(sql: string, ...values: (string | number)[]): void {
		try {
			this.#prepared(sql).run(...values);
		} catch (cause) {
			throw storageError(cause);
		}
	}
}

function syncDirectory(path: string): void {
	const descriptor = openSync(path, "r");
	try {
		fsyncSync(descriptor);
	} finally {
		closeSync(descriptor);
	}
}

/** SQLite's primary result code for a full disk. Source: sqlite.org/rescode.html. */
const SQLITE_FULL = 13;

function storageError(cause: unknown): unknown {
	if (!(cause instanceof Error) || !("errcode" in cause) || typeof cause.errcode !== "number") {
		return writeError(cause, "catalogue");
	}
	const full = (cause.errcode & 0xff) === SQLITE_FULL;
	return new SluiceError(full ? "SLUICE_DISK_FULL" : "SLUICE_DISK_FAILED", { operation: "catalogue", cause });
}
