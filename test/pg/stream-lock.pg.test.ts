/** The stream's lock while another daemon has it: the wait for it outlives a connection that goes deaf. */

import pg from "pg";
import { describe, expect, it } from "vitest";
import { createLogger } from "../../src/shared/logging.ts";
import { ConnectionTarget } from "../../src/workers/registrar/connection-target.ts";
import { StreamLock } from "../../src/workers/registrar/lock.ts";
import { oneTestServer, uniqueName, useServer } from "../support/postgres.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { waitFor } from "../support/wait-for.ts";

describe.each([oneTestServer()])("waiting for the stream's lock on $name", (kind) => {
	const server = useServer(kind);

	it("takes it in time after its connection has gone deaf, whichever way, and leaves no session behind", async () => {
		const database = await server.createDatabase();
		await using proxy = await TcpProxy.start(() => Number(new URL(database.url).port));
		const slotName = uniqueName("slot");
		const logger = createLogger("silent", "registrar");
		const sessions = () =>
			database.sql("select from pg_stat_activity where application_name = 'sluice-lock' and query like '%advisory%'");
		for (const directions of [["up", "down"], ["down"]] as const) {
			const holder = new pg.Client({ connectionString: database.url });
			await holder.connect();
			await holder.query("select pg_advisory_lock(hashtext($1))", [slotName]);
			const lock = new StreamLock({
				target: new ConnectionTarget(() => Promise.resolve(proxy.through(database.url)), logger),
				slotName,
				logger,
				onReachable: () => undefined,
				onHeld: () => undefined,
				answerTimeoutMs: 1_000,
			});
			const acquired = lock.acquire();
			await waitFor("it to ask for the lock", async () => (await sessions()).length === 1);
			expect(lock.held).toBe(false);
			proxy.swallow(...directions);
			await holder.end();
			await acquired;
			expect(await sessions()).toHaveLength(1);
			await lock.close();
			await waitFor("its session to end", async () => (await sessions()).length === 0);
		}
		await database.drop();
	});
});
