/** LIKE and ILIKE: wildcards, escapes, characters instead of bytes, folding. */

import { describe, expect, it } from "vitest";
import { compileLike } from "../../../../src/workers/match/like.ts";

describe("LIKE", () => {
	it.each([
		["", "", true],
		["", "%", true],
		["", "_", false],
		["a", "", false],
		["abc", "a%", true],
		["abc", "%c", true],
		["abc", "%b%", true],
		["abc", "a%b", false],
		["ab", "ab%ab", false],
		["abab", "ab%ab", true],
		["aXbXc", "a%b%c", true],
		["a\nb", "a_b", true],
		["a\nb", "a%b", true],
		["a\n", "a", false],
		["é", "_", true],
		["😀", "_", true],
		["😀", "__", false],
		["a%b", "a\\%b", true],
		["aXb", "a\\%b", false],
		["a\\b", "a\\\\b", true],
		["ab", "\\a\\b", true],
		["abc", "_%_", true],
		["a", "_%_", false],
		["xaab", "%a_b", true],
		["aab", "%a_b%", true],
		["日本語", "日_語", true],
		["A", "a", false],
	])("%j LIKE %j is %s", (text, pattern, expected) => {
		expect(compileLike(pattern, null)(text)).toBe(expected);
	});

	it("costs no more than its lengths multiplied", () => {
		const pattern = `${"%a_".repeat(200)}%b`;
		const started = performance.now();
		expect(compileLike(pattern, null)("a".repeat(20_000))).toBe(false);
		expect(performance.now() - started).toBeLessThan(2_000);
	});
});

describe("ILIKE", () => {
	it.each([
		["ABC", "a%", "ascii", true],
		["É", "é", "ascii", false],
		["É", "é", "unicode", true],
		["\u212a", "k", "unicode", true],
		["İ", "i", "unicode", true],
		["ΣΑΣ", "σασ", "unicode", true],
		["σας", "ΣΑΣ", "unicode", false],
		["ẞ", "ß", "unicode", true],
		["SS", "ß", "unicode", false],
		["A%", "a\\%", "ascii", true],
	] as const)("%j ILIKE %j, folding %s, is %s", (text, pattern, folding, expected) => {
		expect(compileLike(pattern, folding)(text)).toBe(expected);
	});
});
