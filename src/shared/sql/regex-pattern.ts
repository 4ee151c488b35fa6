/**
 * PostgreSQL's regular expressions (the "advanced" ones of `~`), as far as what they match is the same whatever the
 * locale and whichever engine matches: characters, sets, groups, alternatives, repetitions, anchors. Owns that list;
 * must refuse everything else by name. Pure. Called by the where room, which refuses patterns, and by the evaluator,
 * which makes a machine (regex-machine.ts) of them.
 *
 * Two promises of the callers: the database is UTF-8, and the SQL half is pinned to COLLATE "C", where \d, \w and \s
 * are ASCII and only A to Z have two cases.
 */

import { REGEX_PATTERN_CHARACTERS_MAX, REGEX_STATES_MAX } from "../limits.ts";

/** First and last code point. */
export type CodeRange = readonly [number, number];

export type RegexNode =
	/** One character of the set; ranges are sorted and do not touch. */
	| { readonly kind: "set"; readonly ranges: readonly CodeRange[] }
	| { readonly kind: "begin" | "end" }
	| { readonly kind: "sequence" | "choice"; readonly nodes: readonly RegexNode[] }
	/** `max` null: without end. */
	| { readonly kind: "repeat"; readonly node: RegexNode; readonly min: number; readonly max: number | null };

export interface RegexOptions {
	/** `~*`: A to Z match in both cases. */
	readonly ignoresCase: boolean;
	/** Letters beyond ASCII may have two cases in this database, and \d, \w, \s may hold more than ASCII. */
	readonly isUnicode: boolean;
}

const LAST_CODE_POINT = 0x10_ffff;
/** PostgreSQL's DUPMAX. */
const REPETITIONS_MAX = 255;

export type ParsedRegex = { readonly node: RegexNode } | { readonly refusal: string };

/** Parses a pattern, or says which construct is not supported (a noun phrase). */
export function parseRegex(pattern: string, options: RegexOptions): ParsedRegex {
	const characters = [...pattern];
	if (characters.length > REGEX_PATTERN_CHARACTERS_MAX) {
		return { refusal: `a pattern of more than ${REGEX_PATTERN_CHARACTERS_MAX} characters` };
	}
	try {
		const node = new PatternParser(characters, options).parse();
		return statesOf(node) > REGEX_STATES_MAX
			? { refusal: `a pattern that takes more than ${REGEX_STATES_MAX} states once its repetitions are written out` }
			: { node };
	} catch (error) {
		if (error instanceof RegexRefusal) {
			return { refusal: error.message };
		}
		throw error;
	}
}

class RegexRefusal extends Error {
	override readonly name = "RegexRefusal";
}

function refuse(what: string): never {
	throw new RegexRefusal(what);
}

/** States of the machine. Infinity would be an answer too: repetitions multiply. */
function statesOf(node: RegexNode): number {
	switch (node.kind) {
		case "set":
		case "begin":
		case "end":
			return 2;
		case "sequence":
		case "choice":
			return node.nodes.reduce((sum, child) => sum + statesOf(child), 2);
		case "repeat":
			return statesOf(node.node) * Math.max(node.min, node.max ?? node.min + 1, 1) + 2;
	}
}

const DIGITS: readonly CodeRange[] = [[0x30, 0x39]];
const WORD: readonly CodeRange[] = [
	[0x30, 0x39],
	[0x41, 0x5a],
	[0x5f, 0x5f],
	[0x61, 0x7a],
];
const SPACE: readonly CodeRange[] = [
	[0x09, 0x0d],
	[0x20, 0x20],
];
const SHORTHANDS: Readonly<Record<string, readonly CodeRange[]>> = { d: DIGITS, w: WORD, s: SPACE };

/** Escapes of one character that are not the character itself. `\b` is a backspace, `\B` a backslash. */
const CHARACTER_ESCAPES: Readonly<Record<string, number>> = {
	a: 0x07,
	b: 0x08,
	B: 0x5c,
	e: 0x1b,
	f: 0x0c,
	n: 0x0a,
	r: 0x0d,
	t: 0x09,
	v: 0x0b,
};

type Escape = { readonly code: number } | { readonly ranges: readonly CodeRange[]; readonly shorthand: string };

class PatternParser {
	readonly #characters: readonly string[];
	readonly #options: RegexOptions;
	#at = 0;

	constructor(characters: readonly string[], options: RegexOptions) {
		this.#characters = characters;
		this.#options = options;
	}

	parse(): RegexNode {
		if (this.#characters.slice(0, 3).join("") === "***") {
			refuse("a director (***)");
		}
		const node = this.#choice();
		if (this.#at < this.#characters.length) {
			refuse("a ) without its (");
		}
		return node;
	}

