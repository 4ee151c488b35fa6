/**
 * What every measured reader offers and what a measurement holds. Called by run.ts; implemented by readers/ and
 * sluice.ts; shown by report.ts.
 */

import type { Lsn } from "../src/shared/lsn.ts";
import type { DelaySummary } from "../src/shared/status.ts";

/** Backlog: everything was written before the reader starts. Live: it is written while the reader follows. */
export type Mode = "backlog" | "live";

export interface ReaderRun {
	readonly mode: Mode;
	/** Everything below is to be read, unmeasured, before `produce` is called. Null: nothing. */
	readonly catchUpTo: Lsn | null;
	/** Called once the reader follows the stream: where to end. In live mode this writes the load. */
	readonly produce: () => Promise<Lsn>;
	/** What `produce` makes. */
	readonly rows: number;
}

/** One reader, once over one load. */
export interface Measurement {
	readonly rows: number;
	/**
	 * Backlog: from the first data received until the last commit was taken (Sluice: written to its logs).
	 * Live: from the first write until the same moment.
	 */
	readonly measuredMs: number;
	/** From the start of streaming (Sluice: of the process) to the first data; the server decodes meanwhile. */
	readonly firstDataMs: number | null;
	/** CPU of the reading process during the measurement. */
	readonly cpuMs: number | null;
	/** CPU of the server's walsender for this reader, since it started streaming. */
	readonly walsenderCpuMs: number | null;
	/** Bytes per read, for readers that know. */
	readonly bytesPerRead: number | null;
	readonly sluice: SluiceMeasurement | null;
}

/** What only Sluice knows. */
export interface SluiceMeasurement {
	/** As `measuredMs`, until everything was synced and could be acknowledged. */
	readonly durableMs: number;
	readonly cpuMsByThread: Readonly<Record<string, number>>;
	/** Of the main thread's event loop, from the start of streaming to the end of the measurement. */
	readonly mainDelayMs: DelaySummary;
	readonly keepaliveGapMs: number;
	readonly keepaliveIntervalMs: number;
	readonly idleRssBytes: number;
	/** The kernel's high-water mark where there is one, else the highest sample. */
	readonly peakRssBytes: number;
	readonly windowPeakBytes: number;
	readonly pauses: number;
	readonly batches: number;
	readonly connects: number;
	/** Gauges of the lanes at the end, summed; their names are the lane's. */
	readonly gauges: Readonly<Record<string, number>>;
}

export interface Reader {
	readonly name: string;
	/** Prepares for a run whose start is the present end of the log; forgets what was written before. */
	skipToEnd(): Promise<void>;
	run(request: ReaderRun): Promise<Measurement>;
}
