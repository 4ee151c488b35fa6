/**
 * TanStack DB's collection over Sluice: eager, on-demand and progressive loading, live queries, and mutations that
 * stay optimistic until their transaction comes back by the stream.
 */

import { type Collection, createCollection, createLiveQueryCollection, eq } from "@tanstack/db";
import { type ElectricCollectionUtils, electricCollectionOptions } from "@tanstack/electric-db-collection";
import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestDaemon } from "../support/daemon.ts";
import { type Item, itemsDdl, selectItems, untilItems, writeItems } from "../support/item-workload.ts";
import { oneTestServer, useDatabase } from "../support/postgres.ts";
import { Random } from "../support/random.ts";
import { waitFor } from "../support/wait-for.ts";

type ItemRow = Item & Record<string, unknown>;
type ItemCollection = Collection<ItemRow, string | number, ElectricCollectionUtils<ItemRow>>;

/** The transaction's number as the stream's `txids` have it: 32 bits. */
async function inTransaction(writer: Client, text: string, values: readonly unknown[]): Promise<number> {
	await writer.query("begin");
	await writer.query(text, [...values]);
	const { rows } = await writer.query<{ txid: string }>("select pg_current_xact_id()::xid::text as txid");
	await writer.query("commit");
	return Number(rows[0]?.txid);
}

