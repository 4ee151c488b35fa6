/**
 * PostgreSQL's grammar at work: a wrapped text becomes tokens and a syntax tree, or a refusal that says where. Owns
 * the calls of `libpg-query` (PostgreSQL's own parser, compiled to WebAssembly); must never judge what a tree holds.
 * Called by where-parser.ts and order-by.ts.
 */

import { hasSqlDetails, parseSync, scanSync } from "libpg-query";
import { WhereRefusal } from "./refusal.ts";
import { isRecord, listField } from "./syntax-node.ts";

/** PostgreSQL's text holds neither NUL nor half a surrogate pair; the parser would cut or replace them. */
export function isStorableText(text: string): boolean {
	return !text.includes("\0") && text.isWellFormed();
}

/** The tokens, or null when the scanner fails: then the parser fails too, and says where. */
export function scan(wrapped: string): ReturnType<typeof scanSync>["tokens"] | null {
	try {
		return scanSync(wrapped).tokens;
	} catch {
		return null;
	}
}

/** The statements of the text: one, unless something was smuggled in. @throws WhereRefusal */
export function parseSelects(wrapped: string): readonly (Readonly<Record<string, unknown>> | null)[] {
	const result = parse(wrapped);
	return (isRecord(result) ? listField(result, "stmts") : []).map((statement) => {
		const body = isRecord(statement) && isRecord(statement["stmt"]) ? statement["stmt"]["SelectStmt"] : undefined;
		return isRecord(body) ? body : null;
	});
}

function parse(wrapped: string): unknown {
	try {
		return parseSync(wrapped);
	} catch (error) {
		if (hasSqlDetails(error)) {
			// The parser counts characters, from 0 here; at the end of the input it points behind the text.
			const before = [...wrapped].slice(0, error.sqlDetails?.cursorPosition ?? 0).join("");
			throw new WhereRefusal(error.message, Buffer.byteLength(before));
		}
		throw new WhereRefusal("the expression is too complex", null);
	}
}
