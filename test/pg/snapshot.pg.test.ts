/**
 * The snapshot task on a real PostgreSQL: what it sees, how it ends, what it leaves behind.
 */

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import type { ShapeDefinition } from "../../src/shared/shape-definition.ts";
import type { SnapshotInbound, SnapshotOutbound, SnapshotOutcome } from "../../src/shared/snapshot-task.ts";
import { takeSnapshot } from "../../src/workers/snapshot/task.ts";
import { type TestDatabase, testServers, useDatabase } from "../support/postgres.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

function definition(change: Partial<ShapeDefinition> = {}): ShapeDefinition {
	return {
		table: { oid: 0, schema: "public", name: "items", kind: "r", columns: [], leafOids: [] },
		where: null,
		selectedColumns: ["id", "title"],
		columnsGiven: false,
		keyColumns: ["id"],
		hasPrimaryKey: true,
		replica: "default",
		log: "full",
		...change,
	};
}

class RunningTask {
	readonly messages: SnapshotOutbound[] = [];
	readonly outcome: Promise<SnapshotOutcome>;
	readonly #port: MessagePort;

	constructor(database: TestDatabase, directory: string, change: Partial<ShapeDefinition> = {}, chunkBytes = 10_000) {
		const { port1, port2 } = new MessageChannel();
		this.#port = port1;
		port1.on("message", (message: SnapshotOutbound) => this.messages.push(message));
		this.outcome = takeSnapshot({
			databaseUrl: database.url,
			chunkBytes,
			directory,
			definition: definition(change),
			port: port2,
		});
	}

