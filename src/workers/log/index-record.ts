/**
 * One record of a log's index, written without objects or bigints. Owns nothing: the layout is that of
 * shared/log-layout.ts, which reads it. Called by the log writer for each entry.
 */

import { ORDINAL_MODULUS } from "../../shared/log-layout.ts";
import { rangeCrc32 } from "./range-crc32.ts";

const CHECKED_BYTES = 28;

/** Writes 32 bytes at `at`. `view` and `buffer` are the same memory. */
export function putIndexRecord(
	view: DataView,
	buffer: Buffer,
	at: number,
	lsnHigh: number,
	lsnLow: number,
	op: number,
	flags: number,
	ordinal: number,
	position: number,
	length: number,
	crc: number,
): void {
	view.setUint32(at, lsnLow, true);
	view.setUint32(at + 4, lsnHigh, true);
	view.setUint32(at + 8, op, true);
	view.setUint32(at + 12, (ordinal % ORDINAL_MODULUS) * 256 + flags, true);
	view.setUint32(at + 16, position, true);
	view.setUint32(at + 20, length, true);
	view.setUint32(at + 24, crc, true);
	view.setUint32(at + CHECKED_BYTES, rangeCrc32(buffer, at, at + CHECKED_BYTES), true);
}
