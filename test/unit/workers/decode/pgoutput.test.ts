/**
 * The decoder against payloads of live servers (golden vectors), bytes as the manual draws them.
 */

import { describe, expect, it } from "vitest";
import { OLD_KEY, OLD_NONE, OLD_WHOLE } from "../../../../src/shared/decoding.ts";
import type { Tuple } from "../../../../src/shared/tuple.ts";
import { PgoutputDecoder } from "../../../../src/workers/decode/pgoutput.ts";
import * as frames from "../../../support/pgoutput-frames.ts";

function bytes(hex: string): Buffer {
	return Buffer.from(hex.replaceAll(" ", ""), "hex");
}

function values(tuple: Tuple): (string | null)[] {
	return Array.from({ length: tuple.columnCount }, (_, column) => tuple.text(column));
}

describe("pgoutput decoder", () => {
	const decoder = new PgoutputDecoder();

	it("reads Begin", () => {
		const message = bytes("42 000000000bbe6068 000303ee420e6181 00000354");
		const begin = { finalLsnHigh: 0, finalLsnLow: 0, xid: 0 };
		decoder.readBegin(message, 0, message.length, begin);
		expect(begin).toEqual({ finalLsnHigh: 0, finalLsnLow: 0x0bbe6068, xid: 852 });
	});

	it("reads Begin with an LSN and an id near their ends as unsigned", () => {
		const message = frames.begin(0xffff_ffff_ffff_fff0n, 0xffff_fff0);
		const begin = { finalLsnHigh: 0, finalLsnLow: 0, xid: 0 };
		decoder.readBegin(message, 0, message.length, begin);
		expect(begin).toEqual({ finalLsnHigh: 0xffff_ffff, finalLsnLow: 0xffff_fff0, xid: 0xffff_fff0 });
	});

	it("reads Relation", () => {
		const message = bytes(
			"52 00005936 7075626c696300 645f64656600 64 0002 01 696400 00000017 ffffffff 00 7600 00000019 ffffffff",
		);
		expect(decoder.readRelationOid(message, 0, message.length)).toBe(22838);
		expect(decoder.readRelation(message, 0, message.length)).toEqual({
			oid: 22838,
			schema: "public",
			name: "d_def",
			replicaIdentity: "d",
			columns: [
				{ name: "id", typeOid: 23, typmod: -1, partOfKey: true },
				{ name: "v", typeOid: 25, typmod: -1, partOfKey: false },
			],
		});
	});

	it("reads an empty namespace as pg_catalog", () => {
		const message = frames.relation(1, "", "t", []);
		expect(decoder.readRelation(message, 0, message.length).schema).toBe("pg_catalog");
	});

	it("reads Insert", () => {
		const message = bytes("49 00005936 4e 0002 74 00000001 31 74 00000001 78");
		decoder.readInsert(message, 0, message.length, 2);
		expect(values(decoder.newTuple)).toEqual(["1", "x"]);
	});

	it("reads Insert with nulls", () => {
		const message = bytes("49 0000592f 4e 0006 74 00000001 32 6e 6e 6e 6e 6e");
		decoder.readInsert(message, 0, message.length, 6);
		expect(values(decoder.newTuple)).toEqual(["2", null, null, null, null, null]);
	});

	it("reads Update without an old part", () => {
		const message = bytes("55 00005936 4e 0002 74 00000001 31 74 00000001 79");
		expect(decoder.readUpdate(message, 0, message.length, 2)).toBe(OLD_NONE);
		expect(values(decoder.newTuple)).toEqual(["1", "y"]);
	});

	it("reads Update with a key", () => {
		const message = bytes("55 00005936 4b 0002 74 00000001 31 6e 4e 0002 74 00000001 32 74 00000001 79");
		expect(decoder.readUpdate(message, 0, message.length, 2)).toBe(OLD_KEY);
		expect(values(decoder.newTuple)).toEqual(["2", "y"]);
	});

	it("reads Update with the old row and fills unchanged values from it", () => {
		const message = frames.update(7, ["1", "long", null], ["2", undefined, undefined]);
		expect(decoder.readUpdate(message, 0, message.length, 3)).toBe(OLD_WHOLE);
		expect(values(decoder.oldTuple)).toEqual(["1", "long", null]);
		expect(values(decoder.newTuple)).toEqual(["2", "long", null]);
	});

	it("reads Delete with a key and with the old row", () => {
		const withKey = bytes("44 00005936 4b 0002 74 00000001 32 6e");
		expect(decoder.readDelete(withKey, 0, withKey.length, 2)).toBe(OLD_KEY);
		const withRow = bytes("44 00005950 4f 0003 74 00000001 31 74 00000001 31 74 00000002 7031");
		expect(decoder.readDelete(withRow, 0, withRow.length, 3)).toBe(OLD_WHOLE);
		expect(values(decoder.oldTuple)).toEqual(["1", "1", "p1"]);
	});

	it("reads Truncate", () => {
		const message = bytes("54 00000002 03 0000592f 00005936");
		expect(decoder.readTruncate(message, 0, message.length)).toEqual([22831, 22838]);
	});

	it("accepts Commit", () => {
		const message = bytes("43 00 000000000bbe6068 000000000bbe6098 000303ee420e6181");
		expect(() => decoder.checkCommit(message, 0, message.length)).not.toThrow();
	});

	it("reads a message in the middle of a buffer, more columns than ever before", () => {
		const wide = Array.from({ length: 300 }, (_, column) => (column % 3 === 0 ? null : `v${column}`));
		const message = Buffer.concat([Buffer.from("xx"), frames.insert(7, wide), Buffer.from("yy")]);
		decoder.readInsert(message, 2, message.length - 2, 300);
		expect(values(decoder.newTuple)).toEqual(wide);
	});
});
