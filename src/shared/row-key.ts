/**
 * The key of a row: `"schema"."table"/"v1"/"v2"`, the same bytes in snapshot and log. Owns its form; must stay
 * the only place that builds one, as clients compare keys for equality. Called by the entry encoder.
 *
 * In names `/` is doubled and `.` is doubled; in values `/` is doubled; nothing else is changed, so a quote
 * stays a quote. NULL is a bare `_`. All of it then stands inside a JSON string and is escaped as such.
 */

import type { ByteWriter } from "./byte-writer.ts";
import { LENGTH_NULL, type Tuple } from "./tuple.ts";

const SLASH = 0x2f;
const UNDERSCORE = 0x5f;
const BACKSLASH = 0x5c;
const QUOTE = 0x22;

/** The part before the values, not JSON-escaped. */
export function relationKeyPrefix(schema: string, table: string): string {
	return `"${doubledName(schema)}"."${doubledName(table)}"`;
}

function doubledName(name: string): string {
	return name.replaceAll("/", "//").replaceAll(".", "..");
}

/** Appends `/"v1"/"v2"…` of the key columns at `positions`, JSON-escaped. Every value must be present or NULL. */
export function appendKeyValues(out: ByteWriter, tuple: Tuple, positions: Int32Array): void {
	for (let index = 0; index < positions.length; index += 1) {
		const column = positions[index] as number;
		const length = tuple.length[column] as number;
		out.reserve(6);
		if (length === LENGTH_NULL) {
			out.byte(SLASH);
			out.byte(UNDERSCORE);
			continue;
		}
		out.byte(SLASH);
		out.byte(BACKSLASH);
		out.byte(QUOTE);
		const start = tuple.start[column] as number;
		out.jsonKeyText(tuple.buffer, start, start + length);
		out.byte(BACKSLASH);
		out.byte(QUOTE);
	}
}
