/**
 * Connections that are dead and do not say so, resets, and a server that accepts and never answers: a proxy between
 * Sluice and PostgreSQL swallows what is sent. The link notices within one `wal_sender_timeout`, connections beside it
 * by their own deadlines; no row is lost, none doubled.
 */

import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { TestDaemon } from "../support/daemon.ts";
import { embeddedServers, type TestDatabase, useServer } from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { type Direction, TcpProxy } from "../support/tcp-proxy.ts";
import { waitFor } from "../support/wait-for.ts";

const TIMEOUT_MS = 3_000;
const GENEROUS_MS = 60_000;

describe.each(embeddedServers([18]))("$name behind a network that fails", (kind) => {
	const server = useServer(kind);

	async function stand(environment: Record<string, string> = {}) {
		const database = await server.createDatabase();
		await database.sql("create table items (id int primary key, body text)");
		await database.sql(`alter database ${database.name} set wal_sender_timeout = '${TIMEOUT_MS}ms'`);
		const proxy = await TcpProxy.start(() => server.local.port);
		const daemon = await TestDaemon.start({ databaseUrl: proxy.through(database.url), environment });
		const reader = new ShapeReader(daemon.shapeUrl, { table: "items" });
		await reader.shape.rows;
		return {
			database,
			proxy,
			daemon,
			reader,
			async [Symbol.asyncDispose]() {
				reader.stop();
				await daemon.end();
				await proxy[Symbol.asyncDispose]();
				await database.drop();
			},
		};
	}

	async function same(database: TestDatabase, reader: ShapeReader): Promise<void> {
		const rows = await database.sql<{ id: number; body: string }>("select id, body from items order by id");
		await reader.until("what SELECT shows", (held) => held.size === rows.length, GENEROUS_MS);
		expect([...reader.rows().values()].map((row) => row["id"]).toSorted()).toEqual(
			rows.map((row) => String(row.id)).toSorted(),
		);
		expect(reader.errors).toEqual([]);
	}

	async function connects(daemon: TestDaemon): Promise<number> {
		return (await daemon.status()).link.connects;
	}

	// Each waits for deadlines most of the time: together they take as long as the longest.
	it.concurrent.each<readonly Direction[][]>([[["up", "down"]], [["down"]], [["up"]]])(
		"streams again after every connection has gone deaf: %s",
		{ timeout: 120_000 },
		async (directions) => {
			await using room = await stand();
			const { database, proxy, daemon, reader } = room;
			await database.sql("insert into items values (1, 'before')");
			await reader.until("the first row", (rows) => rows.has("1"));
			const before = await connects(daemon);
			const began = performance.now();
			proxy.swallow(...directions);
			await database.sql("insert into items values (2, 'while deaf')");
			await waitFor("another link", async () => (await connects(daemon)) > before, { timeoutMs: GENEROUS_MS });
			// The dead peer is noticed within one timeout; a keepalive's distance and the first delay of a retry come on top.
			expect(performance.now() - began).toBeLessThan(TIMEOUT_MS * 2 + 4_000);
			await reader.until("the second row", (rows) => rows.has("2"), GENEROUS_MS);
			await database.sql("insert into items select g, 'after' from generate_series(3, 50) g");
			await same(database, reader);
		},
	);

	it.concurrent("takes the lock back from its own session that has gone deaf, without giving the slot up", {
		timeout: 120_000,
	}, async () => {
		await using room = await stand();
		const { proxy, daemon } = room;
		proxy.swallow("up", "down");
		await waitFor("the lock again", () => daemon.log.split("holding the stream's lock").length > 2, {
			timeoutMs: GENEROUS_MS,
		});
		await daemon.untilActive();
		expect(daemon.log).not.toContain("giving the slot up");
	});

	it.concurrent("makes a new shape after every SQL connection has gone deaf", { timeout: 120_000 }, async () => {
		await using room = await stand();
		const { database, proxy, daemon } = room;
		await database.sql("create table others (id int primary key); insert into others values (1)");
		proxy.swallow("up", "down");
		const began = performance.now();
		const other = new ShapeReader(daemon.shapeUrl, { table: "others" });
		try {
			await other.until("its row", (rows) => rows.has("1"), GENEROUS_MS);
		} finally {
			other.stop();
		}
		expect(performance.now() - began).toBeLessThan(45_000);
	});

	it.concurrent("bounds a pause over a deaf connection, and loses nothing", { timeout: 120_000 }, async () => {
		await using room = await stand({ SLUICE_WINDOW_BYTES: "8388608", SLUICE_PAUSE_LIMIT_MS: "8000" });
		const { database, proxy, daemon, reader } = room;
		await daemon.admin("POST", "/v1/lanes/suspend");
		await database.sql("insert into items select g, repeat('x', 2000) from generate_series(1, 20000) g");
		await waitFor("the pause", async () => (await daemon.status()).link.pauseReasons.includes("window"));
		// Silence of our own making is none of the peer's: longer than the timeout, and still the same link.
		await delay(TIMEOUT_MS + 1_500);
		expect((await daemon.status()).link).toMatchObject({ state: "streaming", connects: 1 });
		proxy.swallow("up", "down");
		await waitFor("the link to be given up", async () => (await daemon.status()).link.state !== "streaming", {
			timeoutMs: GENEROUS_MS,
		});
		await daemon.admin("POST", "/v1/lanes/resume");
		await reader.until("every row", (rows) => rows.size === 20_000, GENEROUS_MS);
		await same(database, reader);
	});

	it.concurrent("takes resets in the middle of a transaction for ordinary disconnects", {
		timeout: 120_000,
	}, async () => {
		await using room = await stand();
		const { database, proxy, daemon, reader } = room;
		const writing = database.sql("insert into items select g, repeat('x', 500) from generate_series(1, 30000) g");
		for (let round = 1; round <= 3; round += 1) {
			const before = await connects(daemon);
			proxy.reset();
			await waitFor("another link", async () => (await connects(daemon)) > before, { timeoutMs: GENEROUS_MS });
		}
		await writing;
		await reader.until("every row", (rows) => rows.size === 30_000, GENEROUS_MS);
		await same(database, reader);
	});

	it.concurrent("waits while the server refuses or ignores newcomers, and comes back by itself", {
		timeout: 120_000,
	}, async () => {
		await using room = await stand();
		const { database, proxy, daemon, reader } = room;
		proxy.newcomers = "reset";
		proxy.reset();
		await waitFor("failed attempts", () => daemon.log.split("SLUICE_LINK_UNREACHABLE").length > 3, {
			timeoutMs: GENEROUS_MS,
		});
		await database.sql("insert into items values (1, 'x')");
		proxy.newcomers = "pass";
		const began = performance.now();
		await reader.until("the row", (rows) => rows.has("1"), GENEROUS_MS);
		expect(performance.now() - began).toBeLessThan(20_000);
	});

	it.concurrent("stops within a second while it is blocked on a port that never answers", {
		timeout: 60_000,
	}, async () => {
		await using proxy = await TcpProxy.start(() => server.local.port);
		proxy.newcomers = "ignore";
		const daemon = await TestDaemon.start({ databaseUrl: proxy.through(server.url), waitUntilActive: false });
		try {
			await waitFor("a connection attempt", () => proxy.accepted > 0);
			const began = performance.now();
			expect(await daemon.stop()).toBe(0);
			expect(performance.now() - began).toBeLessThan(1_000);
			expect(daemon.log).not.toContain("SLUICE_INTERNAL");
		} finally {
			await daemon.end();
		}
	});

	// By itself: an open transaction holds the slots of all the others up.
	it("makes its slot although the connection that makes it goes deaf meanwhile", { timeout: 120_000 }, async () => {
		await using database = await server.createDatabase();
		await database.sql("create table items (id int primary key)");
		await using proxy = await TcpProxy.start(() => server.local.port);
		const writer = await database.connect();
		await writer.query("begin; insert into items values (1)");
		const daemon = await TestDaemon.start({ databaseUrl: proxy.through(database.url), waitUntilActive: false });
		try {
			await waitFor("the slot to be in the making", async () => {
				const making = "select from pg_replication_slots where slot_name = $1 and active";
				return (await database.sql(making, [daemon.slotName])).length === 1;
			});
			proxy.swallow("up", "down");
			await writer.query("commit");
			await writer.end();
			const active = async (): Promise<boolean> => (await daemon.status()).level === "active";
			await waitFor("the daemon to be active", active, { timeoutMs: GENEROUS_MS });
			expect(daemon.log).toContain("the server is not making the slot");
			const reader = new ShapeReader(daemon.shapeUrl, { table: "items" });
			await reader.until("the row", (rows) => rows.has("1"), GENEROUS_MS);
			reader.stop();
			expect(await daemon.stop()).toBe(0);
		} finally {
			await daemon.end();
		}
	});
});
