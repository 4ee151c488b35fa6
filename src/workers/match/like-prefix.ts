/**
 * What a LIKE pattern says about how a text begins. Pure; must never promise more than the pattern does. Called by
 * registration.ts.
 */

import type { LiteralOperand } from "../../shared/where-tree.ts";
import type { Interval } from "./interval-map.ts";

/** The text that is the only one to match, or null when the pattern has a wildcard. */
export function exactText(pattern: string): string | null {
	const { text, rest } = beginning(pattern);
	return rest === "" ? text : null;
}

/** What every match begins with; `isWhole`: and whatever begins with it matches. */
export function literalPrefix(pattern: string): { readonly text: string; readonly isWhole: boolean } {
	const { text, rest } = beginning(pattern);
	return { text, isWhole: /^%+$/.test(rest) };
}

/** Up to the first wildcard, escapes resolved. */
function beginning(pattern: string): { readonly text: string; readonly rest: string } {
	let text = "";
	for (let at = 0; at < pattern.length; at += 1) {
		const character = pattern[at];
		if (character === "%" || character === "_") {
			return { text, rest: pattern.slice(at) };
		}
		at += character === "\\" ? 1 : 0;
		text += pattern[at] ?? "";
	}
	return { text, rest: "" };
}

const CODE_POINT_MAX = 0x10ffff;
const SURROGATES = { first: 0xd800, last: 0xdfff };

/** The texts that begin with `prefix`, in the order of their bytes; null when that is all of them. */
export function prefixInterval(prefix: string): Interval<LiteralOperand> | null {
	if (prefix === "") {
		return null;
	}
	const after = successor([...prefix]);
	return {
		low: { value: literal(prefix), inclusive: true },
		high: { value: after === null ? null : literal(after), inclusive: false },
	};
}

/** The least text above all that begin with these characters. UTF-8 is ordered as its characters are. */
function successor(characters: readonly string[]): string | null {
	for (let last = characters.length - 1; last >= 0; last -= 1) {
		const next = (characters[last]?.codePointAt(0) ?? 0) + 1;
		if (next <= CODE_POINT_MAX) {
			const character = String.fromCodePoint(next === SURROGATES.first ? SURROGATES.last + 1 : next);
			return characters.slice(0, last).join("") + character;
		}
	}
	return null;
}

function literal(text: string): LiteralOperand {
	return { kind: "literal", type: "text", text };
}
