/**
 * Tables and columns for the registrar's unit tests, with only what matters spelled out. Called by the tests
 * beside it.
 */

import type { ColumnInfo, TableInfo } from "../../../../src/shared/shape-definition.ts";

export function column(name: string, change: Partial<ColumnInfo> = {}): ColumnInfo {
	return {
		name,
		attributeNumber: 1,
		typeOid: 25,
		typeName: "text",
		baseTypeName: "text",
		typeKind: "b",
		typmod: -1,
		dimensions: 0,
		isArray: false,
		notNull: false,
		primaryKeyIndex: null,
		isGenerated: false,
		deterministicCollation: true,
		...change,
	};
}

export function table(change: Partial<TableInfo> = {}): TableInfo {
	return { oid: 16_384, schema: "public", name: "items", kind: "r", columns: [column("id")], leafOids: [], ...change };
}
