/**
 * One shape as its lane holds it: definition, log, snapshot, and where it stands in the stream. Plain state; the
 * rules are in shape-book.ts (life), admission.ts (which transactions count) and batch-processor.ts (rows).
 */

import type { LaneLog } from "../../shared/log-store.ts";
import type { ShapeAssignment, ShapeDefinition } from "../../shared/shape-definition.ts";
import type { EncoderGroup } from "./encoder-group.ts";
import type { TransactionMark } from "./recent-transactions.ts";
import { neededColumns } from "./schema-check.ts";
import type { SnapshotVisibility } from "./snapshot-visibility.ts";

/** A transaction, as halves of its commit LSN and its 32-bit id. */
export interface TransactionName {
	readonly lsnHigh: number;
	readonly lsnLow: number;
	readonly xid: number;
}

/** Something that would have ended a shape, in a transaction that its coming snapshot may hold. */
export interface Excuse extends TransactionName {
	readonly reason: number;
}

/** What a shape remembers from when it was added until its snapshot is spliced. */
export interface PendingSplice {
	/** Transactions on its relations that were delivered before it was added. */
	readonly marks: readonly TransactionMark[];
	/** The one that was open then; the shape gets nothing of it. */
	readonly open: TransactionName | null;
	/** Epoch in which `open` was open. */
	readonly openEpoch: number;
	readonly excuses: Excuse[];
}

export class LaneShape {
	readonly slot: number;
	readonly generation: number;
	readonly directory: string;
	readonly definition: ShapeDefinition;
	readonly group: EncoderGroup;
	/** Columns whose loss ends the shape. */
	readonly needed: readonly string[];
	/** Null until the log is opened. */
	log: LaneLog | null = null;
	/** Null while the snapshot has not been spliced. */
	snapshot: SnapshotVisibility | null;
	/** Null once the snapshot is spliced, and for restored shapes. */
	pending: PendingSplice | null;
	/** Removed or invalidated. */
	isGone = false;
	/** In this era (stream-position.ts) every further transaction is new to the log and not in the snapshot. */
	settledEra = -1;
	/** Serial of the write group that has touched the log. */
	touchedGroup = -1;
	/** When opening the log began to fail, on the monotonic clock; null while it has not. */
	openFailsSinceMs: number | null = null;
	/** The log has entries of the open transaction. */
	isInOpenTransaction = false;
	/** `completedEntries` that readers were given last. */
	publishedEntries = -1;

	constructor(
		assignment: ShapeAssignment,
		group: EncoderGroup,
		snapshot: SnapshotVisibility | null,
		pending: PendingSplice | null,
	) {
		this.slot = assignment.slot;
		this.generation = assignment.generation;
		this.directory = assignment.directory;
		this.definition = assignment.definition;
		this.group = group;
		this.needed = neededColumns(assignment.definition);
		this.snapshot = snapshot;
		this.pending = pending;
	}
}