	#peek(offset = 0): string | undefined {
		return this.#characters[this.#at + offset];
	}

	#choice(): RegexNode {
		const branches = [this.#branch()];
		while (this.#peek() === "|") {
			this.#at += 1;
			branches.push(this.#branch());
		}
		const [only] = branches;
		return branches.length === 1 && only !== undefined ? only : { kind: "choice", nodes: branches };
	}

	#branch(): RegexNode {
		const nodes: RegexNode[] = [];
		for (let next = this.#peek(); next !== undefined && next !== "|" && next !== ")"; next = this.#peek()) {
			nodes.push(this.#piece());
		}
		return { kind: "sequence", nodes };
	}

	#piece(): RegexNode {
		const atom = this.#atom();
		const bounds = this.#quantifier();
		if (bounds === null) {
			return atom;
		}
		if (atom.kind === "begin" || atom.kind === "end") {
			refuse("a repetition of an anchor");
		}
		// Greedy or not: only whether there is a match counts.
		if (this.#peek() === "?") {
			this.#at += 1;
		}
		if (this.#quantifier() !== null) {
			refuse("a repetition of a repetition");
		}
		return { kind: "repeat", node: atom, ...bounds };
	}

	#quantifier(): { readonly min: number; readonly max: number | null } | null {
		switch (this.#peek()) {
			case "*":
				this.#at += 1;
				return { min: 0, max: null };
			case "+":
				this.#at += 1;
				return { min: 1, max: null };
			case "?":
				this.#at += 1;
				return { min: 0, max: 1 };
			case "{":
				return this.#bound();
			default:
				return null;
		}
	}

	#bound(): { readonly min: number; readonly max: number | null } {
		const match = /^\{([0-9]{1,3})(?:(,)([0-9]{1,3})?)?\}/.exec(
			this.#characters.slice(this.#at, this.#at + 9).join(""),
		);
		if (match === null) {
			return refuse("a { that does not begin a bound such as {2,3} (write \\{)");
		}
		const min = Number(match[1]);
		const max = match[2] === undefined ? min : match[3] === undefined ? null : Number(match[3]);
		if (min > REPETITIONS_MAX || (max !== null && (max > REPETITIONS_MAX || max < min))) {
			refuse("a bound that is not between 0 and 255, or in the wrong order");
		}
		this.#at += match[0].length;
		return { min, max };
	}

	#atom(): RegexNode {
		const character = this.#peek() ?? "";
		this.#at += 1;
		switch (character) {
			case "(":
				return this.#group();
			case "[":
				return { kind: "set", ranges: this.#bracket() };
			case ".":
				return { kind: "set", ranges: [[0, LAST_CODE_POINT]] };
			case "^":
				return { kind: "begin" };
			case "$":
				return { kind: "end" };
			case "*":
			case "+":
			case "?":
				return refuse(`a ${character} that repeats nothing`);
			case "{":
				return refuse("a { that repeats nothing (write \\{)");
			case "\\":
				return this.#escapedAtom();
			default:
				return { kind: "set", ranges: this.#caseless([codeRange(this.#literal(character))]) };
		}
	}

	#group(): RegexNode {
		if (this.#peek() === "?") {
			if (this.#peek(1) !== ":") {
				refuse("a group that begins with (? and not with (?: (lookaround, options, comments)");
			}
			this.#at += 2;
		}
		const node = this.#choice();
		if (this.#peek() !== ")") {
			refuse("a ( without its )");
		}
		this.#at += 1;
		return node;
	}

	#escapedAtom(): RegexNode {
		const letter = this.#peek();
		if (letter === "A" || letter === "Z") {
			this.#at += 1;
			return { kind: letter === "A" ? "begin" : "end" };
		}
		const escaped = this.#escape();
		return "code" in escaped
			? { kind: "set", ranges: this.#caseless([codeRange(escaped.code)]) }
			: { kind: "set", ranges: escaped.ranges };
	}

	/** What follows a backslash. */
	#escape(): Escape {
		const letter = this.#peek();
		if (letter === undefined) {
			return refuse("a \\ at the end");
		}
		this.#at += 1;
		const shorthand = Object.hasOwn(SHORTHANDS, letter.toLowerCase()) ? SHORTHANDS[letter.toLowerCase()] : undefined;
		if (shorthand !== undefined) {
			if (this.#options.isUnicode) {
				const written = { d: "[0-9]", w: "[0-9A-Za-z_]", s: "[ \\t\\n\\v\\f\\r]" }[letter.toLowerCase()] ?? "";
				refuse(`\\${letter}, which depends on the database's locale (write out ${written})`);
			}
			return { ranges: letter === letter.toLowerCase() ? shorthand : complement(shorthand), shorthand: letter };
		}
		const code = Object.hasOwn(CHARACTER_ESCAPES, letter) ? CHARACTER_ESCAPES[letter] : undefined;
		if (code !== undefined) {
			return { code };
		}
		if (letter === "u" || letter === "U") {
			return { code: this.#hexadecimal(letter === "u" ? 4 : 8, letter) };
		}
		// A backslash before anything that is not a letter or digit means that character.
		if (/^[0-9A-Za-z]$/.test(letter) || letter.length > 1 || letter > "~" || letter < " ") {
			refuse(`the escape \\${letter}`);
		}
		return { code: this.#literal(letter) };
	}

	#hexadecimal(digits: number, letter: string): number {
		const text = this.#characters.slice(this.#at, this.#at + digits).join("");
		const code = /^[0-9A-Fa-f]+$/.test(text) && text.length === digits ? Number.parseInt(text, 16) : 0;
		if (code === 0 || code > LAST_CODE_POINT || (code >= 0xd800 && code <= 0xdfff)) {
			refuse(`the escape \\${letter}${text}`);
		}
		this.#at += digits;
		return this.#checked(code);
	}

	#literal(character: string): number {
		return this.#checked(character.codePointAt(0) ?? 0);
	}

	#checked(code: number): number {
		if (code > 0x7f && this.#options.ignoresCase && this.#options.isUnicode) {
			refuse("a character beyond ASCII where case is ignored");
		}
		return code;
	}

	/** From behind `[` past its `]`. */
	#bracket(): readonly CodeRange[] {
		const negated = this.#peek() === "^";
		this.#at += negated ? 1 : 0;
		const ranges: CodeRange[] = [];
		for (let isFirst = true; ; isFirst = false) {
			const character = this.#peek();
			if (character === undefined) {
				return refuse("a [ without its ]");
			}
			if (character === "]" && !isFirst) {
				this.#at += 1;
				break;
			}
			if (character === "-" && !isFirst && this.#peek(1) !== "]") {
				refuse("a - in the middle of a set (put it first)");
			}
			ranges.push(...this.#bracketItem());
		}
		const caseless = this.#caseless(ranges);
		return negated ? complement(caseless) : normalized(caseless);
	}

	#bracketItem(): readonly CodeRange[] {
		const first = this.#bracketCharacter();
		if (this.#peek() !== "-" || this.#peek(1) === "]" || this.#peek(1) === undefined) {
			return "code" in first ? [codeRange(first.code)] : first.ranges;
		}
		this.#at += 1;
		const last = this.#bracketCharacter();
		if (!("code" in first) || !("code" in last) || first.code > last.code) {
			return refuse("a range in a set that has no first and last character in this order");
		}
		return [[first.code, last.code]];
	}

	#bracketCharacter(): Escape {
		const character = this.#peek() ?? "";
		const next = this.#peek(1);
		this.#at += 1;
		if (character === "[" && (next === ":" || next === "." || next === "=")) {
			refuse(`a set with [${next}, which depends on the database's locale`);
		}
		if (character !== "\\") {
			return { code: this.#literal(character) };
		}
		const escaped = this.#escape();
		if ("shorthand" in escaped && escaped.shorthand !== escaped.shorthand.toLowerCase()) {
			refuse(`\\${escaped.shorthand} in a set`);
		}
		return escaped;
	}

	/** With the other case of each ASCII letter, where case is ignored. */
	#caseless(ranges: readonly CodeRange[]): readonly CodeRange[] {
		if (!this.#options.ignoresCase) {
			return ranges;
		}
		const others = ranges.flatMap((range) => [shifted(range, 0x41, 0x5a, 0x20), shifted(range, 0x61, 0x7a, -0x20)]);
		return normalized([...ranges, ...others.filter((range) => range !== null)]);
	}
}

function codeRange(code: number): CodeRange {
	return [code, code];
}

/** The part of a range that lies in `[low, high]`, moved. */
function shifted([first, last]: CodeRange, low: number, high: number, by: number): CodeRange | null {
	const [from, to] = [Math.max(first, low), Math.min(last, high)];
	return from > to ? null : [from + by, to + by];
}

function normalized(ranges: readonly CodeRange[]): readonly CodeRange[] {
	const result: [number, number][] = [];
	for (const [first, last] of [...ranges].sort((left, right) => left[0] - right[0])) {
		const previous = result.at(-1);
		if (previous !== undefined && first <= previous[1] + 1) {
			previous[1] = Math.max(previous[1], last);
		} else {
			result.push([first, last]);
		}
	}
	return result;
}

function complement(ranges: readonly CodeRange[]): readonly CodeRange[] {
	const result: CodeRange[] = [];
	let next = 0;
	for (const [first, last] of normalized(ranges)) {
		if (first > next) {
			result.push([next, first - 1]);
		}
		next = last + 1;
	}
	return next > LAST_CODE_POINT ? result : [...result, [next, LAST_CODE_POINT]];
}
