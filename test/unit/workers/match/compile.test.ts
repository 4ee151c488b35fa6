/** Compiled conditions over rows of text: three-valued logic, and the values at which types go wrong. */

import { beforeAll, describe, expect, it } from "vitest";
import { LENGTH_UNCHANGED } from "../../../../src/shared/tuple.ts";
import { compileWhere } from "../../../../src/workers/match/compile.ts";
import { FALSE, type Predicate, TRUE, UNKNOWN } from "../../../../src/workers/match/truth.ts";
import { UNEVALUABLE } from "../../../../src/workers/match/values.ts";
import { loadWhereParser, type WhereParser } from "../../../../src/workers/where/where-parser.ts";
import { rowOf, WHERE_COLUMN_SPECS, whereColumns } from "../../../support/where-table.ts";

let parser: WhereParser;

beforeAll(async () => {
	parser = await loadWhereParser();
});

function compile(text: string): Predicate {
	const { tree } = parser.parse({ text, params: {}, columns: whereColumns(), caseFolding: "unicode" });
	return compileWhere(tree, (name) => ({ index: WHERE_COLUMN_SPECS.findIndex((spec) => spec.name === name) }));
}

const NAMES = new Map([
	[TRUE, "true"],
	[FALSE, "false"],
	[UNKNOWN, "null"],
]);

