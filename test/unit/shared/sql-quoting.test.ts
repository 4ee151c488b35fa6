/**
 * Names and literals in SQL, and names in messages.
 */

import { expect, it } from "vitest";
import { displayQualified, quoteIdentifier, quoteLiteral, quoteQualified } from "../../../src/shared/sql-quoting.ts";

it.each([
	["sluice", '"sluice"'],
	['a"b', '"a""b"'],
	["Größe; drop", '"Größe; drop"'],
])("quotes the identifier %s", (name, quoted) => {
	expect(quoteIdentifier(name)).toBe(quoted);
});

it.each([
	["x", "'x'"],
	["it's", "'it''s'"],
	["back\\slash", "E'back\\\\slash'"],
	["\\'", "E'\\\\'''"],
])("quotes the literal %s", (text, quoted) => {
	expect(quoteLiteral(text)).toBe(quoted);
});

it("refuses a NUL", () => {
	expect(() => quoteIdentifier("a\0b")).toThrow("NUL");
	expect(() => quoteLiteral("a\0b")).toThrow("NUL");
});

it("quotes both parts of a qualified name for SQL, and shows them as they are to people", () => {
	const name = { schema: "my.schema", name: 'a"b' };
	expect(quoteQualified(name)).toBe('"my.schema"."a""b"');
	expect(displayQualified(name)).toBe('"my.schema"."a"b"');
});
