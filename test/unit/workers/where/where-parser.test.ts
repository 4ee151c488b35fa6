/** The `where` language as a client meets it: what is accepted, in which SQL it is rebuilt, what is refused and how. */

import { beforeAll, describe, expect, it } from "vitest";
import { SluiceError } from "../../../../src/shared/errors.ts";
import {
	LIKE_PATTERN_CHARACTERS_MAX,
	PARAMS_BYTES_MAX,
	PARAMS_MAX,
	WHERE_BYTES_MAX,
	WHERE_DEPTH_MAX,
	WHERE_ELEMENTS_MAX,
} from "../../../../src/shared/limits.ts";
import type { ColumnInfo } from "../../../../src/shared/shape-definition.ts";
import { loadWhereParser, type WhereParser } from "../../../../src/workers/where/where-parser.ts";
import { whereColumns } from "../../../support/where-table.ts";

/** The columns of the reference's vectors. */
function vectorColumns(): readonly ColumnInfo[] {
	const rename: Readonly<Record<string, string>> = { i4: "plain", i8: "big", tz: "ts", ts: "local" };
	return whereColumns((spec) => ({ name: rename[spec.name] ?? spec.name }));
}

let parser: WhereParser;

beforeAll(async () => {
	parser = await loadWhereParser();
});

function sqlOf(text: string, params: Record<string, string> = {}): string {
	return parser.parse({ text, params, columns: vectorColumns(), caseFolding: "unicode" }).sql;
}

/** The errors of the 400, by field. */
function errorsOf(text: string, params: Record<string, string> = {}, columns = vectorColumns()): unknown {
	try {
		parser.parse({ text, params, columns, caseFolding: "unicode" });
	} catch (error) {
		expect(error).toBeInstanceOf(SluiceError);
		expect(error).toMatchObject({ code: "SLUICE_REQUEST_INVALID" });
		return error instanceof SluiceError ? error.context["errors"] : null;
	}
	return "accepted";
}