describe("TanStack DB", () => {
	const database = useDatabase(oneTestServer());
	let daemon: TestDaemon;
	let writer: Client;
	const open: { cleanup(): Promise<void> }[] = [];

	beforeAll(async () => {
		daemon = await TestDaemon.start({ databaseUrl: database.url });
		writer = await database.connect();
	});

	afterAll(async () => {
		await Promise.all(open.splice(0).map((collection) => collection.cleanup()));
		await daemon?.end();
	});

	function collect(
		table: string,
		options: {
			readonly syncMode?: "eager" | "on-demand" | "progressive";
			readonly where?: string;
			readonly liveSse?: boolean;
			readonly replica?: "default" | "full";
			readonly requests?: URL[];
		} = {},
	): ItemCollection {
		const { syncMode = "eager", where, liveSse = false, replica = "default", requests = [] } = options;
		const collection = createCollection(
			electricCollectionOptions<ItemRow>({
				id: `${table}-${syncMode}-${open.length}`,
				syncMode,
				getKey: (row) => row.id,
				shapeOptions: {
					url: daemon.shapeUrl,
					params: { table, replica, ...(where === undefined ? {} : { where }) },
					liveSse,
					backoffOptions: { initialDelay: 50, maxDelay: 500, multiplier: 2 },
					fetchClient: (input, init) => {
						requests.push(new URL(input instanceof Request ? input.url : input));
						return fetch(input, init);
					},
				},
				onInsert: async ({ transaction }) => {
					const { id, owner, title, done } = transaction.mutations[0].modified;
					const text = `insert into ${table} values ($1, $2, $3, $4)`;
					return { txid: await inTransaction(writer, text, [id, owner, title, done]), timeout: 20_000 };
				},
				onUpdate: async ({ transaction }) => {
					const { id, title, done } = transaction.mutations[0].modified;
					const text = `update ${table} set title = $2, done = $3 where id = $1`;
					return { txid: await inTransaction(writer, text, [id, title, done]), timeout: 20_000 };
				},
				onDelete: async ({ transaction }) => {
					const { id } = transaction.mutations[0].original;
					return { txid: await inTransaction(writer, `delete from ${table} where id = $1`, [id]), timeout: 20_000 };
				},
			}),
		) as unknown as ItemCollection;
		open.unshift(collection);
		return collection;
	}

	/** Subscribed, or it would be given up as unused after five seconds; ends before the collections that it reads. */
	function live<T extends { cleanup(): Promise<void>; subscribeChanges(listener: () => void): unknown }>(query: T): T {
		query.subscribeChanges(() => undefined);
		open.unshift(query);
		return query;
	}

	it.each([false, true])("mutations settle when their transaction arrives (event stream: %s)", async (liveSse) => {
		const table = `mutated_${liveSse}`;
		await database.sql(itemsDdl(table));
		await database.sql(`insert into ${table} values (1, 1, 'there before', false), (2, 2, 'of another', false)`);
		const items = collect(table, { where: "owner = 1", liveSse });
		await items.preload();
		expect(items.toArray.map(({ id }) => id)).toEqual([1]);

		const insert = items.insert({ id: 3, owner: 1, title: "new", done: false });
		expect(items.has(3)).toBe(true);
		await insert.isPersisted.promise;
		const update = items.update(3, (draft) => {
			draft.title = "changed";
		});
		await update.isPersisted.promise;
		const removal = items.delete(1);
		await removal.isPersisted.promise;
		// What is left is the server's: no optimistic change covers it any more.
		await untilItems("the collection", () => items.toArray, await selectItems(writer, "owner = 1", table));
		expect(items.get(3)?.title).toBe("changed");

		// A number that somebody else's answer named, after its change has come.
		const txid = await inTransaction(writer, `update ${table} set done = true where id = $1`, [3]);
		await waitFor("the change", () => items.get(3)?.done);
		expect(await items.utils.awaitTxId(txid, 20_000)).toBe(true);
		await expect(items.utils.awaitTxId(txid + 1_000_000, 50)).rejects.toThrow(/[Tt]imeout/);

		// A change that the server refuses goes back.
		const refused = items.insert({ id: 3_000_000_000, owner: 1, title: "too large an id", done: false });
		await expect(refused.isPersisted.promise).rejects.toThrow("out of range");
		await writer.query("rollback");
		expect(items.has(3_000_000_000)).toBe(false);
	});

	it("live queries over two collections follow their changes", async () => {
		await database.sql(itemsDdl("joined"));
		await database.sql("create table owners (id int primary key, name text not null)");
		await database.sql("insert into owners values (1, 'Ada'), (2, 'Brian')");
		await database.sql("insert into joined select g, g % 3, 'item ' || g, false from generate_series(1, 9) g");
		const items = collect("joined");
		const owners = collect("owners") as unknown as Collection<{ id: number; name: string }, string | number>;
		const query = live(
			createLiveQueryCollection((build) =>
				build
					.from({ item: items })
					.join({ owner: owners }, ({ item, owner }) => eq(item.owner, owner.id), "inner")
					.where(({ item }) => eq(item.done, false))
					.select(({ item, owner }) => ({ id: item.id, name: owner.name })),
			),
		);
		await query.preload();
		const names = () =>
			query.toArray
				.map(({ id, name }) => `${id} ${name}`)
				.sort()
				.join();
		expect(names()).toBe("1 Ada,2 Brian,4 Ada,5 Brian,7 Ada,8 Brian");
		await database.sql("update owners set name = 'Ada L.' where id = 1");
		await waitFor("the new name", () => names() === "1 Ada L.,2 Brian,4 Ada L.,5 Brian,7 Ada L.,8 Brian");
		await database.sql("update joined set done = true where id < 5; delete from joined where id = 5");
		await waitFor("what is left", () => names() === "7 Ada L.,8 Brian");
		await database.sql("update joined set id = 70 where id = 7");
		await waitFor("the changed key", () => names() === "70 Ada L.,8 Brian");
	});

	it("on-demand collections load what queries ask for, as subsets, and follow the changes of that", async () => {
		await database.sql(itemsDdl("demanded"));
		await database.sql("insert into demanded select g, g % 4, 'item ' || g, false from generate_series(1, 40) g");
		const requests: URL[] = [];
		const items = collect("demanded", { syncMode: "on-demand", requests });
		const ofOwner = live(
			createLiveQueryCollection((build) => build.from({ item: items }).where(({ item }) => eq(item.owner, 1))),
		);
		await ofOwner.preload();
		await untilItems("owner 1", () => ofOwner.toArray, await selectItems(writer, "owner = 1", "demanded"));
		expect(items.size).toBe(10);

		const top = live(
			createLiveQueryCollection((build) =>
				build
					.from({ item: items })
					.orderBy(({ item }) => item.id, "desc")
					.limit(3),
			),
		);
		await top.preload();
		await waitFor("the last three", () => top.toArray.map(({ id }) => id).join() === "40,39,38");
		expect(requests.some((url) => url.searchParams.has("subset__where"))).toBe(true);
		expect(requests.some((url) => url.searchParams.has("subset__limit"))).toBe(true);
		expect(requests.every((url) => url.searchParams.get("log") === "changes_only")).toBe(true);

		await database.sql("update demanded set title = 'changed' where owner = 1; insert into demanded values (41, 1)");
		await database.sql("delete from demanded where id = 40; update demanded set id = 50 where id = 39");
		await untilItems("owner 1, changed", () => ofOwner.toArray, await selectItems(writer, "owner = 1", "demanded"));
		await waitFor("the last three, changed", () => top.toArray.map(({ id }) => id).join() === "50,41,38");
	});

	it("a progressive collection answers a query from a subset while all the rest comes", async () => {
		await database.sql(itemsDdl("progressing"));
		await database.sql(
			"insert into progressing select g, g % 4, repeat('x', 200), false from generate_series(1, 20000) g",
		);
		const requests: URL[] = [];
		const items = collect("progressing", { syncMode: "progressive", requests });
		const few = live(
			createLiveQueryCollection((build) => build.from({ item: items }).where(({ item }) => eq(item.id, 7))),
		);
		await few.preload();
		expect(few.toArray.map(({ id }) => id)).toEqual([7]);
		await items.stateWhenReady();
		await waitFor("all rows", () => items.size === 20_000);
		expect(requests.some((url) => url.searchParams.has("subset__where"))).toBe(true);
		await database.sql("update progressing set title = 'changed' where id = 7; delete from progressing where id = 8");
		await waitFor("the changes", () => few.toArray[0]?.title === "changed" && items.size === 19_999);
	});

	it("collections equal SELECT under load, through truncate, deletion, a stop and a kill of Sluice", {
		timeout: 120_000,
	}, async () => {
		await database.sql(itemsDdl());
		const random = new Random(11);
		await writeItems(writer, random, 10);
		const wheres = ["true", "owner = 1", "done"];
		const shapes = [
			collect("items"),
			collect("items", { where: "owner = 1" }),
			collect("items", { where: "done", liveSse: true }),
		];
		// Whole rows: an update may bring in a row that the collection has never loaded.
		const demanded = collect("items", { syncMode: "on-demand", replica: "full" });
		const query = live(
			createLiveQueryCollection((build) => build.from({ item: demanded }).where(({ item }) => eq(item.owner, 2))),
		);
		await Promise.all([...shapes.map((items) => items.preload()), query.preload()]);
		const steps = [
			async () => undefined,
			async () => {
				expect(await daemon.stop()).toBe(0);
				await writeItems(writer, random, 3);
				await daemon.start();
			},
			async () => {
				await daemon.kill();
				await writeItems(writer, random, 3);
				await daemon.start();
			},
			async () => {
				const answer = await fetch(`${daemon.shapeUrl}?table=items&where=${encodeURIComponent("owner = 1")}`, {
					method: "DELETE",
				});
				expect(answer.status).toBe(202);
			},
			async () => {
				await database.sql("truncate items");
				await writeItems(writer, random, 5);
			},
		];
		for (const [index, step] of steps.entries()) {
			await writeItems(writer, random, 15);
			await step();
			await writeItems(writer, random, 5);
			for (const [which, items] of shapes.entries()) {
				const expected = await selectItems(writer, wheres[which]);
				await untilItems(`collection ${which} after step ${index}`, () => items.toArray, expected);
			}
			await untilItems(`the query after step ${index}`, () => query.toArray, await selectItems(writer, "owner = 2"));
		}
	});
});
