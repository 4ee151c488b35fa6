/**
 * A pooler in transaction mode beside the direct URL: what reads goes through it, what holds something in a session
 * does not. The same pooler as the direct URL is refused with the reason.
 */

import { expect, it } from "vitest";
import { useDaemons } from "../support/daemon.ts";
import { embeddedServers, useServer } from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { TransactionPooler } from "../support/transaction-pooler.ts";
import { waitFor } from "../support/wait-for.ts";

const kind = embeddedServers([18])[0];
if (kind === undefined) {
	throw new Error("PostgreSQL 18 comes with the tests");
}
const server = useServer(kind);
const daemons = useDaemons();

it("serves first data, subsets and changes through a pooler that keeps no session", { timeout: 60_000 }, async () => {
	await using database = await server.createDatabase();
	await database.sql("create table items (id int primary key, at timestamptz not null, body bytea)");
	await database.sql(
		"insert into items select g, '2022-01-12 09:01:00+09', '\\x0510fa' from generate_series(1, 500) g",
	);
	await database.sql(`alter database ${database.name} set bytea_output = 'escape'`);
	await database.sql(`alter database ${database.name} set TimeZone = 'Asia/Tokyo'`);
	await using pooler = await TransactionPooler.start(database.url);
	const daemon = await daemons.start({
		databaseUrl: database.url,
		environment: { SLUICE_POOLED_DATABASE_URL: pooler.url },
	});
	const url = daemon.shapeUrl;
	const readers = Array.from(
		{ length: 6 },
		(_, at) =>
			new ShapeReader(url, { table: "items", where: `(id > ${at * 80} and id <= ${at * 80 + 80}) or id > 500` }),
	);
	await Promise.all(readers.map((reader) => reader.until("its rows", (rows) => rows.size === 80)));
	await database.sql("insert into items values (501, '2022-01-12 00:01:00+00', '\\x01')");
	await Promise.all(readers.map((reader) => reader.until("the change", (rows) => rows.has("501"))));
	for (const reader of readers) {
		for (const row of reader.rows().values()) {
			expect(row["at"]).toBe("2022-01-12 00:01:00+00");
			expect(String(row["body"])).toMatch(/^\\x/);
		}
		expect(reader.errors).toEqual([]);
		reader.stop();
	}
	const subset = await fetch(`${url}?table=items&offset=-1&log=full&subset__where=id%3D7`);
	expect(subset.status).toBe(200);
	expect(await subset.text()).toContain('"id":"7"');
	expect(pooler.transactions).toBeGreaterThanOrEqual(10);
	expect(pooler.violations).toEqual([]);
	const sessions = await database.sql<{ application_name: string }>(
		"select distinct application_name from pg_stat_activity where application_name like 'sluice%' and datname = $1",
		[database.name],
	);
	expect(sessions.map((row) => row.application_name).toSorted()).toEqual(
		expect.arrayContaining(["sluice", "sluice-lock", "sluice-watch"]),
	);
	expect(await daemon.stop()).toBe(0);
});

it("refuses a pooler for the stream and says where its URL belongs", { timeout: 60_000 }, async () => {
	await using database = await server.createDatabase();
	await using pooler = await TransactionPooler.start(database.url);
	const daemon = await daemons.start({ databaseUrl: pooler.url, waitUntilActive: false });
	await waitFor("the reason in the log", () => daemon.log.includes("belongs into SLUICE_POOLED_DATABASE_URL"), {
		timeoutMs: 20_000,
	});
	expect((await daemon.status()).level).not.toBe("active");
	// The lock would stay in a session of the pooler.
	expect(pooler.violations.filter((text) => text.includes("advisory"))).toEqual([]);
	expect(await daemon.stop()).toBe(0);
});
