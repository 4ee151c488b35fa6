/**
 * The status document of the admin port: what link, lanes, window, threads and server look like now. Owns the
 * shape of the document; must only read. Called by the daemon for each request.
 */

import type { Worker } from "node:worker_threads";
import { formatLsn } from "../shared/lsn.ts";
import type { ThreadSample } from "../shared/messages.ts";
import type { Status } from "../shared/status.ts";
import { type IntervalHistogram, summarizeDelay } from "../shared/thread-sample.ts";
import type { Flow } from "./flow/flow.ts";
import type { Lanes } from "./pool/lanes.ts";
import type { Supervisor } from "./progress/supervisor.ts";

export interface StatusSources {
	readonly level: Status["level"];
	readonly supervisor: Supervisor;
	readonly link: Status["link"];
	readonly flow: Flow;
	readonly lanes: Lanes;
	/** Threads beside lanes, by name. */
	readonly workers: readonly (readonly [name: string, worker: Worker])[];
	/** Newest sample of each thread, by name. */
	readonly samples: ReadonlyMap<string, ThreadSample>;
	/** Of main, since it began to stream. */
	readonly delay: IntervalHistogram;
	readonly shapeCount: number;
	/** performance.now() at the start. */
	readonly startedMs: number;
}

export async function describeStatus(sources: StatusSources): Promise<Status> {
	const { flow, lanes, samples, supervisor } = sources;
	const cpuMs = await measureCpuMs(sources);
	return {
		level: sources.level,
		progress: supervisor.progressStatus(),
		link: sources.link,
		lanes: lanes.all.map((lane) => ({
			id: lane.id,
			state: lane.state,
			writtenBatch: flow.writtenBy(lane.id),
			durableLsn: formatLsn(flow.ack.laneDurable(lane.id)),
			restarts: lane.restarts,
			cpuMs: cpuMs[`lane-${lane.id}`] ?? 0,
			gauges: samples.get(`lane-${lane.id}`)?.gauges ?? {},
		})),
		window: { bytes: flow.heldBytes, limitBytes: flow.window.limitBytes, batches: flow.window.batchCount },
		eventLoopDelayMs: {
			main: summarizeDelay(sources.delay),
			...Object.fromEntries([...samples].map(([thread, sample]) => [thread, sample.eventLoopDelayMs])),
		},
		cpuMs,
		shapes: { count: sources.shapeCount },
		server: supervisor.serverStatus(),
		wal: supervisor.walStatus(),
		memory: { rssBytes: process.memoryUsage.rss() },
		uptimeMs: Math.round(performance.now() - sources.startedMs),
		pid: process.pid,
	};
}

async function measureCpuMs({ lanes, workers }: StatusSources): Promise<Record<string, number>> {
	const own = process.threadCpuUsage();
	const result: Record<string, number> = { main: (own.user + own.system) / 1_000 };
	const threads = [...workers, ...lanes.all.map((lane) => [`lane-${lane.id}`, lanes.thread(lane.id)] as const)];
	await Promise.all(
		threads.map(async ([name, worker]) => {
			const usage = await worker?.cpuUsage().catch(() => null);
			if (usage !== null && usage !== undefined) {
				result[name] = (usage.user + usage.system) / 1_000;
			}
		}),
	);
	return result;
}
