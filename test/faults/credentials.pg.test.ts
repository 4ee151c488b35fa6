/**
 * Logins that stop working while the service runs, and limits that are reached: Sluice says what to run, goes on
 * serving what it has, and streams again within 15 s of the cause being gone. What is set up wrong from the start ends
 * the process with the statement.
 */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Client } from "pg";
import { describe, expect, it } from "vitest";
import { TestDaemon, useDaemons } from "../support/daemon.ts";
import { embeddedServers, type TestDatabase, uniqueName, useServer } from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

const GENEROUS_MS = 60_000;
const RELIEF_MS = 15_000;
/** What a machine that runs many tests adds. */
const SLACK_MS = 10_000;

describe.each(embeddedServers([18]))("$name", (kind) => {
	const server = useServer(kind, {
		settings: { max_connections: "60", max_wal_senders: "12", max_replication_slots: "12" },
		access: [
			"host all postgres 127.0.0.1/32 trust",
			"host all all 127.0.0.1/32 scram-sha-256",
			"host replication all 127.0.0.1/32 trust",
		],
	});

	/** A daemon that follows as a role of its own, with the URL in a file. */
	async function stand() {
		const database = await server.createDatabase();
		const role = uniqueName("sync");
		await database.sql(`create role ${role} login replication password 'first'`);
		await database.sql(`grant create, connect on database ${database.name} to ${role}`);
		await database.sql("create table items (id int primary key)");
		await database.sql(`alter table items owner to ${role}`);
		const directory = await temporaryDirectory("credentials");
		const file = join(directory.path, "url");
		const write = (password: string) => writeFile(file, `${database.urlAs({ user: role, password })}\n`);
		await write("first");
		const daemon = await TestDaemon.start({ databaseUrl: "", environment: { SLUICE_DATABASE_URL_FILE: file } });
		const reader = new ShapeReader(daemon.shapeUrl, { table: "items" });
		await database.sql("insert into items values (1)");
		await reader.until("the first row", (rows) => rows.has("1"), GENEROUS_MS);
		const cut = () => database.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", [role]);
		return {
			database,
			role,
			write,
			daemon,
			cut,
			/** Reads go on while the link is down. */
			async served(): Promise<void> {
				const response = await fetch(`${daemon.shapeUrl}?table=items&offset=-1`);
				expect(response.status).toBe(200);
			},
			/** From the moment of relief. */
			async streamsAgain(): Promise<number> {
				const began = performance.now();
				await database.sql("insert into items values (2)");
				await reader.until("the second row", (rows) => rows.has("2"), GENEROUS_MS);
				return performance.now() - began;
			},
			async [Symbol.asyncDispose]() {
				reader.stop();
				await daemon.end();
				await database.drop();
				await server.sql(`drop role ${role}`);
				await directory.remove();
			},
		};
	}

	async function logged(daemon: TestDaemon, ...texts: readonly string[]): Promise<void> {
		await waitFor(`the log to say ${texts.join(" and ")}`, () => texts.every((text) => daemon.log.includes(text)), {
			timeoutMs: GENEROUS_MS,
		});
	}

	it.concurrent("takes a rotated password from its file, without a restart", { timeout: 120_000 }, async () => {
		await using room = await stand();
		await room.database.sql(`alter role ${room.role} password 'second'`);
		await room.cut();
		await logged(room.daemon, "28P01", "the password is wrong or was changed");
		await room.served();
		await room.write("second");
		expect(await room.streamsAgain()).toBeLessThan(RELIEF_MS + SLACK_MS);
		expect(await room.daemon.stop()).toBe(0);
	});

	it.concurrent.each([
		["REPLICATION", "noreplication", 'WITH REPLICATION"', "replication"],
		["LOGIN", "nologin", 'WITH LOGIN"', "login"],
		["its connections", "connection limit 0", 'CONNECTION LIMIT -1"', "connection limit -1"],
	])(
		"waits for an operator when its role loses %s, and names the statement",
		{ timeout: 120_000 },
		async (_name, taken, statement, given) => {
			await using room = await stand();
			await room.database.sql(`alter role ${room.role} ${taken}`);
			await room.cut();
			await logged(room.daemon, statement.replace('"', ""));
			await room.served();
			await room.database.sql(`alter role ${room.role} ${given}`);
			expect(await room.streamsAgain()).toBeLessThan(RELIEF_MS + SLACK_MS);
			await room.daemon.untilActive();
		},
	);

	it.concurrent("ends at its start, with the statement, when the role may not replicate", {
		timeout: 60_000,
	}, async () => {
		await using database = await server.createDatabase();
		const role = uniqueName("sync");
		await database.sql(`create role ${role} login superuser noreplication password 'x'`);
		await database.sql(`alter role ${role} nosuperuser`);
		const daemon = await TestDaemon.start({
			databaseUrl: database.urlAs({ user: role, password: "x" }),
			waitUntilActive: false,
		});
		try {
			expect(await daemon.exited()).toBe(1);
			expect(daemon.log).toContain(`ALTER ROLE \\"${role}\\" WITH REPLICATION`);
		} finally {
			await daemon.end();
		}
		await server.sql(`drop role ${role}`);
	});
});

