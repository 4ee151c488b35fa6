/**
 * Which Relation messages a shape survives.
 */

import { describe, expect, it } from "vitest";
import type { Relation } from "../../../../src/shared/matching.ts";
import { fitsDefinition, neededColumns } from "../../../../src/workers/lane/schema-check.ts";
import { type DefinitionOptions, definitionOf, ITEMS } from "./lane-fixture.ts";

type Change = Partial<Omit<Relation, "columns">> & {
	readonly columns?: readonly (readonly [name: string, typeOid?: number, typmod?: number])[];
};

function fits(options: DefinitionOptions, change: Change = {}): boolean {
	const definition = definitionOf(options);
	const columns = (change.columns ?? [["id"], ["owner"], ["title"]]).map(([name, typeOid = 25, typmod = -1]) => ({
		name,
		typeOid,
		typmod,
		partOfKey: false,
	}));
	const relation = { oid: ITEMS, schema: "public", name: "items", replicaIdentity: "f", ...change, columns };
	return fitsDefinition(relation, definition, neededColumns(definition));
}

describe("schema check", () => {
	it("counts selected, key and where columns as needed", () => {
		expect(neededColumns(definitionOf({ selected: ["title"], equals: ["owner", "a"] })).toSorted()).toEqual([
			"id",
			"owner",
			"title",
		]);
	});

	it("accepts the relation as it was defined, in any column order and with any replica identity", () => {
		expect(fits({})).toBe(true);
		expect(fits({}, { columns: [["title"], ["id"], ["owner"]], replicaIdentity: "d" })).toBe(true);
	});

	it("refuses another name, another schema, and the old name under another oid", () => {
		expect(fits({}, { name: "renamed" })).toBe(false);
		expect(fits({}, { schema: "elsewhere" })).toBe(false);
		expect(fits({}, { oid: 999 })).toBe(false);
	});

	it("accepts a partition under its own name and refuses one that lacks a column", () => {
		const root = { name: "root", leafOids: [101] };
		expect(fits(root, { oid: 101, name: "leaf" })).toBe(true);
		expect(fits(root, { oid: 101, name: "leaf", columns: [["id"], ["owner"]] })).toBe(false);
	});

	it("refuses a dropped, re-typed or re-scaled column that is needed", () => {
		const some = { selected: ["id", "title"] };
		expect(fits(some, { columns: [["id"], ["owner"]] })).toBe(false);
		expect(fits(some, { columns: [["id"], ["owner"], ["title", 1043]] })).toBe(false);
		expect(fits(some, { columns: [["id"], ["owner"], ["title", 25, 12]] })).toBe(false);
		expect(fits({ ...some, equals: ["owner", "a"] }, { columns: [["id"], ["title"]] })).toBe(false);
	});

	it("lives through changes of columns that it does not need", () => {
		const some = { selected: ["id", "title"] };
		expect(fits(some, { columns: [["id"], ["title"]] })).toBe(true);
		expect(fits(some, { columns: [["id"], ["owner", 23], ["title"], ["extra"]] })).toBe(true);
	});

	it("refuses a new column when the shape takes all of them", () => {
		expect(fits({}, { columns: [["id"], ["owner"], ["title"], ["extra"]] })).toBe(false);
	});

	it("does not miss a generated column that the publication leaves out", () => {
		const definition = definitionOf({ columns: ["id", "sum"], keys: ["id"] });
		const withoutSum = { ...definition, selectedColumns: ["id"] };
		const relation = {
			oid: ITEMS,
			schema: "public",
			name: "items",
			replicaIdentity: "f",
			columns: [{ name: "id", typeOid: 25, typmod: -1, partOfKey: true }],
		};
		expect(fitsDefinition(relation, withoutSum, neededColumns(withoutSum))).toBe(true);
	});
});
