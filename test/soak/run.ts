/**
 * The soak: a private PostgreSQL, Sluice, writers and official clients, and one random fault after the other for as
 * long as asked. Ends with every client equal to SELECT, or with what differs. Owns the processes and the temporary
 * directory; must leave none of them behind. Run by `npm run soak`; options are in options.ts, faults in faults.ts.
 */

import { randomInt } from "node:crypto";
import { appendFile, chmod, mkdir, mkdtemp, rm, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type LocalPostgres, startLocalPostgres } from "../../src/main/local-postgres/local-postgres.ts";
import { TestDaemon } from "../support/daemon.ts";
import { generateShape, WORLD_DDL } from "../support/generated-workload.ts";
import { Random } from "../support/random.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { FAULTS, mountSmallDisk, type SoakFault, unmount, type Victims } from "./faults.ts";
import { type FollowedShape, Follower, firstDifference } from "./follower.ts";
import { TcpProxy } from "./network.ts";
import { parseOptions, type SoakOptions, USAGE } from "./options.ts";
import { type FaultRecord, formatReport } from "./report.ts";
import { connectWriter, Writers } from "./writers.ts";

const DISK_MEGABYTES = 768;
/** A fault whose effect lasts longer than this after its end is a failure. */
const RECOVERY_LIMIT_MS = 60_000;
const COMPARISON_LIMIT_MS = 60_000;
const COMPARE_EVERY_MS = 60_000;
const SERVER_SETTINGS = { wal_sender_timeout: "5s", max_wal_size: "256MB", max_connections: "100" };
const BEACON: FollowedShape = { table: "beacon", where: null, params: {}, columns: null, replica: "default" };
const BULK: FollowedShape = { table: "bulk", where: null, params: {}, columns: null, replica: "default" };
const BULK_PART: FollowedShape = { ...BULK, where: "id <= $1", params: { 1: "1000" } };

function say(text: string): void {
	process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);
}

class Soak {
	readonly failures: string[] = [];
	readonly #options: SoakOptions;
	readonly #random: Random;
	readonly #victims: Victims;
	readonly #writers: Writers;
	readonly #beacon: Follower;
	readonly #ended: Follower[] = [];
	#followers: Follower[] = [];
	#records: FaultRecord[] = [];
	#comparisons = 0;
	#beaconValue = 0;
	#firstRssMiB = 0;

	constructor(options: SoakOptions, victims: Victims) {
		this.#options = options;
		this.#random = new Random(options.seed);
		this.#victims = victims;
		const seeds = Array.from({ length: options.writers }, (_, index) => new Random(options.seed + 1 + index));
		this.#writers = new Writers(victims.databaseUrl, seeds);
		this.#beacon = this.#follow(BEACON);
	}

	async run(): Promise<void> {
		this.#followers = [this.#beacon, this.#follow(BULK), this.#follow(BULK_PART)];
		for (let index = 0; index < this.#options.followers; index += 1) {
			this.#followers.push(this.#follow(this.#drawShape()));
		}
		this.#writers.start();
		await this.#recovered("start");
		this.#firstRssMiB = await this.#rssMiB();
		const endMs = performance.now() + this.#options.minutes * 60_000;
		let compareMs = performance.now() + COMPARE_EVERY_MS;
		while (performance.now() < endMs && this.failures.length === 0) {
			await this.#causeOne();
			this.#replaceOneFollower();
			if (performance.now() > compareMs) {
				await this.#compare();
				compareMs = performance.now() + COMPARE_EVERY_MS;
			}
		}
		await this.#compare();
		await this.#writers.end();
	}

