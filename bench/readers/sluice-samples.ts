/**
 * From polled statuses to one measurement: pure. Owns the decision when a run begins and ends; must never wait or
 * fetch. Called by sluice-reader.ts.
 */

import { type Lsn, parseLsn } from "../../src/shared/lsn.ts";
import type { Status } from "../../src/shared/status.ts";
import type { SluiceMeasurement } from "../reader.ts";

/** A status and when its answer was asked for (`performance.now()`). */
export interface Sample {
	readonly atMs: number;
	readonly status: Status;
}

/** The stream's own greeting (relations, keepalives) is below this; data is above. */
const FIRST_DATA_BYTES = 4_096;

/** Data has begun to arrive. */
export function hasData(status: Status): boolean {
	return status.link.receivedBytes > FIRST_DATA_BYTES;
}

/** Everything below `end` was received, and nothing waits for a lane: it is in the logs. */
export function isWritten(status: Status, end: Lsn): boolean {
	return parseLsn(status.link.receivedLsn) >= end && status.window.batches === 0;
}

/**
 * Everything below `end` is synced. A lane knows no position behind its last commit, so where no commit ends
 * exactly there, what counts is what was acknowledged.
 */
export function isDurable(status: Status, end: Lsn): boolean {
	return parseLsn(status.link.durableLsn) >= end || parseLsn(status.link.acknowledgedLsn) >= end;
}

/**
 * Sums a run up. `before` is the last sample before data arrived, so that waiting for the poll counts against
 * Sluice; the last of `samples` is the one that showed everything durable.
 */
export function summarizeSamples(options: {
	readonly before: Sample;
	readonly written: Sample;
	readonly samples: readonly Sample[];
	readonly idleRssBytes: number;
	readonly highWaterRssBytes: number | null;
}): SluiceMeasurement {
	const { before, written, samples } = options;
	const last = samples.at(-1) ?? written;
	return {
		durableMs: last.atMs - before.atMs,
		cpuMsByThread: Object.fromEntries(
			Object.entries(written.status.cpuMs).map(([name, cpuMs]) => [name, cpuMs - (before.status.cpuMs[name] ?? 0)]),
		),
		// Main's own summary covers everything since it first streamed.
		mainDelayMs: written.status.eventLoopDelayMs["main"] ?? { p50: 0, p99: 0, max: 0 },
		keepaliveGapMs: last.status.link.keepalive.largestGapMs,
		keepaliveIntervalMs: last.status.link.keepalive.intervalMs,
		idleRssBytes: options.idleRssBytes,
		peakRssBytes: options.highWaterRssBytes ?? Math.max(...samples.map((sample) => sample.status.memory.rssBytes)),
		windowPeakBytes: Math.max(...samples.map((sample) => sample.status.window.bytes)),
		pauses: last.status.link.pauses - before.status.link.pauses,
		batches: Math.max(
			...written.status.lanes.map((lane, index) => lane.writtenBatch - (before.status.lanes[index]?.writtenBatch ?? 0)),
		),
		connects: last.status.link.connects,
		gauges: sumGauges(last.status),
	};
}

function sumGauges(status: Status): Readonly<Record<string, number>> {
	const sums: Record<string, number> = {};
	for (const lane of status.lanes) {
		for (const [name, value] of Object.entries(lane.gauges)) {
			sums[name] = (sums[name] ?? 0) + value;
		}
	}
	return sums;
}

/** The middle value; of an even count the mean of the middle two; 0 of none. */
export function median(values: readonly number[]): number {
	const sorted = values.toSorted((left, right) => left - right);
	const middle = sorted.length >> 1;
	const upper = sorted[middle] ?? 0;
	return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}
