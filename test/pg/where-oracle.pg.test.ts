/**
 * PostgreSQL is the oracle of the `where` language: generated conditions over rows of awkward values are answered
 * by PostgreSQL, once as the client wrote them and once as Sluice rebuilt them, by the compiled function over the
 * row's text, and by the shape matcher with its indexes. All four must agree.
 */

import type { Client } from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import type { Tuple } from "../../src/shared/tuple.ts";
import type { CaseFolding } from "../../src/shared/where-tree.ts";
import { compileWhere } from "../../src/workers/match/compile.ts";
import { createShapeMatcher } from "../../src/workers/match/shape-matcher.ts";
import { loadWhereParser } from "../../src/workers/where/where-parser.ts";
import { TestDatabase, testServers, uniqueName, useServer } from "../support/postgres.ts";
import { forEachSeed, Random } from "../support/random.ts";
import { generateCondition, generateRow, quote } from "../support/where-generator.ts";
import { ACCEPTED_LITERALS, REFUSED_LITERALS } from "../support/where-literals.ts";
import {
	MOODS,
	tupleOf,
	WHERE_COLUMN_SPECS,
	WHERE_TABLE_OID,
	whereColumns,
	whereRelation,
	whereShape,
} from "../support/where-table.ts";

const ROWS = 80;
const CONDITIONS_PER_SEED = 100;
const SEEDS = 6;

const SESSION = "set datestyle = 'ISO, DMY'; set timezone = 'UTC'; set extra_float_digits = 1";

/** Databases whose letters fold in one of the two ways, best first; a server may lack the later ones. */
const LOCALES: Readonly<Record<CaseFolding, readonly string[]>> = {
	ascii: ["locale_provider libc lc_collate 'C' lc_ctype 'C'"],
	unicode: [
		"locale_provider builtin builtin_locale 'C.UTF-8' lc_collate 'C' lc_ctype 'C'",
		"lc_collate 'C' lc_ctype 'C.utf8'",
		"lc_collate 'C' lc_ctype 'C.UTF-8'",
		"lc_collate 'C' lc_ctype 'en_US.UTF-8'",
	],
};

describe.each(testServers())("a where clause on $name", (kind) => {
	const server = useServer(kind);

	describe.each(["ascii", "unicode"] as const)("in a database that folds %s letters", (caseFolding) => {
		let client: Client;
		let rows: readonly Tuple[];

		beforeAll(async () => {
			const database = new TestDatabase(server, uniqueName("where"));
			await createWithLocale(database, LOCALES[caseFolding]);
			client = await database.connect();
			await client.query(SESSION);
			rows = await fillTable(client);
		});

		it("selects the same rows as written, as rebuilt, as compiled and as indexed", async () => {
			const parser = await loadWhereParser();
			const columns = whereColumns();
			await forEachSeed(SEEDS, async (random) => {
				const conditions = Array.from({ length: CONDITIONS_PER_SEED }, () => generateCondition(random));
				const clauses = conditions.map(({ text, params }) => parser.parse({ text, params, columns, caseFolding }));
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
						const answer = written[rowNumber]?.[slot];
						expect(rebuilt[rowNumber]?.[slot], where).toBe(answer);
						expect(predicates[slot]?.(row), where).toBe(answer);
						expect(found.has(slot), where).toBe(answer === 1);
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

/** Whether an input function takes a text. */
const CAST_OR_NULL = `
	create function pg_temp.accepts(value text, type text) returns bool language plpgsql as $$
	begin
		execute format('select %L::%s', value, type);
		return true;
	exception when others then
		return false;
	end $$`;

/** 0 false, 1 true, 2 NULL: by row, then by condition. One statement for all. */
async function askPostgres(client: Client, conditions: readonly string[]): Promise<number[][]> {
	const columns = conditions.map(
		(condition) => `case when (${condition}) then 1 when not (${condition}) then 0 else 2 end`,
	);
	const { rows } = await client.query({ text: `select ${columns.join(", ")} from t order by id`, rowMode: "array" });
	return rows;
}

async function createWithLocale(database: TestDatabase, locales: readonly string[]): Promise<void> {
	const failures: unknown[] = [];
	for (const locale of locales) {
		try {
			await database.server.sql(`create database ${database.name} template template0 encoding 'UTF8' ${locale}`);
			return;
		} catch (error) {
			failures.push(error);
		}
	}
	throw new AggregateError(failures, "the server has none of the locales");
}

/** Makes the table and answers its rows as the stream would carry them. */
async function fillTable(client: Client): Promise<Tuple[]> {
	await client.query(`create type mood as enum (${MOODS.map(quote).join(", ")})`);
	const declarations = WHERE_COLUMN_SPECS.map(
		({ name, declaration }) => `${client.escapeIdentifier(name)} ${declaration}`,
	);
	await client.query(`create table t (${declarations.join(", ")})`);
	const random = new Random(2024);
	const values = Array.from({ length: ROWS }, (_, id) => generateRow(random, id));
	const tuples = values.map((row) => `(${row.map((value) => (value === null ? "null" : quote(value))).join(", ")})`);
	await client.query(`insert into t values ${tuples.join(", ")}`);
	const { rows } = await client.query<(string | null)[]>({
		text: "select * from t order by id",
		rowMode: "array",
		types: { getTypeParser: () => (text: string) => text },
	});
	return rows.map((row) => tupleOf(row));
}
