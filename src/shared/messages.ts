/**
 * The protocol between threads: every message and every control interface, one doc line each. Both sides
 * import this one file; neither side's code appears here. Raw unions travel on MessagePorts; `…Control`
 * interfaces are called through control-call.ts. See docs/ARCHITECTURE.md for who talks to whom.
 */

import type { MessagePort } from "node:worker_threads";
import type { Config } from "./config.ts";
import type { WireError } from "./errors.ts";
import type { Fault } from "./fault-points.ts";
import type { ShapeAssignment, SnapshotInfo } from "./shape-definition.ts";
import type { DelaySummary, Status } from "./status.ts";
import type { SubsetRequest, SubsetResult } from "./subset-task.ts";

// ---------------------------------------------------------------- main and a lane (raw port)

/** Main to lane. Batches come in sequence; the lane drops any but the one it expects (see `failed`). */
export type LaneInbound =
	/** A batch in shared memory: in segment number `segment`, or alone in `dedicated` when too large for one. */
	| {
			readonly kind: "batch";
			readonly sequence: number;
			readonly segment: number;
			readonly dedicated: SharedArrayBuffer | null;
			readonly byteOffset: number;
			readonly byteLength: number;
	  }
	/**
	 * There is a gap in the stream and every shape was dropped: batches of epochs before `beforeEpoch` are reported as written without being
	 * processed, and what the lane remembers of the stream (position, open transaction, hole check) is forgotten.
	 */
	| { readonly kind: "purge"; readonly beforeEpoch: number }
	/** Finish the batch at hand, checkpoint, report `durable`, answer `stopped`, end. */
	| { readonly kind: "stop" };

/** Lane to main. */
export type LaneOutbound =
	/** Shapes are restored: batches may come. `threadId` lets main find the thread, to profile it. */
	| { readonly kind: "ready"; readonly threadId: number }
	/**
	 * Everything of this batch, and of all before it, is in the logs (not yet synced). Releases the window. Comes
	 * once for a group of batches, with the last one's sequence.
	 */
	| { readonly kind: "written"; readonly sequence: number }
	/**
	 * Everything up to and including the commits that end at or below this LSN is synced. `streamEpoch` is that
	 * of the batch which held the commit: after a purge, reports from before it must not count.
	 */
	| { readonly kind: "durable"; readonly lsn: bigint; readonly streamEpoch: number }
	/**
	 * This batch, the first of its group, was not processed; the lane is as it was before it and drops later
	 * batches. With a retry class of "retry" main sends this batch and its successors again, after waiting for
	 * readiness.
	 */
	| { readonly kind: "failed"; readonly sequence: number; readonly error: WireError }
	| { readonly kind: "stopped" }
	| ThreadSample;

/** Once a second from every worker thread: delays of its event loop since the last sample. */
export interface ThreadSample {
	readonly kind: "sample";
	readonly eventLoopDelayMs: DelaySummary;
	readonly gauges: Readonly<Record<string, number>>;
}

/** Where a lane begins. */
export interface LaneResume {
	/** Sequence of the first batch it will get. */
	readonly expectedSequence: number;
	/**
	 * When that batch starts inside a transaction of which this lane had already written parts: they are
	 * kept (docs/LOG-FORMAT.md, Recovery 3). Null at the start of the process.
	 */
	readonly openTransaction: { readonly finalLsn: bigint; readonly changeCount: number } | null;
	/** Everything below was synced in an earlier run: the catalogue's acknowledged position. */
	readonly acknowledgedLsn: bigint;
	/** Shapes whose rows ended this lane's thread more than once: they are dropped instead of tried again. */
	readonly quarantine?: readonly number[];
}

/** The argument of a lane's Piscina task, which lasts as long as the lane lives. */
export interface LaneTask {
	readonly lane: number;
	readonly config: Config;
	readonly instanceId: string;
	readonly shapeTable: SharedArrayBuffer;
	readonly segments: readonly SharedArrayBuffer[];
	readonly resume: LaneResume;
	readonly faults: readonly Fault[];
	/** LaneInbound / LaneOutbound. */
	readonly dataPort: MessagePort;
	/** The lane exposes LaneOperatorControl here, for main. */
	readonly controlPort: MessagePort;
	/** The lane exposes LaneShapeControl here, for the registrar. */
	readonly registrarPort: MessagePort;
	/** The lane posts LaneEvent here, for the registrar. */
	readonly registrarEventPort: MessagePort;
}

/** Main calls a lane. */
export interface LaneOperatorControl {
	/** Stop taking batches after the one at hand; the event loop stays alive. Idempotent. */
	suspend(): Promise<void>;
	resume(): Promise<void>;
}