describe("a condition on a row", () => {
	it.each([
		["s IN ('a', NULL)", { s: "a" }, "true"],
		["s IN ('a', NULL)", { s: "b" }, "null"],
		["s NOT IN ('a', NULL)", { s: "b" }, "null"],
		["s NOT IN ('a', NULL)", { s: "a" }, "false"],
		["s IN ('a')", {}, "null"],
		["s = ANY('{}')", {}, "false"],
		["s IS DISTINCT FROM 'a'", {}, "true"],
		["s IS NOT DISTINCT FROM 'a'", { s: "a" }, "true"],
		["s IS NOT DISTINCT FROM v", {}, "true"],
		["s IS DISTINCT FROM v", { s: "a" }, "true"],
		["NOT b", {}, "null"],
		["b IS NOT FALSE", {}, "true"],
		["b AND s = 'a'", { b: "f" }, "false"],
		["b OR s = 'a'", { b: "t" }, "true"],
		["b OR s = 'a'", { b: "f" }, "null"],
		["(b IS UNKNOWN) = true", {}, "true"],
		["id BETWEEN SYMMETRIC 10 AND 1", { id: "5" }, "true"],
		["id NOT BETWEEN 1 AND NULL", { id: "0" }, "true"],
		["i8 > 9007199254740992", { i8: "9007199254740993" }, "true"],
		["i8 = 9007199254740992", { i8: "9007199254740993" }, "false"],
		["n > 0.3", { n: "0.30000000000000000000001" }, "true"],
		["n = 1.5", { n: "1.500" }, "true"],
		["n < 'NaN'", { n: "Infinity" }, "true"],
		["n = 'NaN'", { n: "NaN" }, "true"],
		["n > -10", { n: "-9.99" }, "true"],
		["n < -9", { n: "-10" }, "true"],
		["f8 = 'NaN'", { f8: "NaN" }, "true"],
		["f8 > 1e308", { f8: "NaN" }, "true"],
		["f8 = 0", { f8: "-0" }, "true"],
		["f4 = 0.1", { f4: "0.1" }, "false"],
		["f4 = '0.1'", { f4: "0.1" }, "true"],
		["f4 IN (0.1, 1)", { f4: "0.1" }, "true"],
		["c = 'ab'", { c: "ab    " }, "true"],
		["c LIKE 'ab'", { c: "ab    " }, "false"],
		["c::text LIKE 'ab'", { c: "ab    " }, "true"],
		["c = 'ab '", { c: "ab    " }, "true"],
		["s = 'ab '", { s: "ab" }, "false"],
		["s < 'a'", { s: "Z" }, "true"],
		["s > '\uffee'", { s: "😀" }, "true"],
		["s < v", { s: "a", v: "aa" }, "true"],
		["d < 'infinity'", { d: "5874897-12-31" }, "true"],
		["d < '0001-01-01'", { d: "0044-03-15 BC" }, "true"],
		["d = '2024-02-29 00:00'::timestamp", { d: "2024-02-29" }, "true"],
		["ts > d", { ts: "2024-02-29 00:00:00.000001", d: "2024-02-29" }, "true"],
		["tz = '2024-02-29T10:00:00+02:00'", { tz: "2024-02-29 08:00:00+00" }, "true"],
		["tz < '294276-12-31T23:59:59.999999Z'", { tz: "294276-12-31 23:59:59.999998+00" }, "true"],
		["t < '24:00'", { t: "23:59:59.999999" }, "true"],
		["u < 'b0000000-0000-0000-0000-000000000000'", { u: "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11" }, "true"],
		["e = 'ok'", { e: "ok" }, "true"],
		["j IS NULL", { j: "{" }, "false"],
		["'t'", {}, "true"],
		["i4 <> 0 AND 1 / i4 > 2", { i4: "0" }, "false"],
		["1 / i4 > 2 AND i4 <> 0", { i4: "0" }, "false"],
		["1 / i4 > 2 OR i4 = 0", { i4: "0" }, "true"],
		["1 / i4 = i2", { i4: "0" }, "null"],
		["1 / NULLIF(i4, 0) = 1", { i4: "0" }, "null"],
		["n / 3 = 0.33333333333333333333", { n: "1" }, "true"],
		["iv = '24 hours'", { iv: "P1D" }, "true"],
		["iv > interval 'P1M'", { iv: "P30D" }, "false"],
		["d + interval '1 month' = '2024-02-29'", { d: "2024-01-31" }, "true"],
		["(f4 + 0::float4)::text = '3.3554432e+06'", { f4: "3.3554432e+06" }, "true"],
		["(f4 * 2::float4)::text = '1.00663296e+08'", { f4: "5.0331648e+07" }, "true"],
		["f8::text = '1e+20'", { f8: "1e+20" }, "true"],
		["greatest(i4, i2) = 5", { i4: "5" }, "true"],
		["CASE WHEN i4 = 0 THEN true ELSE 1 / i4 = 1 END", { i4: "0" }, "true"],
		["1 = 1.0", {}, "true"],
		["'a' < 'b' AND NULL", {}, "null"],
	] as const)("%s on %j is %s", (text, row, expected) => {
		expect(NAMES.get(compile(text)(rowOf(row as Readonly<Record<string, string>>)))).toBe(expected);
	});

	it.each([
		["i4 > 1", { i4: "x" }],
		["i8 > 1", { i8: "99999999999999999999x" }],
		["b", { b: "true" }],
		["n > 1", { n: "1e5" }],
		["f8 > 1", { f8: "one" }],
		["d > '2024-01-01'", { d: "01/02/2024" }],
		["tz > '2024-01-01'", { tz: "2024-02-29 08:00:00+02" }],
		["ts > '2024-01-01'", { ts: "2024-02-29" }],
		["t > '08:00'", { t: "8:00" }],
		["1 / i4 = 1", { i4: "0" }],
		["i4 + 1 > 0", { i4: "2147483647" }],
		["s::int4 = 1", { s: "x" }],
		["s LIKE v", { s: "ab", v: "a%\\" }],
		["length(repeat(repeat(repeat(s, 4096), 4096), 4096)) > 1", { s: "ab" }],
		["replace(replace(s, 'a', repeat('a', 4096)), 'a', repeat('a', 4096)) = ''", { s: "aaaaa" }],
	] as const)("%s gives up on %j instead of guessing", (text, row) => {
		expect(() => compile(text)(rowOf(row as Readonly<Record<string, string>>))).toThrow(UNEVALUABLE);
	});

	it("gives up on a value that the stream did not repeat, and on a column that is not there", () => {
		const row = rowOf({ s: "a" });
		row.length[WHERE_COLUMN_SPECS.findIndex((spec) => spec.name === "s")] = LENGTH_UNCHANGED;
		expect(() => compile("s IS NULL")(row)).toThrow(UNEVALUABLE);
		row.reset(row.buffer, 2);
		expect(() => compile("v IS NULL")(row)).toThrow(UNEVALUABLE);
	});

	it("compiles a condition that stands under many lists once", () => {
		const text = `${"(".repeat(30)}b${" IN (true, false, null))".repeat(30)}`;
		expect(NAMES.get(compile(text)(rowOf({ b: "t" })))).toBe("true");
	});
});
