/**
 * The seam between the lane and the log room: one shape's log, and the store that writes all of a lane's logs.
 * Plain types; no state. Implemented by workers/log, called by workers/lane. The order of calls in a group
 * of batches: `append` and `seal` as the stream says, `flush` for each log touched, then `commit` for each, or
 * `rollback`.
 */

import type { ByteWriter } from "./byte-writer.ts";
import type { LogState } from "./shape-table.ts";

/** Where the entries of a group are encoded. One entry may be appended to several logs. */
export interface EntrySpace {
	readonly bytes: ByteWriter;
	/** Memory in use, bookkeeping included. */
	readonly heldBytes: number;
}

export interface LaneLog {
	readonly directory: string;
	/** Its last entry belongs to a transaction that is not complete. */
	readonly isOpen: boolean;
	readonly isEmpty: boolean;
	/** There is something for `flush` to do. */
	readonly hasWork: boolean;
	/** Written, or found written, since the last checkpoint took this log. */
	dirty: boolean;
	/** Entries of complete transactions that are in the files. */
	readonly completedEntries: number;
	/** The last entry is of the transaction with this commit LSN. */
	lastIsOf(lsnHigh: number, lsnLow: number): boolean;
	/** Order of an offset against the last entry: zero or negative when such an entry is present already. */
	compareWithLast(lsnHigh: number, lsnLow: number, op: number): number;
	/** Adds the entry at `start` of the space. @throws InvariantError when its offset is not beyond the last */
	append(space: EntrySpace, start: number, length: number, lsnHigh: number, lsnLow: number, op: number): void;
	/** The open transaction is complete. */
	seal(space: EntrySpace): void;
	/** What readers may see: everything up to the last complete transaction in the files. */
	visibleState(): LogState;
}

export interface RecoveryRules {
	/** Transactions that commit below were synced by an earlier run. */
	readonly acknowledgedLsn: bigint;
	/**
	 * Unsealed entries to keep: those of this transaction below this op. Null: an unfinished transaction is cut.
	 * Only inside a process that goes on, where the page cache has everything that was written.
	 */
	readonly keep: { readonly finalLsn: bigint; readonly belowOp: number } | null;
}

/** What a checkpoint took over from a log. */
export interface SyncTask {
	readonly log: LaneLog;
	readonly firstSegment: number;
	readonly lastSegment: number;
	readonly syncsDirectory: boolean;
}

/**
 * How a sync ended that did not fail. "postponed": a file could not be opened now, so nothing is lost; what was
 * taken is unsynced again.
 */
export type SyncOutcome = "synced" | "postponed";

/** Whether a snapshot holds a transaction. */
export type IsHeld = (commitLsn: bigint, xid: number) => boolean;

export interface LogStore {
	readonly space: EntrySpace;
	/** Bytes written so far, and descriptors held. */
	readonly appendedBytes: number;
	readonly openFiles: number;
	/** A log without entries; creates its directory and its first files. @throws SluiceError `SLUICE_DISK_FULL`, `SLUICE_DISK_FAILED` */
	create(directory: string): LaneLog;
	/** Recovers a log. @throws SluiceError `SLUICE_LOG_CORRUPT`, `SLUICE_DISK_FAILED` */
	open(directory: string, rules: RecoveryRules): LaneLog;
	/** Its files are open: a flush costs less than for a log that has to take another one's place. */
	isAtHand(log: LaneLog): boolean;
	/** Writes what was appended. @throws SluiceError `SLUICE_DISK_FULL`, `SLUICE_DISK_FAILED`, `SLUICE_LOG_CORRUPT` */
	flush(log: LaneLog): void;
	/** The group is written for all logs: no way back to before it. */
	commit(log: LaneLog): void;
	/** Undoes what the group did to the log. */
	rollback(log: LaneLog): void;
	/** Between groups: the entries of the open transaction do not exist, it will be sent again. */
	discardOpen(log: LaneLog): void;
	/** Forgets the entries of the space; all logs must be flushed or rolled back. */
	clearSpace(): void;
	/**
	 * Removes transactions that commit below `belowLsn` and that are held; only from a log that was never
	 * published. Answers whether there were any. @throws SluiceError as `flush`
	 */
	removeHeld(log: LaneLog, belowLsn: bigint, isHeld: IsHeld): boolean;
	takeSync(log: LaneLog): SyncTask;
	/** @throws the system's error of a sync that failed: the log cannot be trusted any more */
	runSync(task: SyncTask): Promise<SyncOutcome>;
	/** Syncs all files of a log that is not open here. @throws as `runSync` */
	syncWhole(directory: string): Promise<SyncOutcome>;
	/** Closes the log's files. */
	release(log: LaneLog): void;
	releaseAll(): void;
}

/** How following went: "lost": the log is shorter than what was shown, it has to be opened anew. */
export type FollowStep = "advanced" | "unchanged" | "lost";

/** A log that another process writes, as seen by one that reads along. */
export interface FollowedLog {
	/** What readers may see. */
	readonly state: LogState;
	/** Looks for more. @throws a system error of the file system */
	advance(): FollowStep;
}

/** Implemented by workers/log for the registrar. @throws SluiceError `SLUICE_LOG_CORRUPT`, `SLUICE_DISK_FAILED` */
export type FollowLog = (directory: string, acknowledgedLsn: bigint) => FollowedLog;
