import { beforeAll, describe, expect, it } from "vitest";
import { loadWhereParser, type WhereParser } from "../../../../src/workers/where/where-parser.ts";
import { whereColumns } from "../../../support/where-table.ts";

let parser: WhereParser;

beforeAll(async () => {
	parser = await loadWhereParser();
});

function sqlOf(text: string, params: Readonly<Record<string, string>> = {}): string {
	return parser.parse({ text, params, columns: whereColumns(), caseFolding: "unicode" }).sql;
}

describe("a clause of arrays, rows, documents and patterns is rebuilt", () => {
	it.each([
		["a @> '{1,2}'", `("a" @> '{1,2}'::int4[])`],
		["a <@ ARRAY[1, 2]", `("a" <@ '{1,2}'::int4[])`],
		["a && ARRAY[id, 2]", `("a" && ARRAY["id", '2'::int4]::int4[])`],
		["3 = ANY(a)", `'3'::int4 = ANY ("a")`],
		["'3' < ALL(a)", `'3'::int4 < ALL ("a")`],
		["i8 = SOME(a)", `"i8" = ANY ("a")`],
		["f8 = ANY(a)", `"f8" = ANY ("a"::float8[])`],
		["id = ANY('{1,NULL,2}')", `"id" IN ('1'::int4, '2'::int4, NULL)`],
		["id = ANY(ARRAY[1, id])", `"id" = ANY (ARRAY['1'::int4, "id"]::int4[])`],
		["a[1] = 5", `("a")[('1'::int4)] = '5'::int4`],
		["a[2:] = '{5}'", `("a")[('2'::int4):] = '{5}'::int4[]`],
		["a = '[2:3]={1,2}'", `"a" = '[2:3]={1,2}'::int4[]`],
		["a || 5 = '{1,5}'", `pg_catalog."array_append"("a", '5'::int4) = '{1,5}'::int4[]`],
		["a = ARRAY[]::int4[]", `"a" = '{}'::int4[]`],
		["a = ARRAY[[1, 2], [3, 4]]", `"a" = '{{1,2},{3,4}}'::int4[]`],
		["(id, s) = (1, 'x')", `"id" = '1'::int4 AND "s" = 'x'::text`],
		["(id, i4) < (1, 2)", `"id" < '1'::int4 OR "id" = '1'::int4 AND "i4" < '2'::int4`],
		["(id, i4) IN ((1, 2))", `"id" = '1'::int4 AND "i4" = '2'::int4`],
		["j->>'x' = '1'", `("j" ->> 'x'::text) COLLATE pg_catalog."C" = '1'::text`],
		["(j->'n'->>0)::int = 1", `(("j" -> 'n'::text) ->> '0'::int4)::int4 = '1'::int4`],
		['j @> \'{"b":1,"a":[1.0]}\'', `("j" @> '{"a": [1.0], "b": 1}'::jsonb)`],
		["j ? 'a'", `("j" ? 'a'::text)`],
		["j #>> '{a,0}' IS NULL", `("j" #>> '{a,0}'::text[]) IS NULL`],
		["s ~ '^a.b$'", `"s" COLLATE pg_catalog."C" ~ '^a.b$'::text`],
		["s !~* 'k'", `NOT "s" COLLATE pg_catalog."C" ~* 'k'::text`],
		["s SIMILAR TO 'a%'", `"s" COLLATE pg_catalog."C" ~ '^(?:a.*)$'::text`],
	])("%s", (text, sql) => {
		expect(sqlOf(text)).toBe(sql);
	});

	it("with parameters for arrays, documents and patterns", () => {
		expect(sqlOf("a @> $1 AND j @> $2 AND s ~ $3", { 1: "{1}", 2: '{"a":1}', 3: "x" })).toBe(
			`("a" @> '{1}'::int4[]) AND ("j" @> '{"a": 1}'::jsonb) AND "s" COLLATE pg_catalog."C" ~ 'x'::text`,
		);
	});
});
