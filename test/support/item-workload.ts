/**
 * A small table, random transactions on it and the wait for a client to hold what SELECT holds: for tests of
 * clients that parse values. Owns the SQL it makes. Called by test/clients.
 */

import type { Client } from "pg";
import type { Random } from "./random.ts";
import { waitFor } from "./wait-for.ts";

export interface Item {
	readonly id: number;
	readonly owner: number;
	readonly title: string | null;
	readonly done: boolean;
}

export const OWNERS = 4;
const IDS = 40;
const TITLES = ["alpha", 'say "hi"', "line\nbreak", "a, b", "ünï", "", null];

/** @param table an unquoted name */
export function itemsDdl(table = "items"): string {
	return `create table ${table} (
		id int primary key, owner int not null, title text, done boolean not null default false)`;
}

/** Random transactions: inserts, updates, deletes, changes of the key, moves between owners, some rolled back. */
export async function writeItems(client: Client, random: Random, transactions: number, table = "items"): Promise<void> {
	for (let index = 0; index < transactions; index += 1) {
		await client.query("begin");
		for (let step = random.integer(1, 5); step > 0; step -= 1) {
			await writeItem(client, random, table);
		}
		await client.query(random.chance(0.1) ? "rollback" : "commit");
	}
}

async function writeItem(client: Client, random: Random, table: string): Promise<void> {
	const id = random.integer(1, IDS);
	const values = [id, random.integer(0, OWNERS - 1), random.pick(TITLES), random.chance(0.5)];
	const kind = random.integer(0, 9);
	if (kind <= 4) {
		await client.query(
			`insert into ${table} values ($1, $2, $3, $4) on conflict (id)
			do update set owner = excluded.owner, title = excluded.title, done = excluded.done`,
			values,
		);
	} else if (kind <= 6) {
		await client.query(`update ${table} set title = $2 where id = $1`, [id, random.pick(TITLES)]);
	} else if (kind === 7) {
		await client.query(`update ${table} set owner = $2 where id between $1 and $1 + 3`, values.slice(0, 2));
	} else if (kind === 8) {
		await client.query(`delete from ${table} where id = $1`, [id]);
	} else {
		await client.query(
			`update ${table} set id = $2 where id = $1 and not exists (select from ${table} where id = $2)`,
			[id, random.integer(IDS + 1, 2 * IDS)],
		);
	}
}

/** The oracle's answer. */
export async function selectItems(client: Client, where = "true", table = "items"): Promise<Item[]> {
	const result = await client.query<Item>(`select id, owner, title, done from ${table} where ${where} order by id`);
	return result.rows;
}

/** As text, by id, only the columns of an item: comparable whatever a client adds to its rows. */
function itemsText(rows: Iterable<object>): string {
	return [...rows]
		.map((row) => row as Item)
		.sort((left, right) => left.id - right.id)
		.map(({ id, owner, title, done }) => JSON.stringify([id, owner, title, done]))
		.join("\n");
}

/** @throws Error that shows both sides */
export async function untilItems(
	what: string,
	read: () => Iterable<object> | Promise<Iterable<object>>,
	expected: readonly Item[],
	timeoutMs = 30_000,
): Promise<void> {
	const wanted = itemsText(expected);
	let seen = "";
	await waitFor(
		`${what} to equal SELECT`,
		async () => {
			seen = itemsText(await read());
			return seen === wanted;
		},
		{ timeoutMs },
	).catch((cause: unknown) => {
		throw new Error(`${what} does not equal SELECT; it holds\n${seen}\ninstead of\n${wanted}`, { cause });
	});
}
