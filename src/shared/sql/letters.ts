/**
 * Letters: their case, and LIKE and ILIKE as PostgreSQL matches them in a UTF-8 database (`_` is one character, `%`
 * any run of them, line breaks included, a backslash takes the next character literally). Pure. A pattern costs at
 * most its length times the text's, never more.
 */

import type { CaseFolding } from "../where-tree.ts";
import { UNEVALUABLE } from "./value.ts";

/** One character, or null for "any". */
type Piece = string | null;

/** A run between two `%`: characters and single wildcards. */
type Segment = readonly Piece[];

/** Makes the matcher of a pattern. It throws UNEVALUABLE when it comes to an escape at the pattern's end. */
export function likeMatcher(pattern: string, folding: CaseFolding | null): (text: string) => boolean {
	if (hasOpenEscape(pattern)) {
		const pieces = [...(folding === null ? pattern : foldCase(pattern, folding))];
		return (text) => matchSteps([...(folding === null ? text : foldCase(text, folding))], 0, pieces, 0) === "yes";
	}
	const segments = splitPattern(folding === null ? pattern : foldCase(pattern, folding));
	const literals = segments.map(literalOf);
	const match = literals.every((literal) => literal !== null)
		? (text: string) => matchLiterals(text, literals)
		: (text: string) => matchSegments([...text], segments);
	return folding === null ? match : (text) => match(foldCase(text, folding));
}

/** Folding does not touch backslash, `%` and `_`, so a pattern can be folded whole, as PostgreSQL does. */
function splitPattern(pattern: string): Segment[] {
	const segments: Piece[][] = [[]];
	const characters = [...pattern];
	for (let index = 0; index < characters.length; index += 1) {
		const character = characters[index] ?? "";
		if (character === "%") {
			segments.push([]);
		} else if (character === "_") {
			segments.at(-1)?.push(null);
		} else if (character === "\\") {
			index += 1;
			segments.at(-1)?.push(characters[index] ?? "");
		} else {
			segments.at(-1)?.push(character);
		}
	}
	return segments;
}

/** Whether the pattern ends with an escape that has nothing to escape. */
export function hasOpenEscape(pattern: string): boolean {
	let first = pattern.length;
	while (first > 0 && pattern[first - 1] === "\\") {
		first -= 1;
	}
	return (pattern.length - first) % 2 === 1;
}

/** "over": the text is used up, so no later start in it can match either. */
type Outcome = "yes" | "no" | "over";

/** Step by step as PostgreSQL's MatchText, for patterns that may fail on the way. @throws UNEVALUABLE */
function matchSteps(text: readonly string[], textAt: number, pattern: readonly string[], patternAt: number): Outcome {
	let [t, p] = [textAt, patternAt];
	for (; t < text.length && p < pattern.length; t += 1, p += 1) {
		const piece = pattern[p];
		if (piece === "%") {
			return matchRun(text, t, pattern, p + 1);
		}
		if (piece === "\\") {
			p += 1;
		}
		if (p >= pattern.length) {
			throw UNEVALUABLE;
		}
		if (piece !== "_" && pattern[p] !== text[t]) {
			return "no";
		}
	}
	if (t < text.length) {
		return "no";
	}
	while (pattern[p] === "%") {
		p += 1;
	}
	return p >= pattern.length ? "yes" : "over";
}

/** Behind a `%`. */
function matchRun(text: readonly string[], textAt: number, pattern: readonly string[], patternAt: number): Outcome {
	let [t, p] = [textAt, patternAt];
	for (; pattern[p] === "%" || pattern[p] === "_"; p += 1) {
		if (pattern[p] === "_") {
			if (t >= text.length) {
				return "over";
			}
			t += 1;
		}
	}
	if (p >= pattern.length) {
		return "yes";
	}
	const first = pattern[p] === "\\" ? pattern[p + 1] : pattern[p];
	if (first === undefined) {
		throw UNEVALUABLE;
	}
	for (; t < text.length; t += 1) {
		if (text[t] === first) {
			const outcome = matchSteps(text, t, pattern, p);
			if (outcome !== "no") {
				return outcome;
			}
		}
	}
	return "over";
}

function literalOf(segment: Segment): string | null {
	return segment.includes(null) ? null : segment.join("");
}

