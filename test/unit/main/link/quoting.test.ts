import { expect, it } from "vitest";
import { quoteIdentifier, quoteLiteral } from "../../../../src/main/link/quoting.ts";

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
