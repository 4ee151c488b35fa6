/**
 * Decides what a table still needs before it can be followed. Pure: facts in, plan out. Owns the messages of
 * shape-http-api.md 16 and the statements that an operator should run; must refuse whatever would break the
 * application's own statements. Called by publication.ts.
 */

import type { TableInfo } from "../../shared/shape-definition.ts";
import { displayQualified, quoteIdentifier, quoteQualified } from "../../shared/sql-quoting.ts";
import type { PublicationFacts, RelationFacts, TableFacts } from "./publication-facts.ts";

export type ReadinessPlan =
	| { readonly kind: "refuse"; readonly serverMessage: string; readonly statement: string | null }
	/**
	 * To run in one transaction that has locked the table in `lockMode`: the strongest that a statement needs,
	 * so that no lock is raised later (that could deadlock with the application).
	 */
	| { readonly kind: "alter"; readonly statements: readonly string[]; readonly lockMode: LockMode }
	/** Nothing to alter. `relationOids`: the tables whose writers count. */
	| { readonly kind: "ready"; readonly relationOids: readonly number[] };

export type LockMode = "SHARE ROW EXCLUSIVE" | "ACCESS EXCLUSIVE";

type Relation = Pick<TableInfo, "schema" | "name">;

/** @param manual nothing may be altered: an operator does it (SLUICE_MANUAL_TABLE_PUBLISHING) */
export function planReadiness(
	publicationName: string,
	table: TableInfo,
	facts: TableFacts,
	needsGenerated: boolean,
	manual = false,
): ReadinessPlan {
	const { publication, relations, membership } = facts;
	const quotedPublication = quoteIdentifier(publicationName);
	const shown = displayQualified(table);
	const [root] = relations;
	if (root === undefined || root.schema !== table.schema || root.name !== table.name) {
		return refuse(`Database table ${shown} was dropped or renamed`, null);
	}
	if (publication === null) {
		return refuse(
			`Publication "${publicationName}" not found in the database`,
			`CREATE PUBLICATION ${quotedPublication}`,
		);
	}
	if (!publication.allOperations) {
		return refuse(
			`Publication "${publicationName}" does not publish all required operations: INSERT, UPDATE, DELETE, TRUNCATE`,
			`ALTER PUBLICATION ${quotedPublication} SET (publish = 'insert, update, delete, truncate')`,
		);
	}
	if (publication.viaRoot && relations.length > 1) {
		return refuse(
			`Publication "${publicationName}" publishes partitions under their root`,
			`ALTER PUBLICATION ${quotedPublication} SET (publish_via_partition_root = false)`,
		);
	}
	if (needsGenerated && publication.generatedStored !== true) {
		return refuse(
			`Publication "${publicationName}" does not publish generated columns`,
			`ALTER PUBLICATION ${quotedPublication} SET (publish_generated_columns = stored)`,
		);
	}
	if (membership.restricted) {
		return refuse(
			`Database table ${shown} is published with a row filter or a column list`,
			`ALTER PUBLICATION ${quotedPublication} DROP TABLE ${quoteQualified(table)}; ${addTable(publicationName, table)}`,
		);
	}
	// A partitioned table itself has no rows, but new partitions of it are made with its identity in mind.
	const notFull = relations.filter((relation) => relation.replicaIdentity !== "f");
	const lacksOwner = notFull.find((relation) => manual || !relation.owned);
	if (membership.membership === null && (manual || !(publication.owned && root.owned))) {
		const why = manual
			? "the SLUICE_MANUAL_TABLE_PUBLISHING setting prevents Sluice from adding it"
			: `Sluice lacks privileges to add it${publication.owned ? ": must be owner of the table" : ""}`;
		return refuse(
			`Database table ${shown} is missing from the publication "${publicationName}" and ${why}`,
			addTable(publicationName, table),
		);
	}
	if (lacksOwner !== undefined) {
		const why = manual ? "" : ": must be owner of the table";
		return refuse(
			`Database table ${displayQualified(lacksOwner)} does not have its replica identity set to FULL${why}`,
			identityFull(lacksOwner),
		);
	}
	const endangered = generatedHazard(publication, relations);
	if (endangered !== null) {
		return refuse(
			`Database table ${displayQualified(endangered)} has generated columns that cannot be published: PostgreSQL would refuse every UPDATE and DELETE on it`,
			endangered.hasVirtual ? null : `ALTER PUBLICATION ${quotedPublication} SET (publish_generated_columns = stored)`,
		);
	}
	const statements = [
		...(membership.membership === null ? [addTable(publicationName, table)] : []),
		...notFull.map(identityFull),
	];
	if (statements.length > 0) {
		return { kind: "alter", statements, lockMode: notFull.length > 0 ? "ACCESS EXCLUSIVE" : "SHARE ROW EXCLUSIVE" };
	}
	return { kind: "ready", relationOids: relations.map((relation) => relation.oid) };
}

/**
 * From 18 on PostgreSQL refuses UPDATE and DELETE on a published table whose identity (FULL: all columns) holds
 * a generated column that is not published. Following such a table would break its application.
 * Source: PostgreSQL 18 `pub_contains_invalid_column`.
 */
function generatedHazard(publication: PublicationFacts, relations: readonly RelationFacts[]): RelationFacts | null {
	if (publication.generatedStored === null) {
		return null;
	}
	const storedIsPublished = publication.generatedStored;
	return relations.find((relation) => relation.hasVirtual || (relation.hasStored && !storedIsPublished)) ?? null;
}

function refuse(serverMessage: string, statement: string | null): ReadinessPlan {
	return { kind: "refuse", serverMessage, statement };
}

function addTable(publication: string, table: Pick<TableInfo, "schema" | "name" | "kind">): string {
	const only = table.kind === "r" ? "ONLY " : "";
	return `ALTER PUBLICATION ${quoteIdentifier(publication)} ADD TABLE ${only}${quoteQualified(table)}`;
}

function identityFull(relation: Relation): string {
	return `ALTER TABLE ONLY ${quoteQualified(relation)} REPLICA IDENTITY FULL`;
}
