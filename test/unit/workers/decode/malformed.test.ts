/**
 * Bytes that are no messages: each is an ordinary error with tag and offset, and none reads outside its bounds.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SluiceError } from "../../../../src/shared/errors.ts";
import { PgoutputDecoder } from "../../../../src/workers/decode/pgoutput.ts";
import * as frames from "../../../support/pgoutput-frames.ts";

const decoder = new PgoutputDecoder();
type Reader = (message: Buffer, start: number, end: number) => unknown;

const readers: Readonly<Record<string, Reader>> = {
	B: (message, start, end) => decoder.readBegin(message, start, end, { finalLsnHigh: 0, finalLsnLow: 0, xid: 0 }),
	C: (message, start, end) => decoder.checkCommit(message, start, end),
	R: (message, start, end) => decoder.readRelation(message, start, end),
	T: (message, start, end) => decoder.readTruncate(message, start, end),
	I: (message, start, end) => decoder.readInsert(message, start, end, 3),
	U: (message, start, end) => decoder.readUpdate(message, start, end, 3),
	D: (message, start, end) => decoder.readDelete(message, start, end, 3),
};

const good: readonly Buffer[] = [
	frames.begin(1n, 2),
	frames.commit(1n, 2n),
	frames.relation(7, "public", "items", [{ name: "id", key: true }, { name: "név" }, { name: "c" }]),
	frames.truncate([7, 8]),
	frames.insert(7, ["1", null, "longer text"]),
	frames.update(7, ["1", null, "x"], ["1", undefined, "é"]),
	frames.update(7, null, ["1", null, "x"]),
	frames.remove(7, ["1", null, "x"]),
];

function readerOf(message: Buffer): Reader {
	return readers[String.fromCharCode(message[0] ?? 0)] as Reader;
}

function expectMalformed(run: () => unknown): void {
	expect(run).toThrow(expect.objectContaining({ code: "SLUICE_TUPLE_MALFORMED" }));
}

describe("malformed messages", () => {
	it.each(good.map((message) => [String.fromCharCode(message[0] ?? 0), message] as const))(
		"%s cut at every byte is refused, though more bytes follow in the buffer",
		(_tag, message) => {
			const buffer = Buffer.concat([message, Buffer.alloc(64, 0x74)]);
			for (let end = 1; end < message.length; end += 1) {
				expectMalformed(() => readerOf(message)(buffer, 0, end));
			}
			expect(() => readerOf(message)(buffer, 0, message.length)).not.toThrow();
			expectMalformed(() => readerOf(message)(buffer, 0, message.length + 1));
		},
	);

	it.each([
		["a length beyond the message", "49 00000007 4e 0003 74 00000050 31 6e 6e", 13],
		["a negative length", "49 00000007 4e 0003 74 ffffffff 31 6e 6e", 13],
		["a binary value", "49 00000007 4e 0003 62 00000001 31 6e 6e", 8],
		["another column count", "49 00000007 4e 0002 6e 6e", 6],
		["a negative column count", "49 00000007 4e ffff", 6],
		["an insert with an old row", "49 00000007 4f 0003 6e 6e 6e", 5],
		["an insert with an unchanged value", "49 00000007 4e 0003 75 6e 6e", 6],
		["an update without its new row", "55 00000007 4f 0003 6e 6e 6e", 11],
		["an update with an unknown part", "55 00000007 58 0003 6e 6e 6e", 5],
		["an old row with an unchanged value", "55 00000007 4f 0003 75 6e 6e 4e 0003 6e 6e 6e", 6],
		["a delete with a new row", "44 00000007 4e 0003 6e 6e 6e", 5],
		["a truncate of more relations than it holds", "54 ffffffff 00 00000007", 6],
		["a relation without the end of its name", "52 00000007 7075", 5],
	])("%s is refused with its tag and offset", (_name, hex, offsetBytes) => {
		const message = Buffer.from(hex.replaceAll(" ", ""), "hex");
		expect(() => readerOf(message)(message, 0, message.length)).toThrow(
			expect.objectContaining({
				code: "SLUICE_TUPLE_MALFORMED",
				context: expect.objectContaining({ tag: String.fromCharCode(message[0] ?? 0), offsetBytes }),
			}),
		);
	});

	it("any bytes are either read or refused as malformed, never anything else", () => {
		const tagged = fc
			.tuple(fc.constantFrom(...Object.keys(readers)), fc.uint8Array({ maxLength: 60 }))
			.map(([tag, rest]) => Buffer.concat([Buffer.from(tag), rest]));
		const mutated = fc
			.tuple(fc.constantFrom(...good), fc.nat(), fc.integer({ min: 0, max: 255 }))
			.map(([message, at, value]) => {
				const changed = Buffer.from(message);
				changed[1 + (at % (changed.length - 1))] = value;
				return changed;
			});
		fc.assert(
			fc.property(fc.oneof(tagged, mutated), (message) => {
				try {
					readerOf(message)(message, 0, message.length);
				} catch (error) {
					expect(error).toBeInstanceOf(SluiceError);
				}
			}),
			{ numRuns: 1000 },
		);
	});
});
