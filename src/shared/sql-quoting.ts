/**
 * Names and texts for SQL where no parameter can stand: the replication connection speaks the simple query
 * protocol only, and names never are parameters. Pure. Must never be handed text that came from an HTTP client and
 * was not looked up or rebuilt. Called by the link, the registrar and the snapshot tasks.
 */

import { invariant } from "./assert.ts";

interface Qualified {
	readonly schema: string;
	readonly name: string;
}

/** A name, always quoted. Source: PostgreSQL manual, "Lexical Structure", 4.1.1. */
export function quoteIdentifier(name: string): string {
	invariant(!name.includes("\0"), "an identifier holds no NUL");
	return `"${name.replaceAll('"', '""')}"`;
}

export function quoteQualified(name: Qualified): string {
	return `${quoteIdentifier(name.schema)}.${quoteIdentifier(name.name)}`;
}

/** A table as messages to people spell it: not for SQL. */
export function displayQualified(name: Qualified): string {
	return `"${name.schema}"."${name.name}"`;
}

/** A string literal, whatever `standard_conforming_strings` is. Source: "Lexical Structure", 4.1.2. */
export function quoteLiteral(text: string): string {
	invariant(!text.includes("\0"), "a literal holds no NUL");
	const doubled = text.replaceAll("'", "''");
	return text.includes("\\") ? `E'${doubled.replaceAll("\\", "\\\\")}'` : `'${doubled}'`;
}