describe.each(embeddedServers([18]))("$name with little room", (kind) => {
	const server = useServer(kind, {
		settings: {
			max_connections: "16",
			superuser_reserved_connections: "3",
			max_wal_senders: "1",
			max_replication_slots: "4",
		},
	});

	const daemons = useDaemons();

	async function starting(database: TestDatabase, user?: string): Promise<TestDaemon> {
		const databaseUrl = database.urlAs(user === undefined ? {} : { user });
		return daemons.start({ databaseUrl, waitUntilActive: false });
	}

	async function activeSoon(daemon: TestDaemon): Promise<void> {
		const began = performance.now();
		await daemon.untilActive();
		expect(performance.now() - began).toBeLessThan(RELIEF_MS + SLACK_MS);
		expect(await daemon.stop()).toBe(0);
	}

	it("waits for a replication slot, a walsender and connections, and streams when they are free", {
		timeout: 180_000,
	}, async () => {
		await using database = await server.createDatabase();
		const role = uniqueName("sync");
		await database.sql(`create role ${role} login replication`);
		await database.sql(`grant create on database ${database.name} to ${role}`);

		for (const slot of ["one", "two", "three", "four"]) {
			await database.sql("select pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
		}
		const slotless = await starting(database);
		await waitFor("the hint", () => slotless.log.includes("every replication slot is taken"), {
			timeoutMs: GENEROUS_MS,
		});
		await database.sql("select pg_drop_replication_slot('one')");
		await activeSoon(slotless);
		await database.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active");

		const busy = await starting(database);
		await busy.untilActive();
		const senderless = await starting(database);
		await waitFor("the hint", () => senderless.log.includes("every walsender is taken"), { timeoutMs: GENEROUS_MS });
		expect(await busy.stop()).toBe(0);
		await activeSoon(senderless);

		const hogs: Client[] = [];
		for (let full = false; !full; ) {
			await database.connect().then(
				(client) => hogs.push(client),
				() => {
					full = true;
				},
			);
		}
		const connectionless = await starting(database, role);
		await waitFor(
			"the hint",
			() => /53300[\s\S]*PostgreSQL has no connection left|remaining connection slots/.test(connectionless.log),
			{
				timeoutMs: GENEROUS_MS,
			},
		);
		await Promise.all(hogs.map((client) => client.end()));
		await activeSoon(connectionless);
		await server.sql(`select pg_drop_replication_slot(slot_name) from pg_replication_slots`);
		await database.sql(`drop owned by ${role}`);
		await database.sql(`drop role ${role}`);
	});
});
