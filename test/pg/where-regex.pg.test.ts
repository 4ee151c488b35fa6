/**
 * PostgreSQL is the oracle of regular expressions too: every pattern that is accepted here is valid there, and finds
 * the same in every text. Patterns are generated, torn ones among them; `SLUICE_TEST_REGEX_SEEDS` sets how many
 * rounds.
 */

import type { Client } from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { regexMatcher } from "../../src/shared/sql/regex-machine.ts";
import { parseRegex, type RegexOptions } from "../../src/shared/sql/regex-pattern.ts";
import { similarToRegex } from "../../src/shared/sql/similar-pattern.ts";
import { TestDatabase, testServers, uniqueName, useServer } from "../support/postgres.ts";
import { forEachSeed } from "../support/random.ts";
import { generateRegex, generateSimilar, generateText } from "../support/regex-generator.ts";

const SEEDS = Number(process.env["SLUICE_TEST_REGEX_SEEDS"] ?? 4);
const PATTERNS_PER_SEED = 150;
const TEXTS_PER_SEED = 40;

/** Answers of one operator: by pattern, by text; null when PostgreSQL refuses the pattern. */
const ASK = `
	create function pg_temp.ask(patterns text[], texts text[], operator text) returns setof text language plpgsql as $$
	declare
		pattern text;
		answer text;
	begin
		foreach pattern in array patterns loop
			begin
				execute format(
					'select string_agg(case when value %s $1 then ''1'' else ''0'' end, '''' order by position)
					from unnest($2) with ordinality as texts(value, position)', operator)
				using pattern, texts into answer;
				return next answer;
			exception when others then
				return next null;
			end;
		end loop;
	end $$`;

async function ask(
	client: Client,
	patterns: readonly string[],
	texts: readonly string[],
	operator: string,
): Promise<(string | null)[]> {
	const { rows } = await client.query<{ ask: string | null }>("select pg_temp.ask($1, $2, $3) as ask", [
		patterns,
		texts,
		operator,
	]);
	return rows.map((row) => row.ask);
}

/** The same answers from here; null when the pattern is refused. */
function answers(pattern: string, texts: readonly string[], options: RegexOptions): string | null {
	const parsed = parseRegex(pattern, options);
	if ("refusal" in parsed) {
		return null;
	}
	const matches = regexMatcher(parsed.node);
	return texts.map((text) => (matches(text) ? "1" : "0")).join("");
}

describe.each(testServers())("a regular expression on $name", (kind) => {
	const server = useServer(kind);
	let client: Client;

	beforeAll(async () => {
		const database = new TestDatabase(server, uniqueName("regex"));
		await database.server.sql(
			`create database ${database.name} template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C.utf8'`,
		);
		client = await database.connect();
		await client.query(ASK);
	});

	it.each([
		["~", { ignoresCase: false, isUnicode: false }, 'collate "C" ~'],
		["~*", { ignoresCase: true, isUnicode: false }, 'collate "C" ~*'],
		["~ under the database's locale", { ignoresCase: false, isUnicode: true }, "~"],
		["~* under the database's locale", { ignoresCase: true, isUnicode: true }, "~*"],
	] as const)("with %s finds what PostgreSQL finds, or is refused", async (_, options, operator) => {
		let accepted = 0;
		await forEachSeed(SEEDS, async (random) => {
			const patterns = Array.from({ length: PATTERNS_PER_SEED }, () => generateRegex(random));
			const texts = Array.from({ length: TEXTS_PER_SEED }, () => generateText(random));
			const theirs = await ask(client, patterns, texts, operator);
			patterns.forEach((pattern, index) => {
				const ours = answers(pattern, texts, options);
				if (ours !== null) {
					accepted += 1;
					expect(ours, `${pattern} on ${JSON.stringify(texts)}`).toBe(theirs[index]);
				}
			});
		});
		expect(accepted).toBeGreaterThan(PATTERNS_PER_SEED * SEEDS * 0.3);
	});

	it("of SIMILAR TO finds what PostgreSQL finds, or is refused", async () => {
		let accepted = 0;
		await forEachSeed(SEEDS, async (random) => {
			const patterns = Array.from({ length: PATTERNS_PER_SEED }, () => generateSimilar(random));
			const texts = Array.from({ length: TEXTS_PER_SEED }, () => generateText(random));
			const theirs = await ask(client, patterns, texts, 'collate "C" similar to');
			patterns.forEach((pattern, index) => {
				const rewritten = similarToRegex(pattern);
				const ours =
					"refusal" in rewritten ? null : answers(rewritten.pattern, texts, { ignoresCase: false, isUnicode: false });
				if (ours !== null) {
					accepted += 1;
					expect(ours, `${pattern} on ${JSON.stringify(texts)}`).toBe(theirs[index]);
				}
			});
		});
		expect(accepted).toBeGreaterThan(PATTERNS_PER_SEED * SEEDS * 0.3);
	});
});
