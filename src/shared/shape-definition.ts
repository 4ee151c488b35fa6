/**
 * What a shape is: a table, a checked `where`, the selected columns, and how updates are written. Plain data:
 * it crosses threads and is stored in the catalogue as JSON. Made by the registrar only; read by lanes,
 * snapshot tasks and HTTP threads.
 */

import type { WhereNode } from "./where-tree.ts";

/** A column as PostgreSQL's catalogue describes it. */
export interface ColumnInfo {
	readonly name: string;
	/** pg_attribute.attnum: order in the table. */
	readonly attributeNumber: number;
	readonly typeOid: number;
	/** pg_type.typname; for arrays the element type's name. Domains: the domain's own name. */
	readonly typeName: string;
	/** pg_type.typname of the base type (domains resolved, arrays: of the element). */
	readonly baseTypeName: string;
	/** pg_type.typtype of the (element) type: b, d, e, c, r, m, p. */
	readonly typeKind: string;
	readonly typmod: number;
	/** Declared array dimensions (pg_attribute.attndims), 0 for scalars. */
	readonly dimensions: number;
	/** The base type is an array. */
	readonly isArray: boolean;
	readonly notNull: boolean;
	/** 0-based position in the primary key, or null. */
	readonly primaryKeyIndex: number | null;
	readonly isGenerated: boolean;
	/** pg_collation of the column is deterministic (true for types without collation). */
	readonly deterministicCollation: boolean;
}

/** What the values of a type are printed with, though no column of that type is touched. */
export interface TypeFingerprint {
	/** The labels of its enums (`oid:xmin` of pg_enum), separated by spaces: one that was renamed is another one. */
	readonly labels: string;
	/** Digest of its composite types' attributes; empty when it has none. */
	readonly attributes: string;
}

/**
 * Which data a table holds, as far as its catalogue rows tell: compared to notice what changes values and is no change
 * of a row in the stream. Means nothing but by comparison with another one of the same table.
 */
export interface TableFingerprint {
	/** Digest of the files (pg_class.relfilenode) of the table and its leaves: rewriting a table makes another. */
	readonly files: string;
	/** By column name: digest of its pg_attribute rows in the table and its leaves: altering a column makes another. */
	readonly columns: Readonly<Record<string, string>>;
	/** By the column's type oid; only types that have a part that can be altered by itself. */
	readonly types: Readonly<Record<string, TypeFingerprint>>;
}

/** A table at the moment it was inspected. */
export interface TableInfo {
	readonly oid: number;
	readonly schema: string;
	readonly name: string;
	/** pg_class.relkind: "r" or "p". */
	readonly kind: "r" | "p";
	/** Live columns in attribute order. */
	readonly columns: readonly ColumnInfo[];
	/** For a partitioned table: oids of all its leaf partitions; else empty. */
	readonly leafOids: readonly number[];
	/** Absent in catalogues of before it was taken, and in what lanes hold. */
	readonly fingerprint?: TableFingerprint;
}

/** A checked condition in both of its forms. */
export interface WhereClause {
	/** Deparsed from the checked tree, parameters as typed literals: the only text that reaches SQL. */
	readonly sql: string;
	/** The typed tree that lanes compile. */
	readonly tree: WhereNode;
}

export type ReplicaMode = "default" | "full";
export type LogMode = "full" | "changes_only";

export interface ShapeDefinition {
	readonly table: TableInfo;
	readonly where: WhereClause | null;
	/** Names of the selected columns, sorted by code unit (the order of keys in `value`). */
	readonly selectedColumns: readonly string[];
	/** False when `columns` was not given. Part of the identity. */
	readonly columnsGiven: boolean;
	/** Names of the key columns in key order; all columns in attribute order when there is no primary key. */
	readonly keyColumns: readonly string[];
	readonly hasPrimaryKey: boolean;
	readonly replica: ReplicaMode;
	readonly log: LogMode;
}

/** What decides which transactions the initial snapshot holds (replication.md 5.4). */
export interface SnapshotInfo {
	/** xid8 values, decimal text (epoch included). */
	readonly xmin: string;
	readonly xmax: string;
	readonly xipList: readonly string[];
	/** pg_current_wal_insert_lsn() read in the snapshot's first statement: visible commits lie below. Decimal text. */
	readonly insertLsn: string;
}

/** A shape as a lane holds it. */
export interface ShapeAssignment {
	readonly slot: number;
	readonly generation: number;
	readonly handle: string;
	/** Absolute path of the shape's directory. */
	readonly directory: string;
	readonly definition: ShapeDefinition;
	/** Null while the snapshot has not been taken. */
	readonly snapshot: SnapshotInfo | null;
}
