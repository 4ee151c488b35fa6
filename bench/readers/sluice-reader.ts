/**
 * Sluice as a reader: its shapes are registered once, then every run is one life of the daemon, from its start to
 * everything durable. Owns the daemon's processes and its data directory; measures only what `/v1/status` and the
 * kernel say. Called by run.ts.
 */

import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import type { Lsn } from "../../src/shared/lsn.ts";
import { currentLsn, TABLE } from "../load.ts";
import { processCpuMs } from "../postgres.ts";
import type { Measurement, Reader, ReaderRun } from "../reader.ts";
import { SluiceProcess, type SluiceSettings } from "../sluice.ts";
import { hasData, isDurable, isWritten, type Sample, summarizeSamples } from "./sluice-samples.ts";

const POLL_MS = 50;
/** A run without any progress for this long has failed. */
const STALL_TIMEOUT_MS = 120_000;
const PARALLEL_REGISTRATIONS = 16;
/** Shapes whose logs are compared with the table at the end. */
const VERIFIED_SHAPES_MAX = 20;

export class SluiceReader implements Reader {
	readonly name: string;
	readonly #sql: pg.Client;
	readonly #settings: SluiceSettings;
	readonly #shapes: number;
	#running: SluiceProcess | null = null;

	constructor(options: {
		readonly sql: pg.Client;
		readonly databaseUrl: string;
		readonly database: string;
		readonly directory: string;
		readonly shapes: number;
		readonly workers: number;
	}) {
		this.name = `Sluice, ${options.shapes} shape${options.shapes === 1 ? "" : "s"}`;
		this.#sql = options.sql;
		this.#shapes = options.shapes;
		this.#settings = {
			databaseUrl: options.databaseUrl,
			dataDirectory: join(options.directory, `sluice-${options.database}`),
			streamId: options.database,
			workers: options.workers,
			logFile: join(options.directory, `sluice-${options.database}.log`),
		};
	}

	/** Makes slot, publication and shapes. Answers how long the registrations took, in milliseconds. */
	async register(): Promise<number> {
		return this.#life(async (daemon) => {
			await daemon.untilHealthy();
			const beganAtMs = performance.now();
			await daemon.registerShapes(this.#shapes, PARALLEL_REGISTRATIONS);
			return performance.now() - beganAtMs;
		});
	}

	/** A stop syncs and acknowledges what was written, so there is no need to wait for that. */
	async skipToEnd(): Promise<void> {
		const end = await currentLsn(this.#sql);
		await this.#life((daemon) => new StatusWatch(daemon).until((status) => isWritten(status, end)));
	}

	async run(request: ReaderRun): Promise<Measurement> {
		return this.#life((daemon) => this.#measure(daemon, request));
	}

	/** Compares some shapes' logs with the table. @throws Error when one differs */
	async verify(): Promise<number> {
		return this.#life(async (daemon) => {
			const end = await currentLsn(this.#sql);
			await new StatusWatch(daemon).until((status) => isWritten(status, end));
			await daemon.untilHealthy();
			const count = Math.min(VERIFIED_SHAPES_MAX, this.#shapes);
			for (let index = 0; index < count; index += 1) {
				const user = 1 + Math.floor((index * this.#shapes) / count);
				const result = await this.#sql.query<{ rows: number }>(
					`SELECT count(*)::integer AS rows FROM ${TABLE} WHERE user_id = $1`,
					[user],
				);
				const expected = result.rows[0]?.rows ?? 0;
				const found = await daemon.countRows(user);
				if (found !== expected) {
					throw new Error(`the shape user_id = ${user} holds ${found} rows, the table ${expected}`);
				}
			}
			return count;
		});
	}

	/** Ends whatever still runs, without ceremony, and removes the data; the log stays. */
	async dispose(): Promise<void> {
		this.#running?.kill();
		await rm(this.#settings.dataDirectory, { recursive: true, force: true, maxRetries: 3 });
	}

	async #life<T>(work: (daemon: SluiceProcess) => Promise<T>): Promise<T> {
		const daemon = await SluiceProcess.spawn(this.#settings);
		this.#running = daemon;
		try {
			const result = await work(daemon);
			await daemon.stop();
			return result;
		} finally {
			daemon.kill();
			this.#running = null;
		}
	}

	async #measure(daemon: SluiceProcess, request: ReaderRun): Promise<Measurement> {
		const watch = new StatusWatch(daemon);
		let before: Sample | null = null;
		if (request.mode === "live") {
			const { catchUpTo } = request;
			before = await watch.until(
				(status) => status.link.state === "streaming" && (catchUpTo === null || isWritten(status, catchUpTo)),
			);
			watch.forget();
		}
		// The polls go on while the load is written.
		let end: Lsn | null = null;
		const produced = request.produce().then((lsn) => {
			end = lsn;
		});
		if (before === null) {
			await watch.until(hasData);
			before = watch.beforeLast();
		}
		const written = await watch.until((status) => end !== null && isWritten(status, end));
		await produced;
		const walsenderPid = written.status.link.walsenderPid;
		const walsenderCpuMs = walsenderPid === null ? null : await processCpuMs(walsenderPid);
		await watch.until((status) => end !== null && isDurable(status, end));
		const sluice = summarizeSamples({
			before,
			written,
			samples: watch.samples(),
			idleRssBytes: before.status.memory.rssBytes,
			highWaterRssBytes: await highWaterRssBytes(daemon.pid),
		});
		return {
			rows: request.rows,
			measuredMs: written.atMs - before.atMs,
			firstDataMs: request.mode === "live" ? null : before.atMs - daemon.spawnedAtMs,
			cpuMs: Object.values(sluice.cpuMsByThread).reduce((sum, value) => sum + value, 0),
			walsenderCpuMs,
			bytesPerRead: null,
			sluice,
		};
	}
}

/** Polls the status and keeps what it saw. */
class StatusWatch {
	readonly #daemon: SluiceProcess;
	#samples: Sample[] = [];

	constructor(daemon: SluiceProcess) {
		this.#daemon = daemon;
	}

	samples(): readonly Sample[] {
		return this.#samples;
	}

	/** The sample before the newest, or the newest when it is the only one. */
	beforeLast(): Sample {
		const sample = this.#samples.at(-2) ?? this.#samples.at(-1);
		if (sample === undefined) {
			throw new Error("no status was seen");
		}
		return sample;
	}

	forget(): void {
		this.#samples = [];
	}

	/** The first sample that `accepts`. @throws Error when the daemon ends or nothing advances for long */
	async until(accepts: (status: Sample["status"]) => boolean): Promise<Sample> {
		let progress = "";
		let progressAtMs = performance.now();
		for (;;) {
			const atMs = performance.now();
			const status = await this.#daemon.status();
			if (status !== null) {
				const sample = { atMs: performance.now(), status };
				this.#samples.push(sample);
				if (accepts(status)) {
					return sample;
				}
				const { receivedBytes, receivedLsn, durableLsn } = status.link;
				const now = `${receivedBytes} ${receivedLsn} ${durableLsn} ${status.window.batches}`;
				if (now !== progress) {
					progress = now;
					progressAtMs = atMs;
				}
			}
			if (atMs - progressAtMs > STALL_TIMEOUT_MS) {
				const seen = JSON.stringify(status);
				throw new Error(`the daemon made no progress; last status ${seen}\n${await this.#daemon.logTail()}`);
			}
			await delay(POLL_MS);
		}
	}
}

/** The kernel's high-water mark of resident memory, in bytes; null where /proc has none. */
async function highWaterRssBytes(pid: number): Promise<number | null> {
	const text = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
	const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1];
	return kibibytes === undefined ? null : Number(kibibytes) * 1_024;
}
