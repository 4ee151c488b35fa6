/**
 * The benchmark: composes a private PostgreSQL, the load and the readers, and runs them interleaved, so that a noisy
 * machine disturbs all of them alike. Owns the temporary directory and the order of things; must leave no process
 * behind. Run by `npm run bench`; options are in options.ts, the meaning of the numbers in README.md.
 */

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, loadavg, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type pg from "pg";
import { must } from "../src/shared/assert.ts";
import {
	currentLsn,
	PUBLICATION,
	prepareDatabase,
	settle,
	type Workload,
	workloadRows,
	workloads,
	writeLoad,
} from "./load.ts";
import { type BenchOptions, parseOptions, USAGE } from "./options.ts";
import { BenchPostgres } from "./postgres.ts";
import type { Measurement, Mode, Reader } from "./reader.ts";
import { findRecvlogical, RecvlogicalReader } from "./readers/recvlogical-reader.ts";
import { ReplicationReader } from "./readers/replication-reader.ts";
import { SluiceReader } from "./readers/sluice-reader.ts";
import {
	count,
	formatScenario,
	formatSummary,
	formatSurroundings,
	type Scenario,
	type Surroundings,
} from "./report.ts";

const NODE_MAJOR_MIN = 24;

function print(text: string): void {
	process.stdout.write(`${text}\n`);
}

/** To standard error, so that standard output is the report alone. */
function progress(text: string): void {
	process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);
}

/** One database and its readers: everything at one number of shapes. */
class Group {
	readonly #sql: pg.Client;
	readonly #shapes: number;
	readonly #readers: readonly Reader[];
	#turn = 0;

	constructor(sql: pg.Client, shapes: number, readers: readonly Reader[]) {
		this.#sql = sql;
		this.#shapes = shapes;
		this.#readers = readers;
	}

