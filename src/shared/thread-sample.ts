/**
 * Measures a thread's event-loop delay and posts it once a second. Owns one histogram and one timer; must
 * never keep a thread alive. Called by each worker thread's entry; main reads its own through `summarize`.
 */

import { monitorEventLoopDelay } from "node:perf_hooks";
import type { ThreadSample } from "./messages.ts";
import type { DelaySummary } from "./status.ts";

export type IntervalHistogram = ReturnType<typeof monitorEventLoopDelay>;

const RESOLUTION_MS = 5;
const SAMPLE_INTERVAL_MS = 1_000;

/** The delay beyond the sampling timer's own period, in milliseconds, since the last reset. */
export function summarizeDelay(histogram: IntervalHistogram): DelaySummary {
	const milliseconds = (nanoseconds: number): number =>
		Number.isFinite(nanoseconds) ? Math.max(0, Math.round((nanoseconds / 1e6 - RESOLUTION_MS) * 100) / 100) : 0;
	return {
		p50: milliseconds(histogram.percentile(50)),
		p99: milliseconds(histogram.percentile(99)),
		max: milliseconds(histogram.max),
	};
}

export function startDelayHistogram(): IntervalHistogram {
	const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
	histogram.enable();
	return histogram;
}

/** Posts a sample a second through `post` until the returned function is called. */
export function startSampling(
	post: (sample: ThreadSample) => void,
	gauges: () => Readonly<Record<string, number>> = () => ({}),
): () => void {
	const histogram = startDelayHistogram();
	const timer = setInterval(() => {
		post({ kind: "sample", eventLoopDelayMs: summarizeDelay(histogram), gauges: gauges() });
		histogram.reset();
	}, SAMPLE_INTERVAL_MS);
	timer.unref();
	return () => {
		clearInterval(timer);
		histogram.disable();
	};
}
