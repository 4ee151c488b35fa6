/**
 * Sluice behind nginx with the configuration that docker/nginx gives to users: what the cache answers itself, what
 * it collapses, and that clients behind it end with what SELECT holds. A hop between the two counts what comes
 * through.
 */

import { request } from "node:http";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CountingHop } from "../support/counting-hop.ts";
import { TestDaemon } from "../support/daemon.ts";
import { ItemClient } from "../support/item-client.ts";
import { itemsDdl, selectItems, untilItems, writeItems } from "../support/item-workload.ts";
import { findNginx, Nginx } from "../support/nginx.ts";
import { oneTestServer, useDatabase } from "../support/postgres.ts";
import { Random } from "../support/random.ts";
import { waitFor } from "../support/wait-for.ts";

const search = await findNginx();
const isMissing = "reason" in search;
const CLIENTS = 25;

interface RawAnswer {
	readonly status: number;
	readonly headers: NodeJS.Dict<string | string[]>;
	readonly body: Buffer;
}

/** As it is on the wire: `fetch` would take the encoding off. */
function rawGet(url: string, headers: Record<string, string> = {}): Promise<RawAnswer> {
	return new Promise((resolve, reject) => {
		const outgoing = request(url, { headers, agent: false }, (response) => {
			const pieces: Buffer[] = [];
			response.on("data", (piece: Buffer) => pieces.push(piece));
			response.on("error", reject);
			response.on("end", () =>
				resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(pieces) }),
			);
		});
		outgoing.on("error", reject);
		outgoing.end();
	});
}

