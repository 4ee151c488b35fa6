/**
 * One shape whose rows end its lane's thread again and again, or whose log cannot be synced for ever: that shape is
 * dropped, the others go on, and the slot advances.
 */

import { expect, it } from "vitest";
import type { Fault } from "../../src/shared/fault-points.ts";
import { useDaemons } from "../support/daemon.ts";
import { oneTestServer, useServer } from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { waitFor } from "../support/wait-for.ts";

const server = useServer(oneTestServer());
const daemons = useDaemons();

/** Slots are given out from 0: the first shape has it. */
const FIRST_SLOT = 0;

async function setUp(faults: readonly Fault[], environment: Record<string, string> = {}) {
	const database = await server.createDatabase();
	await database.sql("create table items (id int primary key, owner int not null)");
	const daemon = await daemons.start({ databaseUrl: database.url, faults, environment });
	const bad = new ShapeReader(daemon.shapeUrl, { table: "items", where: "owner = 1" });
	await bad.shape.rows;
	const handle = bad.shape.handle;
	const good = new ShapeReader(daemon.shapeUrl, { table: "items" });
	await good.shape.rows;
	return { database, daemon, bad, good, handle };
}

it("F60, F63: a shape whose writes end the thread again and again is dropped alone, and the slot advances", {
	timeout: 60_000,
}, async () => {
	const { database, daemon, bad, good, handle } = await setUp([
		{ point: "lane.log.write", slot: FIRST_SLOT, action: { kind: "crash" }, times: 1_000 },
	]);
	const goodHandle = good.shape.handle;
	const beganMs = performance.now();
	await database.sql("insert into items select g, g % 2 from generate_series(1, 20) g");
	await good.until("20 rows", (rows) => rows.size === 20, 30_000);
	const tookMs = Math.round(performance.now() - beganMs);
	// The client of the dropped shape starts anew, with a shape in another slot.
	await bad.until("its 10 rows", (rows) => rows.size === 10, 30_000);
	expect(bad.shape.handle).not.toBe(handle);
	expect(good.shape.handle).toBe(goodHandle);
	await waitFor("everything to be acknowledged", async () => {
		const { link } = await daemon.status();
		return link.acknowledgedLsn === link.receivedLsn && link.durableLsn !== "0/0";
	});
	const status = await daemon.status();
	expect(status.link.connects).toBe(1);
	expect(status.lanes[0]?.restarts).toBeGreaterThan(1);
	expect(tookMs).toBeLessThan(20_000);
	await database.sql("insert into items values (21, 1)");
	await bad.until("what comes after", (rows) => rows.size === 11);
	await good.until("what comes after", (rows) => rows.size === 21);
	expect([...bad.errors, ...good.errors]).toEqual([]);
	bad.stop();
	good.stop();
	expect(await daemon.stop()).toBe(0);
	await database.drop();
});

it("F61: a thread that hangs in a batch is ended and replaced in time; the link does not notice", {
	timeout: 60_000,
}, async () => {
	const { database, daemon, bad, good, handle } = await setUp(
		[{ point: "lane.batch.middle", skip: 1, action: { kind: "block", durationMs: 600_000 } }],
		{ SLUICE_LANE_PATIENCE_MS: "2000" },
	);
	await database.sql("insert into items values (1, 1)");
	await good.until("the first row", (rows) => rows.size === 1, 30_000);
	await database.sql("insert into items values (2, 1)");
	await good.until("the row whose batch hangs", (rows) => rows.size === 2, 30_000);
	await bad.until("it too", (rows) => rows.size === 2);
	const status = await daemon.status();
	expect(status.link.connects).toBe(1);
	expect(status.lanes[0]?.restarts).toBeGreaterThan(0);
	expect(bad.shape.handle).toBe(handle);
	bad.stop();
	good.stop();
	expect(await daemon.stop()).toBe(0);
	await database.drop();
});

it("A5: a stop while a batch is tried again and again ends in order and at once; the batch comes after the next start", {
	timeout: 60_000,
}, async () => {
	const { database, daemon, bad, good } = await setUp([
		{ point: "lane.log.write", action: { kind: "fail", systemCode: "ENOSPC" }, times: 1_000_000 },
	]);
	await database.sql("insert into items values (1, 1)");
	await waitFor("the batch to be tried again", async () => {
		const { lanes } = await daemon.status();
		return lanes[0]?.state === "retrying";
	});
	const beganMs = performance.now();
	expect(await daemon.stop()).toBe(0);
	expect(performance.now() - beganMs).toBeLessThan(8_000);
	await daemon.start([]);
	await good.until("the row", (rows) => rows.size === 1, 30_000);
	await bad.until("the row", (rows) => rows.size === 1, 30_000);
	bad.stop();
	good.stop();
	expect(await daemon.stop()).toBe(0);
	await database.drop();
});