describe("a where clause", () => {
	it.each([
		["id = 1", `"id" = '1'::int4`],
		["1 = id", `'1'::int4 = "id"`],
		["id = '1'", `"id" = '1'::int4`],
		["id != 1", `"id" <> '1'::int4`],
		["ID   =\n1 -- comment", `"id" = '1'::int4`],
		['"Odd ""name""" = true', `"Odd ""name""" = 't'::bool`],
		["s IN ('a', NULL)", `"s" IN ('a'::text, NULL)`],
		["s NOT IN ('a', NULL)", `NOT "s" IN ('a'::text, NULL)`],
		["s IN ('a', 'a')", `"s" = 'a'::text`],
		["s IS DISTINCT FROM 'a'", `"s" IS DISTINCT FROM 'a'::text`],
		["s IS DISTINCT FROM NULL", `"s" IS NOT NULL`],
		["b", `"b"`],
		["b = true", `"b" = 't'::bool`],
		["b IS NOT FALSE", `"b" IS NOT FALSE`],
		["NOT b", `NOT "b"`],
		["NOT (b AND b)", `NOT ("b" AND "b")`],
		["b AND (b OR b) AND b", `"b" AND ("b" OR "b") AND "b"`],
		["b AND b OR b", `"b" AND "b" OR "b"`],
		["(id = 1) = b", `("id" = '1'::int4) = "b"`],
		["(id = 1) IS NULL", `("id" = '1'::int4) IS UNKNOWN`],
		["id BETWEEN 1 AND 2", `"id" >= '1'::int4 AND "id" <= '2'::int4`],
		[
			"id BETWEEN SYMMETRIC 10 AND 1",
			`"id" >= '10'::int4 AND "id" <= '1'::int4 OR "id" >= '1'::int4 AND "id" <= '10'::int4`,
		],
		["d > '2024-01-01'", `"d" > '2024-01-01'::date`],
		["d <> '2024-01-01'", `"d" <> '2024-01-01'::date`],
		["ts >= '2024-01-01T00:00:00Z'", `"ts" >= '2024-01-01 00:00:00+00'::timestamptz`],
		["u = 'F47AC10B-58CC-4372-A567-0E02B2C3D479'", `"u" = 'f47ac10b-58cc-4372-a567-0e02b2c3d479'::uuid`],
		["id = ANY('{1,2,NULL}')", `"id" IN ('1'::int4, '2'::int4, NULL)`],
		["id = ANY('{1,2}'::int[])", `"id" IN ('1'::int4, '2'::int4)`],
		["id = ANY(ARRAY[1,2])", `"id" IN ('1'::int4, '2'::int4)`],
		["id = ANY('{}')", "false"],
		["id <> ALL('{}')", "true"],
		["s LIKE ANY ('{a%,b%}')", `"s" LIKE 'a%'::text OR "s" LIKE 'b%'::text`],
		["e = 'happy'", `"e"::text = 'happy'::text`],
		["e::text = 'happy'", `"e"::text = 'happy'::text`],
		["j IS NULL", `"j" IS NULL`],
		["a IS NOT NULL", `"a" IS NOT NULL`],
		["n > 1.50", `"n" > '1.5'::numeric`],
		["big = 3000000000", `"big" = '3000000000'::int8`],
		["n = 99999999999999999999", `"n" = '99999999999999999999'::numeric`],
		["n = 1e5", `"n" = '100000'::numeric`],
		["n = .5", `"n" = '0.5'::numeric`],
		["id = 0x1F", `"id" = '31'::int4`],
		["id = -5", `"id" = '-5'::int4`],
		["f4 = 0.1", `"f4" = '0.1'::float8`],
		["f4 = '0.1'", `"f4" = '0.1'::float4`],
		["f4 IN (0.1, 5)", `"f4" IN ('0.1'::float4, '5'::float4)`],
		["s < 'x'", `"s" COLLATE pg_catalog."C" < 'x'::text`],
		["s ILIKE 'x'", `"s" COLLATE pg_catalog."default" ILIKE 'x'::text`],
		["nm ILIKE 'x'", `"nm" COLLATE pg_catalog."C" ILIKE 'x'::text`],
		["s = v", `"s" COLLATE pg_catalog."C" = "v"`],
		["c = v", `"c" COLLATE pg_catalog."C" = "v"::bpchar`],
		["c = s", `"c"::text COLLATE pg_catalog."C" = "s"`],
		["s = NULL", "NULL::bool"],
		["true", "true"],
		["'t'", "true"],
		["id + 1 = 2", `("id" + '1'::int4) = '2'::int4`],
		["id + 1 = 1 + 1", `("id" + '1'::int4) = '2'::int4`],
		["-id > 0", `(- "id") > '0'::int4`],
		["n / 1.50 > 1", `("n" / '1.50'::numeric) > '1'::int4`],
		["length(s) > 3", `pg_catalog."length"("s") > '3'::int4`],
		["CASE WHEN b THEN id ELSE 0 END = 1", `CASE WHEN "b" THEN "id" ELSE '0'::int4 END = '1'::int4`],
		["CASE id WHEN 1 THEN b END", `CASE WHEN "id" = '1'::int4 THEN "b" ELSE NULL::bool END`],
		["NULLIF(id, 1) = 1", `CASE WHEN "id" = '1'::int4 THEN NULL::int4 ELSE "id" END = '1'::int4`],
		["coalesce(s, 'x') = 'y'", `COALESCE("s", 'x'::text) COLLATE pg_catalog."C" = 'y'::text`],
		["greatest(id, 5) > 6", `GREATEST("id", '5'::int4) > '6'::int4`],
		["s = 'xyz'::char(2)", `"s" = 'xy'::text`],
		["s::varchar(2) = 'xy'", `"s"::varchar(2) COLLATE pg_catalog."C" = 'xy'::text`],
		["s LIKE v", `("s" COLLATE pg_catalog."C" ~~ "v"::text)`],
		[
			"lower(s) LIKE 'ab%'",
			`pg_catalog."lower"("s" COLLATE pg_catalog."default") COLLATE pg_catalog."C" LIKE 'ab%'::text`,
		],
		["lower(nm) = 'x'", `pg_catalog."lower"("nm"::text COLLATE pg_catalog."C") COLLATE pg_catalog."C" = 'x'::text`],
		[
			"ts + interval '1 day' > '2024-01-02T00:00:00Z'",
			`("ts" + 'P1D'::interval) > '2024-01-02 00:00:00+00'::timestamptz`,
		],
		["d - '2024-01-01' > 3", `("d" - '2024-01-01'::date) > '3'::int4`],
		[
			"ts AT TIME ZONE 'Europe/Paris' > '2024-01-01'",
			`pg_catalog."timezone"('Europe/Paris'::text, "ts") > '2024-01-01 00:00:00'::timestamp`,
		],
		["extract(year from d) = 2024", `pg_catalog."extract"('year'::text, "d") = '2024'::int4`],
		["f8 > n", `"f8" > "n"::float8`],
		["s || v = 'x'", `("s" || "v"::text) COLLATE pg_catalog."C" = 'x'::text`],
		[
			"concat(s, id) = 'x'",
			`(COALESCE("s", ''::text) COLLATE pg_catalog."C" || COALESCE("id"::text, ''::text) COLLATE pg_catalog."C") COLLATE pg_catalog."C" = 'x'::text`,
		],
		["trim(both 'x' from s) = ''", `pg_catalog."btrim"("s", 'x'::text) COLLATE pg_catalog."C" = ''::text`],
	])("%s is rebuilt as %s", (text, sql) => {
		expect(sqlOf(text)).toBe(sql);
	});

	it.each([
		["id = 'x'", "At location 5: invalid syntax for type int4: x"],
		["id", "WHERE clause must return a boolean"],
		["1", "WHERE clause must return a boolean"],
		["nope = 1", "At location 0: unknown reference nope"],
		["t.id = 1", "At location 0: unknown reference t.id"],
		["id = 1; DROP TABLE x", 'unescaped ";" causing statement split'],
		["id = 1;", 'unescaped ";" causing statement split'],
		["id = 1 ORDER BY id", "malformed query ending with SQL clauses"],
		["id = 1 LIMIT 1", "malformed query ending with SQL clauses"],
		["id = 1 OFFSET 1", "malformed query ending with SQL clauses"],
		["id = 1 GROUP BY id", "malformed query ending with SQL clauses"],
		["id = 1 FOR UPDATE", "malformed query ending with SQL clauses"],
		["id = 1 WINDOW w AS ()", "malformed query ending with SQL clauses"],
		["id = 1 UNION SELECT 1", "malformed query ending with SQL clauses"],
		[
			"now() > ts",
			"At location 0: unknown or unsupported function now/0: a condition must have the same value at any time",
		],
		["id = count(*)", "At location 5: aggregation is not supported in this context"],
		["concat(VARIADIC a) = 'x'", "At location 0: explicit VARIADIC function calls are not currently supported"],
		[
			"current_date = d",
			"At location 0: SQLValueFunction is not supported in this context: its value changes with time or session; send a constant",
		],
		[
			"s COLLATE \"C\" = 'x'",
			"At location 2: CollateClause is not supported in this context: texts are compared by their bytes; leave COLLATE out",
		],
		["(id, s) = 5", "At location 8: a row can only be compared with a row"],
		["(id, s)", "At location 0: a row can only be compared with a row"],
		["(id, s) = (1, 'x', 2)", "At location 8: unequal number of entries in row expressions"],
		["id = B'101'", "At location 5: BitString values are not supported"],
		["id = $5", "At location 5: parameter $5 was not provided"],
		["id = $0", "At location 5: parameter $0 was not provided"],
		["id = true", "At location 3: Could not select an operator overload"],
		["ts > d", "At location 3: Could not select an operator overload"],
		["e = 'x'::text", "At location 2: Could not select an operator overload"],
		["id AND b", "At location 0: reference id of type int4 is not castable to bool"],
		["id IS TRUE", "At location 3: argument of IS TRUE must be bool, not int4"],
		["s IS NOT UNKNOWN", "At location 2: argument of IS NOT UNKNOWN must be bool, not text"],
		["id = ANY(1)", "At location 9: argument of ANY must be an array"],
		["id::uuid = 'x'", "At location 2: unknown cast from type int4 to type uuid"],
		["s = 'x'::xml", "At location 9: unsupported type xml"],
		["id = 70000::int2", 'At location 5: could not cast value "70000" from int4 to int2'],
		["id IN (SELECT item_id FROM tags)", "At location 7: subqueries are not supported yet"],
		["1 / 0 = 1", "At location 2: Failed to apply function to constant arguments"],
		["2147483647 + 1 > 0", "At location 11: Failed to apply function to constant arguments"],
		["id + s = 1", "At location 3: Could not select an operator overload"],
		["lower(id) = 'x'", "At location 0: Could not select a function overload for lower(int4)"],
		[
			"id ^ 2 = 4",
			'At location 3: unknown binary operator "^": its last digits depend on the mathematics library of the server; multiply instead',
		],
		[
			"s::date = d",
			"At location 1: unknown cast from type text to type date: what a row's text means as one depends on settings of the database",
		],
		[
			"to_char(d, 'x') = 'x'",
			"At location 0: unknown or unsupported function to_char/2: its result depends on settings of the database",
		],
		["extract(fortnight from d) = 1", 'At location 0: unit "fortnight" is not supported by extract here'],
		[
			"d AT TIME ZONE 'Nowhere/None' = d",
			'At location 2: time zone "Nowhere/None" is not supported: use a name such as Europe/Paris, or UTC',
		],
		["repeat(s, 100000) = 'x'", "At location 0: repeat is limited to 4096 here"],
		["repeat(s, id) = 'x'", "At location 0: the length of repeat must be a constant"],
		["coalesce(id, s) = 'x'", "At location 0: COALESCE types int4 and text cannot be matched"],
		["CASE WHEN id THEN b END", "At location 10: reference id of type int4 is not castable to bool"],
		["s = interval '1.5 days'::text", "At location 13: invalid syntax for type interval: 1.5 days"],
		["EXISTS (SELECT 1)", "At location 8: subqueries are not supported yet"],
		["id IN (VALUES (1))", "At location 7: subqueries are not supported yet"],
		["j = '{'", "At location 4: invalid syntax for type jsonb: {"],
		[
			"j < '1'",
			"At location 2: jsonb can only be compared with =, <> and IN: its order depends on the database's collation",
		],
		["j->>'x' = 1", "At location 8: Could not select an operator overload"],
		["a = '{1'", "At location 4: invalid syntax for type int4[]: {1"],
		["a @> ARRAY['x']", "At location 2: Could not select an operator overload"],
		["s[1] = 'x'", "At location 5: cannot subscript type text"],
		["id = ANY(s)", "At location 9: argument of ANY must be an array"],
		["(5 || '{1}') IS NULL", "At location 3: Could not select an operator overload"],
		["a = ANY(NULL)", "At location 2: Could not select an operator overload"],
		["ARRAY[a, ARRAY['x']] IS NULL", "At location 0: ARRAY of int4[] and of another type is not supported"],
		["a = ARRAY[]", "At location 4: cannot determine type of empty array"],
		["a = ARRAY[1, 'x'::text]", "At location 4: ARRAY types int4 and text cannot be matched"],
		["s ~ '(a)\\1'", "At location 4: the pattern has the escape \\1, which is not supported"],
		[
			"s ~ '[[:alpha:]]'",
			"At location 4: the pattern has a set with [:, which depends on the database's locale, which is not supported",
		],
		["s ~ s", "At location 2: only a constant pattern is supported with regular expressions"],
		["s SIMILAR TO 'x' ESCAPE '!'", "At location 2: SIMILAR TO with ESCAPE is not supported"],
		["s LIKE 'a\\'", "At location 7: LIKE pattern must not end with escape character"],
		["s LIKE 'a' ESCAPE 'b'", "At location 2: unknown or unsupported function like_escape/2"],
		["'é' = s )", 'At location 9: syntax error at or near ")"'],
		["s = 'x", 'At location 4: unterminated quoted string at or near "\'x"'],
		["", "At location 0: syntax error at end of input"],
	])("%s is refused: %s", (text, message) => {
		expect(errorsOf(text)).toEqual({ where: [message] });
	});

	it("names the reason when a comparison cannot be the same in both engines", () => {
		const nondeterministic = whereColumns((spec) => ({ deterministicCollation: spec.name !== "s" }));
		expect(errorsOf("s = 'x'", {}, nondeterministic)).toEqual({
			where: ["At location 0: column s has a nondeterministic collation and can only be tested with IS [NOT] NULL"],
		});
		expect(errorsOf("s IS NULL", {}, nondeterministic)).toBe("accepted");
		expect(errorsOf("e > 'happy'")).toMatchObject({ where: [expect.stringContaining("their order is not known")] });
	});

	it("evaluates a domain as its base type", () => {
		const columns = whereColumns((spec) =>
			spec.name === "i4" ? { typeName: "positive", baseTypeName: "int4", typeKind: "d", typeOid: 70_000 } : {},
		);
		expect(parser.parse({ text: "i4 = 1", params: {}, columns, caseFolding: "ascii" }).sql).toBe(`"i4" = '1'::int4`);
	});
});

