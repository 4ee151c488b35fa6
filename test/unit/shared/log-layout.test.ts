/**
 * Records and names of a shape's files, as docs/LOG-FORMAT.md draws them.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	FLAG_LAST,
	INDEX_RECORD_BYTES,
	type IndexRecord,
	logIndexPath,
	logSegmentPath,
	ORDINAL_MODULUS,
	readIndexRecord,
	shapeDirectory,
	shapesDirectory,
	snapshotChunkPath,
} from "../../../src/shared/log-layout.ts";
import { indexRecord } from "../../support/index-records.ts";

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const record: fc.Arbitrary<IndexRecord> = fc.record({
	tx: fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
	op: u32,
	flags: fc.integer({ min: 0, max: 0xff }),
	position: u32,
	length: u32,
	crc: u32,
	ordinal: fc.integer({ min: 0, max: ORDINAL_MODULUS - 1 }),
});

describe("an index record", () => {
	it("comes back whole, at any place", () => {
		fc.assert(
			fc.property(record, fc.integer({ min: 0, max: 5 }), (written, index) => {
				const bytes = Buffer.alloc(6 * INDEX_RECORD_BYTES);
				indexRecord(written, written.ordinal).copy(bytes, index * INDEX_RECORD_BYTES);
				expect(readIndexRecord(bytes, index * INDEX_RECORD_BYTES)).toEqual(written);
			}),
		);
	});

	it("is not believed when any single bit of it differs", () => {
		const bytes = indexRecord({ tx: 0x16_b374_d848n, op: 4, flags: FLAG_LAST, position: 100, length: 20, crc: 7 });
		for (let bit = 0; bit < INDEX_RECORD_BYTES * 8; bit += 1) {
			const damaged = Buffer.from(bytes);
			damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
			expect(readIndexRecord(damaged, 0), `bit ${bit}`).toBeNull();
		}
	});

	it("counts entries modulo 2^24 without touching the flags", () => {
		const fields = { tx: 1n, op: 2, flags: FLAG_LAST, position: 3, length: 4, crc: 5 };
		const bytes = indexRecord(fields, ORDINAL_MODULUS + 7);
		expect(readIndexRecord(bytes, 0)).toEqual({ ...fields, ordinal: 7 });
	});

	it("is not believed when a crash left zeros", () => {
		expect(readIndexRecord(Buffer.alloc(INDEX_RECORD_BYTES), 0)).toBeNull();
	});

	it("has the bytes that the page draws", () => {
		const bytes = indexRecord({ tx: 1n, op: 2, flags: FLAG_LAST, position: 3, length: 4, crc: 5 });
		expect(bytes.subarray(0, 28).toString("hex")).toBe(
			"0100000000000000" + "02000000" + "01000000" + "03000000" + "04000000" + "05000000",
		);
	});
});

describe("the files of a shape", () => {
	it("lie in the shape's directory below the data directory", () => {
		expect(shapesDirectory("/data")).toBe("/data/shapes");
		const directory = shapeDirectory("/data", "1-2");
		expect([
			directory,
			snapshotChunkPath(directory, 0),
			logSegmentPath(directory, 1),
			logIndexPath(directory, 1),
		]).toEqual([
			"/data/shapes/1-2",
			"/data/shapes/1-2/snapshot-0.json",
			"/data/shapes/1-2/log-1.json",
			"/data/shapes/1-2/log-1.idx",
		]);
	});
});
