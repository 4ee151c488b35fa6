/**
 * Which transactions count for a shape: not those that its snapshot holds, nor those that its log has already.
 * Owns the rules of replication.md 5.4 on the stream's side; must stay off the path of a row once a shape is
 * settled in an era. Called by the batch processor. LSNs only grow within an era, which is what makes "settled"
 * hold for the rest of it.
 */

import type { LaneLog } from "../../shared/log-store.ts";
import type { Excuse, LaneShape } from "./lane-shape.ts";
import type { StreamPosition } from "./stream-position.ts";

/** The change counts. */
export const ADMIT = 0;
/** It is in the snapshot, or of the transaction during which the shape was added. */
const SKIP = 1;
/** The log has it already: it is being replayed. */
export const PRESENT = 2;
export type Verdict = typeof ADMIT | typeof SKIP | typeof PRESENT;

/** A shape that needs more excuses than this while its snapshot is taken is better dropped. */
const EXCUSES_MAX = 4096;

/** Decides about the change at `op` of the open transaction. */
export function admit(shape: LaneShape, log: LaneLog, position: StreamPosition, op: number): Verdict {
	const { lsnHigh, lsnLow } = position;
	const { pending, snapshot } = shape;
	if (pending !== null && pending.open !== null && pending.openEpoch === position.epoch) {
		if (pending.open.lsnHigh === lsnHigh && pending.open.lsnLow === lsnLow) {
			return SKIP;
		}
	}
	if (log.compareWithLast(lsnHigh, lsnLow, op) <= 0) {
		return PRESENT;
	}
	if (snapshot?.decides(lsnHigh, lsnLow)) {
		return snapshot.isVisible(position.xid) ? SKIP : ADMIT;
	}
	// In a transaction that the log has in part, later changes could still be present.
	if (!log.lastIsOf(lsnHigh, lsnLow)) {
		shape.settledEra = position.era;
	}
	return ADMIT;
}

/**
 * Whether something in the open transaction that would end the shape does not concern it, because the snapshot
 * holds that transaction. Before the snapshot is known this is only noted, to be decided at the splice.
 */
export function isExcused(shape: LaneShape, position: StreamPosition, reason: number): boolean {
	const { lsnHigh, lsnLow, xid } = position;
	const { pending, snapshot } = shape;
	if (pending === null) {
		return snapshot?.holds(lsnHigh, lsnLow, xid) === true;
	}
	const { excuses } = pending;
	const last: Excuse | undefined = excuses[excuses.length - 1];
	if (last === undefined || last.lsnLow !== lsnLow || last.lsnHigh !== lsnHigh || last.reason !== reason) {
		excuses.push({ lsnHigh, lsnLow, xid, reason });
	}
	return excuses.length <= EXCUSES_MAX;
}