	async report(): Promise<string> {
		const all = [...this.#followers, ...this.#ended];
		const sum = (count: (follower: Follower) => number): number =>
			all.reduce((total, follower) => total + count(follower), 0);
		return formatReport({
			...this.#options,
			faults: this.#records,
			transactions: this.#writers.committed,
			interrupted: this.#writers.interrupted,
			messages: sum((follower) => follower.messages),
			refetches: sum((follower) => follower.refetches),
			comparisons: this.#comparisons,
			clients: all.length,
			firstRssMiB: this.#firstRssMiB,
			lastRssMiB: await this.#rssMiB(),
			failures: this.failures,
		});
	}

	stop(): void {
		for (const follower of this.#followers) {
			follower.stop();
		}
	}

	#follow(shape: FollowedShape): Follower {
		return new Follower(this.#victims.daemon.shapeUrl, shape, this.#random.chance(0.4));
	}

	#drawShape(): FollowedShape {
		return { table: '"World.Items"', ...generateShape(this.#random) };
	}

	/** Clients leave and come, while whatever is going on goes on. */
	#replaceOneFollower(): void {
		if (this.#random.chance(0.5)) {
			const index = this.#random.integer(3, this.#followers.length - 1);
			const [left] = this.#followers.splice(index, 1, this.#follow(this.#drawShape()));
			if (left !== undefined) {
				left.stop();
				this.#noteViolations(left);
				this.#ended.push(left);
			}
		}
	}

	async #causeOne(): Promise<void> {
		const fault = this.#drawFault();
		let detail: string;
		try {
			detail = await fault.cause(this.#victims, this.#random);
		} catch (error) {
			this.#failed(`${fault.name}: could not be caused: ${error instanceof Error ? error.message : String(error)}`);
			return;
		}
		const recoveryMs = await this.#recovered(fault.name);
		this.#records.push({ name: fault.name, recoveryMs });
		say(`${fault.name}${detail === "" ? "" : ` (${detail})`}: recovered in ${Math.round(recoveryMs)} ms`);
		await delay(this.#random.integer(0, 1_500));
	}

	#drawFault(): SoakFault {
		const { only } = this.#options;
		const eligible = only.length === 0 ? FAULTS : FAULTS.filter(({ name }) => only.includes(name));
		return this.#random.pick(eligible.flatMap((fault) => Array.from({ length: fault.weight }, () => fault)));
	}

	/** Writes a row and waits until a client sees it. Answers how long that took. */
	async #recovered(after: string): Promise<number> {
		const beganMs = performance.now();
		this.#beaconValue += 1;
		const value = String(this.#beaconValue);
		const seen = () => this.#beacon.rows().get("1")?.["value"] === value;
		try {
			await waitFor(
				"the row to be committed",
				async () => {
					const sql = await connectWriter(this.#victims.databaseUrl());
					try {
						await sql.query("insert into beacon values (1, $1) on conflict (id) do update set value = excluded.value", [
							value,
						]);
						return true;
					} finally {
						await sql.end().catch(() => undefined);
					}
				},
				{ timeoutMs: RECOVERY_LIMIT_MS },
			);
			await waitFor("a client to see the row", seen, { timeoutMs: RECOVERY_LIMIT_MS, intervalMs: 5 });
		} catch (error) {
			this.#failed(`after "${after}": ${error instanceof Error ? error.message : String(error)}`);
		}
		return performance.now() - beganMs;
	}

	async #compare(): Promise<void> {
		await this.#writers.hold();
		const sql = await connectWriter(this.#victims.databaseUrl());
		try {
			for (const follower of this.#followers) {
				await this.#compareOne(follower, await select(sql, follower.shape));
			}
		} finally {
			await sql.end();
			this.#writers.release();
		}
		say(
			`${this.#followers.length} clients equal SELECT; ${this.#writers.committed} transactions, ${await this.#rssMiB()} MiB`,
		);
	}

	async #compareOne(follower: Follower, selected: Awaited<ReturnType<typeof select>>): Promise<void> {
		this.#comparisons += 1;
		let difference: string | null = "nothing compared";
		await waitFor(
			"equality",
			() => {
				difference = firstDifference(follower.rows(), selected);
				return difference === null;
			},
			{ timeoutMs: COMPARISON_LIMIT_MS },
		).catch(() => this.#failed(`${JSON.stringify(follower.shape)}: ${difference}`));
		this.#noteViolations(follower);
	}

	#noteViolations(follower: Follower): void {
		for (const violation of follower.violations.splice(0)) {
			this.#failed(`${JSON.stringify(follower.shape)}: ${violation}`);
		}
	}

	#failed(what: string): void {
		this.failures.push(what);
		say(`FAILED ${what}`);
	}

	async #rssMiB(): Promise<number> {
		const status = await this.#victims.daemon.status().catch(() => null);
		return Math.round((status?.memory.rssBytes ?? 0) / 2 ** 20);
	}
}

