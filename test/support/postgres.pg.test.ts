/**
 * The support for tests against PostgreSQL, itself tested: databases of their own, and nothing left behind.
 */

import { tmpdir } from "node:os";
import { Client } from "pg";
import { describe, expect, it } from "vitest";
import { embeddedServers, testServers, uniqueName, useDatabase, useServer } from "./postgres.ts";
import { RUN_DIRECTORY_VARIABLE } from "./run-directory.ts";
import { temporaryDirectory } from "./temporary-directory.ts";
import { CERTIFICATE_PATH, tlsServer } from "./tls.ts";

describe.each(testServers())("$name", (kind) => {
	const server = useServer(kind);

	it("gives each test a database of its own, and drops it with its slots and sessions", async () => {
		const slot = uniqueName("slot");
		const names: string[] = [];
		{
			await using database = await server.createDatabase();
			await database.sql("create table here as select 1 as one; select pg_sleep(0)");
			expect(await database.sql("table here")).toEqual([{ one: 1 }]);
			await database.sql("select pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
			const client = await database.connect();
			await client.query("begin; lock table here");
			await using other = await server.createDatabase();
			await expect(other.sql("table here")).rejects.toMatchObject({ code: "42P01" });
			names.push(database.name, other.name);
		}
		expect(await server.sql("select from pg_replication_slots where slot_name = $1", [slot])).toEqual([]);
		expect(await server.sql("select from pg_database where datname = any ($1)", [names])).toEqual([]);
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

describe.each(embeddedServers())("an embedded $name with TLS and passwords", (kind) => {
	const database = useDatabase(
		kind,
		tlsServer([
			"hostssl all guarded 127.0.0.1/32 scram-sha-256",
			"host all guarded 127.0.0.1/32 reject",
			"host all all 127.0.0.1/32 trust",
		]),
	);

	it("lets a role in over verified TLS with its password, and not in the clear", async () => {
		await database.sql("create role guarded login password 'let me in'");
		const login = { user: "guarded", password: "let me in" };
		const parameters = { sslmode: "verify-full", sslrootcert: CERTIFICATE_PATH };
		const client = new Client({ connectionString: database.urlAs({ ...login, parameters }) });
		await client.connect();
		expect((await client.query("select ssl from pg_stat_ssl where pid = pg_backend_pid()")).rows).toEqual([
			{ ssl: true },
		]);
		await client.end();
		await expect(new Client({ connectionString: database.urlAs(login) }).connect()).rejects.toMatchObject({
			code: "28000",
		});
		const wrong = database.urlAs({ ...login, password: "wrong", parameters });
		await expect(new Client({ connectionString: wrong }).connect()).rejects.toMatchObject({ code: "28P01" });
	});
});
