/**
 * When two requests mean the same shape. Pure: digests of a definition and of a request as it was spelled.
 * Must change whenever the bytes of a shape's log could differ. Called by shape-request and shapes.
 * Source: shape-http-api.md 5.
 */

import { createHash } from "node:crypto";
import type { ShapeRequest } from "../../shared/messages.ts";
import type { ShapeDefinition } from "../../shared/shape-definition.ts";

function digest(value: unknown): string {
	return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}

/**
 * Hexadecimal. Equal definitions are one shape; the types of the columns belong to it, so that an altered table makes
 * another. NOT NULL does not: it changes the schema header, and no byte of the log.
 */
export function shapeIdentity(definition: ShapeDefinition): string {
	const { table } = definition;
	const selected = new Set(definition.selectedColumns);
	return digest([
		[table.oid, table.schema, table.name, table.kind, table.leafOids],
		definition.where?.sql ?? null,
		definition.hasPrimaryKey,
		definition.keyColumns,
		definition.columnsGiven,
		table.columns
			.filter((column) => selected.has(column.name))
			.map((column) => [column.name, column.typeOid, column.typmod, column.dimensions]),
		definition.replica,
		definition.log,
	]);
}

/** Hexadecimal. The request as the client spelled it: finds the shape again without asking the database. */
export function requestDigest(request: ShapeRequest): string {
	const params =
		request.where === null
			? []
			: Object.entries(request.params).sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0));
	return digest([request.table, request.where, params, request.columns, request.replica, request.log]);
}
