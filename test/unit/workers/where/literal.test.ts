/** Constants in the one form that both halves use: which spellings are accepted, and what becomes of them. */

import { describe, expect, it } from "vitest";
import type { ScalarType } from "../../../../src/shared/where-tree.ts";
import { castLiteral, literalFromText } from "../../../../src/workers/where/literal.ts";
import { ACCEPTED_LITERALS, REFUSED_LITERALS } from "../../../support/where-literals.ts";

describe("a constant", () => {
	it.each(ACCEPTED_LITERALS)("%s %j becomes %j", (type, text, canonical) => {
		expect(literalFromText(text, type)?.text).toBe(canonical);
	});

	it.each(REFUSED_LITERALS)("%s %j is refused", (type, text) => {
		expect(literalFromText(text, type)).toBeNull();
	});

	it("of type name is cut at a character's border", () => {
		expect(literalFromText("é".repeat(40), "name")?.text).toBe("é".repeat(31));
	});
});

describe("a cast of a constant", () => {
	const cast = (from: ScalarType, text: string, to: ScalarType): string => {
		const result = castLiteral({ kind: "literal", type: from, text }, to);
		return typeof result === "string" ? result : (result?.text ?? "NULL");
	};

	it.each([
		["numeric", "2.5", "int4", "3"],
		["numeric", "-2.5", "int4", "-3"],
		["numeric", "2.4999", "int8", "2"],
		["numeric", "NaN", "int4", "invalid"],
		["int4", "70000", "int2", "invalid"],
		["int8", "9007199254740993", "float8", "9.007199254740992e+15"],
		["bpchar", "a  ", "text", "a"],
		["text", "a  ", "bpchar", "a  "],
		["text", "12", "int4", "12"],
		["text", "x", "int4", "invalid"],
		["int4", "12", "text", "12"],
		["bool", "t", "text", "true"],
		["float8", "1.5", "text", "1.5"],
		["date", "2024-02-29", "timestamp", "2024-02-29 00:00:00"],
		["date", "5874897-12-31", "timestamp", "invalid"],
		["timestamp", "2024-02-29 00:00:00", "timestamptz", "2024-02-29 00:00:00+00"],
		["timestamp", "infinity", "time", "NULL"],
		["time", "08:00:00", "date", "unknown"],
	] as const)("from %s %s to %s gives %s", (from, text, to, expected) => {
		expect(cast(from, text, to)).toBe(expected);
	});
});