describe("parameters", () => {
	it("take their type from the context and come out as typed constants", () => {
		expect(sqlOf("id = $1 AND s = $2", { 1: "7", 2: "it's" })).toBe(`"id" = '7'::int4 AND "s" = 'it''s'::text`);
		expect(sqlOf("id = ANY($1)", { 1: "{1,2}" })).toBe(`"id" IN ('1'::int4, '2'::int4)`);
		expect(sqlOf("id = 7", {})).toBe(sqlOf("id = $1", { 1: "7" }));
	});

	it("have one type each", () => {
		expect(errorsOf("id = $1 AND s = $1", { 1: "7" })).toEqual({
			where: ["At location 16: type conflict for $1: int4 and text"],
		});
		expect(sqlOf("id = $1 AND plain = $1", { 1: "7" })).toContain("AND");
	});

	it("must be numbered from 1 without gaps; more than are used are accepted", () => {
		expect(errorsOf("b", { a: "1" })).toEqual({ params: ["Parameters can only use numbers as keys"] });
		expect(errorsOf("b", { 1: "1", 3: "1" })).toEqual({
			params: ["Parameters must be numbered sequentially, starting from 1"],
		});
		expect(errorsOf("b", { "01": "1" })).toEqual({
			params: ["Parameters must be numbered sequentially, starting from 1"],
		});
		expect(errorsOf("b", { 1: "x", 2: "y" })).toBe("accepted");
	});

	it("are bounded in number and in bytes", () => {
		const many = Object.fromEntries(Array.from({ length: PARAMS_MAX + 1 }, (_, index) => [String(index + 1), ""]));
		expect(errorsOf("b", many)).toMatchObject({ params: [expect.stringContaining("Too many")] });
		expect(errorsOf("b", { 1: "x".repeat(PARAMS_BYTES_MAX + 1) })).toMatchObject({
			params: [expect.stringContaining("too large")],
		});
	});
});

