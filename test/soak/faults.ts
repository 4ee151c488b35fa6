/**
 * What a soak does to Sluice, to PostgreSQL and to what lies between and below: a closed table, each entry with how
 * it is undone. Owns the causing of faults; judges nothing. Called by run.ts.
 */

import { execFile } from "node:child_process";
import { readdir, readFile, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import type pg from "pg";
import type { LocalPostgres } from "../../src/main/local-postgres/local-postgres.ts";
import type { Fault } from "../../src/shared/fault-points.ts";
import type { TestDaemon } from "../support/daemon.ts";
import type { Random } from "../support/random.ts";
import { waitFor } from "../support/wait-for.ts";
import type { TcpProxy } from "./network.ts";
import { connectWriter } from "./writers.ts";

export interface Victims {
	readonly daemon: TestDaemon;
	readonly postgres: LocalPostgres;
	/** Between Sluice and PostgreSQL. */
	readonly network: TcpProxy;
	/** Straight to the server. */
	readonly databaseUrl: () => string;
	/** A small file system of its own with the data directory on it; null where none can be mounted. */
	readonly disk: string | null;
}

export interface SoakFault {
	readonly name: string;
	/** How often beside the others. */
	readonly weight: number;
	/** Causes it and undoes it. Answers what was drawn, for the log. */
	readonly cause: (victims: Victims, random: Random) => Promise<string>;
}

export const FAULTS: readonly SoakFault[] = [
	{ name: "nothing", weight: 2, cause: (_, random) => pause(random, 1_000, 5_000) },
	{
		name: "Sluice is stopped in order and started",
		weight: 3,
		cause: async ({ daemon }, random) => {
			const code = await daemon.stop();
			if (code !== 0) {
				throw new Error(`the daemon ended with ${code}`);
			}
			const waited = await pause(random, 0, 3_000);
			await startAgain(daemon);
			return waited;
		},
	},
	{
		name: "Sluice is killed and started",
		weight: 4,
		cause: async ({ daemon }, random) => {
			await daemon.kill();
			const waited = await pause(random, 0, 3_000);
			await startAgain(daemon);
			return waited;
		},
	},
	{
		name: "Sluice is killed; lanes of the next one crash",
		weight: 3,
		cause: async ({ daemon }, random) => {
			await daemon.kill();
			const faults = drawCrashes(random);
			await startAgain(daemon, faults);
			return faults.map((fault) => `${fault.point} after ${fault.skip}`).join(", ");
		},
	},
	{
		name: "Sluice's process is stopped for a while (SIGSTOP)",
		weight: 3,
		cause: async ({ daemon }, random) => {
			daemon.signal("SIGSTOP");
			const waited = await pause(random, 500, 9_000);
			daemon.signal("SIGCONT");
			return waited;
		},
	},
	{
		name: "lanes are suspended",
		weight: 3,
		cause: async ({ daemon }, random) => {
			await daemon.admin("POST", "/v1/lanes/suspend");
			const waited = await pause(random, 1_000, 8_000);
			await daemon.admin("POST", "/v1/lanes/resume");
			return waited;
		},
	},
	{
		name: "PostgreSQL restarts (fast)",
		weight: 3,
		cause: async ({ postgres }, random) => {
			await postgres.stop("fast");
			const waited = await pause(random, 0, 2_000);
			await postgres.start();
			return waited;
		},
	},
	{
		name: "PostgreSQL crashes (immediate) and starts",
		weight: 3,
		cause: async ({ postgres }, random) => {
			await postgres.stop("immediate");
			const waited = await pause(random, 0, 2_000);
			await postgres.start();
			return waited;
		},
	},
	{
		name: "PostgreSQL is frozen (SIGSTOP of every process)",
		weight: 2,
		cause: async ({ postgres }, random) => {
			const pids = await processesOf(postgres.pid);
			signalAll(pids, "SIGSTOP");
			const waited = await pause(random, 500, 9_000);
			signalAll(pids, "SIGCONT");
			return waited;
		},
	},
	{
		name: "the walsender is frozen",
		weight: 2,
		cause: async ({ daemon }, random) => {
			const pid = (await daemon.status()).link.walsenderPid;
			if (pid === null) {
				return "no walsender";
			}
			signalAll([pid], "SIGSTOP");
			const waited = await pause(random, 500, 9_000);
			signalAll([pid], "SIGCONT");
			return waited;
		},
	},
	{
		name: "Sluice's sessions are terminated",
		weight: 3,
		cause: (victims) =>
			administer(victims, async (sql) => {
				const { rowCount } = await sql.query(
					"select pg_terminate_backend(pid) from pg_stat_activity where application_name ilike '%sluice%' and pid <> pg_backend_pid()",
				);
				return `${rowCount} sessions`;
			}),
	},
	{
		name: "the slot is dropped",
		weight: 1,
		cause: (victims) =>
			administer(victims, async (sql) => {
				const { slotName } = victims.daemon;
				// Sluice comes back at once: the slot is free for a moment only.
				await waitFor(
					"the slot to be dropped",
					async () => {
						await sql.query(
							"select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1 and active",
							[slotName],
						);
						await sql.query("select pg_drop_replication_slot($1)", [slotName]);
						return true;
					},
					{ timeoutMs: 30_000, intervalMs: 1 },
				);
				return slotName;
			}),
	},
	{
		name: "the publication is dropped",
		weight: 1,
		cause: (victims) =>
			administer(victims, async (sql) => {
				const { rows } = await sql.query<{ pubname: string }>("select pubname from pg_publication");
				for (const { pubname } of rows) {
					await sql.query(`drop publication if exists ${sql.escapeIdentifier(pubname)}`);
				}
				return rows.map(({ pubname }) => pubname).join(", ");
			}),
	},
	{
		name: "the table is truncated",
		weight: 1,
		cause: (victims) =>
			administer(victims, async (sql) => {
				await sql.query('truncate "World.Items"');
				return "";
			}),
	},
	{
		name: "a column is added or dropped",
		weight: 1,
		cause: (victims, random) =>
			administer(victims, async (sql) => {
				const { rows } = await sql.query<{ attname: string }>(
					`select attname from pg_attribute where attrelid = '"World.Items"'::regclass and attname like 'extra%' and not attisdropped`,
				);
				const [first] = rows;
				if (first !== undefined && random.chance(0.6)) {
					await sql.query(`alter table "World.Items" drop column ${first.attname}`);
					return `${first.attname} dropped`;
				}
				const name = `extra${random.integer(1, 1_000_000)}`;
				await sql.query(`alter table "World.Items" add column ${name} int default ${random.integer(1, 9)}`);
				return `${name} added`;
			}),
	},
	{
		name: "a large transaction",
		weight: 3,
		cause: (victims, random) =>
			administer(victims, async (sql) => {
				const rows = random.integer(2_000, 60_000);
				await sql.query("begin");
				await sql.query("delete from bulk");
				await sql.query("insert into bulk select g, repeat(md5(g::text), 8) from generate_series(1, $1::int) g", [
					rows,
				]);
				await sql.query(random.chance(0.15) ? "rollback" : "commit");
				return `${rows} rows`;
			}),
	},
	{
		name: "the network swallows everything for a while",
		weight: 3,
		cause: async ({ network }, random) => {
			network.swallow();
			const waited = await pause(random, 500, 9_000);
			network.restore();
			return waited;
		},
	},
	{
		name: "the network resets every connection",
		weight: 3,
		cause: async ({ network }) => `${network.reset()} connections`,
	},
	{
		name: "the disk is full for a while",
		weight: 2,
		cause: async ({ disk }, random) => {
			if (disk === null) {
				return "not possible here";
			}
			const ballast = join(disk, "ballast");
			const { bavail, bsize } = await statfs(disk);
			// A little is left, so that it fills up in the middle of something.
			const bytes = Math.max(0, bavail * bsize - random.integer(0, 200_000));
			await writeFile(ballast, Buffer.alloc(bytes)).catch(() => undefined);
			const waited = await pause(random, 1_000, 6_000);
			await rm(ballast, { force: true });
			return waited;
		},
	},
];

async function pause(random: Random, leastMs: number, mostMs: number): Promise<string> {
	const durationMs = random.integer(leastMs, mostMs);
	await delay(durationMs);
	return `${durationMs} ms`;
}

/** It listens again; when it is active again is what the run measures. */
async function startAgain(daemon: TestDaemon, faults: readonly Fault[] = []): Promise<void> {
	await daemon.start(faults);
}

function drawCrashes(random: Random): Fault[] {
	const points = ["lane.batch.before", "lane.batch.middle", "lane.batch.written", "lane.checkpoint"] as const;
	return Array.from({ length: random.integer(1, 3) }, () => ({
		point: random.pick(points),
		action: { kind: "crash" as const },
		// A lane that starts again counts anew: it must get some way each time.
		skip: random.integer(20, 200),
		lane: random.integer(0, 1),
	}));
}

async function administer(victims: Victims, act: (sql: pg.Client) => Promise<string>): Promise<string> {
	const sql = await connectWriter(victims.databaseUrl());
	try {
		return await act(sql);
	} finally {
		await sql.end();
	}
}

/** The server's first process and its children. */
async function processesOf(postmaster: number): Promise<number[]> {
	const pids = [postmaster];
	for (const name of await readdir("/proc")) {
		const stat = /^\d+$/.test(name) ? await readFile(`/proc/${name}/stat`, "utf8").catch(() => "") : "";
		// After the command in parentheses: state, parent.
		if (stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] === String(postmaster)) {
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
			// It has ended since.
		}
	}
}

const run = promisify(execFile);

/** A small file system at `path`, or null where the user may not mount one. */
export async function mountSmallDisk(path: string, megabytes: number): Promise<string | null> {
	try {
		await run("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m,mode=0777`, "tmpfs", path]);
		return path;
	} catch {
		return null;
	}
}

export async function unmount(path: string): Promise<void> {
	await run("umount", ["-l", path]);
}
