/** The worked examples of the reference's description of the language, one by one, with rows where it says which match. */

import { beforeAll, describe, expect, it } from "vitest";
import { SluiceError } from "../../../../src/shared/errors.ts";
import type { ColumnInfo } from "../../../../src/shared/shape-definition.ts";
import { compileWhere } from "../../../../src/workers/match/compile.ts";
import { TRUE } from "../../../../src/workers/match/truth.ts";
import { loadWhereParser, type WhereParser } from "../../../../src/workers/where/where-parser.ts";
import { rowOf, WHERE_COLUMN_SPECS, whereColumns } from "../../../support/where-table.ts";

/** The columns of the examples, by those of the test table. */
const NAMES: Readonly<Record<string, string>> = { i4: "plain", i8: "big", tz: "ts", ts: "local" };

function columns(): readonly ColumnInfo[] {
	return whereColumns((spec) => ({ name: NAMES[spec.name] ?? spec.name }));
}

let parser: WhereParser;

beforeAll(async () => {
	parser = await loadWhereParser();
});

function parse(text: string, params: Readonly<Record<string, string>>) {
	return parser.parse({ text, params, columns: columns(), caseFolding: "unicode" });
}

/** Whether a row, by the names of the examples, is inside. */
function matches(
	text: string,
	row: Readonly<Record<string, string>>,
	params: Readonly<Record<string, string>>,
): boolean {
	const own = Object.entries(row).map(([name, value]) => [
		Object.entries(NAMES).find(([, given]) => given === name)?.[0] ?? name,
		value,
	]);
	const predicate = compileWhere(parse(text, params).tree, (name) => ({
		index: WHERE_COLUMN_SPECS.findIndex((spec) => (NAMES[spec.name] ?? spec.name) === name),
	}));
	return predicate(rowOf(Object.fromEntries(own))) === TRUE;
}

const U = "f47ac10b-58cc-4372-a567-0e02b2c3d479";

describe("an example of the reference", () => {
	it.each([
		["id = 1", { id: "1" }, { id: "2" }],
		["1 = id", { id: "1" }, { id: "2" }],
		["id = '1'", { id: "1" }, { id: "2" }],
		["id = $1", { id: "1" }, { id: "2" }],
		["s IN ('a', NULL)", { s: "a" }, { s: "b" }],
		["s NOT IN ('a')", { s: "b" }, { s: "a" }],
		["s IS DISTINCT FROM 'a'", {}, { s: "a" }],
		["b", { b: "t" }, { b: "f" }],
		["b = true", { b: "t" }, {}],
		["b IS NOT FALSE", {}, { b: "f" }],
		["NOT b", { b: "f" }, {}],
		["id BETWEEN SYMMETRIC 10 AND 1", { id: "10" }, { id: "11" }],
		["d > '2024-01-01'", { d: "2024-01-02" }, { d: "2024-01-01" }],
		["d - '2024-01-01' > 3", { d: "2024-01-05" }, { d: "2024-01-04" }],
		["d <> '2024-01-01'", { d: "2024-01-02" }, { d: "2024-01-01" }],
		["ts >= '2024-01-01T00:00:00Z'", { ts: "2024-01-01 00:00:00+00" }, { ts: "2023-12-31 23:59:59+00" }],
		[
			"ts + interval '1 day' > '2024-01-02T00:00:00Z'",
			{ ts: "2024-01-01 00:00:01+00" },
			{ ts: "2024-01-01 00:00:00+00" },
		],
		[`u = '${U}'`, { u: U }, { u: U.replace("f", "e") }],
		["a @> '{1,2}'", { a: "{2,3,1}" }, { a: "{2,3}" }],
		["3 = ANY(a)", { a: "{2,3}" }, { a: "{2}" }],
		["a && ARRAY[1,2]", { a: "{2,3}" }, { a: "{3}" }],
		["a[1] = 5", { a: "{5}" }, { a: "{1,5}" }],
		["e::text = 'happy'", { e: "happy" }, { e: "sad" }],
		// The reference takes this in subsets only.
		["e = 'happy'", { e: "happy" }, { e: "sad" }],
		["j IS NULL", {}, { j: "{}" }],
		["j->>'x' = '1'", { j: '{"x": "1"}' }, { j: "{}" }],
		["s ~ '^a'", { s: "ab" }, { s: "ba" }],
		["lower(s) LIKE 'ab%'", { s: "ABC" }, { s: "bc" }],
		["length(s) > 3", { s: "abcd" }, { s: "abc" }],
		["n > 1.5", { n: "1.51" }, { n: "1.5" }],
		["n > $1::numeric", { n: "1.1" }, { n: "1" }],
		["n > $1", { n: "1.1" }, { n: "1" }],
		["big = 3000000000", { big: "3000000000" }, { big: "1" }],
		["big = '3000000000'", { big: "3000000000" }, { big: "1" }],
		["CASE WHEN b THEN true ELSE false END", { b: "t" }, {}],
		["true", {}, null],
		["1 = 1", {}, null],
	] as const)("%s is accepted and finds %j, not %j", (text, inside, outside) => {
		expect(matches(text, inside, { 1: "1" })).toBe(true);
		expect(outside === null || !matches(text, outside, { 1: "1" })).toBe(true);
	});

	it("NOT IN a list with NULL is never true", () => {
		expect(matches("s NOT IN ('a', NULL)", { s: "b" }, {})).toBe(false);
	});

	it.each([
		["id = 'x'", "At location 5: invalid syntax for type int4: x"],
		["id", "WHERE clause must return a boolean"],
		["nope = 1", "At location 0: unknown reference nope"],
		["id = 1; DROP TABLE x", 'unescaped ";" causing statement split'],
		["id = 1 ORDER BY id", "malformed query ending with SQL clauses"],
		["id IN (SELECT item_id FROM tags WHERE name = $1)", "At location 7: subqueries are not supported yet"],
		["NOT (id IN (SELECT item_id FROM tags) AND b)", "At location 12: subqueries are not supported yet"],
		["EXISTS (SELECT 1 FROM t)", "At location 8: subqueries are not supported yet"],
		["id IN (SELECT max(id) FROM t)", "At location 7: subqueries are not supported yet"],
	])("%s is refused: %s", (text, message) => {
		let found: unknown = "accepted";
		try {
			parse(text, { 1: "1" });
		} catch (error) {
			found = error instanceof SluiceError ? error.context["errors"] : error;
		}
		expect(found).toEqual({ where: [message] });
	});
});
