/**
 * SIMILAR TO: SQL's patterns, rewritten into the regular expression that PostgreSQL makes of them. Owns the part of
 * similar_to_escape that all versions do alike; must refuse the rest (separators `\"`, odd sets). Pure. Called by the
 * where room, before regex-pattern.ts looks at the result.
 */

export type RewrittenPattern = { readonly pattern: string } | { readonly refusal: string };

/** The regular expression for a pattern whose escape character is the backslash. */
export function similarToRegex(pattern: string): RewrittenPattern {
	const characters = [...pattern];
	let result = "";
	for (let index = 0; index < characters.length; index += 1) {
		const character = characters[index] ?? "";
		switch (character) {
			case "\\": {
				index += 1;
				const escaped = characters[index];
				if (escaped === undefined) {
					return { refusal: "a \\ at the end" };
				}
				if (escaped === '"') {
					return { refusal: 'the separator \\"' };
				}
				result += `\\${escaped}`;
				break;
			}
			case "[": {
				const end = setEnd(characters, index);
				if (end === null) {
					return { refusal: "a set with [, ] or \\ in it" };
				}
				result += characters.slice(index, end).join("");
				index = end - 1;
				break;
			}
			case "%":
				result += ".*";
				break;
			case "_":
				result += ".";
				break;
			case "(":
				result += "(?:";
				break;
			case ".":
			case "^":
			case "$":
				result += `\\${character}`;
				break;
			default:
				result += character;
		}
	}
	return { pattern: `^(?:${result})$` };
}

/** The end of a set that holds none of `[`, `]`, `\`; or null. */
function setEnd(characters: readonly string[], start: number): number | null {
	const first = characters[start + 1] === "^" ? start + 2 : start + 1;
	for (let index = first; index < characters.length; index += 1) {
		const character = characters[index];
		if (character === "]") {
			return index > first ? index + 1 : null;
		}
		if (character === "[" || character === "\\") {
			return null;
		}
	}
	return null;
}
