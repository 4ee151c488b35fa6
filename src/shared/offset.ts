/**
 * Log offsets: where an entry stands in a shape's log. `tx` is the commit LSN of the transaction
 * (`final_lsn` of its Begin), `op` the position inside it. Owns order and text; must never be compared as
 * text. Called by the lane (writes), the HTTP threads (read) and the registrar.
 */

import type { Lsn } from "./lsn.ts";

/** A position in one shape's log. */
export interface LogOffset {
	readonly tx: Lsn;
	readonly op: number;
}

/** Before every log entry: a log that is empty ends here. */
export const OFFSET_LOG_START: LogOffset = { tx: 0n, op: 0 };

/**
 * The `op` of the n-th (from 0) row change of a transaction, counted over all published tables.
 * Steps of two leave the odd number for the insert half of a key change. It starts at 2, so that `<L>_0`
 * is never an entry's own offset: it is only the form in which SSE clients say "all of L seen".
 */
export function opOfChange(changeIndex: number): number {
	return 2 * (changeIndex + 1);
}

/** Negative, zero or positive, as for a sort. */
export function compareOffsets(left: LogOffset, right: LogOffset): number {
	if (left.tx !== right.tx) {
		return left.tx < right.tx ? -1 : 1;
	}
	return left.op - right.op;
}

/** `tx_op`, the form on the wire. */
export function formatOffset(offset: LogOffset): string {
	return `${offset.tx}_${offset.op}`;
}
