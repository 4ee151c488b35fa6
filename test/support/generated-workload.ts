/**
 * A seeded world for oracle tests: a table with many types, shapes with generated conditions, transactions
 * that move rows in and out of them. Owns the SQL it makes. Called by test/e2e/oracle.pg.test.ts.
 */

import type { Client } from "pg";
import { parseArrayText } from "../../src/shared/sql/array-text.ts";
import type { Random } from "./random.ts";

export const WORLD_TABLE = "World.Items";

export const WORLD_DDL = `
	create type mood as enum ('sad', 'ok', 'happy');
	create table "World.Items" (
		id int primary key,
		user_id int,
		"Title" text,
		done boolean not null,
		score numeric(20, 4),
		ref uuid,
		at timestamptz,
		big bigint,
		feeling mood,
		body text,
		tags text[],
		doc jsonb
	)`;

const TITLES = ["alpha", "Beta", "gamma ray", "50%", "under_score", "line\nbreak", "ünï", "quote'd", 'say "hi"', ""];
const REFS = ["f47ac10b-58cc-4372-a567-0e02b2c3d479", "00000000-0000-0000-0000-000000000000"];
const MOODS = ["sad", "ok", "happy"];
const TAGS = ["{}", "{a}", "{a,b}", "{b,NULL}", "{{a,b},{c,d}}", '{"with space","say \\"hi\\""}'];
const DOCUMENTS = [
	'{"k": "x", "n": 1}',
	'{"k": "y", "a": {"b": [1, 2]}}',
	'["k", 1]',
	"null",
	'{"n": 1.50}',
	'{"k": null}',
];
const IDS = 120;
const USERS = 8;

export interface GeneratedShape {
	readonly where: string | null;
	readonly params: Readonly<Record<string, string>>;
	readonly columns: readonly string[] | null;
	readonly replica: "default" | "full";
}

/** One condition that the `where` language has; `$1` when it takes a parameter. */
function condition(random: Random): { text: string; value?: string } {
	const user = random.integer(0, USERS - 1);
	return random.pick<() => { text: string; value?: string }>([
		() => ({ text: `user_id = ${user}` }),
		() => ({ text: "user_id = $1", value: String(user) }),
		() => ({ text: `user_id in (${user}, ${(user + 3) % USERS})` }),
		() => ({ text: `user_id not in (${user}, ${(user + 1) % USERS})` }),
		() => ({ text: "user_id is null" }),
		() => ({ text: `"Title" like '%a%'` }),
		() => ({ text: `"Title" ilike 'B%'` }),
		() => ({ text: `"Title" = $1`, value: random.pick(TITLES) || "alpha" }),
		() => ({ text: "done" }),
		() => ({ text: "not done" }),
		() => ({ text: `score > ${random.integer(-50, 50)}.5` }),
		() => ({ text: `score between ${random.integer(-80, 0)} and ${random.integer(0, 80)}` }),
		() => ({ text: `ref = '${random.pick(REFS)}'` }),
		() => ({ text: `at >= '2024-0${random.integer(1, 9)}-01T00:00:00Z'` }),
		() => ({ text: `big < ${random.integer(0, 9)}000000000` }),
		() => ({ text: `feeling = '${random.pick(MOODS)}'` }),
		() => ({ text: "body is not null" }),
		() => ({ text: `id <= ${random.integer(1, IDS)}` }),
		() => ({ text: `tags @> '{${random.pick(["a", "b", "a,b"])}}'` }),
		() => ({ text: "tags && $1", value: random.pick(["{a,c}", "{b}", "{NULL}"]) }),
		() => ({ text: `'${random.pick(["a", "b"])}' = any(tags)` }),
		() => ({ text: "tags[1] = 'a' or cardinality(tags) > 3" }),
		() => ({ text: `doc->>'k' = '${random.pick(["x", "y"])}'` }),
		() => ({ text: "doc @> $1", value: random.pick(['{"n": 1}', '{"a": {"b": [2]}}', '"k"']) }),
		() => ({ text: `doc ? 'k' and (doc->>'n')::numeric > 1` }),
		() => ({ text: `"Title" ~ '^[a-m]|"$'` }),
		() => ({ text: `(user_id, id) >= (${user}, ${random.integer(1, IDS)})` }),
	])();
}

