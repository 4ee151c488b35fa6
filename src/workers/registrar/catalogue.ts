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
import { invariant } from "../../shared/assert.ts";
import { writeError } from "../../shared/disk-error.ts";
import { SluiceError } from "../../shared/errors.ts";
import type { StoredPosition } from "../../shared/messages.ts";
import type { ShapeDefinition, SnapshotInfo, TableInfo } from "../../shared/shape-definition.ts";
import { HandleSource } from "./handle-source.ts";

const FORMAT_VERSION = 1;

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
	CREATE TABLE IF NOT EXISTS ready_tables (oid INTEGER PRIMARY KEY, membership TEXT NOT NULL) STRICT;
`;

/** A complete shape. */
export interface StoredShape {
	readonly handle: string;
	/** Hexadecimal digest of the definition. */
	readonly identity: string;
	readonly definition: ShapeDefinition;
	readonly schemaHeader: string;
	readonly snapshot: SnapshotInfo;
	readonly chunks: number;
	/** Digests of the requests that lead here. */
	readonly requests: readonly string[];
}

interface Change {
	readonly apply: () => void;
	readonly resolve: () => void;
	readonly reject: (error: unknown) => void;
}

type Row = Record<string, unknown>;

export class Catalogue {
	readonly #database: DatabaseSync;
	readonly #shapesDirectory: string;
	readonly #handles: HandleSource;
	readonly #statements = new Map<string, StatementSync>();
	/** Digest of each table object met, so that ten thousand shapes of one table hash it once. */
	readonly #tableDigests = new WeakMap<TableInfo, string>();
	readonly #pending: Change[] = [];
	#flushScheduled = false;
	#shapesRemoved = false;

	/**
	 * @param path of catalogue.sqlite
	 * @param shapesDirectory synced before a shape is committed, so that its directory exists after a crash
	 * @throws SluiceError `SLUICE_CATALOGUE_UNREADABLE`
	 */
	constructor(path: string, shapesDirectory: string) {
		this.#shapesDirectory = shapesDirectory;
		let database: DatabaseSync | null = null;
		try {
			database = new DatabaseSync(path, { enableForeignKeyConstraints: true });
			database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
			const check = database.prepare("PRAGMA quick_check(1)").get();
			if (check?.["quick_check"] !== "ok") {
				throw new SluiceError("SLUICE_CATALOGUE_UNREADABLE", { path, check: check?.["quick_check"] });
			}
			database.exec(SCHEMA);
			this.#database = database;
			this.#checkVersion(path);
			this.#handles = new HandleSource(Number(this.#readMeta("handle_lease_us") ?? "0"), (leaseUs) =>
				this.#writeMeta("handle_lease_us", String(leaseUs)),
			);
		} catch (cause) {
			database?.close();
			throw cause instanceof SluiceError ? cause : new SluiceError("SLUICE_CATALOGUE_UNREADABLE", { path, cause });
		}
	}

	/** A handle that was never given out before, in this process or an earlier one. */
	newHandle(identity: string): string {
		return this.#handles.next(identity, Date.now());
	}

	position(): StoredPosition | null {
		const row = this.#prepared("SELECT * FROM position").get();
		if (row === undefined) {
			return null;
		}
		return {
			systemIdentifier: textOf(row, "system_identifier"),
			timeline: Number(row["timeline"]),
			slotName: textOf(row, "slot_name"),
			acknowledgedLsn: BigInt(textOf(row, "acknowledged_lsn")),
		};
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
			return this.#readShapes();
		} catch (cause) {
			throw new SluiceError("SLUICE_CATALOGUE_UNREADABLE", { cause });
		}
	}

	#readShapes(): StoredShape[] {
		const tables = new Map<string, TableInfo>();
		for (const row of this.#prepared("SELECT digest, info FROM tables").all()) {
			const table = JSON.parse(textOf(row, "info")) as TableInfo;
			const digest = textOf(row, "digest");
			tables.set(digest, table);
			this.#tableDigests.set(table, digest);
		}
		const requests = new Map<string, string[]>();
		for (const row of this.#prepared("SELECT digest, handle FROM requests").all()) {
			const handle = textOf(row, "handle");
			const known = requests.get(handle);
			if (known === undefined) {
				requests.set(handle, [textOf(row, "digest")]);
			} else {
				known.push(textOf(row, "digest"));
			}
		}
		return this.#prepared("SELECT * FROM shapes")
			.all()
			.map((row) => {
				const handle = textOf(row, "handle");
				const table = tables.get(textOf(row, "table_digest"));
				invariant(table !== undefined, "the catalogue's foreign keys hold");
				return {
					handle,
					identity: textOf(row, "identity"),
					definition: { ...(JSON.parse(textOf(row, "definition")) as Omit<ShapeDefinition, "table">), table },
					schemaHeader: textOf(row, "schema_header"),
					snapshot: JSON.parse(textOf(row, "snapshot")) as SnapshotInfo,
					chunks: Number(row["chunks"]),
					requests: requests.get(handle) ?? [],
				};
			});
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
		if (this.#database.isOpen) {
			this.#flush();
			this.#database.close();
		}
	}

	// --- groups

	#change(apply: () => void): Promise<void> {
		return new Promise((resolve, reject) => {
			if (!this.#database.isOpen) {
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
		if (changes.length === 0) {
			return;
		}
		try {
			syncDirectory(this.#shapesDirectory);
			this.#database.exec("BEGIN IMMEDIATE");
			for (const change of changes) {
				change.apply();
			}
			if (this.#shapesRemoved) {
				// Tables that no shape names any more go with the last of them.
				this.#run("DELETE FROM tables WHERE NOT EXISTS (SELECT 1 FROM shapes WHERE table_digest = tables.digest)");
				this.#shapesRemoved = false;
			}
			this.#database.exec("COMMIT");
		} catch (cause) {
			if (this.#database.isOpen && this.#database.isTransaction) {
				this.#database.exec("ROLLBACK");
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
		const row = this.#prepared("SELECT value FROM meta WHERE key = ?").get(key);
		return row === undefined ? null : textOf(row, "value");
	}

	#writeMeta(key: string, value: string): void {
		this.#run("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, value);
	}

	#prepared(sql: string): StatementSync {
		let statement = this.#statements.get(sql);
		if (statement === undefined) {
			statement = this.#database.prepare(sql);
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

function textOf(row: Row, column: string): string {
	const value = row[column];
	invariant(typeof value === "string", "the catalogue's tables are strict");
	return value;
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
