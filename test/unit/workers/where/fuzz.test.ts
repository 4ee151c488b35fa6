/**
 * The door of the where room on mutated conditions: a clause or a 400, soon, in bounded memory; what becomes SQL is one
 * boolean expression of PostgreSQL's grammar, whatever the text was.
 */

import fc from "fast-check";
import { loadModule, parseSync } from "libpg-query";
import { beforeAll, expect, it } from "vitest";
import { SluiceError } from "../../../../src/shared/errors.ts";
import { loadWhereParser, type WhereParser } from "../../../../src/workers/where/where-parser.ts";
import { corpus, FUZZ_TIMEOUT_MS, fuzzParameters, memoryBytes, mutated } from "../../../support/fuzz.ts";
import { column } from "../registrar/descriptions.ts";

const MEMORY_MARGIN_BYTES = 300 * 1024 * 1024;
const CLAUSE_MS_MAX = 5_000;
const WORDS = [
	"'",
	'"',
	"$1",
	"$$",
	"--",
	"/*",
	"(",
	")",
	"::",
	" AND ",
	" OR ",
	"NOT ",
	"NULL",
	"\\",
	";",
	"E'",
	"[",
	"]",
	"\0",
];
const COLUMNS = [
	column("id", { typeOid: 23, typeName: "int4", baseTypeName: "int4", primaryKeyIndex: 0 }),
	column("title"),
	column("done", { typeOid: 16, typeName: "bool", baseTypeName: "bool" }),
];

let parser: WhereParser;
beforeAll(async () => {
	await loadModule();
	parser = await loadWhereParser();
});

/** The result, or null for a 400. */
function orRefusal<T>(run: () => T): T | null {
	try {
		return run();
	} catch (error) {
		if (error instanceof SluiceError && error.code === "SLUICE_REQUEST_INVALID") {
			return null;
		}
		throw error;
	}
}

/** The statements of a text, without positions. */
function statements(sql: string): readonly Record<string, Record<string, unknown>>[] {
	const parsed: unknown = parseSync(sql);
	const { stmts } = JSON.parse(JSON.stringify(parsed)) as {
		stmts: { stmt: Record<string, Record<string, unknown>> }[];
	};
	return stmts.map(({ stmt }) => stmt);
}

it(
	"gives one condition or a 400, whatever the text, its parameters and its order",
	() => {
		const inputs = corpus("where");
		const before = memoryBytes();
		const outcomes = { accepted: 0, refused: 0, orders: 0 };
		fc.assert(
			fc.property(
				mutated(inputs, WORDS),
				fc.array(fc.string({ unit: "binary" }), { maxLength: 3 }),
				(input, values) => {
					const text = input.toString("utf8");
					const params = Object.fromEntries(values.map((value, index) => [String(index + 1), value]));
					const beganMs = performance.now();
					const clause = orRefusal(() => parser.parse({ text, params, columns: COLUMNS, caseFolding: "unicode" }));
					const order = orRefusal(() => parser.parseOrderBy({ text, columns: COLUMNS }));
					expect(performance.now() - beganMs).toBeLessThan(CLAUSE_MS_MAX);
					outcomes[clause === null ? "refused" : "accepted"] += 1;
					if (clause !== null) {
						const [statement, ...rest] = statements(`SELECT FROM t WHERE (${clause.sql})`);
						expect(rest).toEqual([]);
						expect(Object.keys(statement?.["SelectStmt"] ?? {}).sort()).toEqual([
							"fromClause",
							"limitOption",
							"op",
							"whereClause",
						]);
						expect(JSON.stringify(statement)).not.toMatch(/"SubLink"|"ParamRef"/);
					}
					if (order !== null && order !== "") {
						outcomes.orders += 1;
						const [statement, ...rest] = statements(`SELECT FROM t ORDER BY ${order}`);
						expect(rest).toEqual([]);
						expect(Object.keys(statement?.["SelectStmt"] ?? {}).sort()).toEqual([
							"fromClause",
							"limitOption",
							"op",
							"sortClause",
						]);
					}
				},
			),
			fuzzParameters<[Buffer, string[]]>(),
		);
		expect(outcomes.accepted).toBeGreaterThan(0);
		expect(outcomes.refused).toBeGreaterThan(0);
		expect(memoryBytes() - before).toBeLessThan(MEMORY_MARGIN_BYTES);
	},
	FUZZ_TIMEOUT_MS,
);
