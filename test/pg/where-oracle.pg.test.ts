/**
 * PostgreSQL is the oracle of the `where` language: generated conditions over rows of awkward values are answered
 * by PostgreSQL, once as the client wrote them and once as Sluice rebuilt them, by the compiled function over the
 * row's text, and by the shape matcher with its indexes. All four must agree.
 */

import type { Client } from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { SluiceError } from "../../src/shared/errors.ts";
import type { WhereClause } from "../../src/shared/shape-definition.ts";
import type { Tuple } from "../../src/shared/tuple.ts";
import { compileWhere } from "../../src/workers/match/compile.ts";
import { createShapeMatcher } from "../../src/workers/match/shape-matcher.ts";
import type { Predicate } from "../../src/workers/match/truth.ts";
import { UNEVALUABLE } from "../../src/workers/match/values.ts";
import { loadWhereParser } from "../../src/workers/where/where-parser.ts";
import { testServers, useServer } from "../support/postgres.ts";
import { forEachSeed } from "../support/random.ts";
import {
	createWhereDatabase,
	FAILED,
	fillWhereTable,
	PREPARE_ANSWERS,
	SESSION,
	tryAll,
	versionOf,
	wrapsAround,
} from "../support/where-database.ts";
import { generateCondition } from "../support/where-generator.ts";
import { ACCEPTED_LITERALS, REFUSED_LITERALS } from "../support/where-literals.ts";
import { quote } from "../support/where-quote.ts";
import {
	WHERE_COLUMN_SPECS,
	WHERE_TABLE_OID,
	whereColumns,
	whereRelation,
	whereShape,
} from "../support/where-table.ts";

const ROWS = 80;
const CONDITIONS_PER_SEED = 100;
const DEPTH = 3;
const COMPUTED_SHARE = 0.3;
/** By hand: `SLUICE_ORACLE_SEEDS=60`. */
const SEEDS = Number(process.env["SLUICE_ORACLE_SEEDS"] ?? "6");

describe.each(testServers())("a where clause on $name", (kind) => {
	const server = useServer(kind);

	describe.each(["ascii", "unicode"] as const)("in a database that folds %s letters", (caseFolding) => {
		let client: Client;
		let rows: readonly Tuple[];

		beforeAll(async () => {
			const database = await createWhereDatabase(server, caseFolding);
			client = await database.connect();
			await client.query(SESSION);
			rows = await fillWhereTable(client, ROWS);
			await client.query(PREPARE_ANSWERS);
		});

		it("selects the same rows as written, as rebuilt, as compiled and as indexed", async () => {
			const parser = await loadWhereParser();
			const columns = whereColumns();
			await forEachSeed(SEEDS, async (random) => {
				const generated = Array.from({ length: CONDITIONS_PER_SEED }, () =>
					generateCondition(random, DEPTH, COMPUTED_SHARE),
				);
				const pairs = generated.flatMap((condition) => {
					const clause = parsed(() => parser.parse({ ...condition, columns, caseFolding }));
					return clause === null ? [] : [{ condition, clause }];
				});
				expect(pairs.length).toBeGreaterThan(CONDITIONS_PER_SEED * 0.85);
				const conditions = pairs.map(({ condition }) => condition);
				const clauses = pairs.map(({ clause }) => clause);
				const written = await askPostgres(
					client,
					conditions.map(({ original }) => original),
				);
				const rebuilt = await askPostgres(
					client,
					clauses.map(({ sql }) => sql),
				);
				const matcher = createShapeMatcher();
				matcher.bindRelation(whereRelation());
				const predicates = clauses.map((clause, slot) => {
					matcher.addShape(slot, whereShape(clause));
					return compileWhere(clause.tree, (name) => ({
						index: WHERE_COLUMN_SPECS.findIndex((spec) => spec.name === name),
					}));
				});
				rows.forEach((row, rowNumber) => {
					const found = new Set<number>();
					matcher.match(WHERE_TABLE_OID, null, row, (slot, _inOld, inNew) => inNew && found.add(slot));
					conditions.forEach(({ text, original }, slot) => {
						const where = `row ${rowNumber}: ${text}\n  i.e. ${original}\n  rebuilt ${clauses[slot]?.sql}`;
						const answer = written[slot]?.[rowNumber];
						const truth = truthOf(predicates[slot], row);
						// PostgreSQL would not give the row to anybody: the snapshot fails.
						if (answer !== FAILED && !wrapsAround(original, truth, versionOf(kind))) {
							expect(rebuilt[slot]?.[rowNumber], where).toBe(answer);
							expect(truth, where).toBe(answer);
							expect(found.has(slot), where).toBe(answer === "1");
						}
					});
				});
			});
		});
	});
});

