/**
 * The published client, the newest and 1.0, with long-polls and with event streams: everything it does with a shape,
 * and that it ends with what SELECT holds. What only the newest does with subsets is in test/e2e.
 */

import * as current from "@electric-sql/client";
import * as older from "electric-client-1.0";
import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestDaemon } from "../support/daemon.ts";
import { type ClientLibrary, ItemClient, type ItemClientOptions } from "../support/item-client.ts";
import { itemsDdl, selectItems, untilItems, writeItems } from "../support/item-workload.ts";
import { usePage } from "../support/page.ts";
import { oneTestServer, uniqueName, useDatabase } from "../support/postgres.ts";
import { Random } from "../support/random.ts";
import { waitFor } from "../support/wait-for.ts";

interface Variant {
	readonly name: string;
	readonly library: ClientLibrary;
	readonly liveSse: boolean;
	/** Its event streams look for a page's `document`. */
	readonly inPage?: boolean;
}

const one = older as unknown as ClientLibrary;
const VARIANTS: readonly Variant[] = [
	{ name: "1.5.28, long-poll", library: current, liveSse: false },
	{ name: "1.5.28, event stream", library: current, liveSse: true },
	{ name: "1.0.14, long-poll", library: one, liveSse: false },
	{ name: "1.0.14, event stream, in a page", library: one, liveSse: true, inPage: true },
];

