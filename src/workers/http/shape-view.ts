/**
 * One look at a shape in the shared table, in the order that makes it safe to act on. Owns that order; never
 * waits. Called by the shape request before every decision.
 */

import type { ResolvedShape } from "../../shared/messages.ts";
import {
	type LogState,
	type ShapeTable,
	SLOT_ACTIVE,
	SLOT_CREATING,
	SLOT_FREE,
	SLOT_REMOVED,
} from "../../shared/shape-table.ts";

export interface ShapeView {
	/** Removed, invalidated, or the slot belongs to another shape by now. */
	readonly gone: boolean;
	readonly snapshotFinished: boolean;
	readonly snapshotChunks: number;
	/** The snapshot is complete and spliced: earlier transactions have their final place. */
	readonly active: boolean;
	/** Active, and the log opened: `log` means something. */
	readonly logReadable: boolean;
	readonly log: LogState;
	/** Never claims more than `log` shows; 0n when unknown. */
	readonly processedLsn: bigint;
}

export function isGone(table: ShapeTable, shape: Pick<ResolvedShape, "slot" | "generation">): boolean {
	const state = table.state(shape.slot);
	return state === SLOT_REMOVED || state === SLOT_FREE || table.generation(shape.slot) !== shape.generation;
}

export function viewShape(table: ShapeTable, shape: Pick<ResolvedShape, "slot" | "generation">): ShapeView {
	const { slot } = shape;
	const state = table.state(slot);
	const snapshotFinished = table.snapshotFinished(slot);
	const active = state === SLOT_ACTIVE && snapshotFinished;
	const snapshotChunks = table.snapshotChunks(slot);
	// The processed LSN before the log: a lane publishes entries first (shape-table.ts).
	const processedLsn = table.processedLsn(table.lane(slot));
	const log = table.logState(slot);
	return {
		// Last: a slot that was handed on while we read makes everything above meaningless.
		gone: isGone(table, shape),
		snapshotFinished,
		snapshotChunks: state === SLOT_CREATING ? 0 : snapshotChunks,
		active,
		logReadable: active && log.opened,
		log,
		processedLsn,
	};
}
