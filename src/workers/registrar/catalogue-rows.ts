/**
 * What the catalogue's tables hold, read into the registrar's words. Owns no connection and no lock; must never
 * write. Called by the catalogue, and by the reader of a daemon that follows another one.
 */

import type { DatabaseSync } from "node:sqlite";
import { invariant } from "../../shared/assert.ts";
import type { StoredPosition } from "../../shared/messages.ts";
import type { ShapeDefinition, SnapshotInfo, TableInfo } from "../../shared/shape-definition.ts";

export const FORMAT_VERSION = 1;
/** Key in `meta` of a number that grows with every change of shapes and requests. */
export const REVISION_KEY = "shapes_revision";

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

type Row = Record<string, unknown>;

export function readMeta(database: DatabaseSync, key: string): string | null {
	const row = database.prepare("SELECT value FROM meta WHERE key = ?").get(key);
	return row === undefined ? null : textOf(row, "value");
}

export function readPosition(database: DatabaseSync): StoredPosition | null {
	const row = database.prepare("SELECT * FROM position").get();
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

/** Every complete shape; definitions of one table share one object, whose digest is remembered in `digests`. */
export function readShapes(database: DatabaseSync, digests: WeakMap<TableInfo, string>): StoredShape[] {
	const tables = new Map<string, TableInfo>();
	for (const row of database.prepare("SELECT digest, info FROM tables").all()) {
		const table = JSON.parse(textOf(row, "info")) as TableInfo;
		const digest = textOf(row, "digest");
		tables.set(digest, table);
		digests.set(table, digest);
	}
	const requests = new Map<string, string[]>();
	for (const row of database.prepare("SELECT digest, handle FROM requests").all()) {
		const handle = textOf(row, "handle");
		const known = requests.get(handle);
		if (known === undefined) {
			requests.set(handle, [textOf(row, "digest")]);
		} else {
			known.push(textOf(row, "digest"));
		}
	}
	return database
		.prepare("SELECT * FROM shapes")
		.all()
		.map((row) => {
			const table = tables.get(textOf(row, "table_digest"));
			invariant(table !== undefined, "the catalogue's foreign keys hold");
			return shapeOf(row, table, requests.get(textOf(row, "handle")) ?? []);
		});
}

/** @param row of `shapes` */
export function shapeOf(row: Row, table: TableInfo, requests: readonly string[]): StoredShape {
	return {
		handle: textOf(row, "handle"),
		identity: textOf(row, "identity"),
		definition: { ...(JSON.parse(textOf(row, "definition")) as Omit<ShapeDefinition, "table">), table },
		schemaHeader: textOf(row, "schema_header"),
		snapshot: JSON.parse(textOf(row, "snapshot")) as SnapshotInfo,
		chunks: Number(row["chunks"]),
		requests,
	};
}

export function textOf(row: Row, column: string): string {
	const value = row[column];
	invariant(typeof value === "string", "the catalogue's tables are strict");
	return value;
}
