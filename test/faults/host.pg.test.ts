/**
 * What the host does to Sluice and to PostgreSQL: processes that are stopped and go on, clocks that are set, files that
 * run out, syncs and writes that fail. Clients come through, with what SELECT says.
 */

import { execFile } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { type TestDaemon, useDaemons } from "../support/daemon.ts";
import { embeddedServers, type TestDatabase, useServer } from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

const run = promisify(execFile);
const full = process.env["SLUICE_SCALE"] === "full";
/** Well beyond the wal_sender_timeout of the databases here, 3 s. */
const STOPPED_MS = full ? 70_000 : 5_000;
const HOUR_MS = 3_600_000;

const [kind] = embeddedServers([18]);
const server = useServer(kind as NonNullable<typeof kind>, {
	settings: { wal_sender_timeout: "3s", wal_receiver_timeout: "3s" },
});
const daemons = useDaemons();

async function setUp(options: Partial<Parameters<typeof daemons.start>[0]> = {}) {
	const database = await server.createDatabase();
	await database.sql("create table items (id int primary key, v text)");
	const daemon = await daemons.start({ databaseUrl: database.url, ...options });
	const reader = new ShapeReader(daemon.shapeUrl, { table: "items" });
	await reader.shape.rows;
	return { database, daemon, reader };
}

async function insert(database: TestDatabase, from: number, to: number): Promise<void> {
	await database.sql(`insert into items select g, 'v' || g from generate_series(${from}, ${to}) g`);
}

async function handleOf(daemon: TestDaemon, table = "items"): Promise<string> {
	const response = await fetch(`${daemon.shapeUrl}?table=${table}&offset=-1`);
	await response.arrayBuffer();
	expect(response.status).toBe(200);
	return response.headers.get("electric-handle") ?? "";
}

/** Every process of the server: the postmaster and its children. */
async function serverPids(): Promise<number[]> {
	const postmaster = server.local.pid;
	const pids = [postmaster];
	for (const name of await readdir("/proc")) {
		const stat = /^\d+$/.test(name) ? await readFile(`/proc/${name}/stat`, "utf8").catch(() => "") : "";
		if (Number(/\) \S (\d+)/.exec(stat)?.[1]) === postmaster) {
			pids.push(Number(name));
		}
	}
	return pids;
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
	for (const pid of pids) {
		try {
			process.kill(pid, signal);
		} catch {
			// It has ended meanwhile.
		}
	}
}

function say(what: string, startMs: number): void {
	process.stdout.write(`${what}: ${Math.round(performance.now() - startMs)} ms\n`);
}

describe("a process that is stopped", () => {
	it("Sluice: goes on at once, with the same handles; nothing is lost or doubled", {
		timeout: STOPPED_MS + 60_000,
	}, async () => {
		const { database, daemon, reader } = await setUp();
		await insert(database, 1, 10);
		await reader.until("10 rows", (rows) => rows.size === 10);
		const handle = await handleOf(daemon);
		daemon.signal("SIGSTOP");
		await insert(database, 11, 2_000);
		await delay(STOPPED_MS);
		await waitFor("the server to have given the link up", async () => {
			const rows = await database.sql("select from pg_replication_slots where slot_name = $1 and not active", [
				daemon.slotName,
			]);
			return rows.length === 1;
		});
		const startMs = performance.now();
		daemon.signal("SIGCONT");
		await reader.until("what was written meanwhile", (rows) => rows.size === 2_000, 30_000);
		say("from SIGCONT to the last row", startMs);
		expect(performance.now() - startMs).toBeLessThan(10_000);
		await insert(database, 2_001, 2_010);
		await reader.until("what came later", (rows) => rows.size === 2_010);
		expect(await handleOf(daemon)).toBe(handle);
		expect(reader.errors).toEqual([]);
		reader.stop();
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});

	it("PostgreSQL: shapes are read on; the link is given up and made again", {
		timeout: STOPPED_MS + 60_000,
	}, async () => {
		const { database, daemon, reader } = await setUp();
		await insert(database, 1, 10);
		await reader.until("10 rows", (rows) => rows.size === 10);
		const handle = await handleOf(daemon);
		const pids = await serverPids();
		signalAll(pids, "SIGSTOP");
		const stoppedMs = performance.now();
		try {
			await waitFor("the link to be given up", async () => (await daemon.status()).link.state !== "streaming", {
				timeoutMs: 15_000,
			});
			say("from SIGSTOP of PostgreSQL to a link that is given up", stoppedMs);
			expect(await handleOf(daemon)).toBe(handle);
			await delay(Math.max(0, STOPPED_MS - (performance.now() - stoppedMs)));
		} finally {
			signalAll(pids, "SIGCONT");
		}
		const startMs = performance.now();
		await insert(database, 11, 500);
		await reader.until("every row", (rows) => rows.size === 500, 45_000);
		say("from SIGCONT of PostgreSQL to the last row", startMs);
		expect(await handleOf(daemon)).toBe(handle);
		expect(reader.errors).toEqual([]);
		reader.stop();
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});
});

