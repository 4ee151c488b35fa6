/**
 * Offsets as requests spell them: `-1`, `now`, `<tx>_<op>`, `<tx>_inf`. Owns parsing (lenient where the protocol
 * is) and the text of response offsets. Pure. Called by the parameter check and the read planner.
 */

import type { LogOffset } from "../../shared/offset.ts";

/** `op` of `<tx>_inf`: greater than every real one (those are 32 bits). */
export const OP_INFINITE = Number.MAX_SAFE_INTEGER;

export type RequestOffset =
	| { readonly kind: "before-all" }
	| { readonly kind: "now" }
	| { readonly kind: "position"; readonly at: LogOffset };

const TEXT_BYTES_MAX = 128;
const TX_MAX = 0xffff_ffff_ffff_ffffn;
const FORM = /^\+?0*(\d{1,20})_(?:\+?0*(\d{1,15})|inf)$/;

/** The end of a snapshot, and of a log without entries: `0_inf`. */
export const OFFSET_SNAPSHOT_END: LogOffset = { tx: 0n, op: OP_INFINITE };

/** Null when the text is none of the forms. `tx` is an unsigned 64-bit number. */
export function parseRequestOffset(text: string): RequestOffset | null {
	if (text === "-1" || text === "-1_0") {
		return { kind: "before-all" };
	}
	if (text === "now") {
		return { kind: "now" };
	}
	if (text.length > TEXT_BYTES_MAX) {
		return null;
	}
	const match = FORM.exec(text);
	const txText = match?.[1];
	if (match === null || txText === undefined) {
		return null;
	}
	const tx = BigInt(txText);
	if (tx > TX_MAX) {
		return null;
	}
	const opText = match[2];
	return { kind: "position", at: { tx, op: opText === undefined ? OP_INFINITE : Number(opText) } };
}

export function formatRequestOffset(offset: RequestOffset): string {
	switch (offset.kind) {
		case "before-all":
			return "-1";
		case "now":
			return "now";
		case "position":
			return formatPosition(offset.at);
	}
}

/** `tx_op`, with `inf`. */
export function formatPosition(at: LogOffset): string {
	return at.op === OP_INFINITE ? `${at.tx}_inf` : `${at.tx}_${at.op}`;
}

/**
 * The position that a reader at `at` has truly seen: `<L>_0` means "all of L", since no entry has op 0
 * (opOfChange in shared/offset.ts), and so does `<L>_inf`.
 */
export function seenPosition(at: LogOffset): LogOffset {
	return at.tx > 0n && at.op === 0 ? { tx: at.tx, op: OP_INFINITE } : at;
}

/** The last offset of a log as responses name it. */
export function endOfLog(last: LogOffset): LogOffset {
	return last.tx === 0n ? OFFSET_SNAPSHOT_END : last;
}