// ---------------------------------------------------------------- registrar and a lane

/**
 * The registrar calls a lane. A slot is reused under a new generation: a call for another generation than the
 * lane's is ignored (spliceSnapshot: refused with SLUICE_SHAPE_GONE).
 */
export interface LaneShapeControl {
	/** First call after a start: all shapes of the lane. Only complete shapes; logs are opened lazily. */
	restore(assignments: readonly ShapeAssignment[]): Promise<void>;
	/**
	 * A new shape whose snapshot is still to come. From the next transaction on its entries are kept
	 * unpublished. Answers once that is so.
	 */
	addShape(assignment: ShapeAssignment): Promise<void>;
	/**
	 * The snapshot of a shape that was added. "spliced": entries that the snapshot does not hold are kept,
	 * the others dropped, and the log is published from here on. "retake": a transaction delivered before the
	 * shape was added is not visible in the snapshot; take another one (replication.md 5.4, hole check).
	 */
	spliceSnapshot(slot: number, generation: number, snapshot: SnapshotInfo): Promise<"spliced" | "retake">;
	/** Opens (recovers) the log, so that the shape table shows its state. Idempotent. */
	openShape(slot: number, generation: number): Promise<void>;
	/**
	 * Stops matching, closes the files. The registrar removes them, and calls this only after the removal is
	 * durable in its catalogue: a shape that the lane has invalidated holds `durable` back until then. Idempotent.
	 */
	removeShape(slot: number, generation: number): Promise<void>;
}

/** Lane to registrar, on the event port. */
export type LaneEvent =
	/** The lane has invalidated the shape (shape table word is set): drop it. `reason` as in shape-table.ts. */
	| { readonly kind: "invalidated"; readonly slot: number; readonly generation: number; readonly reason: number }
	/** The stream brings rows of a relation that no shape of the lane watches: perhaps a partition that is new. */
	| { readonly kind: "relation-unknown"; readonly oid: number };

// ---------------------------------------------------------------- lanes and HTTP threads

/** Name of the BroadcastChannel on which lanes and the registrar announce changed slots. */
export function slotsChannelName(instanceId: string): string {
	return `sluice:slots:${instanceId}`;
}

/** Posted once a batch by a lane, and by the registrar when a slot's state changes. */
export interface SlotsChanged {
	readonly slots: Uint32Array;
}

// ---------------------------------------------------------------- HTTP threads and the registrar

/** A shape definition as a client spells it: raw parameter values, not yet checked. */
export interface ShapeRequest {
	readonly table: string;
	readonly where: string | null;
	/** `params[n]` as given; keys are the raw text between the brackets. */
	readonly params: Readonly<Record<string, string>>;
	readonly columns: string | null;
	readonly replica: "default" | "full";
	readonly log: "full" | "changes_only";
}

/** A shape as an HTTP thread serves it. Valid while the slot has this generation and is not removed. */
export interface ResolvedShape {
	readonly handle: string;
	readonly slot: number;
	readonly generation: number;
	readonly directory: string;
	/** The value of the `electric-schema` header: ASCII JSON. */
	readonly schemaHeader: string;
	/** Of the shape table, from before `schemaHeader` was read: another one there means that the header is out of date. */
	readonly schemaVersion: number;
}

/** HTTP threads call the registrar. */
export interface RegistrarShapeControl {
	/**
	 * Finds or creates the shape. Concurrent calls for one definition converge on one handle. Answers as soon
	 * as the shape is registered and its snapshot has started (state SLOT_SNAPSHOTTING or SLOT_ACTIVE) and its
	 * log is opened.
	 * @throws SluiceError SLUICE_REQUEST_INVALID with context `{ errors: Record<field, string[]> }`,
	 * SLUICE_DATABASE_UNAVAILABLE, SLUICE_SNAPSHOT_FAILED, SLUICE_TABLE_NOT_READY, SLUICE_SHAPES_EXHAUSTED,
	 * SLUICE_NOT_ACTIVE
	 */
	resolveShape(request: ShapeRequest): Promise<ResolvedShape>;
	/** The shape with this handle, or null; opens its log. */
	findHandle(handle: string): Promise<ResolvedShape | null>;
	/**
	 * Removes a shape by definition, by handle, or by both (which must agree).
	 * @throws SluiceError SLUICE_SHAPE_UNKNOWN, SLUICE_REQUEST_INVALID
	 */
	deleteShape(request: { readonly definition: ShapeRequest | null; readonly handle: string | null }): Promise<void>;
	/**
	 * A reader has found that the shape's files cannot be what was written: the shape is removed, and the next request
	 * makes another. Answers once readers see that. A shape that is no longer there is left alone.
	 */
	reportCorrupt(handle: string, generation: number): Promise<void>;
	/**
	 * Reads some rows of a shape from PostgreSQL, in one snapshot of its own. The transaction takes its snapshot after
	 * the call, so what the caller has read of the log before is in it.
	 * @throws SluiceError SLUICE_REQUEST_INVALID with errors under `subset` or `queryable_columns`, SLUICE_SHAPE_GONE,
	 * SLUICE_SUBSET_TOO_LARGE, SLUICE_SUBSETS_BUSY, SLUICE_SNAPSHOT_FAILED
	 */
	querySubset(request: SubsetRequest): Promise<SubsetResult>;
	/** Nobody waits for the subset with this ticket any more: its query is ended. Unknown tickets are left alone. */
	cancelSubset(ticket: string): Promise<void>;
}

