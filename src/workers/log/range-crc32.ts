/**
 * CRC-32 of a range of a buffer, the same value as `crc32` of node:zlib. Owns a lookup table of eight bytes a
 * step; exists because the native call needs a subarray, which costs more than the sum itself for the bytes of an
 * index record or a short entry (measured: 126 ns against 51 ns for 28 bytes, 216 ns against 107 ns for 100).
 * Called by the log writer and the recovery.
 */

import { crc32 } from "node:zlib";

/** From here on the native implementation is faster, subarray included. */
const NATIVE_FROM_BYTES = 240;
const POLYNOMIAL = 0xedb8_8320;

/** Eight tables of 256 sums: that of a byte followed by 0 to 7 zero bytes. */
const TABLE: Int32Array = makeTable();

function makeTable(): Int32Array {
	const table = new Int32Array(8 * 256);
	for (let value = 0; value < 256; value += 1) {
		let remainder = value;
		for (let bit = 0; bit < 8; bit += 1) {
			remainder = (remainder & 1) === 1 ? (remainder >>> 1) ^ POLYNOMIAL : remainder >>> 1;
		}
		table[value] = remainder;
	}
	for (let at = 256; at < table.length; at += 1) {
		const before = table[at - 256] as number;
		table[at] = (table[before & 0xff] as number) ^ (before >>> 8);
	}
	return table;
}

/** Of bytes `start` to `end`; `seed` is the sum of the bytes before them, to continue one. */
export function rangeCrc32(buffer: Buffer, start: number, end: number, seed = 0): number {
	if (end - start >= NATIVE_FROM_BYTES) {
		return crc32(buffer.subarray(start, end), seed);
	}
	let sum = ~seed;
	let at = start;
	for (; at + 8 <= end; at += 8) {
		sum ^=
			(buffer[at] as number) |
			((buffer[at + 1] as number) << 8) |
			((buffer[at + 2] as number) << 16) |
			((buffer[at + 3] as number) << 24);
		sum =
			(TABLE[1792 + (sum & 0xff)] as number) ^
			(TABLE[1536 + ((sum >>> 8) & 0xff)] as number) ^
			(TABLE[1280 + ((sum >>> 16) & 0xff)] as number) ^
			(TABLE[1024 + (sum >>> 24)] as number) ^
			(TABLE[768 + (buffer[at + 4] as number)] as number) ^
			(TABLE[512 + (buffer[at + 5] as number)] as number) ^
			(TABLE[256 + (buffer[at + 6] as number)] as number) ^
			(TABLE[buffer[at + 7] as number] as number);
	}
	for (; at < end; at += 1) {
		sum = (TABLE[(sum ^ (buffer[at] as number)) & 0xff] as number) ^ (sum >>> 8);
	}
	return ~sum >>> 0;
}
