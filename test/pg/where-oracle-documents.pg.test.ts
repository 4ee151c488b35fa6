/**
 * PostgreSQL is the oracle of arrays, rows, json, jsonb and patterns in a `where`: generated conditions over rows of
 * awkward values are answered by PostgreSQL, once as the client wrote them and once as Sluice rebuilt them, by the
 * compiled function over the row's text, and by the shape matcher. All four must agree, or the clause is refused.
 * `SLUICE_TEST_DOCUMENT_SEEDS` sets how many rounds.
 */

import type { Client } from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { SluiceError } from "../../src/shared/errors.ts";
import type { WhereClause } from "../../src/shared/shape-definition.ts";
import type { Tuple } from "../../src/shared/tuple.ts";
import { compileWhere } from "../../src/workers/match/compile.ts";
import { createShapeMatcher } from "../../src/workers/match/shape-matcher.ts";
import { loadWhereParser } from "../../src/workers/where/where-parser.ts";
import { TestDatabase, testServers, uniqueName, useServer } from "../support/postgres.ts";
import { forEachSeed, Random } from "../support/random.ts";
import {
	DOCUMENT_COLUMNS,
	DOCUMENT_MOODS,
	DOCUMENT_TABLE_OID,
	documentColumns,
	documentRelation,
	documentShape,
	generateDocumentRow,
} from "../support/where-documents.ts";
import { quote } from "../support/where-generator.ts";
import { generateDocumentCondition } from "../support/where-generator-documents.ts";
import { tupleOf } from "../support/where-table.ts";

const ROWS = 60;
const CONDITIONS_PER_SEED = 100;
const SEEDS = Number(process.env["SLUICE_TEST_DOCUMENT_SEEDS"] ?? 4);
const SESSION =
	"set datestyle = 'ISO, DMY'; set timezone = 'UTC'; set extra_float_digits = 1; set intervalstyle = 'iso_8601'";

describe.each(testServers())("arrays, documents and patterns in a where clause on $name", (kind) => {
	const server = useServer(kind);
	let client: Client;
	let rows: readonly Tuple[];

	beforeAll(async () => {
		const database = new TestDatabase(server, uniqueName("documents"));
		await database.server.sql(
			`create database ${database.name} template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C.utf8'`,
		);
		client = await database.connect();
		await client.query(SESSION);
		rows = await fillTable(client);
	});

	it("select the same rows as written, as rebuilt, as compiled and as indexed", async () => {
		const parser = await loadWhereParser();
		const columns = documentColumns();
		let refused = 0;
		await forEachSeed(SEEDS, async (random) => {
			const generated = Array.from({ length: CONDITIONS_PER_SEED }, () => generateDocumentCondition(random));
			const accepted = generated.flatMap((condition) => {
				const clause = parsed(() => parser.parse({ ...condition, columns, caseFolding: "unicode" }), condition.text);
				refused += clause === null ? 1 : 0;
				return clause === null ? [] : [{ ...condition, clause }];
			});
			const written = await ask(
				client,
				accepted.map(({ original }) => original),
			);
			const rebuilt = await ask(
				client,
				accepted.map(({ clause }) => clause.sql),
			);
			const matcher = createShapeMatcher();
			matcher.bindRelation(documentRelation());
			const predicates = accepted.map(({ clause }, slot) => {
				matcher.addShape(slot, documentShape(clause));
				return compileWhere(clause.tree, (name) => ({
					index: DOCUMENT_COLUMNS.findIndex((column) => column.name === name),
				}));
			});
			rows.forEach((row, rowNumber) => {
				const found = new Set<number>();
				matcher.match(DOCUMENT_TABLE_OID, null, row, (slot, _inOld, inNew) => inNew && found.add(slot));
				accepted.forEach(({ text, original, clause }, slot) => {
					const where = `row ${rowNumber}: ${text}\n  i.e. ${original}\n  rebuilt ${clause.sql}`;
					const answer = written[rowNumber]?.[slot];
					expect(rebuilt[rowNumber]?.[slot], where).toBe(answer);
					expect(predicates[slot]?.(row), where).toBe(answer);
					expect(found.has(slot), where).toBe(answer === 1);
				});
			});
		});
		// Everything that is generated is meant to be accepted.
		expect(refused).toBe(0);
	});
});

describe.each(testServers())("columns of several collations on $name", (kind) => {
	const server = useServer(kind);

	it("can be combined in one clause: its SQL says which collation counts", async () => {
		await using database = await server.createDatabase();
		const client = await database.connect();
		await client.query(`create table t (
			id int, s text collate "C", c text collate "POSIX", ta text[] collate "C", va text[] collate "POSIX", j jsonb
		)`);
		await client.query("insert into t values (1, 'a', 'b', '{a,b}', '{b}'), (2, null, 'a', null, '{a,NULL}')");
		const parser = await loadWhereParser();
		const columns = documentColumns().map((column) =>
			column.name === "va" || column.name === "c"
				? { ...column, typeOid: column.isArray ? 1009 : 25, typeName: "text", baseTypeName: "text" }
				: column,
		);
		for (const text of MIXED) {
			const { sql } = parser.parse({ text, params: {}, columns, caseFolding: "unicode" });
			await expect(client.query(`select id from t where (${sql})`), `${text} as ${sql}`).resolves.toBeDefined();
		}
	});
});

