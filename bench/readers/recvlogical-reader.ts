/**
 * PostgreSQL's own `pg_recvlogical`, where the machine has one, writing to /dev/null. Owns a replication slot and,
 * for the length of a run, one child process. It reports nothing about itself, so its first output and its end are
 * seen from outside. Called by run.ts. Source: PostgreSQL, "pg_recvlogical".
 */

import { type ChildProcess, spawn } from "node:child_process";
import { readdir, readFile, realpath } from "node:fs/promises";
import { basename, delimiter, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import { formatLsn, type Lsn, parseLsn } from "../../src/shared/lsn.ts";
import { type PostgresAddress, processCpuMs } from "../postgres.ts";
import type { Measurement, Reader, ReaderRun } from "../reader.ts";
import { createSlot } from "./replication-slot.ts";

const POLL_MS = 5;
const START_TIMEOUT_MS = 30_000;
/** A process that Node spawns has written a byte of its own; the first change alone is larger than this. */
const START_OUTPUT_BYTES = 16;
const PROGRAM = "pg_recvlogical";

/** Path of pg_recvlogical: on PATH, or where Debian puts it; null when there is none. */
export async function findRecvlogical(): Promise<string | null> {
	const directories = (process.env["PATH"] ?? "").split(delimiter).filter((directory) => directory !== "");
	const debian = "/usr/lib/postgresql";
	const versions = await readdir(debian).catch(() => []);
	versions.sort((left, right) => Number(right) - Number(left));
	for (const directory of [...directories, ...versions.map((version) => join(debian, version, "bin"))]) {
		const program = await realpath(join(directory, PROGRAM)).catch(() => null);
		// Debian's entry on PATH leads to a wrapper script, whose own output would pass for the first change.
		if (program !== null && basename(program) === PROGRAM) {
			return program;
		}
	}
	return null;
}

export class RecvlogicalReader implements Reader {
	readonly name = PROGRAM;
	readonly #program: string;
	readonly #sql: pg.Client;
	readonly #address: PostgresAddress;
	readonly #database: string;
	readonly #publication: string;
	readonly #slot: string;

	constructor(
		program: string,
		place: {
			readonly sql: pg.Client;
			readonly address: PostgresAddress;
			readonly database: string;
			readonly publication: string;
		},
	) {
		this.#program = program;
		this.#sql = place.sql;
		this.#address = place.address;
		this.#database = place.database;
		this.#publication = place.publication;
		this.#slot = `bench_recvlogical_${place.database}`;
	}

	async skipToEnd(): Promise<void> {
		await createSlot(this.#sql, this.#slot);
	}

	async run(request: ReaderRun): Promise<Measurement> {
		// A backlog has a known end, at which the program stops by itself; a live load has none yet.
		const knownEnd = request.mode === "backlog" ? await request.produce() : null;
		const child = this.#spawn(knownEnd);
		const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
		try {
			const pid = child.pid;
			if (pid === undefined) {
				throw new Error(`${this.#program} did not start`);
			}
			const walsenderPid = await this.#walsenderPid();
			const startedAtMs = performance.now();
			const usage = watchProcess(pid, walsenderPid);
			if (knownEnd === null) {
				const end = await request.produce();
				await this.#untilSent(walsenderPid, end);
				usage.stop();
				child.kill("SIGINT");
			}
			const code = await exited;
			const endedAtMs = performance.now();
			usage.stop();
			if (knownEnd !== null && code !== 0) {
				throw new Error(`${PROGRAM} ended with ${code}`);
			}
			const firstDataAtMs = usage.firstOutputAtMs() ?? startedAtMs;
			return {
				rows: request.rows,
				measuredMs: endedAtMs - (request.mode === "live" ? startedAtMs : firstDataAtMs),
				firstDataMs: request.mode === "live" ? null : firstDataAtMs - startedAtMs,
				cpuMs: usage.cpuMs(),
				walsenderCpuMs: usage.walsenderCpuMs(),
				bytesPerRead: null,
				sluice: null,
			};
		} finally {
			child.kill("SIGKILL");
		}
	}

	#spawn(end: Lsn | null): ChildProcess {
		const { host, port, user } = this.#address;
		return spawn(
			this.#program,
			[
				...["--host", host, "--port", String(port), "--username", user, "--dbname", this.#database],
				...["--slot", this.#slot, "--start", "--no-loop", "--file", "/dev/null"],
				...["--option", "proto_version=1", "--option", `publication_names="${this.#publication}"`],
				...(end === null ? [] : ["--endpos", formatLsn(end)]),
			],
			// Without an end it is interrupted, and complains about that.
			{ stdio: ["ignore", "ignore", end === null ? "ignore" : "inherit"] },
		);
	}

	async #walsenderPid(): Promise<number> {
		const deadline = performance.now() + START_TIMEOUT_MS;
		while (performance.now() < deadline) {
			const result = await this.#sql.query<{ active_pid: number | null }>(
				"SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1",
				[this.#slot],
			);
			const pid = result.rows[0]?.active_pid ?? null;
			if (pid !== null) {
				return pid;
			}
			await delay(POLL_MS);
		}
		throw new Error(`${PROGRAM} did not take its slot`);
	}

	async #untilSent(walsenderPid: number, end: Lsn): Promise<void> {
		for (;;) {
			const result = await this.#sql.query<{ sent_lsn: string | null }>(
				"SELECT sent_lsn FROM pg_stat_replication WHERE pid = $1",
				[walsenderPid],
			);
			const row = result.rows[0];
			if (row === undefined) {
				throw new Error(`${PROGRAM} lost its connection`);
			}
			if (row.sent_lsn !== null && parseLsn(row.sent_lsn) >= end) {
				return;
			}
			await delay(POLL_MS);
		}
	}
}

interface ProcessWatch {
	/** When the process had first written something: its output for the first change. */
	firstOutputAtMs(): number | null;
	cpuMs(): number | null;
	walsenderCpuMs(): number | null;
	stop(): void;
}

/** Samples /proc, whose numbers end with the process; the last sample before its end counts. */
function watchProcess(pid: number, walsenderPid: number): ProcessWatch {
	let firstOutputAtMs: number | null = null;
	let cpuMs: number | null = null;
	let walsenderCpuMs: number | null = null;
	let stopped = false;
	const watch = async (): Promise<void> => {
		while (!stopped) {
			if (firstOutputAtMs === null && (await writtenBytes(pid)) > START_OUTPUT_BYTES) {
				firstOutputAtMs = performance.now();
			}
			cpuMs = (await processCpuMs(pid)) ?? cpuMs;
			walsenderCpuMs = (await processCpuMs(walsenderPid)) ?? walsenderCpuMs;
			await delay(firstOutputAtMs === null ? POLL_MS : 10 * POLL_MS);
		}
	};
	void watch();
	return {
		firstOutputAtMs: () => firstOutputAtMs,
		cpuMs: () => cpuMs,
		walsenderCpuMs: () => walsenderCpuMs,
		stop: () => {
			stopped = true;
		},
	};
}

/** Bytes that a process gave to write(2). What it sends to the server goes through send(2) and does not count. */
async function writtenBytes(pid: number): Promise<number> {
	const text = await readFile(`/proc/${pid}/io`, "utf8").catch(() => "");
	return Number(/^wchar: (\d+)$/m.exec(text)?.[1] ?? 0);
}
