/**
 * Reads a comma list of SQL identifiers as `columns` and `queryable_columns` spell it: the checks of the cast
 * stage (shape-http-api.md 4). Pure. The registrar reads the same text again against the table.
 */

import { IDENTIFIER_BYTES_MAX } from "../../shared/limits.ts";

export type IdentifierList =
	| { readonly ok: true; readonly names: readonly string[] }
	| { readonly ok: false; readonly message: string };

const UNQUOTED = /^[\p{L}_][\p{L}\p{M}_0-9$]*$/u;

/** Commas inside double quotes are literal. */
export function parseIdentifierList(text: string): IdentifierList {
	const names: string[] = [];
	for (const part of splitOutsideQuotes(text)) {
		const result = parseIdentifier(part);
		if (!result.ok) {
			return result;
		}
		names.push(result.name);
	}
	return { ok: true, names };
}

function splitOutsideQuotes(text: string): string[] {
	const parts: string[] = [];
	let start = 0;
	let quoted = false;
	for (let index = 0; index < text.length; index += 1) {
		const character = text[index];
		if (character === '"') {
			quoted = !quoted;
		} else if (character === "," && !quoted) {
			parts.push(text.slice(start, index));
			start = index + 1;
		}
	}
	parts.push(text.slice(start));
	return parts;
}

type Identifier = { readonly ok: true; readonly name: string } | { readonly ok: false; readonly message: string };

function parseIdentifier(text: string): Identifier {
	let name: string;
	if (text.length >= 2 && text.startsWith('"') && text.endsWith('"')) {
		const inner = text.slice(1, -1);
		if (inner.replaceAll('""', "").includes('"')) {
			return { ok: false, message: `Invalid identifier with unescaped quote: ${inner}` };
		}
		name = inner.replaceAll('""', '"');
	} else {
		if (text !== "" && !UNQUOTED.test(text)) {
			return { ok: false, message: `Invalid unquoted identifier contains special characters: ${text}` };
		}
		name = text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
	}
	if (name === "") {
		return { ok: false, message: "Invalid zero-length delimited identifier" };
	}
	if (Buffer.byteLength(name) > IDENTIFIER_BYTES_MAX) {
		return { ok: false, message: `Identifier is too long (max length is ${IDENTIFIER_BYTES_MAX})` };
	}
	return { ok: true, name };
}
