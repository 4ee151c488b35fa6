/**
 * One reading process: a fresh one for each measurement, as pg_recvlogical and Sluice are, so that none has the
 * advantage of a warmed-up compiler. Owns one replication client; must never measure anything but itself.
 * Forked by replication-reader.ts with the options as JSON; talks over the process channel.
 */

import { parseLsn } from "../../src/shared/lsn.ts";
import { processCpuMs } from "../postgres.ts";
import { ReplicationClient, type ReplicationClientOptions, type ReplicationMeasurement } from "./replication-client.ts";

/** Parent to child: where to end. */
export interface ReadTo {
	readonly lsn: string;
}

/** Child to parent. */
export type ReaderReport =
	| { readonly kind: "streaming" }
	| {
			readonly kind: "result";
			readonly measurement: Omit<ReplicationMeasurement, "endLsn">;
			/** `performance.timeOrigin`, so that the parent can place the times of the measurement. */
			readonly timeOriginMs: number;
			readonly cpuMs: number;
			readonly walsenderCpuMs: number | null;
	  }
	| { readonly kind: "failed"; readonly message: string };

function report(message: ReaderReport): Promise<void> {
	return new Promise((resolve, reject) => {
		process.send?.(message, (error: Error | null) => (error === null ? resolve() : reject(error)));
	});
}

async function main(options: ReplicationClientOptions): Promise<void> {
	const target = new Promise<ReadTo>((resolve) => process.once("message", (message) => resolve(message as ReadTo)));
	const client = new ReplicationClient(options);
	await client.streaming();
	const cpuAtStart = process.cpuUsage();
	await report({ kind: "streaming" });
	const { endLsn: _endLsn, ...measurement } = await client.readTo(parseLsn((await target).lsn));
	const cpu = process.cpuUsage(cpuAtStart);
	const walsenderCpuMs = await processCpuMs(measurement.walsenderPid);
	await client.close();
	await report({
		kind: "result",
		measurement,
		timeOriginMs: performance.timeOrigin,
		cpuMs: (cpu.user + cpu.system) / 1_000,
		walsenderCpuMs,
	});
}

try {
	await main(JSON.parse(process.argv[2] ?? "{}") as ReplicationClientOptions);
} catch (error) {
	await report({ kind: "failed", message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
	process.exitCode = 1;
} finally {
	process.disconnect?.();
}