describe.skipIf(isMissing)(`behind nginx${isMissing ? ` (${search.reason})` : ""}`, () => {
	const database = useDatabase(oneTestServer());
	let daemon: TestDaemon;
	let hop: CountingHop;
	let nginx: Nginx;

	beforeAll(async () => {
		daemon = await TestDaemon.start({
			databaseUrl: database.url,
			environment: { SLUICE_CHUNK_BYTES: "4000", SLUICE_HTTP_THREADS: "2", SLUICE_CACHE_MAX_AGE: "5" },
		});
		hop = await CountingHop.start(daemon.url);
		nginx = await Nginx.start("binary" in search ? search.binary : "", hop.port);
	});

	afterAll(async () => {
		await nginx?.stop();
		await hop?.stop();
		await daemon?.end();
	});

	function targetsOf(table: string, matches: (parameters: URLSearchParams) => boolean): Map<string, number> {
		return hop.counts(({ searchParams }) => searchParams.get("table") === table && matches(searchParams));
	}

	it("many live clients at one place cost one request, and all of them see each change", async () => {
		await database.sql(itemsDdl("shared"));
		await database.sql("insert into shared values (1, 0, 'first', false)");
		const isLive = (parameters: URLSearchParams): boolean => parameters.get("live") === "true";
		await using clients = new ItemClients(
			Array.from({ length: CLIENTS }, () => new ItemClient({ url: nginx.shapeUrl, params: { table: "shared" } })),
		);
		for (let change = 2; change <= 4; change += 1) {
			await waitFor("every client to be live", () => clients.all.every((client) => client.liveRequests >= change - 1));
			await waitFor("the live request to reach the server", () => targetsOf("shared", isLive).size >= change - 1);
			await database.sql("insert into shared values ($1, 0, 'more', false)", [change]);
			await waitFor("every client to see it", () => clients.all.every((client) => client.items().length === change));
		}
		expect([...targetsOf("shared", isLive).values()].every((count) => count === 1)).toBe(true);
		expect([...targetsOf("shared", () => true).values()].every((count) => count === 1)).toBe(true);
		// Three changes, and the request that waits for the fourth.
		expect(targetsOf("shared", isLive).size).toBeLessThanOrEqual(4);
		expect(clients.errors()).toEqual([]);
	});

	it("first data and catch-up are answered from the cache, and an expired entry costs a 304", async () => {
		await database.sql(itemsDdl("read"));
		await database.sql("insert into read select g, g % 4, repeat('x', 100), false from generate_series(1, 200) g");
		let offset = "-1";
		let handle = "";
		let chunks = 0;
		for (let upToDate = false; !upToDate; chunks += 1) {
			const url = `${nginx.shapeUrl}?table=read&offset=${offset}${handle === "" ? "" : `&handle=${handle}`}`;
			const first = await rawGet(url);
			const second = await rawGet(url);
			expect(first.headers["x-cache-status"]).toBe("MISS");
			expect(second.headers["x-cache-status"]).toBe("HIT");
			expect(second.body.equals(first.body)).toBe(true);
			expect(second.headers["electric-offset"]).toBe(first.headers["electric-offset"]);
			upToDate = first.headers["electric-up-to-date"] !== undefined;
			offset = String(first.headers["electric-offset"]);
			handle = String(first.headers["electric-handle"]);
		}
		expect(chunks).toBeGreaterThan(4);

		const chunk = `${nginx.shapeUrl}?table=read&offset=0_0&handle=${handle}`;
		const before = await rawGet(chunk);
		const again = await waitFor("the entry to expire", async () => {
			const answer = await rawGet(chunk);
			return answer.headers["x-cache-status"] === "REVALIDATED" && answer;
		});
		expect(again.body.equals(before.body)).toBe(true);
		expect(again.headers.etag).toBe(before.headers.etag);
	});

	it("a client that takes gzip and one that does not get the same rows, each in its form", async () => {
		await database.sql(itemsDdl("forms"));
		await database.sql("insert into forms select g, g % 4, repeat('y', 100), false from generate_series(1, 20) g");
		const url = `${nginx.shapeUrl}?table=forms&offset=-1`;
		for (const status of ["MISS", "HIT"]) {
			const zipped = await rawGet(url, { "accept-encoding": "deflate, gzip;q=1.0" });
			const plain = await rawGet(url);
			expect(zipped.headers["x-cache-status"]).toBe(status);
			expect(plain.headers["x-cache-status"]).toBe(status);
			expect(zipped.headers["content-encoding"]).toBe("gzip");
			expect(plain.headers["content-encoding"]).toBeUndefined();
			expect(gunzipSync(zipped.body).equals(plain.body)).toBe(true);
			expect(zipped.headers.etag).not.toBe(plain.headers.etag);
			expect(plain.headers.vary).toContain("accept-encoding");
		}
		const known = await rawGet(url, { "if-none-match": String((await rawGet(url)).headers.etag) });
		expect(known.status).toBe(304);
	});

	it("a page of another origin may read what the cache holds", async () => {
		const url = `${nginx.shapeUrl}?table=forms&offset=-1&page=origins`;
		const one = await rawGet(url, { origin: "https://one.example" });
		const two = await rawGet(url, { origin: "https://two.example" });
		expect(two.headers["x-cache-status"]).toBe("HIT");
		expect([one.headers["access-control-allow-origin"], two.headers["access-control-allow-origin"]]).toEqual([
			"*",
			"*",
		]);
	});

	it("a cached 409 names the successor, and new clients get past cached first data of a dead shape", async () => {
		// As the published client asks, so that it shares the entries.
		const asTheClient = { "accept-encoding": "gzip, deflate" };
		await database.sql(itemsDdl("dead"));
		await database.sql("insert into dead select g, g % 4, 'old', false from generate_series(1, 10) g");
		const old = await rawGet(`${nginx.shapeUrl}?log=full&offset=-1&table=dead`, asTheClient);
		const handle = String(old.headers["electric-handle"]);
		await database.sql("truncate dead; insert into dead values (99, 0, 'new', false)");
		const stale = `${nginx.shapeUrl}?table=dead&offset=0_0&handle=${handle}`;
		const first = await waitFor("the shape to be dead", async () => {
			const answer = await rawGet(`${stale}&cache-buster=${Math.random()}`);
			return answer.status === 409 && answer;
		});
		const successor = String(first.headers["electric-handle"]);
		expect(successor).not.toBe(handle);
		for (const status of ["MISS", "HIT", "HIT"]) {
			const answer = await rawGet(stale);
			expect(answer.status).toBe(409);
			expect(answer.headers["x-cache-status"]).toBe(status);
			expect(answer.headers["electric-handle"]).toBe(successor);
		}
		// The cache goes on giving the dead shape's first data to whoever asks without knowing.
		expect(
			(await rawGet(`${nginx.shapeUrl}?log=full&offset=-1&table=dead`, asTheClient)).headers["electric-handle"],
		).toBe(handle);
		const writer = await database.connect();
		const expected = await selectItems(writer, "true", "dead");
		for (const liveSse of [false, true]) {
			await using client = new ItemClient({ url: nginx.shapeUrl, params: { table: "dead" }, liveSse });
			await untilItems("a client that begins with a dead shape", () => client.items(), expected);
			expect(client.errors).toEqual([]);
			expect(client.requests.length).toBeLessThan(15);
		}
		// The same process begins once more: it knows the dead handle now and says so.
		await using knowing = new ItemClient({ url: nginx.shapeUrl, params: { table: "dead" } });
		await untilItems("a client that knows the dead handle", () => knowing.items(), expected);
		expect(knowing.requests.some((url) => url.searchParams.get("expired_handle") === handle)).toBe(true);
	});

	it("event streams pass at once and are not stored", async () => {
		await database.sql(itemsDdl("events"));
		await using clients = new ItemClients(
			Array.from(
				{ length: 3 },
				() => new ItemClient({ url: nginx.shapeUrl, params: { table: "events" }, liveSse: true }),
			),
		);
		await waitFor("three streams", () => clients.all.every((client) => client.eventStreams === 1));
		for (let id = 1; id <= 3; id += 1) {
			await database.sql("insert into events values ($1, 0, 'event', false)", [id]);
			await waitFor("the event at every client", () => clients.all.every((client) => client.items().length === id));
		}
		// The same three streams all along: nothing was held back until a stream's end.
		expect(clients.all.map((client) => client.eventStreams)).toEqual([1, 1, 1]);
		expect([...targetsOf("events", (parameters) => parameters.get("live_sse") === "true").values()]).toEqual([3]);
		expect(clients.errors()).toEqual([]);
	});

	it("clients behind the cache equal SELECT under load, through a stop and a kill of Sluice", {
		timeout: 120_000,
	}, async () => {
		await database.sql(itemsDdl());
		const writer = await database.connect();
		const random = new Random(7);
		await writeItems(writer, random, 10);
		const wheres = [null, null, "owner = 1", "owner = 1", "done", "not done"];
		await using clients = new ItemClients(
			wheres.map(
				(where, index) =>
					new ItemClient({
						url: nginx.shapeUrl,
						params: { table: "items", ...(where === null ? {} : { where }) },
						liveSse: index % 2 === 1,
					}),
			),
		);
		const handles = new Map<ItemClient, string | undefined>();
		for (let round = 0; round < 4; round += 1) {
			await writeItems(writer, random, 25);
			if (round === 1) {
				expect(await daemon.stop()).toBe(0);
				await writeItems(writer, random, 2);
				await daemon.start();
			} else if (round === 2) {
				await daemon.kill();
				await writeItems(writer, random, 2);
				await daemon.start();
			}
			for (const [index, client] of clients.all.entries()) {
				const expected = await selectItems(writer, wheres[index] ?? "true");
				await untilItems(`client ${index} in round ${round}`, () => client.items(), expected);
				expect(handles.get(client) ?? client.stream.shapeHandle).toBe(client.stream.shapeHandle);
				handles.set(client, client.stream.shapeHandle);
			}
		}
		expect(clients.errors()).toEqual([]);
	});
});

/** Clients that end together. */
class ItemClients implements AsyncDisposable {
	readonly all: readonly ItemClient[];

	constructor(all: readonly ItemClient[]) {
		this.all = all;
	}

	errors(): readonly Error[] {
		return this.all.flatMap((client) => client.errors);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await Promise.all(this.all.map((client) => client[Symbol.asyncDispose]()));
	}
}