	async run(workload: Workload, mode: Mode, rounds: number): Promise<Scenario> {
		for (const reader of this.#readers) {
			await reader.skipToEnd();
		}
		const loadMs: number[] = [];
		const measured = new Map<string, Measurement[]>(this.#readers.map((reader) => [reader.name, []]));
		for (let round = 0; round < rounds; round += 1) {
			const results = mode === "backlog" ? this.#backlogRound(workload, loadMs) : this.#liveRound(workload, loadMs);
			for await (const { reader, measurement } of results) {
				must(measured.get(reader.name), "every reader has a list").push(measurement);
				const rate = count((measurement.rows * 1_000) / measurement.measuredMs);
				progress(
					`${count(this.#shapes)} shapes, ${workload.name}, ${mode}, round ${round + 1}: ${reader.name} ${rate} rows/s`,
				);
			}
		}
		return {
			shapes: this.#shapes,
			workload: workload.name,
			rows: workloadRows(workload),
			mode,
			loadMs,
			readers: this.#readers.map(({ name }) => ({ name, rounds: measured.get(name) ?? [] })),
		};
	}

	/** One load; every reader drains it. Another one begins each round, since the first finds the log freshly written. */
	async *#backlogRound(workload: Workload, loadMs: number[]) {
		const beganAtMs = performance.now();
		const end = await writeLoad(this.#sql, workload, this.#shapes);
		loadMs.push(performance.now() - beganAtMs);
		await settle(this.#sql);
		for (const reader of this.#order()) {
			const request = {
				mode: "backlog",
				catchUpTo: null,
				produce: async () => end,
				rows: workloadRows(workload),
			} as const;
			yield { reader, measurement: await reader.run(request) };
		}
	}

	/** A load for each reader, written while it follows; what the others' loads left behind is skipped first. */
	async *#liveRound(workload: Workload, loadMs: number[]) {
		for (const reader of this.#order()) {
			await reader.skipToEnd();
			const produce = async () => {
				const beganAtMs = performance.now();
				const end = await writeLoad(this.#sql, workload, this.#shapes);
				loadMs.push(performance.now() - beganAtMs);
				return end;
			};
			const catchUpTo = await currentLsn(this.#sql);
			yield {
				reader,
				measurement: await reader.run({ mode: "live", catchUpTo, produce, rows: workloadRows(workload) }),
			};
			await settle(this.#sql);
		}
	}

	#order(): readonly Reader[] {
		const from = this.#turn % this.#readers.length;
		this.#turn += 1;
		return [...this.#readers.slice(from), ...this.#readers.slice(0, from)];
	}
}

interface Place {
	readonly options: BenchOptions;
	readonly postgres: BenchPostgres;
	readonly directory: string;
	readonly recvlogical: string | null;
	/** What to end at once when the benchmark is interrupted. */
	readonly running: Set<SluiceReader>;
}

async function runGroup(shapes: number, place: Place): Promise<readonly Scenario[]> {
	const { options, postgres } = place;
	const database = `bench_${shapes}`;
	const administrator = await postgres.connect("postgres");
	await administrator.query(`CREATE DATABASE ${database}`).finally(() => administrator.end());
	const sql = await postgres.connect(database);
	let sluice: SluiceReader | null = null;
	try {
		await prepareDatabase(sql);
		const source = { sql, address: postgres.address, database, publication: PUBLICATION };
		const readers: Reader[] = [new ReplicationReader("coalescing", source), new ReplicationReader("eager", source)];
		if (place.recvlogical !== null) {
			readers.push(new RecvlogicalReader(place.recvlogical, source));
		}
		if (options.sluice) {
			const { workers } = options;
			const { directory } = place;
			sluice = new SluiceReader({ sql, databaseUrl: postgres.url(database), database, directory, shapes, workers });
			place.running.add(sluice);
			const registrationMs = await sluice.register();
			print(
				`${count(shapes)} shape${shapes === 1 ? "" : "s"} registered in ${(registrationMs / 1_000).toFixed(1)} s (16 requests at once)\n`,
			);
			readers.push(sluice);
		}
		const group = new Group(sql, shapes, readers);
		const scenarios: Scenario[] = [];
		for (const mode of options.modes) {
			for (const workload of selectWorkloads(options)) {
				const scenario = await group.run(workload, mode, options.rounds);
				scenarios.push(scenario);
				print(`${formatScenario(scenario)}\n`);
			}
		}
		if (sluice !== null) {
			print(`${await sluice.verify()} shapes of ${count(shapes)} compared with the table: equal\n`);
		}
		return scenarios;
	} finally {
		if (sluice !== null) {
			await sluice.dispose();
			place.running.delete(sluice);
		}
		await dropSlots(sql).catch((error: unknown) => progress(`slots remain: ${error}`));
		await sql.end();
	}
}

/** Slots of a finished group would hold its log for the length of the others. */
async function dropSlots(sql: pg.Client): Promise<void> {
	await sql.query("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active");
	await sql.query(
		"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database() AND NOT active",
	);
}

function selectWorkloads(options: BenchOptions): readonly Workload[] {
	const all = workloads(options.rows, options.giantRows);
	return options.only.length === 0 ? all : all.filter(({ name }) => options.only.some((part) => name.startsWith(part)));
}

async function commit(): Promise<string | null> {
	try {
		const { stdout } = await promisify(execFile)("git", ["describe", "--always", "--dirty"], {
			cwd: new URL(".", import.meta.url).pathname,
		});
		return stdout.trim();
	} catch {
		return null;
	}
}

async function bench(options: BenchOptions): Promise<void> {
	const loadAverage = loadavg()[0] ?? 0;
	const directory = await mkdtemp(join(tmpdir(), "sluice-bench-"));
	let postgres: BenchPostgres | null = null;
	const running = new Set<SluiceReader>();
	// The server is in a session of its own, so no signal of the terminal reaches it; what waits for it then fails.
	const interrupted = (): void => {
		progress("interrupted");
		for (const sluice of running) {
			void sluice.dispose();
		}
		void postgres?.stop();
	};
	process.once("SIGINT", interrupted);
	process.once("SIGTERM", interrupted);
	try {
		postgres = await BenchPostgres.start(directory);
		const recvlogical = await findRecvlogical();
		const surroundings: Surroundings = {
			cpuModel: cpus()[0]?.model ?? "unknown",
			cpus: cpus().length,
			memoryBytes: totalmem(),
			node: process.version,
			postgres: await postgres.version(),
			workers: options.workers,
			commit: await commit(),
			loadAverage,
		};
		print(formatSurroundings(surroundings));
		print(recvlogical === null ? "no pg_recvlogical on this machine\n" : `pg_recvlogical: ${recvlogical}\n`);
		const scenarios: Scenario[] = [];
		for (const shapes of options.shapes) {
			scenarios.push(...(await runGroup(shapes, { options, postgres, directory, recvlogical, running })));
		}
		print(formatSummary(scenarios));
		if (options.jsonFile !== null) {
			await writeFile(options.jsonFile, `${JSON.stringify({ surroundings, scenarios }, null, "\t")}\n`);
		}
	} finally {
		await postgres?.stop();
		if (options.keep) {
			progress(`kept ${directory}`);
		} else {
			await rm(directory, { recursive: true, force: true });
		}
	}
}

if (Number.parseInt(process.versions.node, 10) < NODE_MAJOR_MIN) {
	throw new Error(`the benchmark needs Node ${NODE_MAJOR_MIN}: run it as "npm run bench"`);
}
const options = parseOptions(process.argv.slice(2));
if (options.help) {
	print(USAGE);
} else {
	await bench(options);
}
