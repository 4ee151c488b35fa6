/**
 * A lane's thread dies: in the middle of a batch, again and again, or deep inside a transaction that is far
 * larger than the window. The link must not notice, and no change may be lost or doubled.
 */

import { describe, expect, it } from "vitest";
import { useDaemons } from "../support/daemon.ts";
import { oneTestServer, useServer } from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { waitFor } from "../support/wait-for.ts";

const server = useServer(oneTestServer());
const daemons = useDaemons();

async function setUp(faults: Parameters<typeof daemons.start>[0]["faults"], environment: Record<string, string> = {}) {
	const database = await server.createDatabase();
	await database.sql("create table items (id int primary key, owner int not null, body text not null)");
	const daemon = await daemons.start({ databaseUrl: database.url, faults: faults ?? [], environment });
	const all = new ShapeReader(daemon.shapeUrl, { table: "items" });
	const one = new ShapeReader(daemon.shapeUrl, { table: "items", where: "owner = 3" });
	await Promise.all([all.shape.rows, one.shape.rows]);
	return {
		database,
		daemon,
		all,
		one,
		end: async () => {
			all.stop();
			one.stop();
			expect(await daemon.stop()).toBe(0);
			await database.drop();
		},
	};
}

describe("a lane that dies", () => {
	it("in the middle of a batch leaves the link alone and the shapes whole", async () => {
		const { database, daemon, all, one, end } = await setUp([
			{ point: "lane.batch.middle", action: { kind: "crash" }, skip: 1 },
		]);
		for (let batch = 0; batch < 5; batch += 1) {
			await database.sql(
				`insert into items select g, g % 10, 'x' from generate_series(${batch * 100 + 1}, ${batch * 100 + 100}) g`,
			);
		}
		await all.until("500 rows", (rows) => rows.size === 500);
		await one.until("50 rows", (rows) => rows.size === 50);
		const status = await daemon.status();
		expect(status.lanes[0]?.restarts).toBeGreaterThan(0);
		expect(status.link.connects).toBe(1);
		await end();
	});

	it("again and again at every second batch still gets through, each row once", async () => {
		const { database, daemon, all, one, end } = await setUp([
			{ point: "lane.batch.written", action: { kind: "crash" }, skip: 1, times: 1 },
		]);
		for (let batch = 0; batch < 12; batch += 1) {
			await database.sql(
				`insert into items select g, g % 10, 'x' from generate_series(${batch * 10 + 1}, ${batch * 10 + 10}) g`,
			);
			await all.until(`${batch * 10 + 10} rows`, (rows) => rows.size === batch * 10 + 10);
		}
		await database.sql("update items set body = 'y' where owner = 3");
		await one.until(
			"every update",
			(rows) => rows.size === 12 && [...rows.values()].every((row) => row["body"] === "y"),
		);
		const status = await daemon.status();
		expect(status.lanes[0]?.restarts).toBeGreaterThan(3);
		expect(status.link.connects).toBe(1);
		await end();
	});

	it("deep inside a transaction larger than the window goes on where it was", async () => {
		const { database, daemon, all, one, end } = await setUp(
			[{ point: "lane.batch.middle", action: { kind: "crash" }, skip: 15 }],
			{ SLUICE_WINDOW_BYTES: "8388608", SLUICE_CHUNK_BYTES: "1000000" },
		);
		await database.sql("insert into items select g, g % 10, repeat('x', 500) from generate_series(1, 60000) g");
		await all.until("60 000 rows", (rows) => rows.size === 60_000, 60_000);
		await one.until("6 000 rows", (rows) => rows.size === 6_000);
		const status = await daemon.status();
		expect(status.lanes[0]?.restarts).toBeGreaterThan(0);
		expect(status.link.connects).toBe(1);
		await waitFor("the acknowledgement to catch up", async () => {
			const { link } = await daemon.status();
			return link.acknowledgedLsn === link.receivedLsn;
		});
		await end();
	});

	it("while the disk says it is full waits and goes on, with the socket paused meanwhile", async () => {
		const { database, daemon, all, end } = await setUp([
			{ point: "lane.log.write", action: { kind: "fail", systemCode: "ENOSPC" }, times: 40 },
		]);
		await database.sql("insert into items select g, g % 10, 'x' from generate_series(1, 100) g");
		await waitFor("the lane to retry", async () => {
			const status = await daemon.status();
			return status.lanes[0]?.state === "retrying" && status.link.pauseReasons.includes("not-ready");
		});
		await all.until("100 rows", (rows) => rows.size === 100);
		expect(daemon.log).toContain("SLUICE_DISK_FULL");
		expect((await daemon.status()).link.connects).toBe(1);
		await end();
	});
});
