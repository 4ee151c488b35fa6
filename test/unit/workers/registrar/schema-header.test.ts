/**
 * The electric-schema header (shape-http-api.md 10.2). Type modifiers are those that PostgreSQL stores.
 */

import { describe, expect, it } from "vitest";
import type { ColumnInfo } from "../../../../src/shared/shape-definition.ts";
import { schemaHeader } from "../../../../src/workers/registrar/schema-header.ts";
import { column, table } from "./descriptions.ts";

function headerOf(...columns: ColumnInfo[]): Record<string, unknown> {
	return JSON.parse(rawHeaderOf(...columns));
}

function rawHeaderOf(...columns: ColumnInfo[]): string {
	return schemaHeader({
		table: table({ columns }),
		where: null,
		selectedColumns: columns.map((each) => each.name).sort(),
		columnsGiven: false,
		keyColumns: [],
		hasPrimaryKey: false,
		replica: "default",
		log: "full",
	});
}

describe("the schema header", () => {
	it.each<[string, number, Record<string, unknown>]>([
		["int4", -1, {}],
		["varchar", 24, { max_length: 20 }],
		["varchar", -1, {}],
		["bpchar", 9, { length: 5 }],
		["bit", 8, { length: 8 }],
		["varbit", -1, { length: -1 }],
		["numeric", ((10 << 16) | 2) + 4, { precision: 10, scale: 2 }],
		["numeric", ((3 << 16) | (-2 & 0x7ff)) + 4, { precision: 3, scale: -2 }],
		["numeric", -1, {}],
		["timestamp", 3, { precision: 3 }],
		["timestamptz", 0, { type_mod: 0 }],
		["time", -1, {}],
		["interval", -1, {}],
		["interval", ((1 << 2) << 16) | 0xffff, { fields: "YEAR" }],
		["interval", ((1 << 1) << 16) | 0xffff, { fields: "MONTH" }],
		["interval", (((1 << 2) | (1 << 1)) << 16) | 0xffff, { fields: "YEAR TO MONTH" }],
		["interval", (((1 << 3) | (1 << 10) | (1 << 11) | (1 << 12)) << 16) | 3, { precision: 3, fields: "DAY TO SECOND" }],
		["interval", (0x7fff << 16) | 2, { precision: 2 }],
		["geometry", 1107460, { type_mod: 1107460 }],
	])("describes %s with modifier %i", (typeName, typmod, properties) => {
		expect(headerOf(column("c", { typeName, typmod }))).toEqual({ c: { type: typeName, ...properties } });
	});

	it("names dimensions of arrays, key positions and NOT NULL", () => {
		expect(
			headerOf(
				column("a", { typeName: "int4", isArray: true, dimensions: 2 }),
				column("b", { primaryKeyIndex: 1, notNull: true }),
			),
		).toEqual({ a: { type: "int4", dims: 2 }, b: { type: "text", pk_index: 1, not_null: true } });
	});

	it("is ASCII, whatever columns are called", () => {
		const names = ["ü", "日本", "🦊", 'a"b', "line\nfeed", "__proto__"];
		const raw = rawHeaderOf(...names.map((name) => column(name)));
		expect(raw).toMatch(/^[\x20-\x7e]+$/);
		expect(Object.keys(JSON.parse(raw)).sort()).toEqual(names.sort());
	});
});