function matchLiterals(text: string, literals: readonly string[]): boolean {
	const first = literals[0] ?? "";
	if (literals.length === 1) {
		return text === first;
	}
	const last = literals.at(-1) ?? "";
	if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) {
		return false;
	}
	let position = first.length;
	const end = text.length - last.length;
	for (let index = 1; index < literals.length - 1; index += 1) {
		const literal = literals[index] ?? "";
		const found = text.indexOf(literal, position);
		if (found === -1 || found + literal.length > end) {
			return false;
		}
		position = found + literal.length;
	}
	return position <= end;
}

function matchSegments(text: readonly string[], segments: readonly Segment[]): boolean {
	const first = segments[0] ?? [];
	const last = segments.at(-1) ?? [];
	if (segments.length === 1) {
		return text.length === first.length && matchesAt(text, first, 0);
	}
	const end = text.length - last.length;
	if (end < first.length || !matchesAt(text, first, 0) || !matchesAt(text, last, end)) {
		return false;
	}
	let position = first.length;
	for (let index = 1; index < segments.length - 1; index += 1) {
		const segment = segments[index] ?? [];
		while (position + segment.length <= end && !matchesAt(text, segment, position)) {
			position += 1;
		}
		if (position + segment.length > end) {
			return false;
		}
		position += segment.length;
	}
	return true;
}

function matchesAt(text: readonly string[], segment: Segment, position: number): boolean {
	for (let index = 0; index < segment.length; index += 1) {
		const piece = segment[index];
		if (piece !== null && piece !== text[position + index]) {
			return false;
		}
	}
	return true;
}

/** The language whose rules a folding follows, "" where they are nobody's own. */
function languageOf(folding: Exclude<CaseFolding, "ascii" | "unicode">): string {
	return folding.slice("full:".length);
}

/** Lower case. */
export function foldCase(text: string, folding: CaseFolding): string {
	if (folding === "ascii") {
		return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
	}
	if (folding !== "unicode") {
		const language = languageOf(folding);
		return language === "" ? text.toLowerCase() : text.toLocaleLowerCase(language);
	}
	// Only these two depend on their neighbours, or become two characters, in the language's own mapping.
	return /[\u0130\u03a3]/.test(text)
		? text.replaceAll("\u0130", "i").replaceAll("\u03a3", "\u03c3").toLowerCase()
		: text.toLowerCase();
}

/** Upper case. Where each character folds on its own, one whose upper case is several keeps to its simple mapping. */
export function raiseCase(text: string, folding: CaseFolding): string {
	if (folding === "ascii") {
		return text.replace(/[a-z]+/g, (letters) => letters.toUpperCase());
	}
	if (folding !== "unicode") {
		const language = languageOf(folding);
		return language === "" ? text.toUpperCase() : text.toLocaleUpperCase(language);
	}
	const whole = text.toUpperCase();
	if (whole.length === text.length && !SPECIAL_UPPER.test(text)) {
		return whole;
	}
	return [...text].map(simpleUpper).join("");
}

/** Letters whose simple upper case is not what the language gives, or is several characters there. */
const SPECIAL_UPPER = /\u0345|[\u00df\u0149\u01f0\u0390\u03b0\u0587\u1e96-\u1e9a\u1f50-\u1ffc\ufb00-\ufb17]/;

/** Greek letters with an iota below have one upper case letter, the one with the iota beside. */
function simpleUpper(character: string): string {
	const upper = character.toUpperCase();
	if ([...upper].length === 1) {
		return upper;
	}
	const title = TITLE_CASE.get(character);
	return title ?? character;
}

/** By Unicode's simple mapping (UnicodeData.txt). */
const TITLE_CASE: ReadonlyMap<string, string> = new Map(
	[
		...[0x1f80, 0x1f90, 0x1fa0].flatMap((first) =>
			Array.from({ length: 8 }, (_, index) => [first + index, first + index + 8]),
		),
		[0x1fb3, 0x1fbc],
		[0x1fc3, 0x1fcc],
		[0x1ff3, 0x1ffc],
	].map(([from = 0, to = 0]) => [String.fromCodePoint(from), String.fromCodePoint(to)]),
);
