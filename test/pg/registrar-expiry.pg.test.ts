/** The limits on shapes, a renewed schema header and abandoned subset queries, on a real PostgreSQL. */

import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readClockSeconds, SLOT_REMOVED } from "../../src/shared/shape-table.ts";
import { oneTestServer, uniqueName, useServer } from "../support/postgres.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { createPublication, TestRegistrar } from "./registrar-setup.ts";

describe("the registrar", () => {
	const server = useServer(oneTestServer());

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

	it("drops the shape that was read least recently when there are too many, and makes it anew when asked", async () => {
		await using room = await start("create table items (id int primary key)", { SLUICE_MAX_SHAPES: "2" });
		const [a, b, c] = await Promise.all(
			["id > 1", "id > 2", "id > 3"].map((where) => room.registrar.complete({ table: "items", where })),
		);
		if (a === undefined || b === undefined || c === undefined) {
			throw new Error("three shapes");
		}
		await waitFor(
			"the second shape to expire",
			() => {
				// The others are being read.
				room.registrar.table.markRead(a.slot, readClockSeconds());
				room.registrar.table.markRead(c.slot, readClockSeconds());
				return room.registrar.table.state(b.slot) === SLOT_REMOVED;
			},
			{ timeoutMs: 30_000 },
		);
		expect(room.registrar.table.state(a.slot)).not.toBe(SLOT_REMOVED);
		await waitFor("its files to go", () => !existsSync(b.directory));
		expect(await room.registrar.registrar.shapes.findHandle(b.handle)).toBeNull();
		const anew = await room.registrar.complete({ table: "items", where: "id > 2" });
		expect(anew.handle).not.toBe(b.handle);
	});

	it("knows after a restart which shape was read last", async () => {
		await using room = await start("create table items (id int primary key)", { SLUICE_SHAPE_IDLE_SECONDS: "1000" });
		const read = await room.registrar.complete({ table: "items" });
		const unread = await room.registrar.complete({ table: "items", where: "id > 2" });
		room.registrar.table.markRead(unread.slot, readClockSeconds() - 500);
		await room.registrar.registrar.stop();
		await using again = await TestRegistrar.start(room.setup);
		const ages = await Promise.all(
			[read, unread].map(async ({ handle }) => {
				const found = await again.registrar.shapes.findHandle(handle);
				return found === null ? null : readClockSeconds() - again.table.lastRead(found.slot);
			}),
		);
		expect(ages[0]).toBeLessThan(100);
		expect(ages[1]).toBeGreaterThanOrEqual(499);
	});

	it("renews the schema header when NOT NULL is added, with the same handle, also after a restart", async () => {
		await using room = await start("create table items (id int primary key, title text)", {
			SLUICE_RECONCILE_INTERVAL_MS: "600",
		});
		const shape = await room.registrar.complete({ table: "items" });
		expect(JSON.parse(shape.schemaHeader).title).toEqual({ type: "text" });
		await room.database.sql("alter table items alter title set not null");
		await waitFor(
			"the header to be renewed",
			() => room.registrar.table.schemaVersion(shape.slot) !== shape.schemaVersion,
		);
		const renewed = await room.registrar.resolve({ table: "items" });
		expect(renewed).toMatchObject({ handle: shape.handle, generation: shape.generation });
		expect(JSON.parse(renewed.schemaHeader).title).toEqual({ type: "text", not_null: true });
		// Spelled otherwise, it is still the same shape.
		expect((await room.registrar.resolve({ table: '"items"' })).handle).toBe(shape.handle);
		await room.registrar.registrar.stop();
		await using again = await TestRegistrar.start(room.setup);
		const found = await again.registrar.shapes.findHandle(shape.handle);
		expect(JSON.parse(found?.schemaHeader ?? "{}").title).toEqual({ type: "text", not_null: true });
	});

	it("makes another shape for a new reader when NOT NULL was dropped, however soon", async () => {
		await using room = await start("create table items (id int primary key, title text not null)");
		const shape = await room.registrar.complete({ table: "items" });
		await room.database.sql("alter table items alter title drop not null");
		// A spelling that was not seen before is checked against the database, whose description is cached for moments.
		const spellings = ["public.items", '"items"', '"public".items', 'public."items"', '"public"."items"'];
		const other = await waitFor(
			"the description to be read anew",
			async () => {
				const found = await room.registrar.resolve({ table: spellings.shift() ?? "items" });
				return found.handle !== shape.handle && found;
			},
			{ intervalMs: 1_000 },
		);
		expect(JSON.parse(other.schemaHeader).title).toEqual({ type: "text" });
		expect(room.registrar.table.state(shape.slot)).toBe(SLOT_REMOVED);
	});
});