// ---------------------------------------------------------------- main and the registrar

/** workerData of the registrar's thread. */
export interface RegistrarInit {
	readonly config: Config;
	readonly instanceId: string;
	readonly shapeTable: SharedArrayBuffer;
	/** The registrar exposes RegistrarControl here. */
	readonly controlPort: MessagePort;
	/** The registrar posts RegistrarEvent here. */
	readonly eventPort: MessagePort;
}

/** The position that survives restarts. */
export interface StoredPosition {
	readonly systemIdentifier: string;
	readonly timeline: number;
	readonly slotName: string;
	/** At or above every flush LSN ever sent; everything below is durable: streaming starts here. */
	readonly acknowledgedLsn: bigint;
}

/** What the handshake of the link found. */
export interface LinkFacts {
	readonly systemIdentifier: string;
	readonly timeline: number;
	readonly slotName: string;
	/** The slot (or the publication, and therefore the slot) was made just now: nothing before it is known. */
	readonly slotCreated: boolean;
	readonly confirmedFlushLsn: bigint;
	/** Where the server's WAL ends (IDENTIFY_SYSTEM's xlogpos). */
	readonly walLsn: bigint;
	/**
	 * The timelines that led to this one, oldest first, and where each was left. Empty on timeline 1; null when the
	 * server cannot tell (its history file is gone).
	 */
	readonly timelineHistory: readonly TimelineSwitch[] | null;
}

/** `timeline` ended at `switchLsn`; another one went on from there. */
export interface TimelineSwitch {
	readonly timeline: number;
	readonly switchLsn: bigint;
}

/** How the registrar found the data directory. A follower has no position: it must not stream. */
export interface RegistrarOpened {
	readonly role: "writer" | "follower";
	readonly position: StoredPosition | null;
	readonly shapeCount: number;
}

/** Main calls the registrar. */
export interface RegistrarControl {
	/**
	 * Fills the shape table from the catalogue: as the writer of the data directory, which it locks, or, when another
	 * daemon has it, as a follower, which reads along and serves what there is.
	 * @throws SluiceError SLUICE_DATA_DIR_UNUSABLE, SLUICE_CATALOGUE_UNREADABLE
	 */
	open(): Promise<RegistrarOpened>;
	/**
	 * A follower becomes the writer: resolves as soon as the other daemon is gone and everything it left is taken over,
	 * with the same handles, slots and offsets. Readers notice nothing.
	 * @throws SluiceError SLUICE_NOT_ACTIVE when the registrar stops, SLUICE_CATALOGUE_UNREADABLE
	 */
	takeOver(): Promise<RegistrarOpened>;
	/** Connects to PostgreSQL and takes the advisory lock of the stream; waits as long as it takes. */
	acquireLock(): Promise<void>;
	/**
	 * Decides from the stored position and what the link found where to start; drops every shape when there is
	 * a gap (new slot, other cluster, slot moved by someone else, a server that has lost WAL), and stores the
	 * position. `receivedLsn`: the highest position received in this process and not followed by a purge, null
	 * before the first connection. Logs may hold changes up to there.
	 */
	reconcilePosition(
		facts: LinkFacts,
		receivedLsn?: bigint | null,
	): Promise<{ readonly startLsn: bigint; readonly purged: boolean }>;
	/**
	 * Stores, durably, that `lsn` may now be acknowledged. Never moves back. Removals that were begun before are
	 * durable first; rejects when the disk does not take them in time.
	 */
	storeAcknowledged(lsn: bigint): Promise<void>;
	/** A lane has (re)started: its LaneShapeControl and LaneEvent ports. Restores the lane's shapes. */
	attachLane(attachment: {
		readonly lane: number;
		readonly control: MessagePort;
		readonly events: MessagePort;
	}): Promise<void>;
	/** An HTTP thread has started: exposes RegistrarShapeControl on the port. */
	attachHttp(attachment: { readonly port: MessagePort }): Promise<void>;
	/**
	 * Creating a slot waits for the server to log its running transactions, which an idle server does rarely: asks it to
	 * (PostgreSQL 16 and later, where the role may). Never rejects.
	 */
	nudgeSlotCreation(): Promise<void>;
	/** Writes a logical message with the prefix of our stream to the database (main/progress/probe.ts). Never rejects. */
	emitProbe(content: string): Promise<ProbeEmission>;
	/** Closes everything in order. */
	stop(): Promise<void>;
}

