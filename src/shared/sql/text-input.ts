/**
 * What an input function makes of a text: the constant's text in output form, or null when it refuses it. Owns the
 * input of bool, uuid and name, and the choice for all types. Pure; must accept nothing whose meaning
 * depends on a setting or on the time. Called for constants, and for casts of a row's text.
 */

import { IDENTIFIER_BYTES_MAX, WRITTEN_OUT_CHARACTERS_MAX } from "../limits.ts";
import type { ScalarType, ValueType } from "../where-tree.ts";
import { formatArrayText, parseArrayText } from "./array-text.ts";
import { elementTypeOf, isArrayType } from "./array-value.ts";
import { intervalFromText } from "./interval-input.ts";
import { formatJson, parseJson } from "./json-value.ts";
import { canonicalFloat, canonicalInteger, canonicalNumeric, trimSpace } from "./number-input.ts";
import { canonicalTime } from "./time-input.ts";

/** The text that the type's output function gives for the value of `text`, or null when it is not one. */
export function canonicalText(text: string, type: ValueType): string | null {
	if (isArrayType(type)) {
		return canonicalArray(text, elementTypeOf(type));
	}
	switch (type) {
		case "bool":
			return canonicalBoolean(text);
		case "int2":
		case "int4":
		case "int8":
			return canonicalInteger(text, type);
		case "float4":
		case "float8":
			return canonicalFloat(text, type);
		case "numeric":
			return canonicalNumeric(text);
		case "text":
		case "varchar":
		case "bpchar":
			return text;
		case "name":
			return truncateName(text);
		case "uuid":
			return canonicalUuid(text);
		case "date":
		case "time":
		case "timestamp":
		case "timestamptz":
			return canonicalTime(text, type);
		case "interval":
			return intervalFromText(text)?.toString() ?? null;
		case "json":
			return parseJson(text, false) === null ? null : text;
		case "jsonb": {
			const parsed = parseJson(text);
			return parsed === null ? null : formatJson(parsed.value);
		}
		case "enum":
			return null;
	}
}

function canonicalArray(text: string, elementType: ScalarType): string | null {
	const parsed = parseArrayText(text);
	if (parsed === null) {
		return null;
	}
	const elements: (string | null)[] = [];
	let writtenOut = 0;
	for (const element of parsed.elements) {
		const canonical = element === null ? null : canonicalText(element, elementType);
		if (element !== null && canonical === null) {
			return null;
		}
		writtenOut += Math.max(0, (canonical?.length ?? 0) - (element?.length ?? 0));
		if (writtenOut > WRITTEN_OUT_CHARACTERS_MAX) {
			return null;
		}
		elements.push(canonical);
	}
	return formatArrayText({ ...parsed, elements });
}

/** boolin: unique prefixes of true, false, yes, no, on, off; 1, 0. */
function canonicalBoolean(text: string): string | null {
	const word = trimSpace(text).toLowerCase();
	if (word === "") {
		return null;
	}
	if ("true".startsWith(word) || "yes".startsWith(word) || word === "on" || word === "1") {
		return "t";
	}
	const isFalse = "false".startsWith(word) || "no".startsWith(word) || word === "of" || word === "off" || word === "0";
	return isFalse ? "f" : null;
}

/** uuid_in: braces around it, and a hyphen after any group of four digits, are optional. */
function canonicalUuid(text: string): string | null {
	const match = /^\{?((?:[0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4})\}?$/.exec(text);
	if (match === null || text.startsWith("{") !== text.endsWith("}")) {
		return null;
	}
	const digits = (match[1] ?? "").replaceAll("-", "").toLowerCase();
	return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join(
		"-",
	);
}

/** namein cuts at 63 bytes, at a character's border. */
export function truncateName(text: string): string {
	const bytes = Buffer.from(text, "utf8");
	if (bytes.length <= IDENTIFIER_BYTES_MAX) {
		return text;
	}
	let end = IDENTIFIER_BYTES_MAX;
	while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) {
		end -= 1;
	}
	return bytes.toString("utf8", 0, end);
}
