/**
 * Random regular expressions, SIMILAR TO patterns and texts: mostly well formed, sometimes torn, with the
 * constructs at which engines differ. Called by tests that ask PostgreSQL the same question.
 */

import type { Random } from "./random.ts";

const CHARACTERS: readonly string[] = [
	..."aAbBkKiIsS019_- \n\t%.\\^$|()[]{}?*+",
	"é",
	"É",
	"ß",
	"σ",
	"Σ",
	"ς",
	"İ",
	"ı",
	"\u212a",
	"日",
	"😀",
];
const ESCAPES: readonly string[] = [
	"\\d",
	"\\D",
	"\\w",
	"\\W",
	"\\s",
	"\\S",
	"\\n",
	"\\t",
	"\\b",
	"\\B",
	"\\.",
	"\\\\",
	"\\*",
	"\\-",
	"\\u0061",
	"\\u00e9",
	"\\U0001f600",
	"\\A",
	"\\Z",
	"\\e",
	"\\_",
	"\\ ",
];
const SETS: readonly string[] = [
	"[ab]",
	"[^ab]",
	"[a-c]",
	"[^a-zA-Z]",
	"[]a]",
	"[^]a]",
	"[-a]",
	"[a-]",
	"[a\\d]",
	"[\\s_]",
	"[\\]]",
	"[\\n-\\r]",
	"[.*]",
	"[é]",
	"[à-ÿ]",
	"[^é]",
	"[--/]",
	"[+--]",
	"[I-k]",
	"[\\w-]",
	"[😀]",
	"[a^]",
	"[$]",
	"[a|b]",
	"[ ]",
	"[0-9]",
];
/** What is refused here, or by PostgreSQL, or by both. */
const ODD: readonly string[] = [
	"[[:alpha:]]",
	"[[:digit:]]",
	"[z-a]",
	"[a-c-e]",
	"[]",
	"[^]",
	"[a",
	"(?=a)",
	"(?!a)",
	"(?i)a",
	"(?<=a)b",
	"(?#x)",
	"\\1",
	"\\m",
	"\\y",
	"\\x61",
	"\\0",
	"\\cA",
	"\\q",
	"a**",
	"a{2}{3}",
	"^*",
	"{",
	"a{,2}",
	"a{3,1}",
	"a{256}",
	"a{x",
	"(",
	")",
	"()",
	"(|a)",
	"a||b",
	"***=a",
	"***:a",
	"\\",
	"$+",
	"[[.a.]]",
	"[\\D]",
	"*a",
	"]",
	"}",
	"a]",
	"\\\u00e9",
	"x{0}",
	"(a{2}){3}",
	"(^a)*",
	"(^)+b",
	"(a|$)*",
	"(?:$|a)b",
];
const REPEATS: readonly string[] = [
	"*",
	"+",
	"?",
	"*?",
	"+?",
	"??",
	"{2}",
	"{1,2}",
	"{0,1}",
	"{2,}",
	"{0}",
	"{1,3}?",
	"{0,0}",
];

export function generateRegex(random: Random, depth = 3): string {
	const branches = random.chance(0.2) ? 2 : 1;
	return Array.from({ length: branches }, () => sequence(random, depth)).join("|");
}

function sequence(random: Random, depth: number): string {
	const start = random.chance(0.15) ? "^" : "";
	const end = random.chance(0.15) ? "$" : "";
	const pieces = Array.from({ length: random.integer(0, 3) }, () => piece(random, depth));
	return start + pieces.join("") + end;
}

function piece(random: Random, depth: number): string {
	return atom(random, depth) + (random.chance(0.3) ? random.pick(REPEATS) : "");
}

function atom(random: Random, depth: number): string {
	if (depth > 0 && random.chance(0.25)) {
		return `${random.pick(["(", "(?:"])}${generateRegex(random, depth - 1)})`;
	}
	const choice = random.fraction();
	if (choice < 0.05) {
		return random.pick(ODD);
	}
	if (choice < 0.15) {
		return ".";
	}
	if (choice < 0.3) {
		return random.pick(ESCAPES);
	}
	if (choice < 0.45) {
		return random.pick(SETS);
	}
	return choice < 0.52 ? random.pick(CHARACTERS) : random.pick([..."aAbBkKi1_ ", "é", "σ"]);
}

/** A pattern of SIMILAR TO. */
export function generateSimilar(random: Random, depth = 2): string {
	const pieces = Array.from({ length: random.integer(0, 4) }, () => {
		if (depth > 0 && random.chance(0.2)) {
			return `(${generateSimilar(random, depth - 1)})${random.chance(0.3) ? random.pick(["*", "+", "?", "{2}", "{1,2}"]) : ""}`;
		}
		return random.pick([
			"%",
			"_",
			"a",
			"b",
			"A",
			"k",
			"1",
			"|",
			"[ab]",
			"[^a]",
			"[a-c]",
			"\\%",
			"\\_",
			"\\\\",
			".",
			"^",
			"$",
			"a*",
			"b+",
			"_?",
			"%",
			"é",
			"\\d",
			'\\"',
			"[a\\]]",
			"[]a]",
			"(?",
			"{",
			" ",
		]);
	});
	return pieces.join("");
}

export function generateText(random: Random): string {
	const pool = random.chance(0.5) ? [..."aAbBk1 "] : CHARACTERS;
	return Array.from({ length: random.integer(0, 6) }, () => random.pick(pool)).join("");
}