/** "refused": with that SQLSTATE, and asking again would not help. */
export type ProbeEmission =
	| { readonly kind: "written" }
	| { readonly kind: "refused"; readonly sqlState: string }
	| { readonly kind: "unavailable" };

/** What a side connection sees of our slot and walsender, every few seconds. */
export interface ServerObservation {
	/** pg_replication_slots.wal_status: reserved, extended, unreserved, lost; null when there is no slot. */
	readonly walStatus: string | null;
	/** WAL that may still be written before the slot is at risk; null when unlimited. */
	readonly safeWalBytes: number | null;
	/** WAL on the server's disk because of the slot. */
	readonly retainedWalBytes: number;
	/** Of it, above confirmed_flush_lsn; null when there is no slot. */
	readonly unacknowledgedWalBytes: number | null;
	/** age(catalog_xmin) of the slot. */
	readonly catalogXminAge: number | null;
	/** Of those that have an id, prepared ones (no pid) too; null when there is none or we may not see it. */
	readonly oldestTransaction: { readonly pid: number | null; readonly ageMs: number } | null;
	/** idle_replication_slot_timeout (18 and later); null when there is none. */
	readonly idleSlotTimeoutMs: number | null;
	/** The slot is in use. */
	readonly walsenderActive: boolean;
	/** pg_stat_activity.wait_event of our walsender; null when it waits for nothing or is not there. */
	readonly walsenderWaitEvent: string | null;
	/** pg_stat_replication.sync_state of our walsender. */
	readonly syncState: string | null;
	/** pg_current_wal_lsn(). */
	readonly walLsn: bigint;
}

/** Registrar to main. */
export type RegistrarEvent =
	| { readonly kind: "server"; readonly observation: ServerObservation }
	/** The server ended the side connection: it is shutting down (57P01). */
	| { readonly kind: "server-leaving" }
	/** The stream's advisory lock was taken, or lost with its connection. */
	| { readonly kind: "lock"; readonly held: boolean }
	/** `problem`: code of the error while it is not reachable. */
	| { readonly kind: "database"; readonly reachable: boolean; readonly problem: string | null }
	| { readonly kind: "shapes"; readonly count: number }
	| ThreadSample;

// ---------------------------------------------------------------- main and an HTTP thread

/** workerData of an HTTP thread. */
export interface HttpInit {
	readonly httpThread: number;
	readonly config: Config;
	readonly instanceId: string;
	readonly shapeTable: SharedArrayBuffer;
	/** Port for RegistrarShapeControl. */
	readonly registrarPort: MessagePort;
	/** Port for MainControl. */
	readonly mainPort: MessagePort;
	/** The HTTP thread exposes HttpControl here. */
	readonly controlPort: MessagePort;
	/** The HTTP thread posts ThreadSample here. */
	readonly eventPort: MessagePort;
	/** Thread 0 also serves the admin port. */
	readonly servesAdmin: boolean;
	/** Port to listen on: the configured one, or what thread 0 got when that is 0. */
	readonly port: number;
}

/** Main calls an HTTP thread. */
export interface HttpControl {
	/** Begins to listen. @throws SluiceError SLUICE_PORT_IN_USE */
	listen(): Promise<{ readonly port: number; readonly adminPort: number | null }>;
	/** Takes no new requests, ends parked ones, closes. */
	stop(): Promise<void>;
}

/** HTTP threads (the admin port) call main. */
export interface MainControl {
	status(): Promise<Status>;
	/** All lanes when `lane` is null. */
	suspendLanes(lane: number | null): Promise<void>;
	resumeLanes(lane: number | null): Promise<void>;
	/** CPU profile of a lane, taken from outside it; the text of a .cpuprofile. */
	profileLane(lane: number, seconds: number): Promise<string>;
}
