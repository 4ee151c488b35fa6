/**
 * A failover: the server ends, its standby is promoted and takes its place. With a slot that the standby kept a copy of
 * (17 and later) nothing is lost: the same handles go on. The standby here is a cold copy of the data directory.
 */

import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "pg";
import { describe, expect, it } from "vitest";
import { type LocalPostgres, startLocalPostgres } from "../../src/main/local-postgres/local-postgres.ts";
import { useDaemons } from "../support/daemon.ts";
import { embeddedServers, useServer } from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

async function sqlAt<R>(url: string, text: string): Promise<R[]> {
	const client = new Client({ connectionString: url });
	await client.connect();
	try {
		return (await client.query(text)).rows as R[];
	} finally {
		await client.end();
	}
}

describe.each(embeddedServers([17, 18]))("$name", (kind) => {
	const server = useServer(kind);
	const daemons = useDaemons();

	/** Follows the server, and keeps copies of its failover slots. */
	async function startStandby(directory: string): Promise<LocalPostgres> {
		const { local } = server;
		const dataDirectory = join(directory, "data");
		await local.stop("fast");
		await cp(local.dataDirectory, dataDirectory, { recursive: true, preserveTimestamps: true });
		await local.start();
		await server.sql("select pg_create_physical_replication_slot('standby', true)");
		await writeFile(join(dataDirectory, "standby.signal"), "");
		return await startLocalPostgres({
			dataDirectory,
			logFile: join(directory, "server.log"),
			version: local.version,
			sync: false,
			dieWithParent: true,
			settings: {
				primary_conninfo: `host=127.0.0.1 port=${local.port} user=postgres dbname=postgres`,
				primary_slot_name: "standby",
				hot_standby_feedback: "on",
				sync_replication_slots: "on",
				max_connections: "200",
			},
			access: ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"],
		});
	}

	it("F5: promoting a standby that kept a copy of the slot loses nothing, and handles stay", {
		timeout: 120_000,
	}, async () => {
		const directory = await temporaryDirectory("standby");
		const database = await server.createDatabase();
		await database.sql("create table items (id int primary key, body text)");
		const urlFile = join(directory.path, "url");
		await writeFile(urlFile, database.url);
		const standby = await startStandby(directory.path);
		try {
			const daemon = await daemons.start({
				databaseUrl: "",
				environment: { SLUICE_DATABASE_URL_FILE: urlFile, SLUICE_RECONCILE_INTERVAL_MS: "5000" },
			});
			const reader = new ShapeReader(daemon.shapeUrl, { table: "items" });
			await reader.shape.rows;
			await database.sql("insert into items select g, 'before' from generate_series(1, 100) g");
			await reader.until("100 rows", (rows) => rows.size === 100);
			const { handle } = reader.shape;
			await waitFor(
				"the standby to have the slot",
				async () => {
					// The copy becomes permanent once the slot here has moved beyond what the standby began with.
					await database.sql("insert into items values (0, 'x') on conflict (id) do update set body = excluded.body");
					await server.sql("select pg_log_standby_snapshot()");
					const slots = await sqlAt(
						standby.url,
						`select from pg_replication_slots where slot_name = '${daemon.slotName}' and synced and not temporary`,
					);
					return slots.length === 1;
				},
				{ timeoutMs: 60_000, intervalMs: 500 },
			);
			await database.sql("insert into items values (1000, 'just before')");
			await reader.until("the last row of the old server", (rows) => rows.has("1000"));
			await server.local.stop("fast");
			const beganMs = performance.now();
			await sqlAt(standby.url, "select pg_promote()");
			const promoted = new URL(standby.url);
			promoted.pathname = `/${database.name}`;
			await writeFile(urlFile, promoted.href);
			await sqlAt(promoted.href, "insert into items values (1001, 'after the promotion')");
			await reader.until("the first row of the new server", (rows) => rows.has("1001"), 40_000);
			expect(performance.now() - beganMs).toBeLessThan(40_000);
			expect(reader.rows().size).toBe(103);
			expect(reader.shape.handle).toBe(handle);
			expect(reader.errors).toEqual([]);
			reader.stop();
			expect(await daemon.stop()).toBe(0);
		} finally {
			await standby.stop("immediate");
			await server.local.start();
			await server.sql("select pg_drop_replication_slot('standby')");
			await directory.remove();
		}
	});
});
