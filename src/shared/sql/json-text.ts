/**
 * The `json` type: a value is its text as it was written, blanks and doubled keys included. Owns finding a part of
 * such a text without changing it. Pure; throws UNEVALUABLE for a text that PostgreSQL's json operators refuse
 * (`\u0000`, half a surrogate pair). Called by whoever evaluates an expression.
 */

import { pathIndex } from "./json-operations.ts";
import { JsonReader, type JsonValue, parseJson } from "./json-value.ts";
import { UNEVALUABLE } from "./value.ts";

/** `j -> 'key'`: of several equal keys the last one counts; null when there is none. */
export function jsonTextMember(text: string, key: string): string | null {
	return partOf(text, (reader) => {
		if (firstCharacter(text, reader) !== "{") {
			return null;
		}
		let found: string | null = null;
		reader.readMembers((name) => {
			const part = readPart(text, reader);
			found = name === key ? part : found;
		});
		return found;
	});
}

/** `j -> n`: a negative index counts from the end; null when there is no such item. */
export function jsonTextItem(text: string, index: number): string | null {
	return partOf(text, (reader) => {
		if (firstCharacter(text, reader) !== "[") {
			return null;
		}
		const parts: string[] = [];
		reader.readItems(() => parts.push(readPart(text, reader)));
		return parts[index < 0 ? parts.length + index : index] ?? null;
	});
}

/** `j #> path`. A NULL in the path gives NULL. */
export function jsonTextAtPath(text: string, path: readonly (string | null)[]): string | null {
	if (path.includes(null)) {
		return null;
	}
	let current: string | null = partOf(text, (reader) => readPart(text, reader));
	for (const step of path) {
		if (current === null || step === null) {
			return null;
		}
		const isObject = current.startsWith("{");
		const index: number | null = isObject ? null : pathIndex(step);
		current = isObject ? jsonTextMember(current, step) : index === null ? null : jsonTextItem(current, index);
	}
	return current;
}

/** What `->>` gives for a part: a string's content, NULL for null, else the text as written. */
export function jsonTextContent(part: string | null): string | null {
	if (part === null || part === "null") {
		return null;
	}
	return part.startsWith('"') ? String(readWhole(part)) : part;
}

function readWhole(text: string): JsonValue {
	const parsed = parseJson(text, false);
	if (parsed === null) {
		throw UNEVALUABLE;
	}
	return parsed.value;
}

/** Reads a part only when the whole text is one that can be read. */
function partOf<T>(text: string, read: (reader: JsonReader) => T): T {
	readWhole(text);
	return read(new JsonReader(text, false));
}

function firstCharacter(text: string, reader: JsonReader): string | undefined {
	reader.skipSpace();
	return text[reader.at];
}

function readPart(text: string, reader: JsonReader): string {
	reader.skipSpace();
	const start = reader.at;
	reader.readValue(0);
	return text.slice(start, reader.at);
}
