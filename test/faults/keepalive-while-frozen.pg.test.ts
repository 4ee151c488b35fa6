/**
 * What Sluice exists for. When the work behind the stream is stuck, a consumer that works and answers on one
 * thread falls silent, PostgreSQL ends the connection after wal_sender_timeout, and the system reconnects in
 * a loop. Here the work is stuck for longer than the timeout, in every way we know, and the same walsender
 * serves before and after. The last test switches the keepalive off and shows that these tests can fail.
 */

import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { type TestDaemonOptions, useDaemons } from "../support/daemon.ts";
import { embeddedServers, useServer } from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { waitFor } from "../support/wait-for.ts";
import { walsender } from "../support/walsender.ts";

describe.each(embeddedServers())("$name", (kind) => {
	const server = useServer(kind, { settings: { wal_sender_timeout: "60s" } });
	const daemons = useDaemons();

	async function setUp(timeout: string, options: Partial<TestDaemonOptions> = {}) {
		const database = await server.createDatabase();
		await database.sql(`alter database ${database.name} set wal_sender_timeout = '${timeout}'`);
		await database.sql("create table items (id bigint primary key, title text not null)");
		const daemon = await daemons.start({ databaseUrl: database.url, ...options });
		const reader = new ShapeReader(daemon.shapeUrl, { table: "items" });
		await reader.shape.rows;
		const before = await walsender(database, daemon);
		expect(before).toBeDefined();
		return { database, daemon, reader, before };
	}

	it("survives lanes that are stuck for 6 s with a wal_sender_timeout of 3 s", async () => {
		const { database, daemon, reader, before } = await setUp("3s", {
			faults: [{ point: "lane.batch.before", action: { kind: "block", durationMs: 6_000 } }],
		});
		await database.sql("insert into items values (1, 'while stuck')");
		await reader.until("the row that the lane was stuck on", (rows) => rows.has("1"));
		await database.sql("insert into items values (2, 'afterwards')");
		await reader.until("a row afterwards", (rows) => rows.has("2"));
		expect(await walsender(database, daemon)).toEqual(before);
		const { link } = await daemon.status();
		expect(link.connects).toBe(1);
		expect(link.keepalive.largestGapMs).toBeLessThan(3_000);
		reader.stop();
		await daemon.stop();
		await database.drop();
	});

	it("survives lanes that are suspended for 10 s with a wal_sender_timeout of 5 s", async () => {
		const { database, daemon, reader, before } = await setUp("5s");
		expect((await daemon.admin("POST", "/v1/lanes/suspend")).status).toBe(200);
		expect((await daemon.status()).lanes[0]?.state).toBe("suspended");
		await database.sql("insert into items values (1, 'while suspended')");
		await delay(10_000);
		expect(reader.rows().size).toBe(0);
		expect((await daemon.admin("POST", "/v1/lanes/resume")).status).toBe(200);
		await database.sql("insert into items values (2, 'afterwards')");
		await reader.until("both rows", (rows) => rows.has("1") && rows.has("2"));
		expect(await walsender(database, daemon)).toEqual(before);
		expect((await daemon.status()).link.connects).toBe(1);
		reader.stop();
		await daemon.stop();
		await database.drop();
	});

	it("fails without the keepalive: the server cuts the link", async () => {
		const { database, daemon, reader, before } = await setUp("3s", {
			disableKeepalive: true,
			faults: [{ point: "lane.batch.before", action: { kind: "block", durationMs: 8_000 } }],
			environment: { SLUICE_WINDOW_BYTES: "8388608" },
		});
		// More than window and socket buffers hold, so that the server has something to wait with.
		await database.sql("insert into items select g, repeat('x', 2000) from generate_series(1, 20000) g");
		await waitFor("the server to cut the link", async () => (await walsender(database, daemon))?.pid !== before?.pid, {
			timeoutMs: 30_000,
		});
		// And even then nothing is lost: the daemon comes back and every row arrives once.
		await reader.until("all rows after the reconnection", (rows) => rows.size === 20_000, 40_000);
		expect((await daemon.status()).link.connects).toBeGreaterThan(1);
		reader.stop();
		await daemon.stop();
		await database.drop();
	});
});
