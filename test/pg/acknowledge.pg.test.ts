/**
 * What the server is told, and when: B rows of docs/ACCEPTANCE.md against real servers. The position follows what is
 * durable, moves on by itself when nothing concerns us, never skips a commit; and a probe shows that the way is open.
 */

import { beforeAll, describe, expect, it } from "vitest";
import { parseLsn } from "../../src/shared/lsn.ts";
import { type TestDaemon, useDaemons } from "../support/daemon.ts";
import {
	oneTestServer,
	type TestDatabase,
	type TestServerKind,
	testServers,
	uniqueName,
	useDatabase,
} from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { waitFor } from "../support/wait-for.ts";
import { Consumer, startLink } from "./link-consumer.ts";

async function confirmed(database: TestDatabase, slotName: string): Promise<bigint> {
	const [row] = await database.sql<{ lsn: string }>(
		"select confirmed_flush_lsn::text as lsn from pg_replication_slots where slot_name = $1",
		[slotName],
	);
	return parseLsn(row?.lsn ?? "0/0");
}

async function walEnd(database: TestDatabase): Promise<bigint> {
	const [row] = await database.sql<{ lsn: string }>("select pg_current_wal_lsn()::text as lsn");
	return parseLsn(row?.lsn ?? "0/0");
}

async function confirmedBeyond(database: TestDatabase, slotName: string, lsn: bigint): Promise<void> {
	await waitFor("the slot to move on", async () => (await confirmed(database, slotName)) >= lsn);
}

function useRoom(kind: TestServerKind) {
	const database = useDatabase(kind);
	const daemons = useDaemons();

	beforeAll(async () => {
		await database.sql(`alter database ${database.name} set wal_sender_timeout = '3s'`);
		await database.sql("create table items (id int primary key, body text); create table other (body text)");
	});

	async function streaming(environment: Record<string, string> = {}): Promise<TestDaemon> {
		await database.sql("truncate items");
		const daemon = await daemons.start({ databaseUrl: database.url, environment });
		const reader = new ShapeReader(daemon.shapeUrl, { table: "items", where: "id < 100" });
		await reader.shape.rows;
		reader.stop();
		return daemon;
	}

	const writeElsewhere = (rows: number): Promise<unknown> =>
		database.sql(`insert into other select repeat('x', 1000) from generate_series(1, ${rows})`);
	return { database, daemons, streaming, writeElsewhere };
}

describe.each(testServers())("$name", (kind) => {
	const { database, streaming, writeElsewhere } = useRoom(kind);

	it("B1, B2, B5, B10: the position follows durability, and moves on by itself when nothing concerns us", async () => {
		const daemon = await streaming({ SLUICE_PROBE_INTERVAL_MS: "0" });
		const { slotName } = daemon;
		// B1: nothing of it is published.
		await writeElsewhere(10);
		await confirmedBeyond(database, slotName, await walEnd(database));
		// B5: published, but of no shape; then other writes. Keepalives alone carry it, four a timeout.
		await database.sql("insert into items values (1000, 'nobody asks for it')");
		await writeElsewhere(10);
		const beganMs = performance.now();
		await confirmedBeyond(database, slotName, await walEnd(database));
		expect(performance.now() - beganMs).toBeLessThan(4_000);
		// B10: another database writes much.
		const elsewhere = await database.server.createDatabase();
		await elsewhere.sql("create table t (body text)");
		await elsewhere.sql("insert into t select repeat('x', 1000) from generate_series(1, 50000)");
		const end = await walEnd(database);
		await elsewhere.drop();
		await waitFor(
			"the lag to be small",
			async () => end - (await confirmed(database, slotName)) < 16n * 1024n * 1024n,
			{
				timeoutMs: 4_000,
			},
		);
		// B2: a row of a shape that no lane has written.
		await daemon.admin("POST", "/v1/lanes/suspend");
		const before = await walEnd(database);
		await database.sql("insert into items values (1, 'held back')");
		const rowEnd = await walEnd(database);
		await writeElsewhere(10);
		await waitFor("the row to be received", async () => parseLsn((await daemon.status()).link.receivedLsn) > rowEnd);
		for (let look = 0; look < 20; look += 1) {
			const position = await confirmed(database, slotName);
			expect(position).toBeLessThan(rowEnd);
			await new Promise((resolve) => setTimeout(resolve, 50));
		}
		expect(before).toBeLessThan(rowEnd);
		await daemon.admin("POST", "/v1/lanes/resume");
		await confirmedBeyond(database, slotName, rowEnd);
		expect(await daemon.stop()).toBe(0);
	}, 60_000);

	it("B8: a commit behind an acknowledged keepalive is sent again, every time", async () => {
		const options = { databaseUrl: database.url, slotName: uniqueName("link"), publicationName: uniqueName("pub") };
		await database.sql(`create publication ${options.publicationName} for table items`);
		for (let run = 0; run < 8; run += 1) {
			const first = new Consumer();
			first.acknowledgesAtOnce = true;
			const link = await startLink(first, options);
			const open = await database.connect();
			await open.query(`begin; insert into items values (${2_000 + run}, 'skipped?')`);
			await writeElsewhere(1);
			const end = await walEnd(database);
			await waitFor("the keepalive to be acknowledged", () => first.flush >= end);
			await confirmedBeyond(database, options.slotName, end);
			// Gone before the commit comes: its record begins where the acknowledged position ends.
			first.acknowledgesAtOnce = false;
			await link.close();
			await open.query("commit");
			await open.end();
			const second = new Consumer();
			second.acknowledgesAtOnce = true;
			const again = await startLink(second, options);
			await second.committed(1);
			expect(second.inserts).toBe(1);
			await waitFor("its acknowledgement", () => second.flush >= second.commitEndLsn);
			await again.close();
		}
		await database.sql(`select pg_drop_replication_slot('${options.slotName}')`);
		await database.sql(`drop publication ${options.publicationName}`);
	}, 60_000);
});

