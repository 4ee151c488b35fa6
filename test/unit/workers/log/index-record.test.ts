/**
 * The hot path's own record writer and checksum give the same bytes as their references.
 */

import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { INDEX_RECORD_BYTES, readIndexRecord, writeIndexRecord } from "../../../../src/shared/log-layout.ts";
import { putIndexRecord } from "../../../../src/workers/log/index-record.ts";
import { rangeCrc32 } from "../../../../src/workers/log/range-crc32.ts";

const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });

describe("index record", () => {
	it("is what log-layout writes and reads", () => {
		fc.assert(
			fc.property(
				fc.record({
					high: uint32,
					low: uint32,
					op: uint32,
					flags: fc.constantFrom(0, 1),
					ordinal: fc.oneof(fc.integer({ min: 0, max: 0xff_ffff }), fc.integer({ min: 0, max: 2 ** 40 })),
					position: uint32,
					length: uint32,
					crc: uint32,
				}),
				({ high, low, op, flags, ordinal, position, length, crc }) => {
					const bytes = Buffer.alloc(INDEX_RECORD_BYTES);
					const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
					putIndexRecord(view, bytes, 0, high, low, op, flags, ordinal, position, length, crc);
					const expected = Buffer.alloc(INDEX_RECORD_BYTES);
					const tx = (BigInt(high) << 32n) | BigInt(low);
					writeIndexRecord(expected, 0, { tx, op, flags, position, length, crc }, ordinal);
					expect(bytes).toEqual(expected);
					expect(readIndexRecord(bytes, 0)).toEqual({
						tx,
						op,
						flags,
						position,
						length,
						crc,
						ordinal: ordinal % 0x100_0000,
					});
				},
			),
		);
	});

	it("is refused after a flip of any bit", () => {
		const bytes = Buffer.alloc(INDEX_RECORD_BYTES);
		writeIndexRecord(bytes, 0, { tx: 7n, op: 2, flags: 1, position: 3, length: 4, crc: 5 }, 6);
		for (let bit = 0; bit < INDEX_RECORD_BYTES * 8; bit += 1) {
			const flipped = Buffer.from(bytes);
			flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
			expect(readIndexRecord(flipped, 0)).toBeNull();
		}
		expect(readIndexRecord(Buffer.alloc(INDEX_RECORD_BYTES), 0)).toBeNull();
	});
});

describe("range crc32", () => {
	it("is that of node:zlib, for any range and continued over any cut", () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 900 }), fc.nat(), (array, cutAt) => {
				const bytes = Buffer.from(array);
				const cut = bytes.length === 0 ? 0 : cutAt % bytes.length;
				expect(rangeCrc32(bytes, 0, bytes.length)).toBe(crc32(bytes));
				expect(rangeCrc32(bytes, cut, bytes.length, rangeCrc32(bytes, 0, cut))).toBe(crc32(bytes));
			}),
		);
	});
});
