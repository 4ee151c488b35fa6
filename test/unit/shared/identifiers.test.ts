/**
 * Identifiers and their messages (shape-http-api.md 3 and 4).
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseIdentifier, parseIdentifierList, parseTableName } from "../../../src/shared/identifiers.ts";
import { quoteIdentifier, quoteQualified } from "../../../src/shared/sql-quoting.ts";

describe("identifiers", () => {
	it.each([
		["items", "items"],
		["Items_2", "items_2"],
		["_x", "_x"],
		['"Items"', "Items"],
		['" "', " "],
		['"a""b"', 'a"b'],
		['"a.b"', "a.b"],
		['"ÄÖ"', "ÄÖ"],
		["größe", "größe"],
		["GRÖßE", "grÖße"],
		["a$b", "a$b"],
		["日本", "日本"],
		["😀x", "😀x"],
	])("reads %s as %s", (text, value) => {
		expect(parseIdentifier(text)).toEqual({ ok: true, value });
	});

	it.each([
		["", "Invalid zero-length delimited identifier"],
		['""', "Invalid zero-length delimited identifier"],
		[" ", "Invalid unquoted identifier contains special characters:  "],
		["foob@r", "Invalid unquoted identifier contains special characters: foob@r"],
		["$a", "Invalid unquoted identifier contains special characters: $a"],
		["a\0b", "Invalid unquoted identifier contains special characters: a\0b"],
		['"a\0b"', "Invalid identifier with unescaped quote: a\\0b"],
		["1a", "Invalid unquoted identifier contains special characters: 1a"],
		['Foo"Bar"', 'Invalid unquoted identifier contains special characters: Foo"Bar"'],
		['"', 'Invalid unquoted identifier contains special characters: "'],
		['"Foo"Bar"', 'Invalid identifier with unescaped quote: Foo"Bar'],
		["a".repeat(64), "Identifier is too long (max length is 63)"],
		[`"${"a".repeat(64)}"`, "Identifier is too long (max length is 63)"],
	])("refuses %s", (text, message) => {
		expect(parseIdentifier(text)).toEqual({ ok: false, message });
	});

	it.each([
		["items", { schema: "public", name: "items" }],
		["App.Items", { schema: "app", name: "items" }],
		['"my.schema"."my.table"', { schema: "my.schema", name: "my.table" }],
		['app."Items"', { schema: "app", name: "Items" }],
	])("reads the table %s", (text, value) => {
		expect(parseTableName(text)).toEqual({ ok: true, value });
	});

	it.each([
		["a.b.c", "Invalid relation identifier, too many delimiters: a.b.c"],
		["a.", "Invalid zero-length delimited identifier"],
		[".a", "Invalid zero-length delimited identifier"],
		["a b", "Invalid unquoted identifier contains special characters: a b"],
	])("refuses the table %s", (text, message) => {
		expect(parseTableName(text)).toEqual({ ok: false, message });
	});

	it("splits a column list outside quotes, folds it and drops repetitions", () => {
		expect(parseIdentifierList('id,Title,"a,b",id')).toEqual({ ok: true, value: ["id", "title", "a,b"] });
		expect(parseIdentifierList("id,,title")).toEqual({
			ok: false,
			message: "Invalid zero-length delimited identifier",
		});
	});

	it("reads back every name that it has quoted", () => {
		fc.assert(
			fc.property(
				fc.string({ minLength: 1, maxLength: 15 }),
				fc.string({ minLength: 1, maxLength: 15 }),
				(schema, name) => {
					fc.pre(!schema.includes("\0") && !name.includes("\0"));
					expect(parseIdentifier(quoteIdentifier(name))).toEqual({ ok: true, value: name });
					expect(parseTableName(quoteQualified({ schema, name }))).toEqual({ ok: true, value: { schema, name } });
					expect(parseIdentifierList([schema, name].map(quoteIdentifier).join(","))).toEqual({
						ok: true,
						value: [...new Set([schema, name])],
					});
				},
			),
		);
	});
});