describe("a probe", () => {
	const { database, daemons, streaming } = useRoom(oneTestServer());

	it("F51: goes all the way on an idle database, stops at a suspended lane, and health tells", async () => {
		const daemon = await streaming({ SLUICE_PROBE_INTERVAL_MS: "500" });
		const probe = async () => (await daemon.status()).progress.probe;
		await waitFor("two probes to be home", async () => {
			const { sent, stage, roundTripMs } = await probe();
			return sent >= 2 && stage === null && roundTripMs !== null;
		});
		expect(await probe()).toMatchObject({ lost: 0, refused: false });
		// Somebody else's messages count as progress and hurt nobody.
		await database.sql(
			"select pg_logical_emit_message(false, 'theirs', 'x'), pg_logical_emit_message(true, 'theirs', 'y')",
		);
		await confirmedBeyond(database, daemon.slotName, await walEnd(database));
		await daemon.admin("POST", "/v1/lanes/suspend");
		await waitFor("a probe to wait for the lane", async () => (await probe()).stage === "received");
		await waitFor("health to tell", async () => {
			const health = await fetch(`${daemon.url}/v1/health`);
			expect([health.status, await health.text()]).toEqual([200, '{"status":"active"}']);
			return health.headers.get("sluice-progress") === "stalled";
		});
		expect((await fetch(`${daemon.adminUrl}/v1/health?max-stale-seconds=0`)).status).toBe(503);
		await daemon.admin("POST", "/v1/lanes/resume");
		await waitFor("it to be home", async () => (await probe()).stage === null);
		await waitFor("health to be fresh", async () => {
			return (await fetch(`${daemon.adminUrl}/v1/health?max-stale-seconds=0`)).status === 200;
		});
		expect((await daemon.status()).wal).toMatchObject({
			cause: expect.any(String),
			catalogXminAge: expect.any(Number),
		});
		expect((await daemon.status()).link.connects).toBe(1);
		expect(await daemon.stop()).toBe(0);
	}, 60_000);

	it("is done without where the role may not write it, which is said once", async () => {
		const role = uniqueName("role");
		await database.sql(`create role ${role} login replication password 'x';
			grant create, connect on database ${database.name} to ${role}; grant usage, create on schema public to ${role}`);
		await database.sql(`alter table items owner to ${role}`);
		// All forms of the function: 17 has one more argument.
		const functions = await database.sql<{ name: string }>(
			"select oid::regprocedure::text as name from pg_proc where proname = 'pg_logical_emit_message'",
		);
		for (const { name } of functions) {
			await database.sql(`revoke execute on function ${name} from public`);
		}
		try {
			const daemon = await daemons.start({
				databaseUrl: database.urlAs({ user: role, password: "x" }),
				environment: { SLUICE_PROBE_INTERVAL_MS: "200" },
			});
			await waitFor("the refusal", async () => (await daemon.status()).progress.probe.refused);
			await waitFor("time to pass", async () => (await daemon.status()).progress.ageMs > 3_000);
			expect(daemon.log.split("may not write probes")).toHaveLength(2);
			expect((await daemon.status()).progress).toMatchObject({ state: "streaming", probe: { sent: 1 } });
			expect(await daemon.stop()).toBe(0);
		} finally {
			for (const { name } of functions) {
				await database.sql(`grant execute on function ${name} to public`);
			}
		}
	}, 60_000);
});
