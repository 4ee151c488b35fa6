/**
 * The subset task on a real PostgreSQL: what it waits for, how long it may take, and that its connections are usable
 * afterwards.
 */

import { MessageChannel } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { SUBSET_QUERY_TIMEOUT_MS } from "../../src/shared/limits.ts";
import type { ShapeDefinition } from "../../src/shared/shape-definition.ts";
import type { SubsetOutcome, SubsetTask } from "../../src/shared/subset-task.ts";
import { takeSubset } from "../../src/workers/snapshot/subset.ts";
import { embeddedServers, useServer } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";

const DEFINITION: ShapeDefinition = {
	table: { oid: 0, schema: "public", name: "items", kind: "r", columns: [], leafOids: [] },
	where: null,
	selectedColumns: ["id", "title"],
	columnsGiven: false,
	keyColumns: ["id"],
	hasPrimaryKey: true,
	replica: "default",
	log: "changes_only",
};

function take(databaseUrl: string, change: Partial<SubsetTask> = {}): Promise<SubsetOutcome> {
	return takeSubset({
		databaseUrl,
		definition: DEFINITION,
		query: { where: null, orderBy: '"id"', limit: null, offset: 0 },
		bytesMax: 100_000,
		timeoutMs: SUBSET_QUERY_TIMEOUT_MS,
		cancelPort: null,
		...change,
	});
}

/** The titles that the body holds, or the message of the failure. */
function titlesOf(outcome: SubsetOutcome): unknown {
	if (outcome.kind === "failed") {
		return outcome.error.context["serverMessage"] ?? outcome.error.code;
	}
	const body = JSON.parse(Buffer.from(outcome.body).toString("utf8")) as { data: { value: { title: string } }[] };
	expect(body.data).toHaveLength(outcome.rows);
	return body.data.map((row) => row.value.title);
}

describe.each(embeddedServers())("$name", (kind) => {
	const server = useServer(kind);

	async function standby(name: string): Promise<void> {
		await server.sql(`alter system set synchronous_standby_names = '${name}'`);
		await server.sql("select pg_reload_conf()");
		await waitFor("the setting to be read", async () => {
			const [row] = await server.sql<{ name: string }>("select current_setting('synchronous_standby_names') as name");
			return row?.name === name;
		});
	}

	it("waits for a commit that was streamed and that others do not see yet", async () => {
		const database = await server.createDatabase();
		await database.sql("create table items (id int primary key, title text); insert into items values (1, 'old')");
		const idle = await database.connect();
		await idle.query("begin; insert into items values (2, 'open')");
		try {
			await standby("nobody");
			const committing = await database.connect();
			await committing.query("set synchronous_commit = on");
			const committed = committing.query("update items set title = 'new'");
			await waitFor("the commit to wait", async () => {
				const rows = await database.sql("select 1 from pg_stat_activity where wait_event = 'SyncRep'");
				return rows.length > 0;
			});
			expect(titlesOf(await take(database.url))).toMatch(/^Commits wait for a synchronous standby/);
			const later = take(database.url);
			await standby("");
			await committed;
			expect(titlesOf(await later)).toEqual(["new"]);
		} finally {
			await standby("");
		}
		await database.drop();
	});

	it("is ended in PostgreSQL when nobody waits for it any more, and takes no other query with it", async () => {
		const database = await server.createDatabase();
		await database.sql("create table items (id int primary key, title text); insert into items values (1, 'x')");
		const slow = { where: "pg_catalog.pg_sleep(60) IS NULL", orderBy: null, limit: null, offset: 0 };
		const { port1, port2 } = new MessageChannel();
		const outcome = take(database.url, { query: slow, cancelPort: port2 });
		const running = () =>
			database.sql(
				"select 1 from pg_stat_activity where application_name like 'sluice%' and query like '%pg_sleep(60)%' and state = 'active' and pid <> pg_backend_pid()",
			);
		await waitFor("the query to run", async () => (await running()).length > 0);
		port1.postMessage(null);
		expect(await outcome).toMatchObject({ kind: "failed" });
		await waitFor("no query to run", async () => (await running()).length === 0);
		for (let round = 0; round < 3; round += 1) {
			expect(titlesOf(await take(database.url))).toEqual(["x"]);
		}
		const early = new MessageChannel();
		early.port1.postMessage(null);
		expect(await take(database.url, { query: slow, cancelPort: early.port2 })).toMatchObject({ kind: "failed" });
		await database.drop();
	});

	it("is cancelled when it takes too long, refused when it is too large, and goes on with the next", async () => {
		const database = await server.createDatabase();
		await database.sql("create table items (id int primary key, title text); insert into items values (1, 'x')");
		const slow = { where: "pg_catalog.pg_sleep(10) IS NULL", orderBy: null, limit: null, offset: 0 };
		expect(titlesOf(await take(database.url, { query: slow, timeoutMs: 100 }))).toMatch(/cancelled after 100ms/);
		expect(titlesOf(await take(database.url, { bytesMax: 50 }))).toBe("SLUICE_SUBSET_TOO_LARGE");
		expect(titlesOf(await take(database.url))).toEqual(["x"]);
		const none = { where: "false", orderBy: null, limit: null, offset: 0 };
		expect(titlesOf(await take(database.url, { query: none }))).toEqual([]);
		await database.drop();
	});
});