describe("sizes", () => {
	it("refuses a text beyond the limit", () => {
		expect(errorsOf(`s = '${"x".repeat(WHERE_BYTES_MAX)}'`)).toMatchObject({
			where: [expect.stringContaining("bigger than the maximum size")],
		});
	});

	it.each([
		["parentheses", (depth: number) => `${"(".repeat(depth)}b${")".repeat(depth)}`],
		["NOT", (depth: number) => `${"NOT ".repeat(depth)}b`],
		["casts", (depth: number) => `id${"::int4".repeat(depth)} = 1`],
		["operators", (depth: number) => `id${" + 1".repeat(depth)} = 1`],
		["BETWEEN", (depth: number) => `${"b BETWEEN true AND NOT ".repeat(depth)}b`],
		["indirection", (depth: number) => `a${"[1]".repeat(depth)} = 1`],
		["function calls", (depth: number) => `${"f(".repeat(depth)}1${")".repeat(depth)}`],
		["alternating AND and OR", (depth: number) => `${"b AND (b OR (".repeat(depth)}b${"))".repeat(depth)}`],
	])("refuses %s that are nested too deeply, before the parser recurses", (_name, textOf) => {
		for (const depth of [WHERE_DEPTH_MAX + 1, 2_500]) {
			expect(errorsOf(textOf(depth))).toMatchObject({ where: [expect.stringContaining("nested too deeply")] });
		}
	});

	it.each([300, 5_000])(
		"refuses an order of rows of %d fields, which would nest as deep as the rows are long",
		(fields) => {
			const row = (field: string) => `(${Array.from({ length: fields }, () => field).join(",")})`;
			expect(errorsOf(`${row("b")} < ${row("b")}`)).toMatchObject({
				where: [expect.stringContaining("nested too deeply")],
			});
			expect(sqlOf(`${row("b")} = ${row("b")}`)).toContain('"b"');
		},
	);

	it("accepts an order of rows of 200 fields", () => {
		const row = `(${Array.from({ length: 200 }, () => "b").join(",")})`;
		expect(sqlOf(`${row} < ${row}`)).toContain('"b"');
	});

	it("accepts long flat conditions", () => {
		expect(sqlOf(Array.from({ length: 3_000 }, (_, index) => `id = ${index}`).join(" OR "))).toContain("2999");
		expect(sqlOf(`id IN (${Array.from({ length: 8_000 }, (_, index) => index).join(",")})`)).toContain("'7999'::int4");
	});

	it.each([
		["a large parameter that is used often", `${"s = $1 OR ".repeat(3_000)}b`, "x".repeat(1_000_000)],
		["array elements without end", "id = ANY($1)", `{${"1,".repeat(WHERE_ELEMENTS_MAX)}1}`],
		["a large constant beside many elements", `'${"x".repeat(60_000)}' < ANY($1)`, `{${"x,".repeat(10_000)}x}`],
		[
			"BETWEEN within BETWEEN, which repeats its subject",
			`${"(".repeat(30)}b${" BETWEEN SYMMETRIC b AND b)".repeat(30)}`,
			"",
		],
		["IN within IN", `${"(".repeat(30)}b${" IN (b, true, b))".repeat(30)}`, ""],
		["a LIKE pattern without end", "s LIKE $1", "%_".repeat(LIKE_PATTERN_CHARACTERS_MAX)],
	])("refuses %s before it multiplies out", (_name, text, parameter) => {
		const started = performance.now();
		expect(errorsOf(text, { 1: parameter })).toMatchObject({ where: [expect.stringMatching(/limit is/)] });
		expect(performance.now() - started).toBeLessThan(5_000);
	});

	it.each([
		["id = $1", "x"],
		["n = $1", "1"],
		["b = $1", "t"],
		["c = $1::bpchar::text", "x"],
	])("reads %s with a million blanks inside the parameter in linear time", (text, edge) => {
		const started = performance.now();
		errorsOf(text, { 1: `${edge}${" ".repeat(1_000_000)}${edge}` });
		errorsOf(text, { 1: `${edge}${"0".repeat(1_000_000)}${edge}` });
		expect(performance.now() - started).toBeLessThan(3_000);
	});
});
