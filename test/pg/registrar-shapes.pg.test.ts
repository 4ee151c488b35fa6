/**
 * Shapes on a real PostgreSQL: creation, convergence, values, restart, removal.
 */

import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { SLOT_ACTIVE, SLOT_REMOVED } from "../../src/shared/shape-table.ts";
import { testServers, uniqueName, useServer } from "../support/postgres.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { createPublication, TestRegistrar } from "./registrar-setup.ts";

describe.each(testServers())("shapes on $name", (kind) => {
	const server = useServer(kind);

	async function start(schema: string, environment: Record<string, string> = {}) {
		const database = await server.createDatabase();
		const directory = await temporaryDirectory("registrar");
		const streamId = uniqueName("s");
		await createPublication(database, streamId);
		await database.sql(schema);
		const setup = { database, dataDir: directory.path, streamId, environment };
		const registrar = await TestRegistrar.start(setup);
		return {
			database,
			setup,
			registrar,
			async [Symbol.asyncDispose]() {
				await registrar[Symbol.asyncDispose]();
				await database.drop();
				await directory.remove();
			},
		};
	}

	it("creates a shape: the table is published and FULL, the snapshot complete, the slot active", async () => {
		await using room = await start(
			"create table items (id int primary key, title text); insert into items values (1, 'a'), (2, null)",
		);
		const shape = await room.registrar.complete({ table: "items" });
		expect(shape.handle).toMatch(/^[0-9]{1,9}-[0-9]{16}$/);
		const [chunk, ...rest] = await room.registrar.snapshot(shape);
		expect(rest).toEqual([]);
		expect(chunk?.slice(0, 2)).toEqual([
			{
				key: '"public"."items"/"1"',
				value: { id: "1", title: "a" },
				headers: { operation: "insert", relation: ["public", "items"] },
			},
			{
				key: '"public"."items"/"2"',
				value: { id: "2", title: null },
				headers: { operation: "insert", relation: ["public", "items"] },
			},
		]);
		expect(chunk?.[2]?.headers).toMatchObject({ control: "snapshot-end", xip_list: [] });
		expect(JSON.parse(shape.schemaHeader)).toEqual({
			id: { type: "int4", pk_index: 0, not_null: true },
			title: { type: "text" },
		});
		const published = await room.database.sql(
			"select relreplident::text as identity from pg_class c join pg_publication_rel r on r.prrelid = c.oid where relname = 'items'",
		);
		expect(published).toEqual([{ identity: "f" }]);
		expect(room.registrar.lane.added).toHaveLength(1);
		expect(room.registrar.lane.spliced).toHaveLength(1);
	});

	it("converges 50 concurrent requests on one shape", async () => {
		await using room = await start("create table items (id int primary key)");
		const shapes = await Promise.all(
			Array.from({ length: 50 }, (_, index) =>
				room.registrar.resolve({
					table: index % 2 === 0 ? "items" : "public.items",
					where: index % 3 === 0 ? "id > 1" : "id  >  1",
				}),
			),
		);
		expect(new Set(shapes.map((shape) => shape.handle)).size).toBe(1);
		expect(room.registrar.lane.added).toHaveLength(1);
	});

	it("keeps handles, definitions and snapshots over a restart, also while the database is down", async () => {
		await using room = await start(
			"create table items (id int primary key, title text); insert into items values (1, 'a')",
		);
		const before = await room.registrar.complete({ table: "items", where: "id = $1", params: { "1": "1" } });
		await room.registrar.registrar.stop();
		await using again = await TestRegistrar.create({ ...room.setup, databaseUrl: "postgresql://127.0.0.1:1/nothing" });
		const opened = await again.registrar.open();
		expect(opened.shapeCount).toBe(1);
		await again.attach();
		expect(again.lane.restored.map((assignment) => assignment.handle)).toEqual([before.handle]);
		expect(again.lane.restored[0]?.definition).toEqual(room.registrar.lane.added[0]?.definition);
		const after = await again.resolve({ table: "items", where: "id = $1", params: { "1": "1" } });
		expect(after.handle).toBe(before.handle);
		expect(again.lane.opened).toEqual([after.slot]);
		expect(await again.rows(after)).toEqual([{ id: "1", title: "a" }]);
		expect(await again.registrar.shapes.findHandle(before.handle)).toEqual(after);
		await expect(again.resolve({ table: "items" })).rejects.toMatchObject({ code: "SLUICE_DATABASE_UNAVAILABLE" });
	});

	it("removes a shape: readers are told, the lane and the disk forget it, its handle is not used again", async () => {
		await using room = await start("create table items (id int primary key)");
		const shape = await room.registrar.complete({ table: "items" });
		await room.registrar.registrar.shapes.deleteShape({ definition: null, handle: shape.handle });
		expect(room.registrar.table.state(shape.slot)).toBe(SLOT_REMOVED);
		await room.registrar.registrar.shapes.settled();
		expect(room.registrar.lane.removed).toEqual([shape.slot]);
		expect(existsSync(shape.directory)).toBe(false);
		expect(await room.registrar.registrar.shapes.findHandle(shape.handle)).toBeNull();
		const next = await room.registrar.complete({ table: "items" });
		expect(next.handle).not.toBe(shape.handle);
		expect(next.slot).not.toBe(shape.slot);
	});

	it("takes another snapshot when the lane asks for it", async () => {
		await using room = await start("create table items (id int primary key); insert into items values (1)");
		room.registrar.lane.verdicts.push("retake", "retake");
		const shape = await room.registrar.complete({ table: "items" });
		expect(room.registrar.lane.spliced).toHaveLength(3);
		expect(await room.registrar.rows(shape)).toEqual([{ id: "1" }]);
	});

	it("brings values in the text of the output functions: escapes, Unicode, NULL, keys with slashes, large rows", async () => {
		const large = 'x\\y\t\n\r\b\f\v"é🦊'.repeat(100_000);
		await using room = await start(
			`create table "Odd ""na.me" ("the ""key" text, flag boolean, "ü" text, raw bytea, tags text[], at timestamptz, span interval, fixed char(5), real float8, primary key ("the ""key", flag))`,
		);
		await room.database.sql(
			`insert into "Odd ""na.me" values ('a/b', true, $1, '\\x00ff', '{a,NULL,"b,\\"c"}', '2024-02-29 10:00:00+02', '1 year 2 days', 'ab', 0.1), ('', false, null, null, null, null, null, null, 'NaN')`,
			[large],
		);
		const shape = await room.registrar.complete({ table: `"Odd ""na.me"` });
		const rows = await room.registrar.rows(shape);
		expect(rows).toHaveLength(2);
		expect(rows[0]).toEqual({
			'the "key': "a/b",
			flag: "t",
			ü: large,
			raw: "\\x00ff",
			tags: '{a,NULL,"b,\\"c"}',
			at: "2024-02-29 08:00:00+00",
			span: "P1Y2D",
			fixed: "ab   ",
			real: "0.1",
		});
		expect(rows[1]).toEqual({
			'the "key': "",
			flag: "f",
			ü: null,
			raw: null,
			tags: null,
			at: null,
			span: null,
			fixed: null,
			real: "NaN",
		});
		const keys = (await room.registrar.snapshot(shape)).flat().flatMap((item) => item.key ?? []);
		expect(keys).toEqual(['"public"."Odd "na..me"/"a//b"/"t"', '"public"."Odd "na..me"/""/"f"']);
		expect(shape.schemaHeader).toMatch(/^[\x20-\x7e]+$/);
		expect(Object.keys(JSON.parse(shape.schemaHeader))).toContain("ü");
	});

	it("cuts chunks after the row that reaches the size, and puts the marker alone when a row closed the last one", async () => {
		await using room = await start(
			"create table items (id int primary key, title text); insert into items select i, repeat('x', 100) from generate_series(1, 50) i",
			{ SLUICE_CHUNK_BYTES: "1000" },
		);
		const shape = await room.registrar.complete({ table: "items" });
		const chunks = await room.registrar.snapshot(shape);
		expect(chunks.flat()).toHaveLength(51);
		for (const chunk of chunks.slice(0, -1)) {
			const sizes = chunk.map((item) => JSON.stringify(item).length + 1);
			const total = sizes.reduce((sum, size) => sum + size, 0);
			expect(total).toBeGreaterThanOrEqual(1000);
			expect(total - (sizes.at(-1) ?? 0)).toBeLessThan(1000);
		}
		await using one = await start("create table items (id int primary key); insert into items values (1), (2)", {
			SLUICE_CHUNK_BYTES: "1",
		});
		const each = await one.registrar.snapshot(await one.registrar.complete({ table: "items" }));
		expect(each.map((chunk) => chunk.length)).toEqual([1, 1, 1]);
	});

	it("holds no rows with log=changes_only", async () => {
		await using room = await start("create table items (id int primary key); insert into items values (1)");
		const shape = await room.registrar.complete({ table: "items", log: "changes_only" });
		const items = (await room.registrar.snapshot(shape)).flat();
		expect(items).toHaveLength(1);
		expect(items[0]?.headers["control"]).toBe("snapshot-end");
	});

	it("fails a snapshot that PostgreSQL ends, removes the shape, and makes a new one on the next request", async () => {
		await using room = await start("create table items (id int primary key); insert into items values (1)");
		room.registrar.lane.onSplice = async () => {
			room.registrar.lane.onSplice = async () => {};
			await room.database.sql(
				"select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'sluice-snapshot' and datname = current_database()",
			);
		};
		const request = { table: "items" };
		const first = await room.registrar.resolve(request).catch((error: unknown) => error);
		if (!(first instanceof Error)) {
			const { slot } = first as { slot: number };
			await waitFor("the shape to be removed", () => room.registrar.table.state(slot) === SLOT_REMOVED);
		}
		await waitFor("no shape", () => room.registrar.registrar.shapes.count === 0);
		const second = await room.registrar.complete(request);
		expect(await room.registrar.rows(second)).toHaveLength(1);
	});

	it("makes the shape of a table that was made anew a moment ago from the new one", async () => {
		await using room = await start("create table items (id int primary key); insert into items values (1)");
		await room.registrar.complete({ table: "items" });
		await room.database.sql("drop table items; create table items (id int primary key); insert into items values (2)");
		// Another shape: the description of the table is still remembered.
		const shape = await room.registrar.complete({ table: "items", where: "id > 0" });
		expect((await room.registrar.rows(shape)).map((row) => row["id"])).toEqual(["2"]);
		const [row] = await room.database.sql<{ oid: number }>("select 'items'::regclass::oid::int as oid");
		expect(room.registrar.lane.added.at(-1)?.definition.table.oid).toBe(row?.oid);
	});

	it("follows a partitioned table through all its leaves", async () => {
		await using room = await start(`
			create table events (id int, at date, primary key (id, at)) partition by range (at);
			create table events_2024 partition of events for values from ('2024-01-01') to ('2025-01-01');
			create table events_2025 partition of events for values from ('2025-01-01') to ('2026-01-01') partition by range (id);
			create table events_2025_low partition of events_2025 for values from (0) to (100);
			insert into events values (1, '2024-05-05'), (2, '2025-05-05')`);
		const shape = await room.registrar.complete({ table: "events" });
		expect((await room.registrar.rows(shape)).map((row) => row["id"]).sort()).toEqual(["1", "2"]);
		const identities = await room.database.sql(
			"select relname::text as name, relreplident::text as identity from pg_class where relname like 'events%' and relkind in ('r', 'p') order by 1",
		);
		expect(identities.every((row) => row["identity"] === "f")).toBe(true);
		expect(room.registrar.lane.added[0]?.definition.table).toMatchObject({ kind: "p", leafOids: { length: 2 } });
	});

	it("drops shapes that a lane has invalidated, unless the slot has another generation", async () => {
		await using room = await start("create table items (id int primary key)");
		const shape = await room.registrar.complete({ table: "items" });
		room.registrar.lane.emit({ kind: "invalidated", slot: shape.slot, generation: shape.generation + 1, reason: 1 });
		room.registrar.lane.emit({ kind: "invalidated", slot: shape.slot, generation: shape.generation, reason: 1 });
		await waitFor("the removal", () => room.registrar.lane.removed.includes(shape.slot));
		expect(room.registrar.table.state(shape.slot)).toBe(SLOT_REMOVED);
		const next = await room.registrar.complete({ table: "items" });
		expect(room.registrar.table.state(next.slot)).toBe(SLOT_ACTIVE);
	});
});
