/**
 * The support for tests against PostgreSQL, itself tested: databases of their own, and nothing left behind.
 */

import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { embeddedServers, testServers, uniqueName, useDatabase, useServer } from "./postgres.ts";
import { RUN_DIRECTORY_VARIABLE } from "./run-directory.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

describe.each(testServers())("$name", (kind) => {
	const server = useServer(kind);

	it("gives each test a database of its own, and drops it with its slots and sessions", async () => {
		const slot = uniqueName("slot");
		{
			await using database = await server.createDatabase();
			await database.sql("create table here as select 1 as one; select pg_sleep(0)");
			expect(await database.sql("table here")).toEqual([{ one: 1 }]);
			await database.sql("select pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
			const client = await database.connect();
			await client.query("begin; lock table here");
			await using other = await server.createDatabase();
			await expect(other.sql("table here")).rejects.toMatchObject({ code: "42P01" });
		}
		expect(await server.sql("select from pg_replication_slots where slot_name = $1", [slot])).toEqual([]);
		expect(await server.sql("select from pg_database where datname like 'test\\_%'")).toEqual([]);
	});
});

describe.each(embeddedServers())("an embedded $name", (kind) => {
	const database = useDatabase(kind, { settings: { work_mem: "7MB" } });

	it("has the settings that were asked for, and those of logical replication", async () => {
		expect(await database.sql("show work_mem")).toEqual([{ work_mem: "7MB" }]);
		expect(await database.sql("show wal_level")).toEqual([{ wal_level: "logical" }]);
	});

	it("goes on with its databases after a crash and a restart", async () => {
		await database.sql("create table kept as select 2 as two");
		const client = await database.connect();
		await database.server.local.restart("immediate");
		await expect(client.query("select 1")).rejects.toThrow();
		expect(await database.sql("select 1 as one")).toEqual([{ one: 1 }]);
	});
});

describe("a temporary directory", () => {
	it("lies in the directory of the run", async () => {
		await using directory = await temporaryDirectory();
		expect(process.env[RUN_DIRECTORY_VARIABLE]).toContain(tmpdir());
		expect(directory.path.startsWith(String(process.env[RUN_DIRECTORY_VARIABLE]))).toBe(true);
	});
});
