/**
 * What the service says about itself: the document of `GET /v1/status` and the words in it. Owns those names; must
 * hold nothing that is not plain data. Made by main, served by the admin port, read by operators and tests.
 */

export interface DelaySummary {
	readonly p50: number;
	readonly p99: number;
	readonly max: number;
}

/**
 * Why the socket is not read. "window": no room; "lane": a lane is being restarted; "not-ready": a lane could
 * not process a batch now and it will be sent again; "shutdown".
 */
export type PauseReason = "window" | "lane" | "not-ready" | "shutdown";
/** "detached": closed in order because a pause became too long or dangerous; attaches again when there is room. */
export type LinkState = "connecting" | "streaming" | "waiting" | "detached" | "stopped";
export type LaneState = "starting" | "running" | "suspended" | "retrying" | "restarting" | "stopped";

/** Whether changes get through; see main/progress. "blind": nothing is received. "behind": it is, but too slowly. */
export type ProgressState = "streaming" | "backpressured" | "stalled" | "blind" | "behind";

/** `GET /v1/status` of the admin port. LSNs are text (`X/X`). */
export interface Status {
	readonly level: "starting" | "read-only" | "active";
	readonly progress: {
		readonly state: ProgressState;
		readonly cause: string | null;
		/** How long this state has lasted, and the newest position received when it began. */
		readonly ageMs: number;
		readonly sinceLsn: string;
	};
	readonly link: {
		readonly state: LinkState;
		/** Rung of the handshake, or the reason for waiting. */
		readonly step: string;
		readonly lastError: { readonly code: string | null; readonly message: string } | null;
		readonly walsenderPid: number | null;
		readonly connects: number;
		readonly paused: boolean;
		readonly pauseReasons: readonly PauseReason[];
		readonly pauses: number;
		readonly pausedForMs: number;
		readonly detaches: number;
		readonly receivedLsn: string;
		readonly durableLsn: string;
		readonly acknowledgedLsn: string;
		readonly receivedBytes: number;
		/** Reads of the socket at hand: bytes per read say whether reading is coalesced. */
		readonly reads: number;
		readonly keepalive: { readonly intervalMs: number; readonly sent: number; readonly largestGapMs: number };
	};
	readonly lanes: readonly {
		readonly id: number;
		readonly state: LaneState;
		readonly writtenBatch: number;
		readonly durableLsn: string;
		readonly restarts: number;
		readonly cpuMs: number;
		readonly gauges: Readonly<Record<string, number>>;
	}[];
	readonly window: { readonly bytes: number; readonly limitBytes: number; readonly batches: number };
	/** By thread name. */
	readonly eventLoopDelayMs: Readonly<Record<string, DelaySummary>>;
	/** CPU milliseconds used since start, by thread name. */
	readonly cpuMs: Readonly<Record<string, number>>;
	readonly shapes: { readonly count: number };
	/** As the side connection saw the server last; null before it did. */
	readonly server: {
		readonly walStatus: string | null;
		readonly safeWalBytes: number | null;
		readonly retainedWalBytes: number;
		readonly behindBytes: number;
		readonly syncState: string | null;
	} | null;
	readonly memory: { readonly rssBytes: number };
	readonly uptimeMs: number;
	readonly pid: number;
}
