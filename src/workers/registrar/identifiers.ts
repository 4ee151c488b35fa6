/**
 * Identifiers as clients spell them in `table` and `columns`, and as SQL needs them. Owns the splitting,
 * folding and the messages (HTTP reference, section 4); must never look at the database. Called by
 * shape-request and by everything that writes a name into SQL.
 */

import { IDENTIFIER_BYTES_MAX } from "../../shared/limits.ts";

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string };

export interface QualifiedName {
	readonly schema: string;
	readonly name: string;
}

const UNQUOTED = /^[A-Za-z_][A-Za-z0-9_]*$/;
const DEFAULT_SCHEMA = "public";

function failed(message: string): { readonly ok: false; readonly message: string } {
	return { ok: false, message };
}

/** One identifier: unquoted ASCII is lower-cased, a quoted one keeps its case and `""` stands for a quote. */
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
	const parts = splitOutsideQuotes(text, ".");
	const [first, second, ...rest] = parts;
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
export function parseColumnList(text: string): Parsed<readonly string[]> {
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

/** A name for SQL: always quoted, quotes doubled. Source: PostgreSQL `quote_ident`. */
export function quoteIdentifier(name: string): string {
	return `"${name.replaceAll('"', '""')}"`;
}

export function quoteQualified(name: QualifiedName): string {
	return `${quoteIdentifier(name.schema)}.${quoteIdentifier(name.name)}`;
}

/** A table as messages to clients spell it. */
export function displayQualified(name: QualifiedName): string {
	return `"${name.schema}"."${name.name}"`;
}
