/**
 * Whether a snapshot holds all that was streamed before its lane began: what the lane's own hole check cannot see,
 * because it only remembers transactions that came in its lifetime. Owns one transaction id for each life of a lane;
 * must not keep new shapes waiting behind transactions that cannot matter. Called by shape-creation before a splice.
 *
 * A transaction is lost to a new shape only when its commit was streamed before the lane began and the snapshot does
 * not see it. PostgreSQL flushes the commit record, from where it is streamed, and then lets others see the
 * transaction: at once, unless the commit waits for a synchronous standby, which may take any time (`SyncRepWaitForLSN`
 * comes before `ProcArrayEndTransaction`). Where no standby was waited for when the lane began there is nothing to do: a
 * shape is never made within those microseconds of its lane's start. Elsewhere: every transaction that matters had its id before any
 * id that is taken after the lane began. So a snapshot is taken again while it has a transaction below that id in
 * progress, unless its session is seen to do something that no commit does: to be idle, or to wait for a lock or for
 * its client. That one commits later, if at all, and is streamed then. The others are few and end soon, or their
 * standby is gone, and then the reader is told which they are.
 */

import { must } from "../../shared/assert.ts";
import type { SnapshotInfo } from "../../shared/shape-definition.ts";
import type { Database } from "./database.ts";

const EPOCH = 1n << 32n;

/** A transaction that may have been streamed already although the snapshot does not see it. */
export interface Unseen {
	/** xid8 */
	readonly xid: bigint;
	/** Null when we may not see its session, or it has none. */
	readonly pid: number | null;
}

/** A session that has a transaction id, as pg_stat_activity shows it to us. */
export interface SessionRow {
	/** 32 bits, decimal text. */
	readonly xid: string;
	readonly pid: number;
	readonly state: string | null;
	readonly wait: string | null;
}

/**
 * Transactions below `boundary` that the snapshot has in progress; null stands for "the snapshot is older than the
 * boundary and says nothing about some of them".
 */
export function unfinishedBelow(snapshot: SnapshotInfo, boundary: bigint): readonly bigint[] | null {
	if (BigInt(snapshot.xmax) <= boundary) {
		return null;
	}
	return snapshot.xipList.map((xid) => BigInt(xid)).filter((xid) => xid < boundary);
}

/** Those of `xids` that may have written their commit record. `sessions` were read after the snapshot. */
export function mayBeCommitting(xids: readonly bigint[], sessions: readonly SessionRow[]): readonly Unseen[] {
	const byXid = new Map(sessions.map((session) => [BigInt(session.xid), session]));
	return xids.flatMap((xid) => {
		const session = byXid.get(xid % EPOCH);
		const cannot =
			session?.state?.startsWith("idle in transaction") === true ||
			session?.wait === "Lock" ||
			session?.wait === "Client";
		return cannot ? [] : [{ xid, pid: session?.pid ?? null }];
	});
}

const SESSIONS_SQL = `
	SELECT backend_xid::text AS xid, pid, state, wait_event_type AS wait
	FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL`;

/** Whether a commit may be waiting for a standby, as far as we may see others' sessions. */
const WAITS_SQL = `
	SELECT pg_catalog.current_setting('synchronous_standby_names') <> '' OR EXISTS (
		SELECT FROM pg_catalog.pg_stat_activity WHERE wait_event = 'SyncRep') AS waits`;

interface LaneLife {
	/** A commit may have been waiting when this life began, or nobody knows. */
	readonly mayWait: Promise<boolean>;
	boundary: Promise<bigint> | null;
}

export class Continuity {
	readonly #database: Database;
	#lives = new WeakMap<object, LaneLife>();

	constructor(database: Database) {
		this.#database = database;
	}

	/** The stream begins elsewhere, perhaps on another server: what lanes remember of it begins now. */
	reset(): void {
		this.#lives = new WeakMap();
	}

	/** A lane has begun. Only what was streamed before can be lost, so it counts what commits wait for now, not later. */
	begin(lane: object): void {
		const asked = this.#database.query<{ waits: boolean }>(WAITS_SQL);
		const mayWait = asked.then(([row]) => row?.waits !== false).catch(() => true);
		this.#lives.set(lane, { mayWait, boundary: null });
	}

	/**
	 * What keeps the snapshot from being joined to the stream of this life of a lane; empty when it can be. Null when
	 * another snapshot has to be taken first.
	 * @throws SluiceError `SLUICE_DATABASE_UNAVAILABLE`
	 */
	async missing(lane: object, snapshot: SnapshotInfo): Promise<readonly Unseen[] | null> {
		const life = this.#lives.get(lane) ?? { mayWait: Promise.resolve(true), boundary: null };
		this.#lives.set(lane, life);
		if (!(await life.mayWait)) {
			return [];
		}
		life.boundary ??= this.#takeId().catch((error: unknown) => {
			life.boundary = null;
			throw error;
		});
		const unfinished = unfinishedBelow(snapshot, await life.boundary);
		if (unfinished === null) {
			return null;
		}
		return unfinished.length === 0
			? []
			: mayBeCommitting(unfinished, await this.#database.query<SessionRow>(SESSIONS_SQL));
	}

	/** An id above all that were given out before. */
	#takeId(): Promise<bigint> {
		return this.#database.transaction(async (session) => {
			await session.query("SET LOCAL synchronous_commit = local");
			const [row] = await session.query<{ xid: string }>("SELECT pg_catalog.pg_current_xact_id()::text AS xid");
			return BigInt(must(row, "the function answers one row").xid);
		});
	}
}
