/**
 * A database with the table of where-table.ts, and questions to it that may fail on some rows. Owns the session's
 * settings, which are those of the sessions that read. Called by the tests that ask PostgreSQL what a condition
 * means.
 */

import type { Client } from "pg";
import type { Tuple } from "../../src/shared/tuple.ts";
import type { CaseFolding } from "../../src/shared/where-tree.ts";
import { TestDatabase, type TestServer, type TestServerKind, uniqueName } from "./postgres.ts";
import { Random } from "./random.ts";
import { generateRow } from "./where-generator.ts";
import { quote } from "./where-quote.ts";
import { MOODS, tupleOf, WHERE_COLUMN_SPECS } from "./where-table.ts";

export const SESSION =
	"set datestyle = 'ISO, DMY'; set timezone = 'UTC'; set extra_float_digits = 1; set intervalstyle = 'iso_8601'";

/** Databases whose letters fold in one of the ways, best first; a server may lack some. */
const LOCALES: Readonly<Record<CaseFolding, readonly string[]>> = {
	ascii: ["locale_provider libc lc_collate 'C' lc_ctype 'C'"],
	unicode: [
		"locale_provider builtin builtin_locale 'C.UTF-8' lc_collate 'C' lc_ctype 'C'",
		"lc_collate 'C' lc_ctype 'C.utf8'",
		"lc_collate 'C' lc_ctype 'C.UTF-8'",
		"lc_collate 'C' lc_ctype 'en_US.UTF-8'",
	],
	full: [
		"locale_provider icu icu_locale 'und' lc_collate 'C' lc_ctype 'C'",
		"locale_provider icu icu_locale 'en-US' lc_collate 'C' lc_ctype 'C'",
	],
	"full:tr": ["locale_provider icu icu_locale 'tr-TR' lc_collate 'C' lc_ctype 'C'"],
	"full:lt": ["locale_provider icu icu_locale 'lt' lc_collate 'C' lc_ctype 'C'"],
};

/** Gone when its server is. */
export async function createWhereDatabase(server: TestServer, caseFolding: CaseFolding): Promise<TestDatabase> {
	const database = new TestDatabase(server, uniqueName("where"));
	const failures: unknown[] = [];
	for (const locale of LOCALES[caseFolding]) {
		try {
			await server.sql(`create database ${database.name} template template0 encoding 'UTF8' ${locale}`);
			return database;
		} catch (error) {
			failures.push(error);
		}
	}
	throw new AggregateError(failures, "the server has none of the locales");
}

/** Makes the table and answers its rows as the stream would carry them. */
export async function fillWhereTable(client: Client, count: number): Promise<Tuple[]> {
	await client.query(`create type mood as enum (${MOODS.map(quote).join(", ")})`);
	const declarations = WHERE_COLUMN_SPECS.map(
		({ name, declaration }) => `${client.escapeIdentifier(name)} ${declaration}`,
	);
	await client.query(`create table t (${declarations.join(", ")})`);
	const random = new Random(2024);
	const values = Array.from({ length: count }, (_, id) => generateRow(random, id));
	const tuples = values.map((row) => `(${row.map((value) => (value === null ? "null" : quote(value))).join(", ")})`);
	await client.query(`insert into t values ${tuples.join(", ")}`);
	const { rows } = await client.query<(string | null)[]>({
		text: "select * from t order by id",
		rowMode: "array",
		types: { getTypeParser: () => (text: string) => text },
	});
	return rows.map((row) => tupleOf(row));
}

/**
 * `pg_temp.answers(sql)`: the texts of an expression, row by row: `<null>` for NULL, `<error>` where PostgreSQL
 * raises an error. What cannot even be planned raises it for every row.
 */
export const PREPARE_ANSWERS = `
	create function pg_temp.answers(expression text) returns text[] language plpgsql as $$
	declare
		result text[];
		answer text;
		row_id int;
	begin
		begin
			execute format('select array_agg(coalesce(x, ''<null>'') order by id) from (select id, %s as x from t offset 0) q', expression)
				into result;
			return result;
		exception when others then
			result := '{}';
		end;
		for row_id in select id from t order by id loop
			begin
				execute format('select coalesce(%s, ''<null>'') from t where id = $1', expression) into answer using row_id;
				result := result || answer;
			exception when others then
				result := result || '<error>'::text;
			end;
		end loop;
		return result;
	end $$`;

/** Answers by expression, then by row; see {@link PREPARE_ANSWERS}. */
export async function tryAll(client: Client, expressions: readonly string[]): Promise<string[][]> {
	const { rows } = await client.query<{ answers: string[] }>(
		"select pg_temp.answers(e) as answers from unnest($1::text[]) with ordinality as q (e, n) order by n",
		[expressions],
	);
	return rows.map(({ answers }) => answers);
}

/** What PostgreSQL's answer is where it raises an error. */
export const FAILED = "<error>";

export function versionOf(kind: TestServerKind): number {
	return Number(/[0-9]+/.exec(kind.name)?.[0] ?? "0");
}

/** Before 17 the difference of timestamps at the ends of their range wraps around; later, and here, it is an error. */
export function wrapsAround(expression: string, computed: string, version: number): boolean {
	return version < 17 && computed === FAILED && /- /.test(expression) && /timestamp|ts|tz/.test(expression);
}