describe.each(testServers())("any types in any form on $name", (kind) => {
	const server = useServer(kind);

	it("are only accepted where PostgreSQL accepts them, and its SQL is valid", async () => {
		await using database = await server.createDatabase();
		const client = await database.connect();
		await client.query(`create type mood as enum (${DOCUMENT_MOODS.map(quote).join(", ")})`);
		await client.query(`create table t (${DOCUMENT_COLUMNS.map((c) => `${c.name} ${c.declaration}`).join(", ")})`);
		const parser = await loadWhereParser();
		const columns = documentColumns();
		const names = DOCUMENT_COLUMNS.map(({ name }) => name).filter((name) => name !== "ea");
		const others = ["'1'", "'{1}'", "1", "1.5", "NULL", "ARRAY[1,2]", "ARRAY['a']", "'{}'::jsonb", "'a'::text", "true"];
		let accepted = 0;
		await forEachSeed(1, async (random) => {
			for (let count = 0; count < COMBINATIONS; count += 1) {
				const text = combination(random, random.pick(names), random.pick([...names, ...others]));
				const sql = acceptedSql(() => parser.parse({ text, params: {}, columns, caseFolding: "unicode" }));
				if (sql !== null) {
					accepted += 1;
					await expect(client.query(`explain select from t where (${text})`), text).resolves.toBeDefined();
					await expect(client.query(`explain select from t where (${sql})`), sql).resolves.toBeDefined();
				}
			}
		});
		expect(accepted).toBeGreaterThan(COMBINATIONS / 20);
	});
});

const COMBINATIONS = 3_000;

function combination(random: Random, first: string, second: string): string {
	const [left, right] = random.chance(0.7) ? [first, second] : [second, first];
	const operators = ["=", "<", "IS DISTINCT FROM", "@>", "<@", "&&", "?", "?|", "~", "LIKE"];
	const functions = ["array_append", "array_prepend", "array_cat", "array_remove", "array_position", "array_length"];
	return random.pick([
		() => `${left} ${random.pick(operators)} ${right}`,
		() => `(${left} ${random.pick(["->", "->>", "#>", "#>>", "||"])} ${right}) IS NULL`,
		() => `${left} ${random.pick(["= ANY", "< ALL", "LIKE ANY"])} (${right})`,
		() => `${random.pick(functions)}(${left}, ${right}) IS NULL`,
		() => `${left} IN (${right}, ${left})`,
		() => `(${first})[${second}] IS NULL`,
		() => `(ARRAY[${left}, ${right}]) IS NULL`,
		() => `(${left}, ${right}) = (${right}, ${left})`,
	])();
}

function acceptedSql(parse: () => WhereClause): string | null {
	try {
		return parse().sql;
	} catch (error) {
		if (error instanceof SluiceError && error.code === "SLUICE_REQUEST_INVALID") {
			return null;
		}
		throw error;
	}
}

const MIXED: readonly string[] = [
	"ta @> va",
	"ta = va",
	"ta < va",
	"ta IS DISTINCT FROM va",
	"s = ANY(va)",
	"s < ALL(va)",
	"s LIKE ANY(va)",
	"s ILIKE ANY(va)",
	"ARRAY[s, c] @> ta",
	"s = ANY(ARRAY[s, c])",
	"ta || va @> ta",
	"(ta || va) = va",
	"array_append(ta, c) = va",
	"array_position(ta, c) = 1",
	"array_remove(ta, c) && va",
	"ta[1] = va[1]",
	"ta[1] < c",
	"(s, c) < (c, s)",
	"(s, c) IN (('a', 'b'), (c, s))",
	"coalesce(ta, va) = va",
	"coalesce(ta, va) @> ARRAY['a']",
	"CASE WHEN id = 1 THEN ta ELSE va END && ta",
	"s || c ~ 'x'",
	"(s || c) ~* 'x'",
	"coalesce(s, c) SIMILAR TO 'a%'",
	"ta[1] ~ '^a'",
	"j->>s = c",
	"(j->>'a') || c = s",
	"j ?| va",
	"j #>> va = s",
];

/** The clause, or null when it is refused as not supported. */
function parsed(parse: () => WhereClause, text: string): WhereClause | null {
	try {
		return parse();
	} catch (error) {
		if (error instanceof SluiceError && error.code === "SLUICE_REQUEST_INVALID") {
			expect.soft(error.context, text).toBe("accepted");
			return null;
		}
		throw error;
	}
}

/** 0 false, 1 true, 2 NULL: by row, then by condition; one statement for all, or one each to name the one that fails. */
async function ask(client: Client, conditions: readonly string[]): Promise<number[][]> {
	const columns = conditions.map(
		(condition) => `case when (${condition}) then 1 when not (${condition}) then 0 else 2 end`,
	);
	try {
		const { rows } = await client.query({ text: `select ${columns.join(", ")} from t order by id`, rowMode: "array" });
		return rows;
	} catch (cause) {
		for (const condition of conditions) {
			await client.query(`select (${condition}) from t`).catch((error: unknown) => {
				throw new Error(`PostgreSQL refuses ${condition}`, { cause: error });
			});
		}
		throw cause;
	}
}

/** Makes the table and answers its rows as the stream would carry them. */
async function fillTable(client: Client): Promise<Tuple[]> {
	await client.query(`create type mood as enum (${DOCUMENT_MOODS.map(quote).join(", ")})`);
	const declarations = DOCUMENT_COLUMNS.map(({ name, declaration }) => `${name} ${declaration}`);
	await client.query(`create table t (${declarations.join(", ")})`);
	const random = new Random(2025);
	const values = Array.from({ length: ROWS }, (_, id) => generateDocumentRow(random, id));
	const tuples = values.map((row) => `(${row.map((value) => (value === null ? "null" : quote(value))).join(", ")})`);
	await client.query(`insert into t values ${tuples.join(", ")}`);
	const { rows } = await client.query<(string | null)[]>({
		text: "select * from t order by id",
		rowMode: "array",
		types: { getTypeParser: () => (text: string) => text },
	});
	return rows.map((row) => tupleOf(row));
}
