/**
 * PGlite's sync over Sluice: tables in an embedded PostgreSQL that follow shapes. Transactions over several tables
 * appear whole, a stored subscription goes on where it was, and the tables end with what SELECT holds here.
 */

import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { electricSync } from "@electric-sql/pglite-sync";
import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestDaemon } from "../support/daemon.ts";
import { type Item, itemsDdl, selectItems, untilItems, writeItems } from "../support/item-workload.ts";
import { oneTestServer, useDatabase } from "../support/postgres.ts";
import { Random } from "../support/random.ts";
import { useTemporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

const PRIMARY_KEY = ["id"];

async function openPglite(directory?: string) {
	return PGlite.create({
		...(directory === undefined ? {} : { dataDir: directory }),
		extensions: { electric: electricSync() },
	});
}

type Synced = Awaited<ReturnType<typeof openPglite>>;

async function itemsOf(pg: Synced, table = "items"): Promise<Item[]> {
	return (await pg.query<Item>(`select id, owner, title, done from ${table}`)).rows;
}

describe("PGlite sync", () => {
	const database = useDatabase(oneTestServer());
	const directory = useTemporaryDirectory("pglite");
	let daemon: TestDaemon;
	let writer: Client;
	const open: Synced[] = [];

	beforeAll(async () => {
		// A shape without changes shows how far the stream is only when its long-poll ends.
		daemon = await TestDaemon.start({
			databaseUrl: database.url,
			environment: { SLUICE_LONG_POLL_TIMEOUT_MS: "1000" },
		});
		writer = await database.connect();
	});

	afterAll(async () => {
		await Promise.all(open.splice(0).map((pg) => pg.close()));
		await daemon?.end();
	});

	async function pglite(dataDirectory?: string): Promise<Synced> {
		const pg = await openPglite(dataDirectory);
		open.push(pg);
		return pg;
	}

	function shape(table: string, where?: string, requests: URL[] = []) {
		return {
			url: daemon.shapeUrl,
			params: { table, ...(where === undefined ? {} : { where }) },
			fetchClient: (input: string | URL | Request, init?: RequestInit) => {
				requests.push(new URL(input instanceof Request ? input.url : input));
				return fetch(input, init);
			},
		};
	}

	it.each(["insert", "csv", "json"] as const)("first data by %s, then changes, then a truncate", async (method) => {
		const table = `first_${method}`;
		await database.sql(itemsDdl(table));
		await database.sql(
			`insert into ${table} select g, g % 4, case when g % 5 = 0 then 'a, "b"' else 'text' end, g % 2 = 0
			from generate_series(1, 400) g`,
		);
		const pg = await pglite();
		await pg.exec(itemsDdl(table));
		let initial = 0;
		const sync = await pg.electric.syncShapeToTable({
			shape: shape(table, "owner > 0"),
			table,
			primaryKey: PRIMARY_KEY,
			shapeKey: null,
			initialInsertMethod: method,
			onInitialSync: () => {
				initial += 1;
			},
		});
		const equal = async (what: string): Promise<void> =>
			untilItems(what, () => itemsOf(pg, table), await selectItems(writer, "owner > 0", table));
		await equal("the table at first");
		await waitFor("the first data to be announced", () => initial === 1);
		await database.sql(`update ${table} set title = 'changed' where id < 10; delete from ${table} where id = 11`);
		await database.sql(`update ${table} set id = 500 where id = 13; update ${table} set owner = 0 where id = 14`);
		await database.sql(`insert into ${table} values (600, 2, null)`);
		await equal("the table after changes");
		await database.sql(`truncate ${table}; insert into ${table} values (1, 1, 'after')`);
		await equal("the table after the truncate");
		sync.unsubscribe();
	});

	it("a transaction over two tables is seen whole, never half", async () => {
		await database.sql("create table accounts (id int primary key, balance int not null)");
		await database.sql("create table transfers (id int primary key, account int not null, amount int not null)");
		await database.sql("insert into accounts values (1, 0), (2, 0)");
		const pg = await pglite();
		await pg.exec(`
			create table accounts (id int primary key, balance int not null);
			create table transfers (id int primary key, account int not null, amount int not null)`);
		const sync = await pg.electric.syncShapesToTables({
			key: null,
			shapes: {
				accounts: { shape: shape("accounts"), table: "accounts", primaryKey: PRIMARY_KEY },
				transfers: { shape: shape("transfers"), table: "transfers", primaryKey: PRIMARY_KEY },
			},
		});
		const look = async () =>
			(
				await pg.query<{ balances: number; transfers: number; count: number }>(
					`select (select coalesce(sum(balance), 0)::int from accounts) as balances,
						(select coalesce(sum(amount), 0)::int from transfers) as transfers,
						(select count(*)::int from transfers) as count`,
				)
			).rows[0];
		await waitFor("the accounts", () => sync.isUpToDate);
		const transfers = 30;
		const writing = (async () => {
			for (let id = 1; id <= transfers; id += 1) {
				await writer.query("begin");
				await writer.query("update accounts set balance = balance + $1 where id = $2", [id, (id % 2) + 1]);
				await writer.query("insert into transfers values ($1, $2, $3)", [id, (id % 2) + 1, id]);
				await writer.query("commit");
			}
		})();
		const seen: unknown[] = [];
		await waitFor(
			"all transfers",
			async () => {
				const state = await look();
				if (state?.balances !== state?.transfers) {
					seen.push(state);
				}
				return state?.count === transfers;
			},
			{ timeoutMs: 30_000 },
		);
		await writing;
		expect(seen).toEqual([]);
		sync.unsubscribe();
	});

	it("a stored subscription goes on where it was, after both sides were down, without asking for the first data", {
		timeout: 120_000,
	}, async () => {
		await database.sql(itemsDdl("kept"));
		await database.sql("insert into kept select g, g % 4, 'text', false from generate_series(1, 50) g");
		const place = join(directory.path(), "kept");
		const subscribe = async (pg: Synced, requests: URL[]) =>
			pg.electric.syncShapesToTables({
				key: "kept",
				shapes: { kept: { shape: shape("kept", undefined, requests), table: "kept", primaryKey: PRIMARY_KEY } },
			});
		{
			const pg = await openPglite(place);
			await pg.exec(itemsDdl("kept"));
			const sync = await subscribe(pg, []);
			await untilItems("the table", () => itemsOf(pg, "kept"), await selectItems(writer, "true", "kept"));
			await database.sql("update kept set title = 'changed' where id = 1");
			await untilItems("the table", () => itemsOf(pg, "kept"), await selectItems(writer, "true", "kept"));
			sync.unsubscribe();
			await pg.close();
		}
		await daemon.kill();
		await database.sql("update kept set id = id + 1000 where id % 3 = 0; delete from kept where id = 2");
		await daemon.start();
		const requests: URL[] = [];
		const pg = await pglite(place);
		const sync = await subscribe(pg, requests);
		await untilItems("the table, later", () => itemsOf(pg, "kept"), await selectItems(writer, "true", "kept"));
		expect(requests.some((url) => url.searchParams.get("offset") === "-1")).toBe(false);
		sync.unsubscribe();
	});

	it("tables equal SELECT under load, through a stop and a kill of Sluice and a deletion", {
		timeout: 120_000,
	}, async () => {
		const random = new Random(3);
		await database.sql(itemsDdl());
		await database.sql(itemsDdl("others"));
		const pg = await pglite();
		await pg.exec(`${itemsDdl()}; ${itemsDdl("others")}`);
		await writeItems(writer, random, 10);
		const sync = await pg.electric.syncShapesToTables({
			key: "load",
			shapes: {
				items: { shape: shape("items", "owner <> 3"), table: "items", primaryKey: PRIMARY_KEY },
				others: { shape: shape("others"), table: "others", primaryKey: PRIMARY_KEY },
			},
		});
		const steps = [
			async () => undefined,
			async () => {
				expect(await daemon.stop()).toBe(0);
				await writeItems(writer, random, 3);
				await daemon.start();
			},
			async () => {
				await daemon.kill();
				await writeItems(writer, random, 3, "others");
				await daemon.start();
			},
			async () => {
				expect((await fetch(`${daemon.shapeUrl}?table=others`, { method: "DELETE" })).status).toBe(202);
			},
		];
		for (const [index, step] of steps.entries()) {
			await writeItems(writer, random, 10);
			await writeItems(writer, random, 10, "others");
			await step();
			await writeItems(writer, random, 5);
			await untilItems(`items after step ${index}`, () => itemsOf(pg), await selectItems(writer, "owner <> 3"));
			const others = await selectItems(writer, "true", "others");
			await untilItems(`others after step ${index}`, () => itemsOf(pg, "others"), others);
		}
		sync.unsubscribe();
	});
});
