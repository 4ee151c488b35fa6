/**
 * Who may be robbed of the stream's lock: a session that does nothing with it, and never a daemon that lives or a slot
 * that is in use (replication.md, D10).
 */

import pg from "pg";
import { describe, expect, it } from "vitest";
import { createLogger } from "../../src/shared/logging.ts";
import { LOCK_APPLICATION_NAME, LockBreaker } from "../../src/workers/registrar/lock-breaker.ts";
import { type TestDatabase, testServers, uniqueName, useServer } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";

async function holder(database: TestDatabase, slotName: string, applicationName: string) {
	const client = new pg.Client({ connectionString: database.url, application_name: applicationName });
	let isEnded = false;
	client.on("error", () => undefined);
	client.on("end", () => {
		isEnded = true;
	});
	await client.connect();
	await client.query("select pg_advisory_lock(hashtext($1))", [slotName]);
	return {
		isEnded: () => isEnded,
		ask: () => client.query("select 1"),
		async [Symbol.asyncDispose]() {
			await client.end().catch(() => undefined);
		},
	};
}

function breakerOf(database: TestDatabase, slotName: string, intervalMs?: number): LockBreaker {
	return new LockBreaker({
		session: { query: (text, values) => database.sql(text, [...(values ?? [])]) },
		slotName,
		waiting: () => true,
		logger: createLogger("silent", "registrar"),
		...(intervalMs === undefined ? {} : { intervalMs }),
	});
}

describe.each(testServers())("the breaker of the stream's lock on $name", (kind) => {
	const server = useServer(kind);

	it("ends a session that holds the lock while the slot is not there or not in use, whatever the key's sign", async () => {
		const database = await server.createDatabase();
		const names = Array.from({ length: 40 }, () => uniqueName("slot"));
		const keys = await database.sql<{ name: string; negative: boolean }>(
			"select name, hashtext(name) < 0 as negative from unnest($1::text[]) name",
			[names],
		);
		for (const sign of [true, false]) {
			const slotName = keys.find(({ negative }) => negative === sign)?.name ?? "";
			await using other = await holder(database, uniqueName("another"), "psql");
			await using held = await holder(database, slotName, "psql");
			const breaker = breakerOf(database, slotName, 50);
			breaker.start();
			await waitFor("the holder's session to end", () => held.isEnded());
			await breaker.close();
			expect(other.isEnded()).toBe(false);
		}
		await database.drop();
	});

	it("leaves a daemon alone that asked its session something a moment ago", async () => {
		const database = await server.createDatabase();
		const slotName = uniqueName("slot");
		await using held = await holder(database, slotName, LOCK_APPLICATION_NAME);
		await held.ask();
		await breakerOf(database, slotName).check();
		await held.ask();
		expect(held.isEnded()).toBe(false);
		await database.drop();
	});

	it("leaves a holder alone whose slot is in use", async () => {
		const database = await server.createDatabase();
		const slotName = uniqueName("slot");
		await using held = await holder(database, slotName, "psql");
		const options = { connectionString: database.url, replication: "database" } as pg.ClientConfig;
		const walsender = new pg.Client(options);
		walsender.on("error", () => undefined);
		await walsender.connect();
		await walsender.query(`CREATE_REPLICATION_SLOT ${slotName} TEMPORARY LOGICAL pgoutput`);
		await breakerOf(database, slotName).check();
		await held.ask();
		expect(held.isEnded()).toBe(false);
		await walsender.end();
		await database.drop();
	});
});
