/**
 * Identifiers as clients spell them in `table`, `columns` and `queryable_columns`. Owns the splitting, the folding
 * and the messages (shape-http-api.md 4), so that both stages of a request's check agree; must never look at the
 * database. Called by the HTTP threads' parameters and by the registrar.
 */

import { IDENTIFIER_BYTES_MAX } from "./limits.ts";

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string };

export interface QualifiedName {
	readonly schema: string;
	readonly name: string;
}

/** As PostgreSQL's scanner has it: every character beyond ASCII counts as a letter. Source: `scan.l`, identifier. */
const UNQUOTED = /^[A-Za-z_\u0080-\u{10ffff}][A-Za-z0-9_$\u0080-\u{10ffff}]*$/u;
const DEFAULT_SCHEMA = "public";

function failed(message: string): { readonly ok: false; readonly message: string } {
	return { ok: false, message };
}

/**
 * One identifier. Unquoted: ASCII letters are lower-cased, as PostgreSQL does in every multibyte encoding. Quoted: the
 * case is kept and `""` stands for a quote.
 */
export function parseIdentifier(text: string): Parsed<string> {
	const quoted = text.length >= 2 && text.startsWith('"') && text.endsWith('"');
	const inner = quoted ? text.slice(1, -1) : text;
	if (inner === "") {
		return failed("Invalid zero-length delimited identifier");
	}
	if (!quoted) {
		if (!UNQUOTED.test(inner)) {
			return failed(`Invalid unquoted identifier contains special characters: ${inner}`);
		}
		return bounded(inner.replace(/[A-Z]/g, (letter) => letter.toLowerCase()));
	}
	if (inner.replaceAll('""', "").includes('"')) {
		return failed(`Invalid identifier with unescaped quote: ${inner}`);
	}
	// PostgreSQL cannot hold a NUL in a name; refusing it here keeps it out of SQL.
	if (inner.includes("\0")) {
		return failed(`Invalid identifier with unescaped quote: ${inner.replaceAll("\0", "\\0")}`);
	}
	return bounded(inner.replaceAll('""', '"'));
}

function bounded(name: string): Parsed<string> {
	return Buffer.byteLength(name) > IDENTIFIER_BYTES_MAX
		? failed(`Identifier is too long (max length is ${IDENTIFIER_BYTES_MAX})`)
		: { ok: true, value: name };
}

/** `name` or `schema.name`; the schema defaults to `public`. */
export function parseTableName(text: string): Parsed<QualifiedName> {
	const [first, second, ...rest] = splitOutsideQuotes(text, ".");
	if (first === undefined || rest.length > 0) {
		return failed(`Invalid relation identifier, too many delimiters: ${text}`);
	}
	const schema: Parsed<string> = second === undefined ? { ok: true, value: DEFAULT_SCHEMA } : parseIdentifier(first);
	if (!schema.ok) {
		return schema;
	}
	const name = parseIdentifier(second ?? first);
	return name.ok ? { ok: true, value: { schema: schema.value, name: name.value } } : name;
}

/** A comma list of identifiers, in the client's order and without repetitions. */
export function parseIdentifierList(text: string): Parsed<readonly string[]> {
	const names = new Set<string>();
	for (const part of splitOutsideQuotes(text, ",")) {
		const name = parseIdentifier(part);
		if (!name.ok) {
			return name;
		}
		names.add(name.value);
	}
	return { ok: true, value: [...names] };
}

function splitOutsideQuotes(text: string, delimiter: string): string[] {
	const parts: string[] = [];
	let inQuotes = false;
	let from = 0;
	for (let index = 0; index < text.length; index += 1) {
		const character = text[index];
		if (character === '"') {
			inQuotes = !inQuotes;
		} else if (character === delimiter && !inQuotes) {
			parts.push(text.slice(from, index));
			from = index + 1;
		}
	}
	parts.push(text.slice(from));
	return parts;
}
