/**
 * LIKE and ILIKE as PostgreSQL matches them in a UTF-8 database: `_` is one character, `%` any run of them, line
 * breaks included, a backslash takes the next character literally. Pure. A pattern costs at most its length times
 * the text's, never more. Called by compile.ts.
 */

import type { CaseFolding } from "../../shared/where-tree.ts";

/** One character, or null for "any". */
type Piece = string | null;

/** A run between two `%`: characters and single wildcards. */
type Segment = readonly Piece[];

/** Makes the matcher of a constant pattern. */
export function compileLike(pattern: string, folding: CaseFolding | null): (text: string) => boolean {
	const segments = splitPattern(folding === null ? pattern : fold(pattern, folding));
	const literals = segments.map(literalOf);
	const match = literals.every((literal) => literal !== null)
		? (text: string) => matchLiterals(text, literals)
		: (text: string) => matchSegments([...text], segments);
	return folding === null ? match : (text) => match(fold(text, folding));
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

/** Lower case, each character on its own. */
export function fold(text: string, folding: CaseFolding): string {
	if (folding === "ascii") {
		return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
	}
	// Only these two depend on their neighbours, or become two characters, in the language's own mapping.
	return /[\u0130\u03a3]/.test(text)
		? text.replaceAll("\u0130", "i").replaceAll("\u03a3", "\u03c3").toLowerCase()
		: text.toLowerCase();
}
