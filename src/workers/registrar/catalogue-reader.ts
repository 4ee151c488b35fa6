/**
 * The catalogue as a daemon reads it while another one writes: which shapes came and went, and which request leads
 * where. Owns a read-only connection, which it makes when there is something to read; must never write, and never
 * hold a transaction open, so that the writer's file does not grow for it. Called by the follower.
 */

import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { invariant } from "../../shared/assert.ts";
import { SluiceError } from "../../shared/errors.ts";
import type { StoredPosition } from "../../shared/messages.ts";
import type { TableInfo } from "../../shared/shape-definition.ts";
import {
	FORMAT_VERSION,
	REVISION_KEY,
	readMeta,
	readPosition,
	readShapes,
	type StoredShape,
	shapeOf,
	textOf,
} from "./catalogue-rows.ts";

const BUSY_TIMEOUT_MS = 1_000;

export interface ShapeChanges {
	readonly added: readonly StoredShape[];
	/** Their tables were described anew. */
	readonly renewed: readonly StoredShape[];
	/** Handles. */
	readonly removed: readonly string[];
}

const NO_CHANGES: ShapeChanges = { added: [], renewed: [], removed: [] };

export class CatalogueReader {
	readonly #path: string;
	readonly #tables = new Map<string, WeakRef<TableInfo>>();
	#database: DatabaseSync | null = null;
	/** What was read last: SQLite's counter of other connections' commits, and ours of changes to shapes. */
	#dataVersion: unknown = null;
	#revision: string | null = null;

	/** @param path of catalogue.sqlite, which may not be there yet */
	constructor(path: string) {
		this.#path = path;
	}

	/**
	 * What has changed since the last call. Costs one look at a counter when nothing did.
	 * @param known handles that the caller holds, with their schema headers; called when there may be a difference
	 * @throws SluiceError `SLUICE_CATALOGUE_UNREADABLE`
	 */
	changes(known: () => ReadonlyMap<string, string>): ShapeChanges {
		return this.#reading(NO_CHANGES, (database) => {
			const dataVersion = database.prepare("PRAGMA data_version").get()?.["data_version"];
			if (dataVersion === this.#dataVersion) {
				return NO_CHANGES;
			}
			// One snapshot for everything that is read here.
			database.exec("BEGIN");
			try {
				const revision = readMeta(database, REVISION_KEY);
				const isSame = revision === this.#revision && revision !== null;
				const changes = isSame ? NO_CHANGES : this.#difference(database, known());
				this.#revision = revision;
				this.#dataVersion = dataVersion;
				return changes;
			} finally {
				database.exec("COMMIT");
			}
		});
	}

	/** The handle of the shape that a request leads to, or null. */
	handleOf(requestDigest: string): string | null {
		return this.#reading(null, (database) => {
			const row = database.prepare("SELECT handle FROM requests WHERE digest = ?").get(requestDigest);
			return row === undefined ? null : textOf(row, "handle");
		});
	}

	/** Null when none was stored yet. */
	position(): StoredPosition | null {
		return this.#reading(null, readPosition);
	}

	close(): void {
		this.#database?.close();
		this.#database = null;
	}

	#difference(database: DatabaseSync, known: ReadonlyMap<string, string>): ShapeChanges {
		if (known.size === 0) {
			return { ...NO_CHANGES, added: readShapes(database, new WeakMap()) };
		}
		const rows = database.prepare("SELECT handle, schema_header FROM shapes").all();
		const present = new Map(rows.map((row) => [textOf(row, "handle"), textOf(row, "schema_header")]));
		const { added, renewed, removed } = compareShapes(known, present);
		const read = (handle: string): StoredShape => this.#shape(database, handle);
		return { added: added.map(read), renewed: renewed.map(read), removed };
	}

	#shape(database: DatabaseSync, handle: string): StoredShape {
		const row = database.prepare("SELECT * FROM shapes WHERE handle = ?").get(handle);
		invariant(row !== undefined, "a handle that was read in the same transaction");
		const requests = database
			.prepare("SELECT digest FROM requests WHERE handle = ?")
			.all(handle)
			.map((each) => textOf(each, "digest"));
		return shapeOf(row, this.#table(database, textOf(row, "table_digest")), requests);
	}

	#table(database: DatabaseSync, digest: string): TableInfo {
		const known = this.#tables.get(digest)?.deref();
		if (known !== undefined) {
			return known;
		}
		const row = database.prepare("SELECT info FROM tables WHERE digest = ?").get(digest);
		invariant(row !== undefined, "the catalogue's foreign keys hold");
		const table = JSON.parse(textOf(row, "info")) as TableInfo;
		this.#tables.set(digest, new WeakRef(table));
		return table;
	}

	/** `missing` as long as the writer has not made the catalogue. */
	#reading<T>(missing: T, read: (database: DatabaseSync) => T): T {
		try {
			const database = this.#database ?? this.#open();
			return database === null ? missing : read(database);
		} catch (cause) {
			// The next look begins with a fresh connection.
			this.close();
			throw cause instanceof SluiceError
				? cause
				: new SluiceError("SLUICE_CATALOGUE_UNREADABLE", { path: this.#path, cause });
		}
	}

	#open(): DatabaseSync | null {
		if (!existsSync(this.#path)) {
			return null;
		}
		const database = new DatabaseSync(this.#path, { readOnly: true, timeout: BUSY_TIMEOUT_MS });
		const isMade =
			database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'requests_by_handle'").get() !== undefined &&
			database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'ready_tables'").get() !== undefined;
		const version = isMade ? readMeta(database, "format_version") : null;
		if (version === null) {
			database.close();
			return null;
		}
		if (version !== String(FORMAT_VERSION)) {
			database.close();
			throw new SluiceError("SLUICE_CATALOGUE_UNREADABLE", {
				path: this.#path,
				foundVersion: version,
				expectedVersion: FORMAT_VERSION,
			});
		}
		this.#database = database;
		this.#dataVersion = null;
		this.#revision = null;
		return database;
	}
}

/** Pure: handles that came, that have another schema header by now, and that went. */
export function compareShapes(
	known: ReadonlyMap<string, string>,
	present: ReadonlyMap<string, string>,
): { readonly added: readonly string[]; readonly renewed: readonly string[]; readonly removed: readonly string[] } {
	const handles = [...present.keys()];
	return {
		added: handles.filter((handle) => !known.has(handle)),
		renewed: handles.filter((handle) => known.has(handle) && known.get(handle) !== present.get(handle)),
		removed: [...known.keys()].filter((handle) => !present.has(handle)),
	};
}
