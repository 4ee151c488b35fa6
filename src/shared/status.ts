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
export const PROGRESS_STATES = ["blind", "streaming", "backpressured", "stalled", "behind"] as const;
export type ProgressState = (typeof PROGRESS_STATES)[number];

/** Where a probe is (main/progress/probe.ts): being written to the database, in the stream, in the lanes, in the files. */
export type ProbeStage = "emitting" | "sent" | "received" | "written";

/** Why the server keeps WAL for the slot: we are slow; a transaction has been open for long; the server is idle. */
export type RetentionCause = "sluice" | "transaction" | "idle";

/** `GET /v1/status` of the admin port. LSNs are text (`X/X`). */
export interface Status {
	readonly level: "starting" | "read-only" | "active";
	readonly progress: {
		readonly state: ProgressState;
		readonly cause: string | null;
		/** How long this state has lasted, and the newest position received when it began. */
		readonly ageMs: number;
		readonly sinceLsn: string;
		readonly probe: {
			/** 0: switched off. */
			readonly intervalMs: number;
			/** Since a transaction or a probe last came all the way from the database to its acknowledgement; null: never yet. */
			readonly provenAgeMs: number | null;
			/** Of the last probe: from the database to the acknowledgement, and only to us. */
			readonly roundTripMs: number | null;
			readonly receiveMs: number | null;
			/** Of the probe under way, null when there is none. */
			readonly stage: ProbeStage | null;
			readonly stageAgeMs: number;
			readonly sent: number;
			/** Given up: the link was made anew. */
			readonly lost: number;
			/** The role may not write them. */
			readonly refused: boolean;
		};
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
	/** What the server keeps for the slot; null before the side connection saw it. */
	readonly wal: {
		readonly retainedBytes: number;
		/** Of it, what is not acknowledged; null when there is no slot. */
		readonly unacknowledgedBytes: number | null;
		/** Growth over the last minutes; null before there is enough to say. */
		readonly bytesPerSecond: number | null;
		/** Until max_slot_wal_keep_size; null when unlimited. */
		readonly safeBytes: number | null;
		/** Until then, at that growth; null: never. */
		readonly timeLeftMs: number | null;
		readonly cause: RetentionCause;
		readonly oldestTransaction: { readonly pid: number | null; readonly ageMs: number } | null;
		/** Transactions since the oldest whose catalogue rows the slot keeps. */
		readonly catalogXminAge: number | null;
	} | null;
	readonly memory: { readonly rssBytes: number };
	readonly uptimeMs: number;
	readonly pid: number;
}
