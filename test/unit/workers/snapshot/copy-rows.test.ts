/**
 * COPY's text format to tuples, however the bytes arrive.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CopyRows } from "../../../../src/workers/snapshot/copy-rows.ts";
import { everySplit } from "../../../support/every-split.ts";

/** As PostgreSQL's CopyAttributeOutText writes a value. */
function copyText(value: string | null): string {
	if (value === null) {
		return "\\N";
	}
	const escapes: Record<string, string> = {
		"\b": "\\b",
		"\f": "\\f",
		"\n": "\\n",
		"\r": "\\r",
		"\t": "\\t",
		"\v": "\\v",
		"\\": "\\\\",
	};
	return value.replace(/[\b\f\n\r\t\v\\]/g, (character) => escapes[character] ?? character);
}

function encode(rows: readonly (readonly (string | null)[])[]): Buffer {
	return Buffer.from(rows.map((row) => `${row.map(copyText).join("\t")}\n`).join(""));
}

function decode(columns: number, chunks: readonly Buffer[]): (string | null)[][] {
	const rows: (string | null)[][] = [];
	const reader = new CopyRows(columns, (tuple) => {
		rows.push(Array.from({ length: columns }, (_, column) => tuple.text(column)));
	});
	for (const chunk of chunks) {
		reader.push(chunk);
	}
	reader.end();
	return rows;
}

describe("COPY rows", () => {
	it("are read at every split: NULL, empty, escapes, literal backslash-N, Unicode", () => {
		const rows = [
			["1", null, ""],
			["\\N", "\\", "a\tb\nc\rd\be\ff\vg\\h"],
			["é🦊", "\\\\N", "\\t"],
			["", "", ""],
		];
		for (const { name, chunks } of everySplit(encode(rows))) {
			expect(decode(3, chunks), name).toEqual(rows);
		}
	});

	it("come back unchanged whatever they hold", () => {
		const value = fc.option(fc.string({ unit: "binary" }).map((text) => text.replaceAll("\0", "")));
		fc.assert(
			fc.property(fc.array(fc.tuple(value, value)), fc.integer({ min: 1, max: 40 }), (rows, size) => {
				const bytes = encode(rows);
				const chunks: Buffer[] = [];
				for (let from = 0; from < bytes.length; from += size) {
					chunks.push(Buffer.from(bytes.subarray(from, from + size)));
				}
				const clean = rows.map((row) => row.map((text) => text?.toWellFormed() ?? null));
				expect(decode(2, chunks)).toEqual(clean);
			}),
		);
	});

	it("of one column may be empty lines", () => {
		expect(decode(1, [Buffer.from("\n\nx\n\\N\n")])).toEqual([[""], [""], ["x"], [null]]);
	});

	it("with another number of columns, or cut at the end, are a bug", () => {
		expect(() => decode(2, [Buffer.from("a\n")])).toThrow("another number of columns");
		expect(() => decode(1, [Buffer.from("a\tb\n")])).toThrow("another number of columns");
		expect(() => decode(1, [Buffer.from("a")])).toThrow("inside a row");
	});

	it("larger than many chunks are joined once", () => {
		const large = "x".repeat(5_000_000);
		const bytes = encode([[large], ["y"]]);
		const chunks: Buffer[] = [];
		for (let from = 0; from < bytes.length; from += 1_000) {
			chunks.push(Buffer.from(bytes.subarray(from, from + 1_000)));
		}
		const began = performance.now();
		expect(decode(1, chunks)).toEqual([[large], ["y"]]);
		expect(performance.now() - began).toBeLessThan(2_000);
	});
});
