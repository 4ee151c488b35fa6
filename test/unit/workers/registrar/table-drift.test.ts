/**
 * Which changes of a table end a shape (shape-http-api.md 15).
 */

import { describe, expect, it } from "vitest";
import type { ShapeDefinition, TableInfo } from "../../../../src/shared/shape-definition.ts";
import { tableDrift } from "../../../../src/workers/registrar/table-drift.ts";
import { column, table } from "./descriptions.ts";

const COLUMNS = [
	column("id", { attributeNumber: 1, primaryKeyIndex: 0, notNull: true }),
	column("title", { attributeNumber: 2, notNull: true }),
	column("state", { attributeNumber: 3 }),
	column("spare", { attributeNumber: 4 }),
];
const BEFORE = table({ columns: COLUMNS, leafOids: [5] });

const SELECTING: ShapeDefinition = {
	table: BEFORE,
	where: { sql: "", tree: { kind: "isNull", column: "state", negated: true } },
	selectedColumns: ["id", "title"],
	columnsGiven: true,
	keyColumns: ["id"],
	hasPrimaryKey: true,
	replica: "default",
	log: "full",
};
const ALL: ShapeDefinition = { ...SELECTING, selectedColumns: ["id", "spare", "state", "title"], columnsGiven: false };

function changed(name: string, change: Parameters<typeof column>[1]): TableInfo {
	return { ...BEFORE, columns: COLUMNS.map((each) => (each.name === name ? { ...each, ...change } : each)) };
}

function without(name: string): TableInfo {
	return { ...BEFORE, columns: COLUMNS.filter((each) => each.name !== name) };
}

describe("a table's drift", () => {
	it.each<[string, TableInfo | null, string | null, string | null]>([
		["nothing", BEFORE, null, null],
		["the table is dropped", null, "dropped", "dropped"],
		["another table has the name", { ...BEFORE, oid: 99 }, "replaced", "replaced"],
		["it is renamed", { ...BEFORE, name: "other" }, "renamed", "renamed"],
		["it moved to another schema", { ...BEFORE, schema: "other" }, "renamed", "renamed"],
		["a partition came", { ...BEFORE, leafOids: [5, 6] }, "partitions", "partitions"],
		["a partition went", { ...BEFORE, leafOids: [] }, "partitions", "partitions"],
		["the key is another", changed("id", { primaryKeyIndex: null }), "key", "key"],
		["a column is added", { ...BEFORE, columns: [...COLUMNS, column("new", { attributeNumber: 5 })] }, null, "columns"],
		["an unread column is dropped", without("spare"), null, "columns"],
		["a column of the condition is dropped", without("state"), "columns", "columns"],
		["a selected column is renamed", changed("title", { name: "label" }), "columns", "columns"],
		["a selected column's type changes", changed("title", { typeOid: 23 }), "columns", "columns"],
		["a selected column's modifier changes", changed("title", { typmod: 14 }), "columns", "columns"],
		["a column of the condition changes its type", changed("state", { typeOid: 23 }), "columns", "columns"],
		["a selected column is dropped and made again", changed("title", { attributeNumber: 9 }), "columns", "columns"],
		["NOT NULL is dropped from a selected column", changed("title", { notNull: false }), "columns", "columns"],
		["NOT NULL is added", changed("state", { notNull: true }), null, null],
	])("%s", (_name, now, selecting, all) => {
		expect(tableDrift(SELECTING, now)).toBe(selecting);
		expect(tableDrift(ALL, now)).toBe(all);
	});
});
