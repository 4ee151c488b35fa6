/**
 * Readiness of tables on a real PostgreSQL: writers are waited for, nobody is held up for long, and what cannot
 * be followed is refused with the statement to run.
 */

import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { SLOT_ACTIVE, SLOT_REMOVED } from "../../src/shared/shape-table.ts";
import { testServers, uniqueName, useServer } from "../support/postgres.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { createPublication, type RegistrarSetup, TestRegistrar } from "./registrar-setup.ts";

describe.each(testServers())("table readiness on $name", (kind) => {
	const server = useServer(kind);

	async function prepare(schema: string, withPublication = true) {
		const database = await server.createDatabase();
		const directory = await temporaryDirectory("registrar");
		const streamId = uniqueName("s");
		if (withPublication) {
			await createPublication(database, streamId);
		}
		await database.sql(schema);
		const setup: RegistrarSetup = { database, dataDir: directory.path, streamId };
		return {
			database,
			setup,
			publication: `sluice_publication_${streamId}`,
			async [Symbol.asyncDispose]() {
				await database.drop();
				await directory.remove();
			},
		};
	}

	/** A login role without rights of its own, and the URL to connect as it. */
	async function restrictedRole(room: Awaited<ReturnType<typeof prepare>>, grants: (role: string) => string) {
		const role = uniqueName("role");
		await room.database.sql(`create role ${role} login; ${grants(role)}`);
		return {
			role,
			url: room.database.urlAs({ user: role }),
			async [Symbol.asyncDispose]() {
				await room.database.sql(`drop owned by ${role}; drop role ${role}`);
			},
		};
	}

	const unready: readonly { readonly name: string; readonly sql: (publication: string) => string }[] = [
		{ name: "neither published nor FULL", sql: () => "" },
		{ name: "FULL and not published", sql: () => "alter table items replica identity full" },
		{ name: "published and not FULL", sql: (publication) => `alter publication ${publication} add table items` },
		{
			name: "published and FULL by somebody else",
			sql: (publication) => `alter table items replica identity full; alter publication ${publication} add table items`,
		},
	];

	it.each(unready)(
		"waits for an open writer of a table that is $name, so that its row is in the snapshot",
		async ({ sql }) => {
			await using room = await prepare("create table items (id int primary key, title text)");
			const writer = await room.database.connect();
			await writer.query("begin");
			await writer.query("insert into items values (1, 'before')");
			const change = sql(room.publication);
			if (change.includes("replica identity")) {
				// FULL needs the table for itself: it was so before the writer came.
				await writer.query("rollback");
				await room.database.sql("alter table items replica identity full");
				await writer.query("begin");
				await writer.query("insert into items values (1, 'before')");
			}
			if (change.includes("add table")) {
				await room.database.sql(`alter publication ${room.publication} add table items`);
			}
			await using registrar = await TestRegistrar.start(room.setup);
			let settled = false;
			const resolving = registrar.complete({ table: "items" }).finally(() => {
				settled = true;
			});
			await delay(300);
			expect(settled).toBe(false);
			expect(registrar.lane.added).toEqual([]);
			await writer.query("insert into items values (2, 'after')");
			await writer.query("commit");
			const shape = await resolving;
			expect((await registrar.rows(shape)).map((row) => row["id"])).toEqual(["1", "2"]);
		},
	);

	it("does not wait for writers again once a membership was waited for, not even after a restart", async () => {
		await using room = await prepare("create table items (id int primary key)");
		{
			await using registrar = await TestRegistrar.start(room.setup);
			await registrar.complete({ table: "items" });
		}
		const writer = await room.database.connect();
		await writer.query("begin; insert into items values (1)");
		await using registrar = await TestRegistrar.start(room.setup);
		await registrar.complete({ table: "items", where: "id > 5" });
		await writer.query("rollback");
	});

	it("holds nobody up for long while it waits for a writer", async () => {
		await using room = await prepare("create table items (id int primary key)");
		const writer = await room.database.connect();
		await writer.query("begin; insert into items values (1)");
		await using registrar = await TestRegistrar.start(room.setup);
		const resolving = registrar.complete({ table: "items" });
		let slowestMs = 0;
		for (let id = 10; id < 60; id += 1) {
			const began = performance.now();
			await room.database.sql(`insert into items values (${id})`);
			slowestMs = Math.max(slowestMs, performance.now() - began);
			await delay(20);
		}
		expect(slowestMs).toBeLessThan(2_500);
		await writer.query("commit");
		const shape = await resolving;
		expect(await registrar.rows(shape)).toHaveLength(51);
	});

	it("refuses a table that it may not add, with the statement for its owner", async () => {
		await using room = await prepare("create table items (id int primary key)");
		await using guest = await restrictedRole(room, (role) => `grant select on items to ${role}`);
		await using registrar = await TestRegistrar.start({ ...room.setup, databaseUrl: guest.url });
		await expect(registrar.resolve({ table: "items" })).rejects.toMatchObject({
			code: "SLUICE_TABLE_NOT_READY",
			context: {
				serverMessage: `Database table "public"."items" is missing from the publication "${room.publication}" and Sluice lacks privileges to add it`,
				statement: `ALTER PUBLICATION "${room.publication}" ADD TABLE ONLY "public"."items"`,
			},
		});
		await room.database.sql(`alter publication ${room.publication} add table items`);
		await expect(registrar.resolve({ table: "items" })).rejects.toMatchObject({
			context: {
				serverMessage:
					'Database table "public"."items" does not have its replica identity set to FULL: must be owner of the table',
				statement: 'ALTER TABLE ONLY "public"."items" REPLICA IDENTITY FULL',
			},
		});
		await room.database.sql("alter table items replica identity full");
		await registrar.complete({ table: "items" });
		expect(registrar.registrar.shapes.count).toBe(1);
	});

	it("fails the snapshot of a role that may not read, or would not see every row", async () => {
		await using room = await prepare(
			"create table items (id int primary key); alter table items replica identity full; insert into items values (1)",
		);
		await room.database.sql(`alter publication ${room.publication} add table items`);
		await using guest = await restrictedRole(room, () => "");
		await using registrar = await TestRegistrar.start({ ...room.setup, databaseUrl: guest.url });
		const fails = async (message: RegExp): Promise<void> => {
			await expect(registrar.resolve({ table: "items" })).rejects.toMatchObject({
				code: "SLUICE_SNAPSHOT_FAILED",
				context: { sqlState: "42501", serverMessage: expect.stringMatching(message) },
			});
			await waitFor("no shape", () => registrar.registrar.shapes.count === 0);
		};
		await fails(/permission denied for table items/);
		await room.database.sql(`grant select on items to ${guest.role}; alter table items enable row level security`);
		await fails(/row-level security/);
	});

	it("names what is wrong with the publication", async () => {
		await using room = await prepare("create table items (id int primary key)", false);
		await using registrar = await TestRegistrar.start(room.setup);
		await expect(registrar.resolve({ table: "items" })).rejects.toMatchObject({
			context: { serverMessage: `Publication "${room.publication}" not found in the database` },
		});
		await room.database.sql(`create publication ${room.publication} with (publish = 'insert')`);
		await expect(registrar.resolve({ table: "items" })).rejects.toMatchObject({
			context: { serverMessage: expect.stringContaining("does not publish all required operations") },
		});
		await room.database.sql(`drop publication ${room.publication}`);
		await room.database.sql(`create publication ${room.publication} for table items where (id > 5)`);
		await expect(registrar.resolve({ table: "items" })).rejects.toMatchObject({
			context: { serverMessage: expect.stringContaining("row filter") },
		});
		await room.database.sql(`drop publication ${room.publication}`);
		await room.database.sql(`create publication ${room.publication} for all tables`);
		await registrar.complete({ table: "items" });
	});

	it("refuses unlogged tables and views", async () => {
		await using room = await prepare(
			"create unlogged table items (id int primary key); create view seen as select 1 as id",
		);
		await using registrar = await TestRegistrar.start(room.setup);
		await expect(registrar.resolve({ table: "items" })).rejects.toMatchObject({ code: "SLUICE_REQUEST_INVALID" });
		await expect(registrar.resolve({ table: "seen" })).rejects.toMatchObject({ code: "SLUICE_REQUEST_INVALID" });
	});

	it("leaves tables that inherit from a plain table alone", async () => {
		await using room = await prepare(
			"create table items (id int primary key); create table more () inherits (items); insert into items values (1); insert into more values (2)",
		);
		await using registrar = await TestRegistrar.start(room.setup);
		const shape = await registrar.complete({ table: "items" });
		expect(await registrar.rows(shape)).toEqual([{ id: "1" }]);
		expect(await room.database.sql("select count(*)::int as n from pg_publication_rel")).toEqual([{ n: 1 }]);
	});

	it("never makes PostgreSQL refuse the application's updates on tables with generated columns", async () => {
		await using room = await prepare(
			"create table stored (id int primary key, n int, twice int generated always as (n * 2) stored); insert into stored values (1, 1)",
		);
		await using registrar = await TestRegistrar.start(room.setup);
		const version = Number((await room.database.sql("show server_version_num"))[0]?.["server_version_num"]);
		if (version < 180_000) {
			await expect(registrar.resolve({ table: "stored" })).rejects.toMatchObject({
				context: {
					errors: {
						columns: [expect.stringContaining("are generated and cannot be included in the shape: twice. You can")],
					},
				},
			});
			await registrar.complete({ table: "stored", columns: "id,n" });
		} else {
			const shape = await registrar.complete({ table: "stored" });
			expect(await registrar.rows(shape)).toEqual([{ id: "1", n: "1", twice: "2" }]);
			await room.database.sql(
				"create table virtual (id int primary key, n int, twice int generated always as (n * 2) virtual); insert into virtual values (1, 1)",
			);
			await expect(registrar.resolve({ table: "virtual", columns: "id,n" })).rejects.toMatchObject({
				code: "SLUICE_TABLE_NOT_READY",
			});
			await room.database.sql("update virtual set n = 2");
		}
		await room.database.sql("update stored set n = 2");
		await room.database.sql("delete from stored");
	});

	it("ends the shapes of a table that was taken out by hand before it puts the table back for another shape", async () => {
		await using room = await prepare(
			"create table items (id int primary key); create table other (id int primary key)",
		);
		await using registrar = await TestRegistrar.start(room.setup);
		const complete = await registrar.complete({ table: "items" });
		const other = await registrar.complete({ table: "other" });
		const spliced = Promise.withResolvers<number>();
		const held = Promise.withResolvers<void>();
		registrar.lane.onSplice = (slot) => {
			spliced.resolve(slot);
			return held.promise;
		};
		const creating = registrar.resolve({ table: "items", where: "id = 1" });
		const creatingSlot = await spliced.promise;
		registrar.lane.onSplice = async () => {};
		await room.database.sql(`alter publication ${room.publication} drop table items; insert into items values (1)`);
		// The last look at the table may be believed for a moment.
		await delay(1_000);
		const next = await registrar.complete({ table: "items", where: "id = 2" });
		expect(registrar.table.state(complete.slot)).toBe(SLOT_REMOVED);
		expect(registrar.table.state(creatingSlot)).toBe(SLOT_REMOVED);
		expect(registrar.table.state(other.slot)).toBe(SLOT_ACTIVE);
		held.resolve();
		// Who waits for the shape that was being created gets its successor.
		const again = await creating;
		expect(again.slot).not.toBe(creatingSlot);
		await waitFor("the rows of the successor", async () => {
			return JSON.stringify(await registrar.rows(again)) === JSON.stringify([{ id: "1" }]);
		});
		await registrar.registrar.reconciler.check(() => true);
		expect(registrar.table.state(next.slot)).toBe(SLOT_ACTIVE);
	});

	it("looks also at shapes that are being created when a table leaves the publication", async () => {
		await using room = await prepare("create table items (id int primary key)");
		await using registrar = await TestRegistrar.start(room.setup);
		const spliced = Promise.withResolvers<number>();
		registrar.lane.onSplice = (slot) => {
			spliced.resolve(slot);
			return new Promise(() => {});
		};
		const creating = registrar.resolve({ table: "items" }).catch(() => {});
		const slot = await spliced.promise;
		registrar.lane.onSplice = async () => {};
		await room.database.sql(`alter publication ${room.publication} drop table items`);
		await registrar.registrar.reconciler.check(() => true);
		expect(registrar.table.state(slot)).toBe(SLOT_REMOVED);
		await creating;
	});

	it("drops shapes whose table left the publication, lost its identity, or changed", async () => {
		await using room = await prepare(`
			create table unpublished (id int primary key);
			create table identity (id int primary key);
			create table renamed (id int primary key);
			create table dropped (id int primary key);
			create table columns (id int primary key, title text, spare text);
			create table root (id int primary key) partition by range (id);
			create table leaf partition of root for values from (0) to (10);
			create table untouched (id int primary key, title text);
			create table readded (id int primary key)`);
		await using registrar = await TestRegistrar.start(room.setup);
		const names = ["unpublished", "identity", "renamed", "dropped", "columns", "root", "untouched", "readded"];
		const shapes = new Map<string, { slot: number }>();
		for (const name of names) {
			shapes.set(name, await registrar.complete({ table: name }));
		}
		const narrow = await registrar.complete({ table: "columns", columns: "id,title" });
		await room.database.sql(`
			alter publication ${room.publication} drop table unpublished;
			alter table identity replica identity default;
			alter table renamed rename to other;
			drop table dropped;
			alter table columns drop column spare;
			create table leaf2 partition of root for values from (10) to (20);
			create index on untouched (title);
			alter publication ${room.publication} drop table readded;
			alter publication ${room.publication} add table readded`);
		await registrar.registrar.reconciler.check(() => true);
		const states = names.map((name) => registrar.table.state(shapes.get(name)?.slot ?? -1) === SLOT_REMOVED);
		expect(Object.fromEntries(names.map((name, index) => [name, states[index]]))).toEqual({
			unpublished: true,
			identity: true,
			renamed: true,
			dropped: true,
			columns: true,
			root: true,
			untouched: false,
			readded: true,
		});
		expect(registrar.table.state(narrow.slot)).not.toBe(SLOT_REMOVED);
		await registrar.complete({ table: "unpublished" });
		await registrar.complete({ table: "identity" });
		await registrar.complete({ table: "root" });
		expect(
			await room.database.sql("select 1 from pg_class where relname = 'leaf2' and relreplident = 'f'"),
		).toHaveLength(1);
	});
});
