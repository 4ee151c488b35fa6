/**
 * The registrar's own life on a real PostgreSQL: lock, position, lanes that die, databases that go away.
 */

import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { INVALIDATED_TRUNCATE, SLOT_ACTIVE, SLOT_REMOVED } from "../../src/shared/shape-table.ts";
import { embeddedServers, testServers, uniqueName, useServer } from "../support/postgres.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { tlsServer } from "../support/tls.ts";
import { waitFor } from "../support/wait-for.ts";
import { createPublication, type RegistrarSetup, shapeRequest, TestRegistrar } from "./registrar-setup.ts";

function roomsOf(server: ReturnType<typeof useServer>) {
	return async (schema: string) => {
		const database = await server.createDatabase();
		const directory = await temporaryDirectory("registrar");
		const streamId = uniqueName("s");
		await createPublication(database, streamId);
		await database.sql(schema);
		const setup: RegistrarSetup = { database, dataDir: directory.path, streamId };
		return {
			database,
			setup,
			async [Symbol.asyncDispose]() {
				await database.drop();
				await directory.remove();
			},
		};
	};
}

const ITEMS = "create table items (id int primary key, title text); insert into items values (1, 'a')";

describe.each(testServers())("the registrar on $name", (kind) => {
	const server = useServer(kind);
	const prepare = roomsOf(server);

	it("waits for the lock while another daemon holds it, serves what it has, and makes nothing new", async () => {
		await using room = await prepare(ITEMS);
		await using first = await TestRegistrar.start(room.setup);
		await using directory = await temporaryDirectory("registrar");
		await using second = await TestRegistrar.create({ ...room.setup, dataDir: directory.path });
		await second.registrar.open();
		await second.attach();
		let held = false;
		const acquiring = second.registrar.acquireLock().then(() => {
			held = true;
		});
		await waitFor("the second to connect", () => second.events.some((event) => event.kind === "database"));
		await expect(second.resolve({ table: "items" })).rejects.toMatchObject({ code: "SLUICE_NOT_ACTIVE" });
		expect(held).toBe(false);
		await first.registrar.stop();
		await acquiring;
		await second.reconcile({});
		await second.complete({ table: "items" });
	});

	it("takes the lock again after its connection was ended, and says so", async () => {
		await using room = await prepare(ITEMS);
		await using registrar = await TestRegistrar.start(room.setup);
		const databaseEvents = () =>
			registrar.events.flatMap((event) => (event.kind === "database" ? [event.reachable] : []));
		expect(databaseEvents()).toEqual([true]);
		await room.database.sql(
			"select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'sluice-lock' and datname = current_database()",
		);
		await waitFor("the lock to be taken again", () => databaseEvents().length === 3);
		expect(databaseEvents()).toEqual([true, false, true]);
		await registrar.registrar.acquireLock();
		const lockEvents = registrar.events.flatMap((event) => (event.kind === "lock" ? [event.held] : []));
		expect(lockEvents).toEqual([true, false, true]);
		await registrar.complete({ table: "items" });
	});

	it("keeps shapes when the slot stands at or below the stored position, and starts there", async () => {
		await using room = await prepare(ITEMS);
		let handle: string;
		{
			await using registrar = await TestRegistrar.start(room.setup);
			handle = (await registrar.complete({ table: "items" })).handle;
			await registrar.registrar.storeAcknowledged(5000n);
			await registrar.registrar.storeAcknowledged(4000n);
		}
		await using registrar = await TestRegistrar.create(room.setup);
		expect((await registrar.registrar.open()).position).toEqual({
			systemIdentifier: "7000000000000000001",
			timeline: 1,
			slotName: `sluice_slot_${room.setup.streamId}`,
			acknowledgedLsn: 5000n,
		});
		await registrar.attach();
		expect(await registrar.reconcile({ confirmedFlushLsn: 4500n })).toEqual({
			startLsn: 5000n,
			purged: false,
		});
		expect(await registrar.registrar.shapes.findHandle(handle)).not.toBeNull();
	});

	it.each([
		{ name: "the slot is new", facts: { slotCreated: true } },
		{ name: "the cluster is another", facts: { systemIdentifier: "7" } },
		{ name: "somebody moved the slot", facts: { confirmedFlushLsn: 6001n } },
		{ name: "the server was set back", facts: { confirmedFlushLsn: 4000n, walLsn: 5999n } },
		{ name: "the server has left our timeline", facts: { timeline: 2 } },
	])("drops every shape when $name", async ({ facts }) => {
		await using room = await prepare(ITEMS);
		await using registrar = await TestRegistrar.start(room.setup);
		const shape = await registrar.complete({ table: "items" });
		await registrar.registrar.storeAcknowledged(6000n);
		const answer = await registrar.reconcile({ confirmedFlushLsn: 6000n, ...facts });
		expect(answer).toEqual({ startLsn: facts.confirmedFlushLsn ?? 6000n, purged: true });
		expect(registrar.table.state(shape.slot)).toBe(SLOT_REMOVED);
		expect(registrar.registrar.shapes.count).toBe(0);
		await registrar.registrar.shapes.settled();
		expect(registrar.lane.removed).toEqual([shape.slot]);
		const next = await registrar.complete({ table: "items" });
		expect(next.handle).not.toBe(shape.handle);
		await registrar.registrar.stop();
		await using again = await TestRegistrar.create(room.setup);
		expect((await again.registrar.open()).shapeCount).toBe(1);
	});

	it("gives lanes no new shape until they have heard of a purge", async () => {
		await using room = await prepare(ITEMS);
		await using registrar = await TestRegistrar.start(room.setup);
		await registrar.complete({ table: "items" });
		const added = registrar.lane.added.length;
		await registrar.reconcile({ slotCreated: true });
		const next = registrar.complete({ table: "items" });
		await delay(500);
		expect(registrar.lane.added).toHaveLength(added);
		await next;
	});

	it("gives a restarted lane its complete shapes and fails those that it was creating", async () => {
		await using room = await prepare(ITEMS);
		await using registrar = await TestRegistrar.start(room.setup);
		const complete = await registrar.complete({ table: "items" });
		const spliceReached = Promise.withResolvers<number>();
		registrar.lane.onSplice = (slot) => {
			spliceReached.resolve(slot);
			return new Promise(() => {});
		};
		const creating = registrar.resolve({ table: "items", where: "id = 1" });
		const failed = expect(creating).rejects.toMatchObject({ code: "SLUICE_NOT_ACTIVE" });
		const slot = await spliceReached.promise;
		registrar.lane.die();
		await failed;
		registrar.lane.onSplice = async () => {};
		await registrar.attach();
		expect(registrar.lane.restored.map((assignment) => assignment.handle)).toEqual([complete.handle]);
		expect(registrar.table.state(slot)).toBe(SLOT_REMOVED);
		const next = await registrar.complete({ table: "items", where: "id = 1" });
		expect(next.slot).not.toBe(slot);
		expect(registrar.table.state(complete.slot)).toBe(SLOT_ACTIVE);
	});

	it("does not bring back to a lane what its last life had invalidated without saying so", async () => {
		await using room = await prepare(ITEMS);
		await using registrar = await TestRegistrar.start(room.setup);
		const shape = await registrar.complete({ table: "items" });
		registrar.table.invalidate(shape.slot, INVALIDATED_TRUNCATE);
		registrar.lane.die();
		await registrar.attach();
		expect(registrar.lane.restored).toEqual([]);
		await registrar.registrar.storeAcknowledged(2000n);
		expect(registrar.registrar.shapes.count).toBe(0);
	});

	it("lets a lane go, and acknowledges, only after the removal of an invalidated shape is durable", async () => {
		await using room = await prepare(ITEMS);
		await using registrar = await TestRegistrar.start(room.setup);
		const shape = await registrar.complete({ table: "items" });
		const path = join(room.setup.dataDir, "catalogue.sqlite");
		const foreign = new DatabaseSync(path);
		foreign.exec("BEGIN IMMEDIATE");
		registrar.lane.emit({ kind: "invalidated", slot: shape.slot, generation: shape.generation, reason: 1 });
		await waitFor("the removal to begin", () => registrar.table.state(shape.slot) === SLOT_REMOVED);
		let stored = false;
		const storing = registrar.registrar.storeAcknowledged(5000n).then(() => {
			stored = true;
		});
		await delay(300);
		expect(stored).toBe(false);
		expect(registrar.lane.removed).toEqual([]);
		foreign.exec("ROLLBACK");
		await storing;
		expect(
			foreign.prepare("SELECT (SELECT count(*) FROM shapes) AS shapes, acknowledged_lsn FROM position").all(),
		).toEqual([{ shapes: 0, acknowledged_lsn: "5000" }]);
		foreign.close();
		await waitFor("the lane to be told", () => registrar.lane.removed.includes(shape.slot));
	});

	it("drops shapes whose table left the publication while nobody looked, before new ones are made", async () => {
		await using room = await prepare(ITEMS);
		let handle: string;
		{
			await using registrar = await TestRegistrar.start(room.setup);
			handle = (await registrar.complete({ table: "items" })).handle;
		}
		await room.database.sql(`alter publication sluice_publication_${room.setup.streamId} drop table items`);
		await using registrar = await TestRegistrar.start(room.setup);
		expect(await registrar.registrar.shapes.findHandle(handle)).toBeNull();
		await registrar.complete({ table: "items", where: "id = 1" });
	});

	it("removes a shape whose lane dies while its rows are being written", async () => {
		await using room = await prepare(
			"create table items (id int primary key, title text); insert into items select i, repeat('x', 500) from generate_series(1, 100000) i",
		);
		await using registrar = await TestRegistrar.start({ ...room.setup, environment: { SLUICE_CHUNK_BYTES: "100000" } });
		const shape = await registrar.resolve({ table: "items" });
		await waitFor("a chunk", () => registrar.table.snapshotChunks(shape.slot) > 0, { intervalMs: 1 });
		const wasComplete = registrar.table.state(shape.slot) === SLOT_ACTIVE;
		registrar.lane.die();
		await registrar.attach();
		expect(wasComplete).toBe(false);
		await waitFor("the removal", () => registrar.table.state(shape.slot) === SLOT_REMOVED);
		await registrar.registrar.shapes.settled();
		await registrar.complete({ table: "items", columns: "id" });
	});

	it("asks a server that can to log its running transactions, and takes no for an answer", async () => {
		await using room = await prepare(ITEMS);
		await using registrar = await TestRegistrar.start(room.setup);
		const [server] = await room.database.sql<{ can: boolean; lsn: string }>(
			"select current_setting('server_version_num')::int >= 160000 as can, pg_current_wal_insert_lsn()::text as lsn",
		);
		await registrar.registrar.nudgeSlotCreation();
		const [after] = await room.database.sql<{ written: boolean }>(
			"select pg_current_wal_insert_lsn() > $1::pg_lsn as written",
			[server?.lsn],
		);
		if (server?.can === true) {
			expect(after?.written).toBe(true);
		}
		await registrar.registrar.stop();
		await registrar.registrar.nudgeSlotCreation();
	});

	it("follows a data directory that another registrar holds, and takes it over with the same shapes", async () => {
		await using room = await prepare(ITEMS);
		await using first = await TestRegistrar.start(room.setup);
		await using second = await TestRegistrar.create(room.setup);
		const early = await first.complete({ table: "items" });
		expect(await second.registrar.open()).toMatchObject({ role: "follower", shapeCount: 1 });
		const seen = await second.readable.findHandle(early.handle);
		expect(seen).toMatchObject({ handle: early.handle, directory: early.directory });
		expect(await second.readable.resolveShape(shapeRequest({ table: "items" }))).toEqual(seen);
		// Another spelling of the same shape: found without asking the first.
		expect(await second.readable.resolveShape(shapeRequest({ table: "public.items" }))).toEqual(seen);
		await expect(second.readable.resolveShape(shapeRequest({ table: "nowhere" }))).rejects.toMatchObject({
			code: "SLUICE_REQUEST_INVALID",
		});
		const narrow = { table: "items", where: "id > 1" };
		await expect(second.readable.resolveShape(shapeRequest(narrow))).rejects.toMatchObject({
			code: "SLUICE_NOT_ACTIVE",
		});
		const late = await first.complete(narrow);
		expect((await second.readable.resolveShape(shapeRequest(narrow))).handle).toBe(late.handle);
		await first.registrar.shapes.deleteShape({ definition: null, handle: early.handle });
		await waitFor("the second to see the end of a shape", () => second.table.state(seen?.slot ?? 0) === SLOT_REMOVED);
		expect(await second.readable.findHandle(early.handle)).toBeNull();

		const takenOver = second.registrar.takeOver();
		await first.registrar.stop();
		expect(await takenOver).toMatchObject({ role: "writer", shapeCount: 1, position: { acknowledgedLsn: 1000n } });
		await second.attach();
		await second.registrar.acquireLock();
		await second.reconcile({});
		expect((await second.resolve(narrow)).handle).toBe(late.handle);
		expect(second.lane.restored.map((shape) => shape.handle)).toEqual([late.handle]);
		const made = await second.complete({ table: "items" });
		expect(made.handle).not.toBe(early.handle);
	});

	it("drops a stored shape whose directory is gone", async () => {
		await using room = await prepare(ITEMS);
		{
			await using registrar = await TestRegistrar.start(room.setup);
			const shape = await registrar.complete({ table: "items" });
			await registrar.complete({ table: "items", where: "id = 1" });
			await registrar.registrar.stop();
			await rm(shape.directory, { recursive: true });
		}
		await using again = await TestRegistrar.create(room.setup);
		expect((await again.registrar.open()).shapeCount).toBe(1);
	});

	it("forgets a shape that was being created when the process ended, and removes its directory", async () => {
		await using room = await prepare(ITEMS);
		await using registrar = await TestRegistrar.start(room.setup);
		registrar.lane.onSplice = () => new Promise(() => {});
		const resolving = registrar.resolve({ table: "items" });
		const failed = expect(resolving).rejects.toMatchObject({
			code: expect.stringMatching(/SLUICE_(NOT_ACTIVE|SHAPE_GONE)/),
		});
		await waitFor("the splice", () => registrar.lane.spliced.length === 1);
		await registrar.registrar.stop();
		await failed;
		await using again = await TestRegistrar.create(room.setup);
		expect((await again.registrar.open()).shapeCount).toBe(0);
		await waitFor("the orphan to go", () => !existsSync(registrar.lane.added[0]?.directory ?? ""));
	});
});

