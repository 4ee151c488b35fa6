/**
 * Reads a table's fingerprint: the versions of those catalogue rows that change when values do and the stream says
 * nothing. Owns the queries; what a difference means is table-drift's. Must read files and columns in one statement:
 * one snapshot of both, or a rewrite between two looks could pass for a VACUUM FULL and an altered column. Called by the
 * inspector.
 */

import type { TableFingerprint, TypeFingerprint } from "../../shared/shape-definition.ts";
import type { SqlSession } from "./database.ts";

interface ColumnVersionRow {
	readonly name: string;
	readonly version: string;
	readonly files: string;
}

interface TypePartsRow extends TypeFingerprint {
	readonly oid: string;
}

/** Kinds of types that are made of labels or of attributes, or may be (ranges). Source: pg_type.typtype. */
const KINDS_WITH_PARTS = new Set(["e", "c", "r", "m"]);

/** The digested text is digits and punctuation. xmin outlives freezing: PostgreSQL keeps it beside the flag (since 9.4). */
const COLUMNS_SQL = `
	WITH family AS (
		SELECT c.oid, c.relfilenode
		FROM (
			SELECT $1::oid AS oid
			UNION SELECT t.relid::oid FROM pg_catalog.pg_partition_tree($1::oid::regclass) t WHERE t.isleaf
		) AS each
		JOIN pg_catalog.pg_class c ON c.oid = each.oid
	)
	SELECT a.attname::text AS name,
		left(encode(sha256(string_agg(concat_ws(':', f.oid, a.attnum, a.xmin), ',' ORDER BY f.oid)::bytea), 'hex'), 16) AS version,
		(SELECT left(encode(sha256(string_agg(concat_ws(':', oid, relfilenode), ',' ORDER BY oid)::bytea), 'hex'), 16)
			FROM family) AS files
	FROM family f
	JOIN pg_catalog.pg_attribute a ON a.attrelid = f.oid AND a.attnum > 0 AND NOT a.attisdropped
	GROUP BY a.attname ORDER BY a.attname`;

/**
 * Every type with all types that its values are printed with: elements, base types, subtypes of ranges, attributes.
 * A dropped attribute counts too, as rows may have come between its making and its end.
 */
const TYPES_SQL = `
	WITH RECURSIVE parts AS (
		SELECT t.oid AS root, t.oid, t.typrelid FROM pg_catalog.pg_type t WHERE t.oid = ANY ($1::oid[])
		UNION
		SELECT p.root, t.oid, t.typrelid
		FROM parts p
		JOIN LATERAL (
			SELECT s.typelem AS oid FROM pg_catalog.pg_type s WHERE s.oid = p.oid
			UNION ALL SELECT s.typbasetype FROM pg_catalog.pg_type s WHERE s.oid = p.oid
			UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE p.oid IN (r.rngtypid, r.rngmultitypid)
			UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
				WHERE a.attrelid = p.typrelid AND a.attnum > 0 AND NOT a.attisdropped
		) AS made ON true
		JOIN pg_catalog.pg_type t ON t.oid = made.oid
	)
	SELECT p.root::int8 AS oid,
		coalesce(string_agg(DISTINCT e.oid || ':' || e.xmin, ' '), '') AS labels,
		coalesce(left(encode(sha256(string_agg(DISTINCT concat_ws(':', a.attrelid, a.attnum, a.atttypid, a.atttypmod,
			a.attisdropped, pg_catalog.hashname(a.attname)), ',')::bytea), 'hex'), 16), '') AS attributes
	FROM parts p
	LEFT JOIN pg_catalog.pg_enum e ON e.enumtypid = p.oid
	LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = p.typrelid AND p.typrelid <> 0 AND a.attnum > 0
	GROUP BY p.root HAVING count(e.oid) > 0 OR count(a.attrelid) > 0 ORDER BY p.root`;

/**
 * Null when the table is gone.
 * @param columnTypes oids of the columns' types
 * @param types the same types, with elements of arrays and base types of domains
 * @throws SluiceError `SLUICE_DATABASE_UNAVAILABLE`
 */
export async function readFingerprint(
	session: SqlSession,
	tableOid: number,
	columnTypes: readonly string[],
	types: readonly { readonly typtype: string }[],
): Promise<TableFingerprint | null> {
	const columns = await session.query<ColumnVersionRow>(COLUMNS_SQL, [tableOid]);
	const [first] = columns;
	if (first === undefined) {
		return null;
	}
	const rows = types.some((type) => KINDS_WITH_PARTS.has(type.typtype))
		? await session.query<TypePartsRow>(TYPES_SQL, [columnTypes])
		: [];
	return {
		files: first.files,
		columns: Object.fromEntries(columns.map(({ name, version }) => [name, version])),
		types: Object.fromEntries(rows.map(({ oid, labels, attributes }) => [oid, { labels, attributes }])),
	};
}
