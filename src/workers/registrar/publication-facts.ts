/**
 * Reads how a table stands to the publication: membership, replica identity, who may alter what, and who is
 * writing to it. Owns the queries; must change nothing. Called by publication.ts and the reconciler.
 */

import type { SqlSession } from "./database.ts";

export interface PublicationFacts {
	readonly oid: number;
	/** pg_publication.puballtables */
	readonly allTables: boolean;
	/** Publishes insert, update, delete and truncate. */
	readonly allOperations: boolean;
	/** pubviaroot: changes of partitions are published under the root. */
	readonly viaRoot: boolean;
	/** Stored generated columns are published; null when the server cannot (before 18). */
	readonly generatedStored: boolean | null;
	readonly owned: boolean;
}

/** One table that changes come from: the table itself, or a partitioned table and each of its partitions. */
export interface RelationFacts {
	readonly oid: number;
	readonly schema: string;
	readonly name: string;
	readonly kind: string;
	readonly replicaIdentity: string;
	readonly owned: boolean;
	/** Has stored, virtual generated columns. */
	readonly hasStored: boolean;
	readonly hasVirtual: boolean;
}

export interface MembershipFacts {
	/** Names this life of the membership, or null when the table is no member. */
	readonly membership: string | null;
	/** The membership has a row filter or a column list. */
	readonly restricted: boolean;
}

export interface TableFacts {
	/** Null when the publication does not exist. */
	readonly publication: PublicationFacts | null;
	/** The table first, then its partitions by oid. Empty when the table is gone. */
	readonly relations: readonly RelationFacts[];
	readonly membership: MembershipFacts;
}

/** Names a membership together with the tables it was waited for: another one has to be waited for again. */
export function membershipLife(facts: TableFacts): string {
	return `${facts.membership.membership}/${facts.relations.map((relation) => relation.oid).join(",")}`;
}

interface PublicationRow extends Omit<PublicationFacts, "oid"> {
	readonly oid: string;
}

interface RelationRow extends Omit<RelationFacts, "oid"> {
	readonly oid: string;
}

const PUBLICATION_SQL = `
	SELECT p.oid::int8, p.puballtables AS "allTables", p.pubviaroot AS "viaRoot",
		p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AS "allOperations",
		to_jsonb(p) ->> 'pubgencols' = 's' AS "generatedStored",
		pg_catalog.pg_has_role(p.pubowner, 'USAGE') AS owned
	FROM pg_catalog.pg_publication p WHERE p.pubname = $1`;

const RELATIONS_SQL = `
	SELECT c.oid::int8, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
		c.relreplident::text AS "replicaIdentity", pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned,
		EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a
			WHERE a.attrelid = c.oid AND a.attgenerated = 's' AND NOT a.attisdropped) AS "hasStored",
		EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a
			WHERE a.attrelid = c.oid AND a.attgenerated = 'v' AND NOT a.attisdropped) AS "hasVirtual"
	FROM (
		SELECT $1::oid AS oid UNION SELECT t.relid::oid FROM pg_catalog.pg_partition_tree($1::oid::regclass) t
	) AS family
	JOIN pg_catalog.pg_class c ON c.oid = family.oid
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p')
	ORDER BY c.oid <> $1::oid, c.oid`;

/** Membership by table, by schema, or of an ancestor (a partition is published with its root). */
const MEMBERSHIP_SQL = `
	SELECT 'table:' || r.oid AS membership, (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL) AS restricted
	FROM pg_catalog.pg_publication_rel r
	WHERE r.prpubid = $1::oid AND r.prrelid IN (
		SELECT $2::oid UNION SELECT a.relid::oid FROM pg_catalog.pg_partition_ancestors($2::oid::regclass) a)
	UNION ALL
	SELECT 'schema:' || s.oid, false
	FROM pg_catalog.pg_publication_namespace s
	WHERE s.pnpubid = $1::oid AND s.pnnspid IN (
		SELECT c.relnamespace FROM pg_catalog.pg_class c WHERE c.oid IN (
			SELECT $2::oid UNION SELECT a.relid::oid FROM pg_catalog.pg_partition_ancestors($2::oid::regclass) a))
	ORDER BY 1`;

export async function readPublication(session: SqlSession, publication: string): Promise<PublicationFacts | null> {
	const [row] = await session.query<PublicationRow>(PUBLICATION_SQL, [publication]);
	return row === undefined ? null : { ...row, oid: Number(row.oid) };
}

export async function readTableFacts(
	session: SqlSession,
	publicationName: string,
	tableOid: number,
): Promise<TableFacts> {
	const publication = await readPublication(session, publicationName);
	const rows = await session.query<RelationRow>(RELATIONS_SQL, [tableOid]);
	const relations = rows.map((row) => ({ ...row, oid: Number(row.oid) }));
	return {
		publication,
		relations,
		membership:
			publication === null
				? { membership: null, restricted: false }
				: await readMembership(session, publication, tableOid),
	};
}

async function readMembership(
	session: SqlSession,
	publication: PublicationFacts,
	tableOid: number,
): Promise<MembershipFacts> {
	if (publication.allTables) {
		return { membership: `all:${publication.oid}`, restricted: false };
	}
	const rows = await session.query<{ membership: string; restricted: boolean }>(MEMBERSHIP_SQL, [
		publication.oid,
		tableOid,
	]);
	const [first] = rows;
	return {
		membership: first === undefined ? null : `${publication.oid}:${first.membership}`,
		// Several memberships add up: one without restrictions publishes everything.
		restricted: rows.length > 0 && rows.every((row) => row.restricted),
	};
}

/** pg_locks modes that conflict with SHARE ROW EXCLUSIVE. Source: PostgreSQL documentation, table "Conflicting Lock Modes". */
const WRITER_MODES = [
	"RowExclusiveLock",
	"ShareUpdateExclusiveLock",
	"ShareLock",
	"ShareRowExclusiveLock",
	"ExclusiveLock",
	"AccessExclusiveLock",
];

const HOLDERS_SQL = `
	SELECT DISTINCT virtualtransaction AS holder FROM pg_catalog.pg_locks
	WHERE locktype = 'relation' AND granted AND relation = ANY ($1::oid[]) AND mode = ANY ($2::text[])
		AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
		AND pid IS DISTINCT FROM pg_catalog.pg_backend_pid()`;

/** Transactions (prepared ones too) that may have written to one of the relations and are not over. */
export async function readWriters(session: SqlSession, relationOids: readonly number[]): Promise<Set<string>> {
	const rows = await session.query<{ holder: string }>(HOLDERS_SQL, [relationOids, WRITER_MODES]);
	return new Set(rows.map((row) => row.holder));
}