describe.each(embeddedServers())("the registrar and a crash of $name", (kind) => {
	const server = useServer(kind);
	const prepare = roomsOf(server);

	it("fails the snapshot at hand, goes on when the server is back, and keeps complete shapes", async () => {
		await using room = await prepare(
			"create table items (id int primary key, title text); create table big (id int primary key, title text); insert into big select i, repeat('x', 1000) from generate_series(1, 200000) i",
		);
		await using registrar = await TestRegistrar.start(room.setup);
		const complete = await registrar.complete({ table: "items" });
		const broken = await registrar.resolve({ table: "big" });
		await server.local.stop("immediate");
		await waitFor("the broken shape to be removed", () => registrar.table.state(broken.slot) !== SLOT_ACTIVE);
		await waitFor("the database to be missed", () => {
			const last = registrar.events.findLast((event) => event.kind === "database");
			return last?.kind === "database" && !last.reachable;
		});
		await expect(registrar.resolve({ table: "big", where: "id = 1" })).rejects.toMatchObject({
			code: "SLUICE_DATABASE_UNAVAILABLE",
		});
		expect((await registrar.resolve({ table: "items" })).handle).toBe(complete.handle);
		await server.local.restart();
		await registrar.registrar.acquireLock();
		await registrar.complete({ table: "big", where: "id = 1" });
	});
});