async function select(
	sql: Awaited<ReturnType<typeof connectWriter>>,
	shape: FollowedShape,
): Promise<Map<string, Record<string, string | null>>> {
	const columns = shape.columns?.map((name) => sql.escapeIdentifier(name)).join(", ") ?? "*";
	const where = shape.where === null ? "" : `where ${shape.where}`;
	const { rows } = await sql.query<Record<string, string | null>>({
		text: `select ${columns} from ${shape.table} ${where}`,
		values: Object.values(shape.params),
		types: { getTypeParser: () => (value: string) => value },
	});
	return new Map(rows.map((row) => [String(row["id"]), row]));
}

async function prepare(postgres: LocalPostgres): Promise<string> {
	const url = new URL(postgres.url);
	const sql = await connectWriter(url.href);
	await sql.query("create database soak");
	await sql.end();
	url.pathname = "/soak";
	const world = await connectWriter(url.href);
	await world.query(WORLD_DDL);
	await world.query("create table bulk (id int primary key, body text not null)");
	await world.query("create table beacon (id int primary key, value text not null)");
	await world.end();
	return url.href;
}

async function main(): Promise<number> {
	const options = parseOptions(process.argv.slice(2), () => randomInt(1, 2 ** 31));
	if (options.help) {
		process.stdout.write(USAGE);
		return 0;
	}
	const unknown = options.only.find((name) => !FAULTS.some((fault) => fault.name === name));
	if (unknown !== undefined) {
		throw new RangeError(
			`--only: no fault is named "${unknown}"; there are: ${FAULTS.map(({ name }) => name).join("; ")}`,
		);
	}
	const directory = await mkdtemp(join(tmpdir(), "sluice-soak-"));
	await chmod(directory, 0o711);
	const diskPath = join(directory, "disk");
	await mkdir(diskPath);
	const disk = await mountSmallDisk(diskPath, DISK_MEGABYTES);
	const endings: (() => Promise<unknown>)[] = [];
	let interrupted: (error: Error) => void = () => undefined;
	const interruption = new Promise<never>((_, reject) => {
		interrupted = reject;
	});
	interruption.catch(() => undefined);
	for (const signal of ["SIGINT", "SIGTERM"] as const) {
		process.once(signal, () => interrupted(new Error(`interrupted by ${signal}`)));
	}
	say(
		`seed ${options.seed}, PostgreSQL ${options.postgres}, ${directory}${disk === null ? "; no small disk can be mounted" : ""}`,
	);
	try {
		const postgres = await startLocalPostgres({
			dataDirectory: join(directory, "postgres"),
			version: options.postgres,
			sync: false,
			dieWithParent: true,
			settings: SERVER_SETTINGS,
		});
		endings.push(() => postgres.stop("immediate"));
		const databaseUrl = await prepare(postgres);
		const network = await TcpProxy.start({ port: postgres.port });
		endings.push(() => network.close());
		const throughNetwork = new URL(databaseUrl);
		throughNetwork.port = String(network.port);
		const daemon = new TestDaemon(
			{
				databaseUrl: throughNetwork.href,
				waitUntilActive: false,
				environment: {
					SLUICE_DATA_DIR: join(diskPath, "data"),
					SLUICE_WORKERS: String(options.workers),
					SLUICE_CHUNK_BYTES: "100000",
					SLUICE_LONG_POLL_TIMEOUT_MS: "5000",
					SLUICE_PAUSE_LIMIT_MS: "20000",
				},
			},
			await temporaryDirectory("soak"),
		);
		endings.push(() => daemon.end());
		await daemon.start();
		const soak = new Soak(options, { daemon, postgres, network, databaseUrl: () => databaseUrl, disk });
		endings.push(async () => soak.stop());
		await Promise.race([soak.run(), interruption]);
		process.stdout.write(`\n${await soak.report()}\n`);
		if (soak.failures.length > 0) {
			await writeFile(join(directory, "sluice.log"), daemon.log);
			await appendFile(join(directory, "sluice.log"), JSON.stringify(await daemon.status().catch(String), null, "\t"));
			say(`Sluice's log: ${join(directory, "sluice.log")}`);
		}
		return soak.failures.length === 0 ? 0 : 1;
	} finally {
		for (const ending of endings.reverse()) {
			await ending().catch((error: unknown) => say(String(error)));
		}
		if (disk !== null) {
			await unmount(disk);
		}
		if (!options.keep) {
			await rm(join(directory, "postgres"), { recursive: true, force: true });
			await rm(diskPath, { recursive: true, force: true });
			// Not when it holds the log of a failure.
			await rmdir(directory).catch(() => undefined);
		}
	}
}

process.exitCode = await main();
