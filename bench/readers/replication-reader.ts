/**
 * The raw coalescing reader and the eager reader, each in a process of its own. Owns a replication slot and, for
 * the length of a run, one child process. Called by run.ts.
 */

import { type ChildProcess, fork } from "node:child_process";
import type pg from "pg";
import { formatLsn } from "../../src/shared/lsn.ts";
import type { PostgresAddress } from "../postgres.ts";
import type { Measurement, Reader, ReaderRun } from "../reader.ts";
import type { ReaderReport } from "./reader-process.ts";
import type { ReplicationClientOptions } from "./replication-client.ts";
import { createSlot } from "./replication-slot.ts";

/** As pg_recvlogical's default. */
const STATUS_INTERVAL_MS = 10_000;
/** About once a millisecond. */
const COALESCE_MS = 1;

type Result = Extract<ReaderReport, { kind: "result" }>;

export class ReplicationReader implements Reader {
	readonly name: string;
	readonly #sql: pg.Client;
	readonly #options: ReplicationClientOptions;

	constructor(
		policy: "coalescing" | "eager",
		place: {
			readonly sql: pg.Client;
			readonly address: PostgresAddress;
			readonly database: string;
			readonly publication: string;
		},
	) {
		this.name = policy === "coalescing" ? "raw coalescing reader" : "eager reader";
		this.#sql = place.sql;
		this.#options = {
			...place.address,
			database: place.database,
			publication: place.publication,
			slot: `bench_${policy}_${place.database}`,
			coalesceMs: policy === "coalescing" ? COALESCE_MS : null,
			statusIntervalMs: STATUS_INTERVAL_MS,
		};
	}

	async skipToEnd(): Promise<void> {
		await createSlot(this.#sql, this.#options.slot);
	}

	async run(request: ReaderRun): Promise<Measurement> {
		const child = fork(new URL("./reader-process.ts", import.meta.url), [JSON.stringify(this.#options)]);
		try {
			await nextReport(child, "streaming");
			const producedFromMs = performance.timeOrigin + performance.now();
			const target = await request.produce();
			const reported = nextReport(child, "result");
			child.send({ lsn: formatLsn(target) });
			return toMeasurement(await reported, request, producedFromMs);
		} finally {
			child.kill("SIGKILL");
		}
	}
}

function toMeasurement(result: Result, request: ReaderRun, producedFromMs: number): Measurement {
	const { rows, startedAtMs, firstDataAtMs, lastCommitAtMs, bytes, reads } = result.measurement;
	if (rows !== request.rows || firstDataAtMs === null || lastCommitAtMs === null) {
		throw new Error(`the reader saw ${rows} rows of ${request.rows}`);
	}
	const beginMs = request.mode === "live" ? producedFromMs - result.timeOriginMs : firstDataAtMs;
	return {
		rows,
		measuredMs: lastCommitAtMs - beginMs,
		firstDataMs: request.mode === "live" ? null : firstDataAtMs - startedAtMs,
		cpuMs: result.cpuMs,
		walsenderCpuMs: result.walsenderCpuMs,
		bytesPerRead: bytes / reads,
		sluice: null,
	};
}

function nextReport<K extends ReaderReport["kind"]>(
	child: ChildProcess,
	kind: K,
): Promise<Extract<ReaderReport, { kind: K }>> {
	return new Promise((resolve, reject) => {
		const onExit = (code: number | null): void => reject(new Error(`the reading process ended with ${code}`));
		child.once("exit", onExit);
		child.once("message", (message) => {
			child.off("exit", onExit);
			const report = message as ReaderReport;
			if (report.kind === kind) {
				resolve(report as Extract<ReaderReport, { kind: K }>);
			} else {
				reject(new Error(report.kind === "failed" ? report.message : `unexpected report ${report.kind}`));
			}
		});
	});
}