export function generateShape(random: Random): GeneratedShape {
	const replica = random.chance(0.3) ? "full" : "default";
	const columns = random.chance(0.25) ? ["id", "Title", "done"] : null;
	if (random.chance(0.12)) {
		return { where: null, params: {}, columns, replica };
	}
	const first = condition(random);
	const second = random.chance(0.5) ? condition(random) : null;
	const values = [first.value, second?.value].filter((value) => value !== undefined);
	const params = Object.fromEntries(values.map((value, index) => [String(index + 1), value]));
	const secondText = first.value === undefined ? second?.text : second?.text.replace("$1", "$2");
	const where =
		secondText === undefined ? first.text : `(${first.text}) ${random.pick(["and", "or", "and not"])} (${secondText})`;
	return { where, params, columns, replica };
}

function values(random: Random) {
	const maybe = <T>(value: T): T | null => (random.chance(0.15) ? null : value);
	return {
		user_id: maybe(random.integer(0, USERS - 1)),
		Title: maybe(random.pick(TITLES)),
		done: random.chance(0.5),
		score: maybe(`${random.integer(-100, 100)}.${random.integer(0, 9999)}`),
		ref: maybe(random.pick(REFS)),
		at: maybe(`2024-0${random.integer(1, 9)}-15T12:00:0${random.integer(0, 9)}.${random.integer(0, 999)}+02:00`),
		big: maybe(String(BigInt(random.integer(0, 9_999)) * 1_000_000n)),
		feeling: maybe(random.pick(MOODS)),
		// Some values are large enough to be TOASTed, and random enough not to be compressed away.
		tags: maybe(random.pick(TAGS)),
		doc: maybe(random.pick(DOCUMENTS)),
		body: maybe(random.chance(0.2) ? random.text(4_000, "abcdefghijklmnopqrstuvwxyz0123456789ABCDEF") : "short"),
	};
}

/** One transaction: several changes, sometimes with a savepoint that is rolled back, sometimes aborted. */
export async function runTransaction(client: Client, random: Random): Promise<void> {
	await client.query("begin");
	const steps = random.integer(1, 8);
	for (let step = 0; step < steps; step += 1) {
		if (random.chance(0.1)) {
			await client.query("savepoint s");
			await change(client, random);
			await client.query(random.chance(0.5) ? "rollback to s" : "release s");
		} else {
			await change(client, random);
		}
	}
	await client.query(random.chance(0.1) ? "rollback" : "commit");
}

async function change(client: Client, random: Random): Promise<void> {
	const id = random.integer(1, IDS);
	const row = values(random);
	const names = Object.keys(row) as (keyof typeof row)[];
	const kind = random.integer(0, 9);
	if (kind <= 4) {
		const list = names.map((name) => `"${name}"`).join(", ");
		const marks = names.map((_, index) => `$${index + 2}`).join(", ");
		const set = names.map((name) => `"${name}" = excluded."${name}"`).join(", ");
		await client.query(
			`insert into "World.Items" (id, ${list}) values ($1, ${marks}) on conflict (id) do update set ${set}`,
			[id, ...names.map((name) => row[name])],
		);
	} else if (kind <= 7) {
		const name = random.pick(names);
		await client.query(`update "World.Items" set "${name}" = $2 where id between $1 and $1 + 3`, [id, row[name]]);
	} else if (kind === 8) {
		await client.query('delete from "World.Items" where id = $1', [id]);
	} else {
		await client.query(
			`update "World.Items" set id = $2 where id = $1 and not exists (select from "World.Items" where id = $2)`,
			[id, random.integer(IDS + 1, IDS + 60)],
		);
	}
}

/** Whether a client holds the value that PostgreSQL prints. The client makes an array of an array's text; its elements are compared then. */
export function isSameValue(seen: unknown, value: string | null): boolean {
	if (!Array.isArray(seen)) {
		return seen === value;
	}
	const elements = value === null ? null : parseArrayText(value)?.elements;
	return JSON.stringify(seen.flat(6)) === JSON.stringify(elements);
}

/** What the shape must hold, by id: the oracle's answer, in PostgreSQL's own text. */
export async function expectedRows(
	client: Client,
	shape: GeneratedShape,
): Promise<Map<string, Record<string, string | null>>> {
	const columns = shape.columns?.map((name) => `"${name}"`).join(", ") ?? "*";
	const where = shape.where === null ? "" : `where ${shape.where}`;
	const result = await client.query({
		text: `select ${columns} from "World.Items" ${where}`,
		values: Object.values(shape.params),
		types: { getTypeParser: () => (value: string | Buffer) => value },
	} as { text: string; values: string[] });
	return new Map(result.rows.map((row: Record<string, string | null>) => [String(row["id"]), row]));
}
