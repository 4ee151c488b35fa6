/**
 * Every pause is bounded. A paused consumer that keeps answering cannot be ended from the server's side: while
 * its walsender is blocked in a write, one pg_terminate_backend is not enough, the invalidation of its slot holds
 * up every checkpoint, a fast shutdown never finishes. So Sluice detaches, by itself and in time, and comes back
 * when there is room. No change may be lost over it.
 */

import { describe, expect, it } from "vitest";
import { type TestDaemon, useDaemons } from "../support/daemon.ts";
import { embeddedServers, type TestDatabase, useServer } from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { waitFor } from "../support/wait-for.ts";

const ROWS = 20_000;

async function slotIsActive(database: TestDatabase, daemon: TestDaemon): Promise<boolean> {
	const [row] = await database.sql<{ active: boolean }>(
		"select active from pg_replication_slots where slot_name = $1",
		[daemon.slotName],
	);
	return row?.active === true;
}

describe.each(embeddedServers())("$name", (kind) => {
	const server = useServer(kind);
	const daemons = useDaemons();

	/** Lanes suspended, window full, the rest of a large transaction stuck in the walsender. */
	async function pausedWithFullWindow(pauseLimitMs: number) {
		const database = await server.createDatabase();
		await database.sql("create table items (id int primary key, body text not null)");
		const daemon = await daemons.start({
			databaseUrl: database.url,
			environment: { SLUICE_WINDOW_BYTES: "8388608", SLUICE_PAUSE_LIMIT_MS: String(pauseLimitMs) },
		});
		const reader = new ShapeReader(daemon.shapeUrl, { table: "items" });
		await reader.shape.rows;
		await daemon.admin("POST", "/v1/lanes/suspend");
		await database.sql(`insert into items select g, repeat('x', 2000) from generate_series(1, ${ROWS}) g`);
		await waitFor("the socket to be paused", async () => (await daemon.status()).link.pauseReasons.includes("window"));
		const finish = async (): Promise<void> => {
			await daemon.admin("POST", "/v1/lanes/resume");
			await reader.until("every row", (rows) => rows.size === ROWS, 40_000);
			expect(reader.errors).toEqual([]);
			reader.stop();
			expect(await daemon.stop()).toBe(0);
			await database.drop();
		};
		return { database, daemon, reader, finish };
	}

	it("detaches when a pause reaches its limit, and attaches again when there is room", {
		timeout: 90_000,
	}, async () => {
		const { database, daemon, finish } = await pausedWithFullWindow(3_000);
		await waitFor("the link to be detached", async () => (await daemon.status()).link.state === "detached");
		expect(await slotIsActive(database, daemon)).toBe(false);
		expect((await daemon.status()).link.step).toBe("pause-limit");
		await finish();
	});

	it("lets a fast shutdown of the server finish, and comes back after it", { timeout: 120_000 }, async () => {
		const { daemon, finish } = await pausedWithFullWindow(600_000);
		const startedMs = performance.now();
		expect(await server.local.stop("fast")).toBe("clean");
		expect(performance.now() - startedMs).toBeLessThan(10_000);
		await server.local.start();
		expect((await daemon.status()).link.detaches).toBeGreaterThan(0);
		await finish();
	});

	it("lets one pg_terminate_backend end the walsender", { timeout: 120_000 }, async () => {
		const { database, daemon, finish } = await pausedWithFullWindow(600_000);
		const pid = (await daemon.status()).link.walsenderPid;
		await database.sql("select pg_terminate_backend($1)", [pid]);
		await waitFor(
			"the walsender to be gone",
			async () => (await database.sql("select from pg_stat_activity where pid = $1", [pid])).length === 0,
		);
		await finish();
	});
});
