/**
 * jsonb as a value of an expression. Owns the class; what is done with documents is in json-operations.ts. Called by
 * whoever evaluates an expression, and for constants.
 */

import { readJson } from "./json-operations.ts";
import { formatJson, type JsonValue } from "./json-value.ts";
import type { SqlObject, SqlValue } from "./value.ts";

export class SqlJson implements SqlObject {
	readonly sqlKind = "jsonb";
	readonly value: JsonValue;

	constructor(value: JsonValue) {
		this.value = value;
	}

	/** jsonb_out. */
	toString(): string {
		return formatJson(this.value);
	}
}

/** @throws UNEVALUABLE when the text is not JSON, or beyond the limits */
export function readJsonb(text: string): SqlValue {
	return new SqlJson(readJson(text));
}
