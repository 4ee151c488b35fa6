/**
 * What a request at an offset gets from a shape as it is now: the phases of shape-http-api.md 6 as one decision.
 * Pure: offset and view in, next step out. Called by the shape request after every wake-up.
 */

import { compareOffsets, type LogOffset } from "../../shared/offset.ts";
import { endOfLog, OFFSET_SNAPSHOT_END, OP_INFINITE, type RequestOffset, seenPosition } from "./request-offset.ts";
import type { ShapeView } from "./shape-view.ts";

export type ReadPlan =
	/** The shape was removed: 409. */
	| { readonly kind: "gone" }
	/** Snapshot chunk `chunk`, which the table counts. */
	| { readonly kind: "chunk"; readonly chunk: number }
	/** `offset=now`: nothing but the end. */
	| { readonly kind: "now"; readonly end: LogOffset; readonly lsn: bigint }
	/** Log entries after `after` (there are some). */
	| { readonly kind: "log"; readonly after: LogOffset }
	/** Nothing after the offset; `end` is where the log ends. */
	| { readonly kind: "at-end"; readonly end: LogOffset }
	/** Beyond the end: wait a while for the log to catch up. */
	| { readonly kind: "out-of-bounds" }
	/** The snapshot or the log is not ready to answer. */
	| { readonly kind: "not-ready" };

const NOT_READY: ReadPlan = { kind: "not-ready" };

/**
 * @param patient wait for an unfinished shape's end: that of a `changes_only` shape, whose snapshot has no rows, comes in
 * moments
 */
export function planRead(offset: RequestOffset, view: ShapeView, patient = false): ReadPlan {
	if (view.gone) {
		return { kind: "gone" };
	}
	if (offset.kind === "now") {
		// An unfinished shape will publish entries of earlier transactions: it claims to have seen nothing.
		if (!view.active) {
			return patient ? NOT_READY : { kind: "now", end: OFFSET_SNAPSHOT_END, lsn: 0n };
		}
		return view.logReadable ? { kind: "now", end: endOfLog(view.log.lastOffset), lsn: highestSeen(view) } : NOT_READY;
	}
	if (offset.kind === "before-all") {
		return view.snapshotChunks > 0 ? { kind: "chunk", chunk: 0 } : NOT_READY;
	}
	const { at } = offset;
	if (at.tx === 0n) {
		const chunk = at.op + 1;
		if (at.op !== OP_INFINITE && chunk < view.snapshotChunks) {
			return { kind: "chunk", chunk };
		}
		if (!view.snapshotFinished) {
			return NOT_READY;
		}
	}
	return view.logReadable ? planLog(at, view.log.lastOffset) : NOT_READY;
}

function planLog(at: LogOffset, last: LogOffset): ReadPlan {
	const end = endOfLog(last);
	const seen = seenPosition(at);
	if (at.tx === 0n) {
		return last.tx === 0n ? { kind: "at-end", end } : { kind: "log", after: { tx: 0n, op: OP_INFINITE } };
	}
	// Transactions are visible whole, so "all of the last one seen" is the end.
	if (compareOffsets(seen, last) === 0 || (seen.tx === last.tx && seen.op === OP_INFINITE)) {
		return { kind: "at-end", end };
	}
	return compareOffsets(seen, last) > 0 ? { kind: "out-of-bounds" } : { kind: "log", after: seen };
}

/** Highest LSN up to which the shape has everything; the last entry's when the lane has not said. */
export function highestSeen(view: ShapeView): bigint {
	const { tx } = view.log.lastOffset;
	return view.processedLsn > tx ? view.processedLsn : tx;
}