describe.each(testServers())("a constant of a where clause on $name", (kind) => {
	const server = useServer(kind);

	it("has the text that PostgreSQL's output function gives for it, and is refused where PostgreSQL refuses it", async () => {
		await using database = await server.createDatabase();
		const client = await database.connect();
		await client.query(SESSION);
		await client.query(CAST_OR_NULL);
		for (const [type, text, canonical] of ACCEPTED_LITERALS) {
			// float4 is written with the digits of the double it is; numeric's scale is not part of its value.
			const shown = `case when ${quote(text)}::${type} is not distinct from ${quote(canonical)}::${type} then 'same' end`;
			const { rows } = await client.query(`select ${shown} as same, ${quote(text)}::${type}::text as text`);
			expect(rows[0].same, `${type} ${text}`).toBe("same");
			if (type !== "float4" && type !== "numeric" && type !== "bool") {
				expect(rows[0].text, `${type} ${text}`).toBe(canonical);
			}
		}
		for (const [type, text] of REFUSED_LITERALS) {
			const { rows } = await client.query("select pg_temp.accepts($1, $2) as accepted", [text, type]);
			expect(rows[0].accepted, `${type} ${text}`).toBe(false);
		}
	});

	it("stays a constant whatever standard_conforming_strings is", async () => {
		await using database = await server.createDatabase();
		const client = await database.connect();
		await client.query("create table kept (s text)");
		const values = [
			"\\'; drop table kept; --",
			"'; drop table kept; --",
			"\\",
			"\\\\'",
			"$$",
			"a\\nb",
			"\\u0041",
			'x"y',
			"%\\%",
		];
		const parser = await loadWhereParser();
		const columns = whereColumns();
		for (const value of values) {
			await client.query("truncate kept");
			await client.query("insert into kept values ($1), ('other')", [value]);
			const { sql } = parser.parse({ text: "s = $1", params: { 1: value }, columns, caseFolding: "ascii" });
			for (const setting of ["on", "off"]) {
				await client.query(`set standard_conforming_strings = ${setting}; set escape_string_warning = off`);
				const { rows } = await client.query(`select s from kept where (${sql})`);
				expect(rows, `${setting}: ${sql}`).toEqual([{ s: value }]);
			}
		}
	});
});

/** Null for a condition that is refused for its constants: most cannot be computed, so that PostgreSQL fails at a row. */
function parsed(parse: () => WhereClause): WhereClause | null {
	try {
		return parse();
	} catch (error) {
		const isConstant = error instanceof SluiceError && REFUSED_CONSTANTS.test(JSON.stringify(error.context["errors"]));
		if (isConstant) {
			return null;
		}
		throw error;
	}
}

const REFUSED_CONSTANTS =
	/Failed to apply function to constant arguments|could not cast value|beside a constant of type name/;

function truthOf(predicate: Predicate | undefined, row: Tuple): string {
	try {
		return String(predicate?.(row));
	} catch (error) {
		if (error === UNEVALUABLE) {
			return FAILED;
		}
		throw error;
	}
}

/** Whether an input function takes a text. */
const CAST_OR_NULL = `
	create function pg_temp.accepts(value text, type text) returns bool language plpgsql as $$
	begin
		execute format('select %L::%s', value, type);
		return true;
	exception when others then
		return false;
	end $$`;

/** 0 false, 1 true, 2 NULL, "<error>": by condition, then by row. */
async function askPostgres(client: Client, conditions: readonly string[]): Promise<string[][]> {
	return tryAll(
		client,
		conditions.map((condition) => `case when (${condition}) then '1' when not (${condition}) then '0' else '2' end`),
	);
}