describe.each(embeddedServers())("the registrar and TLS of $name", (kind) => {
	const server = useServer(
		kind,
		tlsServer(["hostssl all all 127.0.0.1/32 trust", "hostnossl all postgres 127.0.0.1/32 trust"]),
	);
	const prepare = roomsOf(server);

	it.each([
		{ name: "without sslmode, on a server that takes both", parameters: {}, tls: true },
		{ name: "with sslmode=disable", parameters: { sslmode: "disable" }, tls: false },
		{ name: "with sslmode=require and a certificate that nobody knows", parameters: { sslmode: "require" }, tls: true },
	])("connects every one of its sessions alike $name", async ({ parameters, tls }) => {
		await using room = await prepare(ITEMS);
		await using registrar = await TestRegistrar.start({
			...room.setup,
			databaseUrl: room.database.urlAs({ user: "postgres", parameters }),
		});
		await registrar.complete({ table: "items" });
		await waitFor("the side connection", () => registrar.events.some((event) => event.kind === "server"));
		const sessions = await room.database.sql(
			`select distinct application_name::text as name, ssl from pg_stat_activity join pg_stat_ssl using (pid)
			where application_name like 'sluice-%' and datname = current_database() order by 1`,
		);
		expect(sessions).toEqual(
			["sluice-lock", "sluice-registrar", "sluice-snapshot", "sluice-watch"].map((name) => ({ name, ssl: tls })),
		);
	});
});
