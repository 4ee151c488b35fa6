/**
 * A log that is damaged while the daemon runs: whoever reads it finds out, its clients are sent to a new shape, and
 * what they hold is what SELECT says.
 */

import { readdirSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { useDaemons } from "../support/daemon.ts";
import { embeddedServers, useServer } from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { waitFor } from "../support/wait-for.ts";

describe.each(embeddedServers())("$name", (kind) => {
	const server = useServer(kind);
	const daemons = useDaemons();

	it("builds a log anew that a reader finds damaged", async () => {
		const database = await server.createDatabase();
		await database.sql("create table items (id int primary key, title text)");
		await database.sql("insert into items values (1, 'a')");
		const daemon = await daemons.start({ databaseUrl: database.url });
		const first = new ShapeReader(daemon.shapeUrl, { table: "items" });
		await first.until("the first row", (rows) => rows.has("1"));
		await database.sql("insert into items values (2, 'b')");
		await first.until("the second row", (rows) => rows.has("2"));
		first.stop();
		const end = async () => (await fetch(`${daemon.shapeUrl}?table=items&offset=now`)).headers.get("electric-offset");
		const before = await end();
		// What was read a moment ago is answered from memory: the damage is to be met by a read.
		await database.sql("insert into items values (3, 'c')");
		await waitFor("the log to go on", async () => (await end()) !== before);
		const shapes = join(daemon.dataDirectory, "shapes");
		const [handle] = readdirSync(shapes);
		truncateSync(join(shapes, String(handle), "log-0.json"), 10);
		const second = new ShapeReader(daemon.shapeUrl, { table: "items" });
		await second.until("all rows in spite of the damage", (rows) => rows.size === 3);
		await database.sql("insert into items values (4, 'd')");
		await second.until("a row that came later", (rows) => rows.size === 4);
		expect(second.errors).toEqual([]);
		const response = await fetch(`${daemon.shapeUrl}?table=items&offset=0_0&handle=${handle}`);
		expect(response.status).toBe(409);
		second.stop();
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});
});
