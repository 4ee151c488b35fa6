/**
 * The work behind the stream stands for a minute while writers go on, with a wal_sender_timeout of ten seconds: the
 * window fills up, the socket is paused, the link stays. Beside keepalive-while-frozen, in a file of its own because it
 * lasts.
 */

import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { useDaemons } from "../support/daemon.ts";
import { embeddedServers, useServer } from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { waitFor } from "../support/wait-for.ts";
import { walsender } from "../support/walsender.ts";

describe("a freeze of 60 s under a continuous write load", () => {
	const newest = embeddedServers().at(-1);
	if (newest === undefined) {
		throw new Error("no server");
	}
	const server = useServer(newest);
	const daemons = useDaemons();

	it("fills the window, pauses, keeps the link, and loses nothing", { timeout: 180_000 }, async () => {
		const database = await server.createDatabase();
		await database.sql(`alter database ${database.name} set wal_sender_timeout = '10s'`);
		await database.sql("create table items (id bigint primary key, title text not null)");
		const daemon = await daemons.start({
			databaseUrl: database.url,
			environment: { SLUICE_WINDOW_BYTES: "8388608" },
		});
		const reader = new ShapeReader(daemon.shapeUrl, { table: "items" });
		await reader.shape.rows;
		const before = await walsender(database, daemon);
		const writer = await database.connect();
		let written = 0;
		let writing = true;
		const load = (async () => {
			while (writing) {
				await writer.query(
					"insert into items select g, repeat('x', 1000) from generate_series($1::bigint, $1::bigint + 99) g",
					[written + 1],
				);
				written += 100;
				await delay(100);
			}
		})();
		await daemon.admin("POST", "/v1/lanes/suspend");
		await waitFor(
			"the window to be full and the socket paused",
			async () => {
				const { link, window } = await daemon.status();
				return link.paused && link.pauseReasons.includes("window") && window.bytes > window.limitBytes / 2;
			},
			{ timeoutMs: 60_000 },
		);
		await delay(60_000);
		expect(await walsender(database, daemon)).toEqual(before);
		await daemon.admin("POST", "/v1/lanes/resume");
		await delay(1_000);
		writing = false;
		await load;
		await reader.until("every row", (rows) => rows.size === written, 60_000);
		const { link } = await daemon.status();
		expect(await walsender(database, daemon)).toEqual(before);
		expect(link.connects).toBe(1);
		expect(link.paused).toBe(false);
		expect(link.pauses).toBeGreaterThan(0);
		expect(link.keepalive.largestGapMs).toBeLessThan(10_000);
		reader.stop();
		await daemon.stop();
		await database.drop();
	});
});
