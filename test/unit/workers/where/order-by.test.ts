/**
 * The `order_by` of a subset: what is accepted is rebuilt from parsed keys, everything else is refused.
 */

import { beforeAll, describe, expect, it } from "vitest";
import { SluiceError } from "../../../../src/shared/errors.ts";
import type { ColumnInfo } from "../../../../src/shared/shape-definition.ts";
import { loadWhereParser, type WhereParser } from "../../../../src/workers/where/where-parser.ts";

const COLUMNS = ["id", "title", 'Odd "name"'].map((name) => ({ name }) as ColumnInfo);

let parser: WhereParser;
beforeAll(async () => {
	parser = await loadWhereParser();
});

function order(text: string): string {
	return parser.parseOrderBy({ text, columns: COLUMNS });
}

function refusal(text: string): unknown {
	try {
		return `accepted: ${order(text)}`;
	} catch (error) {
		return error instanceof SluiceError ? (error.context["errors"] as { order_by: string[] }).order_by[0] : error;
	}
}

describe("an order_by", () => {
	it.each([
		["id", '"id"'],
		["ID desc", '"id" DESC'],
		['"id" ASC, title DESC NULLS LAST', '"id" ASC, "title" DESC NULLS LAST'],
		['"Odd ""name""" nulls first', '"Odd ""name""" NULLS FIRST'],
		["((id)) /* note */ -- end", '"id"'],
		["id, id desc, title", '"id", "title"'],
		["1, 'x' desc, null, -2.5, title", '"title"'],
		["1", ""],
	])("%s becomes %s", (text, sql) => {
		expect(order(text)).toBe(sql);
	});

	it.each([
		["nope", "At location 0: unknown reference nope"],
		["id, t.id", "At location 4: unknown reference t.id"],
		["*", /syntax error/],
		["id.*", 'At location 0: unknown reference "*"'],
		["id, lower(title)", "At location 4: FuncCall expressions are not allowed in ORDER BY clauses"],
		["id + 1", /^At location 3: A_Expr expressions are not allowed in ORDER BY clauses$/],
		["'a'::text", /TypeCast expressions are not allowed/],
		['title collate "C"', /CollateClause expressions are not allowed/],
		["$1", "At location 0: parameter $1 is not supported in ORDER BY clauses"],
		["id; drop table items", "Unexpected `;` in order by"],
		["id;", "Unexpected `;` in order by"],
		["id using <", /^only ASC and DESC/],
		["id limit 1", "malformed query ending with SQL clauses"],
		["id for update", "malformed query ending with SQL clauses"],
		["id offset 5", "malformed query ending with SQL clauses"],
		["id union select 1", "malformed query ending with SQL clauses"],
		["(select 1)", /subqueries are not supported yet/],
		["case when true then id end", /CaseExpr/],
		["id,", /syntax error/],
		["'unfinished", /unterminated quoted string/],
		["id\0", /NUL/],
		[`${"(".repeat(5_000)}id${")".repeat(5_000)}`, /nested too deeply/],
		["id,".repeat(40_000), /bigger than the maximum size/],
	])("%j is refused", (text, message) => {
		expect(refusal(text)).toMatch(message);
	});
});