describe("the published client", () => {
	const database = useDatabase(oneTestServer());
	let daemon: TestDaemon;
	let writer: Client;

	beforeAll(async () => {
		daemon = await TestDaemon.start({ databaseUrl: database.url, environment: { SLUICE_CHUNK_BYTES: "3000" } });
		writer = await database.connect();
	});

	afterAll(async () => {
		await daemon?.end();
	});

	async function newTable(): Promise<string> {
		const table = uniqueName("items");
		await database.sql(itemsDdl(table));
		await database.sql(`insert into ${table} select g, g % 4, repeat('x', 50), false from generate_series(1, 100) g`);
		return table;
	}

	describe.each(VARIANTS)("$name", ({ library, liveSse, inPage = false }) => {
		if (inPage) {
			usePage();
		}

		function open(options: Omit<ItemClientOptions, "url" | "library" | "liveSse">): ItemClient {
			return new ItemClient({ url: daemon.shapeUrl, library, liveSse, ...options });
		}

		it("holds a filtered shape through inserts, updates, deletes, moves and changes of the key", async () => {
			const table = await newTable();
			await using client = open({ params: { table, where: "owner = $1 and done = $2", params: ["1", "false"] } });
			const equal = async (what: string): Promise<void> =>
				untilItems(what, () => client.items(), await selectItems(writer, "owner = 1 and not done", table));
			await equal("the client at first");
			for (const [what, statement] of [
				["after an insert", `insert into ${table} values (200, 1, 'new'), (201, 2, 'of another')`],
				["after an update", `update ${table} set title = 'changed' where id in (1, 200, 201)`],
				["after moves", `update ${table} set owner = 3 - owner where id in (1, 2, 5, 6)`],
				["after a change of the key", `update ${table} set id = 300 where id = 200`],
				["after deletes", `delete from ${table} where id in (2, 9, 10, 300)`],
				["after it all at once", `update ${table} set id = id + 1000, title = 'a "b"', done = id % 3 = 0`],
			] as const) {
				await database.sql(statement);
				await equal(`the client ${what}`);
			}
			expect(client.errors).toEqual([]);
			expect(client.eventStreams > 0).toBe(liveSse);
			expect(client.requests.filter((url) => url.searchParams.get("offset") === "-1")).toHaveLength(1);
		});

		it("gets chosen columns, and the old values with replica=full", async () => {
			const table = await newTable();
			await using some = open({ params: { table, columns: ["id", "title"], where: "id < 3" } });
			await using full = open({ params: { table, where: "id < 3", replica: "full" } });
			await waitFor("both", () => some.items().length === 2 && full.items().length === 2);
			await waitFor("both to be live", () => some.liveRequests > 0 && full.liveRequests > 0);
			await database.sql(`update ${table} set done = true, title = 'new' where id = 1`);
			const changed = await waitFor("the update", () =>
				full.messages.find((message) => "key" in message && message.headers.operation === "update"),
			);
			expect(changed).toMatchObject({
				value: { id: 1, owner: 1, title: "new", done: true },
				old_value: { title: "x".repeat(50), done: false },
			});
			await waitFor("the column", () => some.items().some((row) => row["title"] === "new"));
			expect(some.items().map((row) => Object.keys(row).sort())).toEqual([
				["id", "title"],
				["id", "title"],
			]);
		});

		it("begins anew after a truncate and after the shape's deletion", async () => {
			const table = await newTable();
			await using client = open({ params: { table } });
			await untilItems("the client", () => client.items(), await selectItems(writer, "true", table));
			const refetches = (): number =>
				client.messages.filter(({ headers }) => "control" in headers && headers.control === "must-refetch").length;
			await database.sql(`truncate ${table}; insert into ${table} values (1, 1, 'after')`);
			await untilItems("the client after the truncate", () => client.items(), await selectItems(writer, "true", table));
			expect(refetches()).toBe(1);
			const handle = client.stream.shapeHandle;
			expect((await fetch(`${daemon.shapeUrl}?table=${table}`, { method: "DELETE" })).status).toBe(202);
			await waitFor("the client to begin anew", () => refetches() === 2 && client.stream.isUpToDate);
			await database.sql(`insert into ${table} values (2, 2, 'after the deletion')`);
			await untilItems("the client after the deletion", () => client.items(), await selectItems(writer, "true", table));
			expect(client.stream.shapeHandle).not.toBe(handle);
			expect(client.errors).toEqual([]);
		});

		it("goes on from a stored handle and offset, or begins anew when that shape is gone", async () => {
			const table = await newTable();
			const stored = { handle: "", offset: "" };
			{
				await using first = open({ params: { table } });
				await untilItems("the first client", () => first.items(), await selectItems(writer, "true", table));
				await database.sql(`update ${table} set title = 'seen' where id = 1`);
				await waitFor("the change", () => first.items().some((row) => row["title"] === "seen"));
				stored.handle = first.stream.shapeHandle ?? "";
				stored.offset = first.stream.lastOffset;
			}
			await database.sql(`update ${table} set title = 'missed' where id in (7, 8)`);
			const resume = { handle: stored.handle, offset: stored.offset as current.Offset, params: { table } };
			await using second = open(resume);
			await waitFor("what was missed", () => second.items().length === 2);
			await waitFor("the second to be up to date", () => second.stream.isUpToDate);
			expect(second.items().map((row) => [row["id"], row["title"]])).toEqual([
				[7, "missed"],
				[8, "missed"],
			]);
			expect(second.requests.some((url) => url.searchParams.get("offset") === "-1")).toBe(false);

			await database.sql(`truncate ${table}; insert into ${table} values (1, 1, 'after')`);
			await untilItems("the second", () => second.items(), await selectItems(writer, "true", table));
			await using third = open(resume);
			await untilItems("the third", () => third.items(), await selectItems(writer, "true", table));
			expect([...second.errors, ...third.errors]).toEqual([]);
		});

		it("takes parts of a shape and the changes of all of it", async () => {
			const table = await newTable();
			await using client = open({ log: "changes_only", params: { table, replica: "full" } });
			await waitFor("the stream to be live", () => client.liveRequests > 0);
			expect(client.items()).toEqual([]);
			await client.stream.requestSnapshot({
				where: "owner = $1",
				params: { "1": "2" },
				orderBy: "id desc",
				limit: 5,
			});
			await waitFor("five rows", () => client.items().length === 5);
			expect(new Set(client.items().map((row) => row["owner"]))).toEqual(new Set([2]));
			await database.sql(`delete from ${table} where id = 98; insert into ${table} values (500, 3, 'change')`);
			await waitFor("the changes", () => {
				const ids = new Set(client.items().map((row) => row["id"]));
				return ids.has(500) && !ids.has(98) && ids.has(94);
			});
			expect(client.errors).toEqual([]);
		});
	});

	describe("all variants, in a page", () => {
		usePage();

		it("equal SELECT under load, through a stop and two kills of Sluice, with the same handle", {
			timeout: 120_000,
		}, async () => {
			const table = uniqueName("load");
			await database.sql(itemsDdl(table));
			const random = new Random(5);
			await writeItems(writer, random, 10, table);
			const wheres = ["true", "owner = 1", "done and owner in (0, 2)"];
			const clients = VARIANTS.flatMap(({ name, library, liveSse, inPage = false }) =>
				wheres.map((where) => ({
					name: `${name}, ${where}`,
					where,
					client: new ItemClient({
						url: daemon.shapeUrl,
						library,
						liveSse,
						goesOnWhenBroken: inPage,
						params: { table, where },
					}),
				})),
			);
			try {
				const handles = new Map<string, string | undefined>();
				for (let round = 0; round < 4; round += 1) {
					const writing = writeItems(writer, random, 40, table);
					if (round > 0) {
						// Not in step with the writes: the end falls somewhere among them.
						await (round === 1 ? daemon.stop() : daemon.kill());
						await daemon.start();
					}
					await writing;
					for (const { name, where, client } of clients) {
						const expected = await selectItems(writer, where, table);
						await untilItems(`${name} in round ${round}`, () => client.items(), expected);
						expect(handles.get(name) ?? client.stream.shapeHandle).toBe(client.stream.shapeHandle);
						handles.set(name, client.stream.shapeHandle);
					}
				}
				expect(clients.flatMap(({ client }) => client.errors)).toEqual([]);
			} finally {
				await Promise.all(clients.map(({ client }) => client[Symbol.asyncDispose]()));
			}
		});
	});
});
