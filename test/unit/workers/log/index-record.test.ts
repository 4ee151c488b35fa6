/**
 * The hot path's record writer is understood by the reader, and its checksum is that of node:zlib.
 */

import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { INDEX_RECORD_BYTES, readIndexRecord } from "../../../../src/shared/log-layout.ts";
import { putIndexRecord } from "../../../../src/workers/log/index-record.ts";
import { rangeCrc32 } from "../../../../src/workers/log/range-crc32.ts";

const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });

describe("index record", () => {
	it("is what log-layout reads", () => {
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
					const tx = (BigInt(high) << 32n) | BigInt(low);
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
