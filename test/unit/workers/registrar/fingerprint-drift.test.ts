/**
 * Which differences between two fingerprints of a table end a shape: those after which its rows may read otherwise.
 */

import { describe, expect, it } from "vitest";
import type { ShapeDefinition, TableFingerprint } from "../../../../src/shared/shape-definition.ts";
import { tableDrift } from "../../../../src/workers/registrar/table-drift.ts";
import { column, table } from "./descriptions.ts";

const MOOD = 16_500;
const BEFORE: TableFingerprint = {
	files: "files-1",
	columns: { id: "id-1", v: "v-1", mood: "mood-1", spare: "spare-1" },
	types: { [MOOD]: { labels: "1:700 2:700", attributes: "attributes-1" } },
};
const COLUMNS = [
	column("id", { primaryKeyIndex: 0, typeOid: 23 }),
	column("v", { attributeNumber: 2 }),
	column("mood", { attributeNumber: 3, typeOid: MOOD }),
	column("spare", { attributeNumber: 4 }),
];

const ALL: ShapeDefinition = {
	table: table({ columns: COLUMNS, fingerprint: BEFORE }),
	where: null,
	selectedColumns: ["id", "mood", "spare", "v"],
	columnsGiven: false,
	keyColumns: ["id"],
	hasPrimaryKey: true,
	replica: "default",
	log: "full",
};
/** Reads `v` only to select rows. */
const SOME: ShapeDefinition = {
	...ALL,
	where: { sql: "", tree: { kind: "isNull", column: "v", negated: true } },
	selectedColumns: ["id"],
	columnsGiven: true,
};

function altered(...names: readonly string[]): TableFingerprint["columns"] {
	return { ...BEFORE.columns, ...Object.fromEntries(names.map((name) => [name, `${name}-2`])) };
}

function types(labels: string, attributes = "attributes-1"): TableFingerprint["types"] {
	return { [MOOD]: { labels, attributes } };
}

describe("a fingerprint's drift", () => {
	it.each<[string, Partial<TableFingerprint>, string | null, string | null]>([
		["nothing", {}, null, null],
		["other files, as of VACUUM FULL", { files: "files-2" }, null, null],
		["an altered column, as of SET DEFAULT", { columns: altered("v") }, null, null],
		["rewritten with an altered column", { files: "files-2", columns: altered("v") }, "rewritten", "rewritten"],
		["rewritten with a column that only one reads", { files: "files-2", columns: altered("spare") }, "rewritten", null],
		[
			"rewritten with a new column",
			{ files: "files-2", columns: { ...BEFORE.columns, made: "made-1" } },
			// That there is one more column ends the shape of all columns; see table-drift.test.ts.
			null,
			null,
		],
		["an enum has one more label", { types: types("1:700 2:700 3:900") }, null, null],
		["an enum's label is another", { types: types("1:700 2:900") }, "printed", null],
		["one label is another and one is new", { types: types("1:900 2:700 3:900") }, "printed", null],
		["a composite type has other attributes", { types: types("1:700 2:700", "attributes-2") }, "printed", null],
		["a type has no parts any more", { types: {} }, "printed", null],
	])("%s", (_name, change, all, some) => {
		const now = table({ columns: COLUMNS, fingerprint: { ...BEFORE, ...change } });
		expect(tableDrift(ALL, now)).toBe(all);
		expect(tableDrift(SOME, now)).toBe(some);
	});

	it("is none when the shape was made before fingerprints were taken", () => {
		const now = table({ columns: COLUMNS, fingerprint: { files: "x", columns: {}, types: {} } });
		expect(tableDrift({ ...ALL, table: table({ columns: COLUMNS }) }, now)).toBeNull();
	});

	it("is none when an enum without labels gets its first", () => {
		const empty: ShapeDefinition = {
			...ALL,
			table: table({ columns: COLUMNS, fingerprint: { ...BEFORE, types: {} } }),
		};
		const now = table({ columns: COLUMNS, fingerprint: { ...BEFORE, types: types("1:900", "") } });
		expect(tableDrift(empty, now)).toBeNull();
	});
});
