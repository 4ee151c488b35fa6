/**
 * The published client 0.4.0, which speaks the protocol's first form: table in the path, shape ids, `x-electric-`
 * headers. It has no columns, no parameters, no event streams.
 */

import { type Message, Shape, ShapeStream } from "electric-client-0.4";
import type { Client } from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { TestDaemon } from "../support/daemon.ts";
import { itemsDdl, selectItems, untilItems, writeItems } from "../support/item-workload.ts";
import { oneTestServer, uniqueName, useDatabase } from "../support/postgres.ts";
import { Random } from "../support/random.ts";
import { waitFor } from "../support/wait-for.ts";

type StreamOptions = Partial<ConstructorParameters<typeof ShapeStream>[0]>;

interface FirstClient {
	readonly stream: ShapeStream;
	readonly requests: URL[];
	readonly messages: Message[];
	items(): readonly object[];
	/** Where the next request begins: the client keeps its offset to itself. */
	lastOffset(): string;
}

describe("client 0.4.0", () => {
	const database = useDatabase(oneTestServer());
	let daemon: TestDaemon;
	let writer: Client;
	const aborts: AbortController[] = [];

	beforeAll(async () => {
		daemon = await TestDaemon.start({ databaseUrl: database.url, environment: { SLUICE_CHUNK_BYTES: "3000" } });
		writer = await database.connect();
	});

	afterEach(() => {
		for (const abort of aborts.splice(0)) {
			abort.abort();
		}
		vi.restoreAllMocks();
	});

	afterAll(async () => {
		await daemon?.end();
	});

	function open(table: string, options: StreamOptions = {}): FirstClient {
		const abort = new AbortController();
		aborts.push(abort);
		const requests: URL[] = [];
		const messages: Message[] = [];
		const stream = new ShapeStream({
			url: `${daemon.shapeUrl}/${table}`,
			signal: abort.signal,
			backoffOptions: { initialDelay: 50, maxDelay: 500, multiplier: 2 },
			fetchClient: (input, init) => {
				requests.push(new URL(input instanceof Request ? input.url : input));
				return fetch(input, init);
			},
			...options,
		});
		stream.subscribe((batch) => {
			messages.push(...batch);
		});
		const shape = new Shape(stream);
		return {
			stream,
			requests,
			messages,
			items: () => [...shape.valueSync.values()],
			lastOffset: () => requests.at(-1)?.searchParams.get("offset") ?? "",
		};
	}

	async function newTable(): Promise<string> {
		const table = uniqueName("items");
		await database.sql(itemsDdl(table));
		await database.sql(`insert into ${table} select g, g % 4, repeat('x', 50), false from generate_series(1, 100) g`);
		return table;
	}

	it("holds a filtered shape through every kind of change", async () => {
		const table = await newTable();
		const client = open(table, { where: "owner = 1" });
		const equal = async (what: string): Promise<void> =>
			untilItems(what, () => client.items(), await selectItems(writer, "owner = 1", table));
		await equal("the client at first");
		await database.sql(`insert into ${table} values (200, 1, 'new'), (201, 2, 'of another')`);
		await database.sql(`update ${table} set title = 'changed', done = true where id in (1, 200)`);
		await database.sql(`update ${table} set owner = 3 - owner where id in (1, 2, 5, 6)`);
		await equal("the client after an insert, an update and moves");
		await database.sql(`update ${table} set id = 300 where id = 200; delete from ${table} where id in (9, 13)`);
		await equal("the client after a change of the key and deletes");
		expect(client.requests.filter((url) => url.searchParams.get("offset") === "-1")).toHaveLength(1);
	});

	it("begins anew after a truncate and after the shape's deletion", async () => {
		const table = await newTable();
		const client = open(table);
		await untilItems("the client", () => client.items(), await selectItems(writer, "true", table));
		const refetches = (): number =>
			client.messages.filter(({ headers }) => headers["control"] === "must-refetch").length;
		await database.sql(`truncate ${table}; insert into ${table} values (1, 1, 'after')`);
		await untilItems("the client after the truncate", () => client.items(), await selectItems(writer, "true", table));
		expect(refetches()).toBe(1);
		const shapeId = client.stream.shapeId;
		expect((await fetch(`${daemon.shapeUrl}?table=${table}`, { method: "DELETE" })).status).toBe(202);
		await waitFor("the client to begin anew", () => refetches() === 2 && client.stream.isUpToDate);
		expect(client.stream.shapeId).not.toBe(shapeId);
	});

	it("goes on from a stored shape id and offset", async () => {
		const table = await newTable();
		const first = open(table);
		await untilItems("the first client", () => first.items(), await selectItems(writer, "true", table));
		await waitFor("a live request", () => first.requests.at(-1)?.searchParams.get("live") === "true");
		const stored = { shapeId: first.stream.shapeId ?? "", offset: first.lastOffset() as `${number}_${number}` };
		aborts.pop()?.abort();
		await database.sql(`update ${table} set title = 'missed' where id in (7, 8)`);
		const second = open(table, stored);
		await waitFor("what was missed", () => second.items().length === 2);
		expect(second.requests[0]?.searchParams.get("shape_id")).toBe(stored.shapeId);
		expect(second.requests.some((url) => url.searchParams.get("offset") === "-1")).toBe(false);
	});

	it("equals SELECT under load, through a stop and a kill of Sluice, with the same shape id", {
		timeout: 120_000,
	}, async () => {
		// It prints a line for each try.
		vi.spyOn(console, "log").mockImplementation(() => undefined);
		const table = uniqueName("load");
		await database.sql(itemsDdl(table));
		const random = new Random(17);
		const wheres = ["true", "owner = 1"];
		const clients = wheres.map((where) => open(table, { where }));
		const shapeIds: (string | undefined)[] = [];
		for (const end of [null, () => daemon.stop(), () => daemon.kill()]) {
			const writing = writeItems(writer, random, 30, table);
			if (end !== null) {
				await end();
				await daemon.start();
			}
			await writing;
			for (const [index, client] of clients.entries()) {
				const expected = await selectItems(writer, wheres[index], table);
				await untilItems(`client ${index}`, () => client.items(), expected);
				shapeIds[index] ??= client.stream.shapeId;
				expect(client.stream.shapeId).toBe(shapeIds[index]);
			}
		}
	});
});