	async started(): Promise<void> {
		if (this.messages.length === 0) {
			await once(this.#port, "message");
		}
		expect(this.messages[0]?.kind).toBe("started");
	}

	order(kind: SnapshotInbound["kind"]): void {
		this.#port.postMessage({ kind });
	}

	close(): void {
		this.#port.close();
	}
}

describe.each(testServers())("a snapshot on $name", (kind) => {
	const database = useDatabase(kind);

	async function fill(rows: number): Promise<void> {
		await database.sql(
			`drop table if exists items; create table items (id int primary key, title text); insert into items select i, repeat('x', 200) from generate_series(1, ${rows}) i`,
		);
	}

	function sessions() {
		return database.sql<{ pid: number; state: string }>(
			"select pid, state from pg_stat_activity where application_name = 'sluice-snapshot' and datname = current_database()",
		);
	}

	it("sees the table as it was when it started, however late it goes on", async () => {
		await fill(3);
		await using directory = await temporaryDirectory();
		const task = new RunningTask(database, directory.path);
		await task.started();
		await database.sql(
			"insert into items values (10, 'late'); update items set title = 'late' where id = 1; delete from items where id = 2",
		);
		task.order("go");
		expect(await task.outcome).toEqual({ kind: "finished", chunks: 1, rows: 3 });
		const items = JSON.parse(`[${await readFile(join(directory.path, "snapshot-0.json"), "utf8")}]`);
		expect(items.map((item: { value?: { id: string; title: string } }) => item.value?.title?.slice(0, 4))).toEqual([
			"xxxx",
			"xxxx",
			"xxxx",
			undefined,
		]);
		const [first] = task.messages;
		expect(first?.kind === "started" && first.snapshot).toMatchObject({
			xmin: expect.stringMatching(/^[0-9]+$/),
			insertLsn: expect.stringMatching(/^[0-9]+$/),
		});
	});

	it("names transactions in progress, and an insert position beyond every visible commit", async () => {
		await fill(1);
		await using directory = await temporaryDirectory();
		const writer = await database.connect();
		await writer.query("begin; insert into items values (5, 'open')");
		const [row] = (await writer.query("select pg_current_xact_id()::text as xid")).rows;
		await database.sql("insert into items values (6, 'committed')");
		const [position] = await database.sql<{ lsn: string }>("select (pg_current_wal_lsn() - '0/0')::text as lsn");
		const task = new RunningTask(database, directory.path);
		await task.started();
		const [first] = task.messages;
		const snapshot = first?.kind === "started" ? first.snapshot : null;
		expect(snapshot?.xipList).toContain(row.xid);
		expect(BigInt(snapshot?.insertLsn ?? 0)).toBeGreaterThanOrEqual(BigInt(position?.lsn ?? 0));
		task.order("retake");
		expect(await task.outcome).toEqual({ kind: "retake" });
		await writer.query("rollback");
		expect((await sessions()).map((session) => session.state)).not.toContain("idle in transaction");
	});

	it("reports chunks while it writes, and ends with all of them", async () => {
		await fill(2_000);
		await using directory = await temporaryDirectory();
		const task = new RunningTask(database, directory.path);
		await task.started();
		task.order("go");
		const outcome = await task.outcome;
		expect(outcome).toMatchObject({ kind: "finished", rows: 2_000 });
		const chunks = outcome.kind === "finished" ? outcome.chunks : 0;
		await waitFor("the last report", () =>
			task.messages.some((message) => message.kind === "progress" && message.chunks === chunks - 1),
		);
		expect(task.messages[1]).toEqual({ kind: "reading" });
		expect(task.messages.slice(2)).toEqual(
			Array.from({ length: chunks - 1 }, (_, index) => ({ kind: "progress", chunks: index + 1 })),
		);
	});

	it.each(["before the splice", "in the middle of COPY"])(
		"ends at once when it is aborted %s, and leaves no session",
		async (moment) => {
			await fill(300_000);
			await using directory = await temporaryDirectory();
			const task = new RunningTask(database, directory.path);
			await task.started();
			if (moment !== "before the splice") {
				task.order("go");
				await waitFor("a chunk", () => task.messages.some((message) => message.kind === "progress"), { intervalMs: 1 });
			}
			task.order("abort");
			expect(await task.outcome).toEqual({ kind: "aborted" });
			await waitFor("no open transaction", async () => (await sessions()).every((session) => session.state === "idle"));
		},
	);

	it("ends when the registrar's end of the port is closed", async () => {
		await fill(10);
		await using directory = await temporaryDirectory();
		const task = new RunningTask(database, directory.path);
		await task.started();
		task.close();
		expect(await task.outcome).toEqual({ kind: "aborted" });
	});

	it("fails, without hanging, when its connection is ended in the middle of COPY", async () => {
		await fill(300_000);
		await using directory = await temporaryDirectory();
		const task = new RunningTask(database, directory.path);
		await task.started();
		task.order("go");
		await waitFor("a chunk", () => task.messages.some((message) => message.kind === "progress"), { intervalMs: 1 });
		await database.sql(
			"select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'sluice-snapshot' and datname = current_database()",
		);
		expect(await task.outcome).toMatchObject({
			kind: "failed",
			error: { code: "SLUICE_SNAPSHOT_FAILED", context: { serverMessage: "Database connection not available" } },
		});
	});

	it("fails with the server's words when a row cannot be computed, and uses the session again", async () => {
		await fill(10);
		await using directory = await temporaryDirectory();
		await waitFor("quiet", async () => (await sessions()).every((session) => session.state === "idle"));
		const task = new RunningTask(database, directory.path, {
			where: { sql: "1 / (id - 5) > 0", tree: { kind: "constant", value: true } },
		});
		await task.started();
		const before = (await sessions()).map((session) => session.pid).sort();
		task.order("go");
		expect(await task.outcome).toMatchObject({
			kind: "failed",
			error: { code: "SLUICE_SNAPSHOT_FAILED", context: { sqlState: "22012", serverMessage: "division by zero" } },
		});
		await using next = await temporaryDirectory();
		const again = new RunningTask(database, next.path);
		await again.started();
		expect((await sessions()).map((session) => session.pid).sort()).toEqual(before);
		again.order("go");
		expect(await again.outcome).toMatchObject({ kind: "finished", rows: 10 });
	});

	it("fails when there is no database", async () => {
		await using directory = await temporaryDirectory();
		const { port1, port2 } = new MessageChannel();
		const outcome = await takeSnapshot({
			databaseUrl: "postgresql://127.0.0.1:1/nothing",
			chunkBytes: 100,
			directory: directory.path,
			definition: definition(),
			port: port2,
		});
		expect(outcome).toMatchObject({ kind: "failed", error: { code: "SLUICE_SNAPSHOT_FAILED" } });
		port1.close();
	});

	it("fails with the disk's error when the directory is gone", async () => {
		await fill(10);
		const directory = await temporaryDirectory();
		const task = new RunningTask(database, directory.path);
		await task.started();
		await directory.remove();
		task.order("go");
		expect(await task.outcome).toMatchObject({ kind: "failed", error: { code: "SLUICE_DISK_FAILED" } });
	});
});
