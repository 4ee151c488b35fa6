/** A COPY that brings nothing: a query that takes long is left alone, a session that is out of reach is not. */

import pg from "pg";
import { to as copyTo } from "pg-copy-streams";
import { expect, it } from "vitest";
import { SilenceWatch } from "../../src/workers/snapshot/silence.ts";
import { embeddedServers, useDatabase } from "../support/postgres.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { waitFor } from "../support/wait-for.ts";

const SILENCE_MS = 300;
const kind = embeddedServers([18])[0];
if (kind === undefined) {
	throw new Error("PostgreSQL 18 comes with the tests");
}
const database = useDatabase(kind);

async function copying(url: string, query: string) {
	const client = new pg.Client({ connectionString: url });
	client.on("error", () => undefined);
	await client.connect();
	const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
	let givenUp = false;
	let bytes = 0;
	const watch = new SilenceWatch(
		database.url,
		rows[0]?.pid ?? 0,
		() => {
			givenUp = true;
		},
		SILENCE_MS,
	);
	const stream = client.query(copyTo(`copy (${query}) to stdout`));
	stream.on("data", (chunk: Buffer) => {
		bytes += chunk.length;
		watch.heard();
	});
	const over = new Promise<void>((resolve) => stream.on("close", resolve).on("error", () => resolve()));
	return { client, watch, stream, over, givenUp: () => givenUp, bytes: () => bytes };
}

it("leaves a query alone that takes long to bring its first row", async () => {
	const copy = await copying(database.url, `select 1 from pg_sleep(${(SILENCE_MS * 5) / 1_000})`);
	await copy.over;
	copy.watch.end();
	expect(copy.givenUp()).toBe(false);
	expect(copy.bytes()).toBeGreaterThan(0);
	await copy.client.end();
});

it.each([
	["has ended the statement", "select 1 from pg_sleep(0.2)"],
	["was cut off", "select repeat('x', 1000) from generate_series(1, 300000)"],
])("gives up when the server %s and nothing comes", async (name, query) => {
	await using proxy = await TcpProxy.start(() => database.server.local.port);
	const copy = await copying(proxy.through(database.url), query);
	proxy.swallow("up", "down");
	if (name === "was cut off") {
		await database.sql(
			"select pg_terminate_backend(pid) from pg_stat_activity where query like 'copy (select repeat%'",
		);
	}
	await waitFor("the copy to be given up", copy.givenUp);
	copy.client.connection.stream.destroy();
});

it("keeps no connection of a question that failed", async () => {
	// No pid: the server refuses every question.
	const watch = new SilenceWatch(database.url, Number.NaN, () => undefined, 50);
	const asked = "select pid from pg_stat_activity where application_name = 'sluice-snapshot' and query like '%NaN'";
	const seen = new Set<number>();
	await waitFor("several questions", async () => {
		const rows = await database.sql<{ pid: number }>(asked);
		expect(rows.length).toBeLessThanOrEqual(1);
		for (const { pid } of rows) {
			seen.add(pid);
		}
		return seen.size >= 3;
	});
	watch.end();
	await waitFor("no connection to be left", async () => (await database.sql(asked)).length === 0);
});
