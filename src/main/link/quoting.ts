/**
 * Quoting for the replication connection, which speaks the simple query protocol only: no parameters exist
 * there. Must never be handed text that came from an HTTP client. Called by the handshake and the stream.
 */

import { invariant } from "../../shared/assert.ts";

/** A quoted identifier. Source: PostgreSQL manual, "Lexical Structure", 4.1.1. */
export function quoteIdentifier(name: string): string {
	invariant(!name.includes("\0"), "an identifier holds no NUL");
	return `"${name.replaceAll('"', '""')}"`;
}

/** A string literal, whatever `standard_conforming_strings` is. Source: "Lexical Structure", 4.1.2. */
export function quoteLiteral(text: string): string {
	invariant(!text.includes("\0"), "a literal holds no NUL");
	const doubled = text.replaceAll("'", "''");
	return text.includes("\\") ? `E'${doubled.replaceAll("\\", "\\\\")}'` : `'${doubled}'`;
}
