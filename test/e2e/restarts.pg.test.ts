/**
 * Several shapes and the published client across everything that restarts: the database, the daemon, both.
 * Handles and offsets survive, so no client has to begin anew.
 */

import { describe, expect, it } from "vitest";
import { useDaemons } from "../support/daemon.ts";
import { embeddedServers, useServer } from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";

async function handleOf(shapeUrl: string, query: string): Promise<string | null> {
	const response = await fetch(`${shapeUrl}?${query}&offset=-1`);
	await response.body?.cancel();
	return response.headers.get("electric-handle");
}

describe.each(embeddedServers())("$name", (kind) => {
	const server = useServer(kind);
	const daemons = useDaemons();

	it("clients live through a restart of the daemon and of the database with the same handles", async () => {
		const database = await server.createDatabase();
		await database.sql("create table items (id int primary key, owner int not null)");
		await database.sql("create table notes (id uuid primary key default gen_random_uuid(), body text)");
		await database.sql("insert into items select g, g % 3 from generate_series(1, 9) g");
		const daemon = await daemons.start({ databaseUrl: database.url });
		const readers = {
			all: new ShapeReader(daemon.shapeUrl, { table: "items" }),
			one: new ShapeReader(daemon.shapeUrl, { table: "items", where: "owner = $1", params: { "1": "1" } }),
			notes: new ShapeReader(daemon.shapeUrl, { table: "notes", replica: "full" }),
		};
		await Promise.all(Object.values(readers).map((reader) => reader.shape.rows));
		const handle = await handleOf(daemon.shapeUrl, "table=items");

		await database.sql("insert into items values (10, 1)");
		await readers.all.until("a row before any restart", (rows) => rows.size === 10);

		expect(await daemon.stop()).toBe(0);
		await database.sql("insert into items values (11, 1); insert into notes (body) values ('while down')");
		await daemon.start();
		await readers.all.until("what was written while the daemon was down", (rows) => rows.size === 11);
		await readers.notes.until("the note", (rows) => rows.size === 1);

		for (const mode of ["fast", "immediate"] as const) {
			const before = (await daemon.status()).link.connects;
			await server.local.restart(mode);
			await daemon.untilActive();
			await database.sql("insert into items select max(id) + 1, 1 from items");
			await readers.one.until(
				`a row after the database's ${mode} restart`,
				(rows) => rows.size === (mode === "fast" ? 6 : 7),
			);
			expect((await daemon.status()).link.connects).toBe(before + 1);
		}

		await daemon.kill();
		await server.local.restart("fast");
		await database.sql("delete from items where owner = 0");
		await daemon.start();
		await readers.all.until("the deletes", (rows) => rows.size === 10);
		expect(await handleOf(daemon.shapeUrl, "table=items")).toBe(handle);
		for (const reader of Object.values(readers)) {
			expect(reader.errors).toEqual([]);
			reader.stop();
		}
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});

	it("a fast shutdown of the database completes at once while Sluice streams", async () => {
		const database = await server.createDatabase();
		await database.sql("create table items (id int primary key)");
		const daemon = await daemons.start({ databaseUrl: database.url });
		const reader = new ShapeReader(daemon.shapeUrl, { table: "items" });
		await reader.shape.rows;
		await database.sql("insert into items select generate_series(1, 1000)");
		await reader.until("1 000 rows", (rows) => rows.size === 1_000);
		const startedMs = performance.now();
		await server.local.stop("fast");
		expect(performance.now() - startedMs).toBeLessThan(5_000);
		await server.local.start();
		await daemon.untilActive();
		reader.stop();
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});

	it("a truncate sends clients back to the start, and they end up empty", async () => {
		const database = await server.createDatabase();
		await database.sql("create table items (id int primary key)");
		await database.sql("insert into items select generate_series(1, 10)");
		const daemon = await daemons.start({ databaseUrl: database.url });
		const reader = new ShapeReader(daemon.shapeUrl, { table: "items" });
		await reader.until("10 rows", (rows) => rows.size === 10);
		const handle = await handleOf(daemon.shapeUrl, "table=items");
		await database.sql("truncate items");
		await reader.until("nothing", (rows) => rows.size === 0);
		await database.sql("insert into items values (77)");
		await reader.until("a row after the truncate", (rows) => rows.size === 1 && rows.has("77"));
		expect(await handleOf(daemon.shapeUrl, "table=items")).not.toBe(handle);
		reader.stop();
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});
});
