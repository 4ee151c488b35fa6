/**
 * What may happen to the replication slot while Sluice is away or detached: invalidated, dropped, made anew or advanced
 * by somebody else, idle for too long. Each ends with clients that hold what SELECT says: by going on where nothing was
 * lost, and by starting anew (409) where it was.
 */

import { describe, expect, it } from "vitest";
import { type TestDaemon, useDaemons } from "../support/daemon.ts";
import { embeddedServers, type TestDatabase, type TestServer, useServer } from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { waitFor } from "../support/wait-for.ts";

const daemons = useDaemons();

interface Room {
	readonly database: TestDatabase;
	readonly daemon: TestDaemon;
	readonly reader: ShapeReader;
	readonly handle: string | undefined;
}

async function enter(server: TestServer, environment: Record<string, string> = {}): Promise<Room> {
	const database = await server.createDatabase();
	await database.sql("create table items (id int primary key, body text)");
	const daemon = await daemons.start({ databaseUrl: database.url, environment });
	const reader = new ShapeReader(daemon.shapeUrl, { table: "items" });
	await reader.shape.rows;
	await database.sql("insert into items values (1, 'before')");
	await reader.until("the first row", (rows) => rows.size === 1);
	return { database, daemon, reader, handle: reader.shape.handle };
}

async function leave({ database, daemon, reader }: Room): Promise<void> {
	expect(reader.errors).toEqual([]);
	reader.stop();
	expect(await daemon.stop()).toBe(0);
	await database.drop();
}

async function slotOf({ database, daemon }: Room): Promise<Record<string, unknown> | undefined> {
	const [row] = await database.sql<{ slot: Record<string, unknown> }>(
		"select to_jsonb(s) as slot from pg_replication_slots s where slot_name = $1",
		[daemon.slotName],
	);
	return row?.slot;
}

/** Everybody sees the rows, under a new handle or the old one, and what is written afterwards. */
async function expectRows(room: Room, count: number, startsAnew: boolean): Promise<void> {
	const { database, daemon, reader, handle } = room;
	await daemon.untilActive();
	await reader.until(`${count} rows`, (rows) => rows.size === count, 30_000);
	await database.sql("insert into items values (1000000, 'after')");
	await reader.until("what comes after", (rows) => rows.has("1000000"));
	expect(reader.shape.handle === handle).toBe(!startsAnew);
}

describe.each(embeddedServers())("$name", (kind) => {
	const server = useServer(kind, {
		settings: { max_slot_wal_keep_size: "64MB", max_wal_size: "32MB", min_wal_size: "32MB" },
	});

	it("A10, D4, F14: over max_slot_wal_keep_size while paused: checkpoints go on, and clients end with every row", async () => {
		const room = await enter(server, { SLUICE_WINDOW_BYTES: "8388608", SLUICE_PAUSE_LIMIT_MS: "600000" });
		const { database, daemon } = room;
		await daemon.admin("POST", "/v1/lanes/suspend");
		await database.sql("insert into items select g, repeat('x', 2000) from generate_series(2, 20000) g");
		await waitFor("the socket to be paused", async () => (await daemon.status()).link.pauseReasons.includes("window"));
		await database.sql("create table other as select g, repeat('y', 2000) from generate_series(1, 50000) g");
		const beganMs = performance.now();
		await database.sql("checkpoint");
		expect(performance.now() - beganMs).toBeLessThan(10_000);
		await waitFor("the link to be detached", async () => (await daemon.status()).link.detaches > 0);
		// Detached, it holds no checkpoint up: the slot may go.
		await waitFor("the slot to be given up", async () => {
			await database.sql("checkpoint");
			return (await slotOf(room))?.["wal_status"] === "lost";
		});
		await daemon.admin("POST", "/v1/lanes/resume");
		await room.reader.until("every row", (rows) => rows.size === 20_000, 60_000);
		await expectRows(room, 20_000, true);
		await leave(room);
	}, 120_000);
});

/** Dropping and advancing a slot is alike in every version. */
describe.each(embeddedServers([18]))("$name with idle_replication_slot_timeout", (kind) => {
	const server = useServer(kind, { settings: { idle_replication_slot_timeout: "6s", checkpoint_timeout: "30s" } });

	it("F15: a link that is detached for longer attaches in good time, so that the slot is kept", async () => {
		const room = await enter(server, { SLUICE_WINDOW_BYTES: "8388608", SLUICE_PAUSE_LIMIT_MS: "1000" });
		const { database, daemon } = room;
		await daemon.admin("POST", "/v1/lanes/suspend");
		await database.sql("insert into items select g, repeat('x', 2000) from generate_series(2, 20000) g");
		await waitFor(
			"three detaches: longer than the timeout",
			async () => {
				await database.sql("checkpoint");
				return (await daemon.status()).link.detaches >= 3;
			},
			{ timeoutMs: 40_000, intervalMs: 200 },
		);
		expect((await slotOf(room))?.["invalidation_reason"]).toBeNull();
		await daemon.admin("POST", "/v1/lanes/resume");
		await expectRows(room, 20_000, false);
		await leave(room);
	}, 90_000);

	it("F12: a slot that was dropped while Sluice was away is made anew, and so is every shape", async () => {
		const room = await enter(server);
		expect(await room.daemon.stop()).toBe(0);
		await room.database.sql("insert into items values (2, 'missed')");
		await room.database.sql("select pg_drop_replication_slot($1)", [room.daemon.slotName]);
		await room.daemon.start();
		await expectRows(room, 2, true);
		await leave(room);
	}, 60_000);

	it("F16: a slot that somebody advanced, or made again further on, has a gap: every shape is made anew", async () => {
		const room = await enter(server);
		expect(await room.daemon.stop()).toBe(0);
		await room.database.sql("insert into items values (2, 'skipped')");
		await room.database.sql("select pg_replication_slot_advance($1, pg_current_wal_lsn())", [room.daemon.slotName]);
		await room.daemon.start();
		await expectRows(room, 2, true);
		const advanced = { ...room, handle: room.reader.shape.handle };
		expect(await room.daemon.stop()).toBe(0);
		await room.database.sql("insert into items values (3, 'between the slots')");
		await room.database.sql("select pg_drop_replication_slot($1)", [room.daemon.slotName]);
		await room.database.sql("select pg_create_logical_replication_slot($1, 'pgoutput')", [room.daemon.slotName]);
		await room.daemon.start();
		await room.daemon.untilActive();
		await room.reader.until("the row between the slots", (rows) => rows.has("3"), 30_000);
		expect(room.reader.shape.handle).not.toBe(advanced.handle);
		await leave(room);
	}, 60_000);

	it("F15: a slot that was idle for too long while Sluice was away is made anew, and so is every shape", async () => {
		const room = await enter(server);
		expect(await room.daemon.stop()).toBe(0);
		await room.database.sql("insert into items values (2, 'missed')");
		await waitFor("the slot to be invalidated", async () => {
			await room.database.sql("checkpoint");
			return (await slotOf(room))?.["invalidation_reason"] === "idle_timeout";
		});
		await room.daemon.start();
		await expectRows(room, 2, true);
		await leave(room);
	}, 60_000);
});
