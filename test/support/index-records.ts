/**
 * Index records as the lane writes them, from objects. Owns nothing. Called by tests that make or check logs.
 */

import { INDEX_RECORD_BYTES, type IndexRecord } from "../../src/shared/log-layout.ts";
import { putIndexRecord } from "../../src/workers/log/index-record.ts";

/** The 32 bytes; `ordinal` as large as it comes, 0 unless given. */
export function indexRecord(record: Omit<IndexRecord, "ordinal">, ordinal = 0): Buffer {
	const bytes = Buffer.alloc(INDEX_RECORD_BYTES);
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const { tx, op, flags, position, length, crc } = record;
	putIndexRecord(
		view,
		bytes,
		0,
		Number(tx >> 32n),
		Number(tx & 0xffff_ffffn),
		op,
		flags,
		ordinal,
		position,
		length,
		crc,
	);
	return bytes;
}
