import { describe, expect, it } from "vitest";
import { REGEX_PATTERN_CHARACTERS_MAX } from "../../../../src/shared/limits.ts";
import { regexMatcher } from "../../../../src/shared/sql/regex-machine.ts";
import { parseRegex, type RegexOptions } from "../../../../src/shared/sql/regex-pattern.ts";
import { similarToRegex } from "../../../../src/shared/sql/similar-pattern.ts";

const PLAIN: RegexOptions = { ignoresCase: false, isUnicode: false };
const UNICODE: RegexOptions = { ignoresCase: true, isUnicode: true };

function matcher(pattern: string, options = PLAIN): (text: string) => boolean {
	const parsed = parseRegex(pattern, options);
	if ("refusal" in parsed) {
		throw new Error(parsed.refusal);
	}
	return regexMatcher(parsed.node);
}

describe("a regular expression", () => {
	it.each([
		["a.c", "xa\ncx", true],
		["^a", "ba", false],
		["^a", "\na", false],
		["a$", "a\n", false],
		["^$", "", true],
		["$^", "", true],
		["a$b", "ab", false],
		["^(ab|c){2,3}$", "abcab", true],
		["^(ab|c){2,3}$", "ab", false],
		["^.$", "😀", true],
		["[^a]", "\n", true],
		["\\bx", "\bx", true],
		["", "anything", true],
		["(a*)*b", "aaab", true],
		["^(a|$)*$", "aa", true],
		["x{0}y", "y", true],
	])("%s on %j: %s", (pattern, text, expected) => {
		expect(matcher(pattern)(text)).toBe(expected);
	});

	it.each([
		["(a)\\1", "the escape \\1"],
		["(?=a)", "a group that begins with (? and not with (?:"],
		["[[:alpha:]]", "a set with [:"],
		["a**", "a repetition of a repetition"],
		["^*", "a repetition of an anchor"],
		["a{2", "a { that does not begin a bound"],
		["a{300}", "a bound that is not between 0 and 255"],
		["***=a", "a director"],
		["\\y", "the escape \\y"],
		["(", "a ( without its )"],
		[")", "a ) without its ("],
		["[a", "a [ without its ]"],
		["((a{255}){255}){255}", "a pattern that takes more than"],
		["a".repeat(REGEX_PATTERN_CHARACTERS_MAX + 1), "a pattern of more than"],
		["(".repeat(REGEX_PATTERN_CHARACTERS_MAX), "a ( without its )"],
	])("%.20s is refused by name", (pattern, refusal) => {
		expect(parseRegex(pattern, PLAIN)).toEqual({ refusal: expect.stringContaining(refusal) });
	});

	it("that depends on the locale is refused where letters beyond ASCII have two cases", () => {
		expect(parseRegex("\\d", UNICODE)).toEqual({ refusal: expect.stringContaining("write out [0-9]") });
		expect(parseRegex("é", UNICODE)).toEqual({ refusal: "a character beyond ASCII where case is ignored" });
		expect(matcher("k", UNICODE)("\u212a")).toBe(false);
		expect(matcher("[^k]", UNICODE)("K")).toBe(false);
	});

	it("takes time proportional to the text, whatever the pattern", () => {
		const text = "a".repeat(20_000);
		const begin = performance.now();
		expect(matcher("^(a+)+$")(`${text}b`)).toBe(false);
		expect(matcher("(a|aa)*(a|aa)*(a|aa)*c")(text)).toBe(false);
		expect(matcher("(.*)(.*)(.*)(.*)(.*)x")(text)).toBe(false);
		expect(matcher(`^${"a?".repeat(60)}${"a".repeat(60)}$`)("a".repeat(60))).toBe(true);
		expect(performance.now() - begin).toBeLessThan(5_000);
	});

	it("forgets sets of states when there are too many, and answers the same", () => {
		const matches = matcher("^[ab]*a[ab]{14}$");
		const random = (seed: number) => (Math.imul(seed, 0x9e37_79b1) >>> 16) & 1;
		const text = Array.from({ length: 4_000 }, (_, index) => (random(index) === 1 ? "a" : "b")).join("");
		for (const end of [15, 1_000, 2_000, 4_000]) {
			expect(matches(text.slice(0, end))).toBe(text[end - 15] === "a");
		}
	});
});

describe("a pattern of SIMILAR TO", () => {
	it.each([
		["a%_", "^(?:a.*.)$"],
		["(a|b)+", "^(?:(?:a|b)+)$"],
		["a.^$", "^(?:a\\.\\^\\$)$"],
		["\\%[^ab]", "^(?:\\%[^ab])$"],
	])("%s becomes %s", (pattern, regex) => {
		expect(similarToRegex(pattern)).toEqual({ pattern: regex });
	});

	it.each(['a\\"b\\"c', "a\\", "[]a]", "[a\\]]", "[[:alpha:]]", "[a"])("%s is refused", (pattern) => {
		expect(similarToRegex(pattern)).toEqual({ refusal: expect.any(String) });
	});
});
