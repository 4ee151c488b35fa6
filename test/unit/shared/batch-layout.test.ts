/**
 * The batch header: every field comes back, at any place in a segment, and nothing else passes for a batch.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	BATCH_HEADER_BYTES,
	BATCH_MAGIC,
	type BatchHeader,
	readBatchHeader,
	writeBatchHeader,
} from "../../../src/shared/batch-layout.ts";

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u64 = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
const header: fc.Arbitrary<BatchHeader> = fc.record({
	sequence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
	streamEpoch: u32,
	startsInside: fc.boolean(),
	endsInside: fc.boolean(),
	lastCommitEndLsn: u64,
	openFinalLsn: u64,
	openCommitTime: u64,
	openXid: u32,
	openChangeCount: u32,
	frameCount: u32,
	payloadBytes: u32,
	firstLsn: u64,
});

describe("a batch header", () => {
	it("comes back whole from shared memory, wherever it lies, and touches no byte around it", () => {
		fc.assert(
			fc.property(header, fc.integer({ min: 0, max: 64 }), (written, at) => {
				const bytes = new Uint8Array(new SharedArrayBuffer(BATCH_HEADER_BYTES + 128)).fill(0xaa);
				const view = new DataView(bytes.buffer);
				writeBatchHeader(view, at, written);
				expect(readBatchHeader(view, at)).toEqual(written);
				const around = [...bytes.slice(0, at), ...bytes.slice(at + BATCH_HEADER_BYTES)];
				expect(around.every((byte) => byte === 0xaa)).toBe(true);
			}),
		);
	});

	it("begins with the bytes SLB1", () => {
		const bytes = Buffer.alloc(4);
		bytes.writeUInt32LE(BATCH_MAGIC);
		expect(bytes.toString("latin1")).toBe("SLB1");
	});

	it.each([0, 4])("is refused when its byte %i differs", (at) => {
		const view = new DataView(new ArrayBuffer(BATCH_HEADER_BYTES));
		writeBatchHeader(view, 0, fc.sample(header, { seed: 1, numRuns: 1 })[0] as BatchHeader);
		view.setUint8(at, view.getUint8(at) ^ 0xff);
		expect(() => readBatchHeader(view, 0)).toThrow(expect.objectContaining({ name: "InvariantError" }));
	});
});