describe("a wall clock that is set", () => {
	it("forward and back by hours changes no deadline, no cursor and no handle", async () => {
		await using directory = await temporaryDirectory("clock");
		const clock = join(directory.path, "shift");
		await writeFile(clock, "0");
		const preload = fileURLToPath(new URL("../support/shifted-clock.ts", import.meta.url));
		const { database, daemon, reader } = await setUp({
			environment: {
				NODE_OPTIONS: `--import ${preload}`,
				SHIFTED_CLOCK_FILE: clock,
				SLUICE_LONG_POLL_TIMEOUT_MS: "1500",
			},
		});
		const handle = await handleOf(daemon);
		const handles = new Set([handle]);
		let rows = 0;
		for (const shiftMs of [5 * HOUR_MS, -9 * HOUR_MS, 0, 200 * 24 * HOUR_MS, 0]) {
			await writeFile(clock, String(shiftMs));
			await insert(database, rows + 1, rows + 10);
			rows += 10;
			await reader.until(`${rows} rows`, (seen) => seen.size === rows);
			// A wait that began before the next jump takes as long as it should.
			const live = await fetch(`${daemon.shapeUrl}?table=items&offset=now&handle=${handle}`);
			const offset = live.headers.get("electric-offset");
			await live.arrayBuffer();
			const startMs = performance.now();
			const waited = await fetch(`${daemon.shapeUrl}?table=items&offset=${offset}&handle=${handle}&live=true`);
			await waited.arrayBuffer();
			expect(waited.status).toBe(200);
			expect(performance.now() - startMs).toBeGreaterThan(1_400);
			expect(performance.now() - startMs).toBeLessThan(5_000);
			// A shape that was deleted gets a handle that never was.
			await database.sql(`create table if not exists other (id int primary key)`);
			handles.add(await handleOf(daemon, "other"));
			await fetch(`${daemon.shapeUrl}?table=other`, { method: "DELETE" });
		}
		expect(handles.size).toBe(6);
		expect(await handleOf(daemon)).toBe(handle);
		const status = await daemon.status();
		expect(status.link.connects).toBe(1);
		expect(status.lanes[0]?.restarts).toBe(0);
		// The clock was really another one.
		const hours = daemon.log.match(/"time":"([^"]+)"/g)?.map((time) => time.slice(8, 21)) ?? [];
		expect(new Set(hours).size).toBeGreaterThan(1);
		expect(reader.errors).toEqual([]);
		reader.stop();
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});
});

describe("open files that run out", () => {
	it("lose nothing and end nothing: what cannot be opened is refused or waits, and goes on when it can", async () => {
		const { database, daemon, reader } = await setUp();
		const limits = await readFile(`/proc/${daemon.pid}/limits`, "utf8");
		const allowed = /^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? "1024";
		const open = (await readdir(`/proc/${daemon.pid}/fd`)).length;
		// The process has some left: it is the clients and the new logs that meet the end.
		await run("prlimit", ["--pid", String(daemon.pid), `--nofile=${open + 12}:`]);
		const clients = Array.from({ length: 60 }, (_, index) =>
			fetch(`${daemon.shapeUrl}?${new URLSearchParams({ table: "items", offset: "-1", where: `id > ${index}` })}`).then(
				async (response) => {
					await response.arrayBuffer();
					return response.status;
				},
				() => 0,
			),
		);
		const writing = insert(database, 1, 500);
		const first = await Promise.race([Promise.all(clients), delay(6_000).then(() => null)]);
		await writing;
		process.kill(daemon.pid, 0);
		await run("prlimit", ["--pid", String(daemon.pid), `--nofile=${allowed}:`]);
		const statuses = first ?? (await Promise.all(clients));
		process.stdout.write(`with ${open + 12} files, 60 new shapes got ${JSON.stringify([...new Set(statuses)])}\n`);
		// Answered, told to begin anew, refused for now, or never accepted; nothing that a client would take for the truth.
		expect(statuses.filter((status) => ![0, 200, 409, 500, 503].includes(status))).toEqual([]);
		await reader.until("500 rows", (rows) => rows.size === 500, 30_000);
		for (const index of [0, 30, 59]) {
			const late = new ShapeReader(daemon.shapeUrl, { table: "items", where: `id > ${index}` });
			await late.until(`${500 - index} rows`, (rows) => rows.size === 500 - index, 30_000);
			expect(late.errors).toEqual([]);
			late.stop();
		}
		expect((await daemon.status()).link.connects).toBe(1);
		expect(reader.errors).toEqual([]);
		reader.stop();
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});
});

describe("a disk that refuses", () => {
	it("a sync: that shape is given up, its client begins anew, the others and the link do not notice", async () => {
		const { database, daemon, reader } = await setUp({
			faults: [{ point: "lane.checkpoint", action: { kind: "fail", systemCode: "EIO" } }],
		});
		const handle = await handleOf(daemon);
		await insert(database, 1, 10);
		await waitFor("the shape to be given up", () => daemon.log.includes("cannot be synced"));
		await insert(database, 11, 20);
		await reader.until("20 rows", (rows) => rows.size === 20);
		expect(await handleOf(daemon)).not.toBe(handle);
		expect((await daemon.status()).link.connects).toBe(1);
		await daemon.kill();
		await daemon.start();
		await insert(database, 21, 30);
		await reader.until("30 rows after SIGKILL", (rows) => rows.size === 30);
		reader.stop();
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});

	it("writes, now and then (EIO): they are tried again, and every row comes once", async () => {
		const { database, daemon, reader } = await setUp({
			faults: [{ point: "lane.log.write", action: { kind: "fail", systemCode: "EIO" }, times: 5, skip: 1 }],
		});
		const handle = await handleOf(daemon);
		for (let batch = 0; batch < 10; batch += 1) {
			await insert(database, batch * 10 + 1, batch * 10 + 10);
		}
		await reader.until("100 rows", (rows) => rows.size === 100);
		expect(daemon.log).toContain("SLUICE_DISK_FAILED");
		expect(await handleOf(daemon)).toBe(handle);
		expect((await daemon.status()).link.connects).toBe(1);
		expect(reader.errors).toEqual([]);
		reader.stop();
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});
});
