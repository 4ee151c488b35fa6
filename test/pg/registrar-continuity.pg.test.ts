/**
 * New shapes on a server whose commits wait for a synchronous standby: such a commit is streamed before others see
 * it, perhaps to a life of the lane that is over.
 */

import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { embeddedServers, uniqueName, useServer } from "../support/postgres.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { createPublication, TestRegistrar } from "./registrar-setup.ts";

describe.each(embeddedServers())("a synchronous standby of $name", (kind) => {
	const server = useServer(kind);

	async function waitForStandby(name: string): Promise<void> {
		await server.sql(`alter system set synchronous_standby_names = '${name}'`);
		await server.sql("select pg_reload_conf()");
		await waitFor("the setting to be read", async () => {
			const [row] = await server.sql<{ name: string }>("select current_setting('synchronous_standby_names') as name");
			return row?.name === name;
		});
	}

	async function prepare() {
		const database = await server.createDatabase();
		const directory = await temporaryDirectory("registrar");
		const streamId = uniqueName("s");
		await createPublication(database, streamId);
		await database.sql("create table items (id int primary key); create table other (id int)");
		return {
			database,
			setup: { database, dataDir: directory.path, streamId },
			async [Symbol.asyncDispose]() {
				await waitForStandby("");
				await database.drop();
				await directory.remove();
			},
		};
	}

	it("keeps a new shape waiting for commits that its lane's last life may have got, and for nothing else", async () => {
		await using room = await prepare();
		await using registrar = await TestRegistrar.start(room.setup);
		await registrar.complete({ table: "items" });
		const idle = await room.database.connect();
		await idle.query("begin; insert into other values (1)");
		await waitForStandby("nobody");
		const committing = await room.database.connect();
		await committing.query("set synchronous_commit = on");
		const committed = committing.query("insert into items values (1)");
		await waitFor("the commit to wait", async () => {
			const rows = await room.database.sql("select 1 from pg_stat_activity where wait_event = 'SyncRep'");
			return rows.length > 0;
		});
		registrar.lane.die();
		await registrar.attach();
		const splices = registrar.lane.spliced.length;
		const creating = registrar.complete({ table: "items", where: "id > 0" });
		await delay(700);
		expect(registrar.lane.spliced).toHaveLength(splices);
		await waitForStandby("");
		await committed;
		await waitForStandby("nobody");
		expect(await registrar.rows(await creating)).toEqual([{ id: "1" }]);
		// The idle transaction is still open; its commit would come later than any shape that is made now.
		await registrar.complete({ table: "items", where: "id > 1" });
	});
});
