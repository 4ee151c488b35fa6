/** C13: a shape that is made while somebody truncates its table: the TRUNCATE is either in its first data or after it. */

import { expect, it } from "vitest";
import { useDaemons } from "../support/daemon.ts";
import { oneTestServer, useServer } from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { waitFor } from "../support/wait-for.ts";

const server = useServer(oneTestServer());
const daemons = useDaemons();

it("C13: an open TRUNCATE, of a table that is followed and of one that is not yet, leaves every client with what SELECT says", {
	timeout: 60_000,
}, async () => {
	const database = await server.createDatabase();
	await database.sql("create table items (id int primary key); insert into items select generate_series(1, 100)");
	const daemon = await daemons.start({ databaseUrl: database.url });
	const readers: ShapeReader[] = [];
	// First the table is not followed yet, then it is.
	for (const where of ["id > 0", "id > -1", "id > -2"]) {
		const session = await database.connect();
		await session.query("begin");
		await session.query("truncate items");
		await session.query("insert into items select generate_series(1, 5)");
		const reader = new ShapeReader(daemon.shapeUrl, { table: "items", where });
		readers.push(reader);
		await waitFor("the shape to wait for the TRUNCATE", async () => {
			const waiting = await database.sql(
				"select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
			);
			return waiting.length > 0;
		});
		await session.query("commit");
		await reader.until("what was written with the TRUNCATE", (rows) => rows.size === 5);
		await database.sql("begin; truncate items; insert into items values (7), (8); commit");
		for (const each of readers) {
			await each.until("what came after a second TRUNCATE", (rows) => [...rows.keys()].sort().join() === "7,8");
		}
	}
	for (const reader of readers) {
		expect(reader.errors).toEqual([]);
		reader.stop();
	}
	expect(await daemon.stop()).toBe(0);
	await database.drop();
});
