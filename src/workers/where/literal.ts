/**
 * Constants: text into a typed constant in PostgreSQL's output form, and casts between constants. Pure; must
 * never let a value through whose meaning could differ between the two halves. Called by the checkers.
 */

import { IDENTIFIER_BYTES_MAX } from "../../shared/limits.ts";
import type { ScalarLiteral, ScalarType } from "../../shared/where-tree.ts";
import {
	canonicalFloat,
	canonicalInteger,
	canonicalNumeric,
	roundNumeric,
	trimSpace,
	withoutTrailing,
} from "./number-literal.ts";
import { canonicalTime, dateToTimestamp } from "./time-literal.ts";

/** The constant that the type's input function makes of `text`, or null when it would refuse it. */
export function literalFromText(text: string, type: ScalarType): ScalarLiteral | null {
	const canonical = canonicalText(text, type);
	return canonical === null ? null : { kind: "literal", type, text: canonical };
}

function canonicalText(text: string, type: ScalarType): string | null {
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
		case "json":
		case "jsonb":
		case "enum":
			return null;
	}
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
function truncateName(text: string): string {
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

/**
 * "unknown": there is no such cast here. "invalid": there is, but PostgreSQL would refuse this value.
 */
export type CastResult = ScalarLiteral | "unknown" | "invalid";

const INTEGERS: readonly ScalarType[] = ["int2", "int4", "int8"];
const TEXTS: readonly ScalarType[] = ["text", "varchar", "bpchar", "name"];
/** Output forms that do not depend on a setting and that the canonical text is. */
const PRINTABLE: readonly ScalarType[] = ["int2", "int4", "int8", "uuid"];

/** Casts a typed constant, explicitly. */
export function castLiteral(literal: ScalarLiteral, type: ScalarType): CastResult {
	const from = literal.type;
	if (from === type) {
		return literal;
	}
	const fromText = TEXTS.includes(from);
	if (fromText && TEXTS.includes(type)) {
		// Only these casts of bpchar go through rtrim1.
		const text = from === "bpchar" && type !== "name" ? withoutTrailing(literal.text, " ") : literal.text;
		return from === "bpchar" && type === "name" ? "unknown" : (literalFromText(text, type) ?? "invalid");
	}
	if (fromText) {
		return literalFromText(literal.text, type) ?? "invalid";
	}
	if (TEXTS.includes(type)) {
		if (from === "bool") {
			return { kind: "literal", type, text: literal.text === "t" ? "true" : "false" };
		}
		return PRINTABLE.includes(from) ? { kind: "literal", type, text: literal.text } : "unknown";
	}
	const fromInteger = INTEGERS.includes(from);
	if (fromInteger || from === "numeric") {
		if (INTEGERS.includes(type)) {
			const rounded = fromInteger ? literal.text : roundNumeric(literal.text);
			return (rounded === null ? null : literalFromText(rounded, type)) ?? "invalid";
		}
		if (type === "numeric" || type === "float4" || type === "float8") {
			return literalFromText(literal.text, type) ?? "invalid";
		}
	}
	if (from === "float4" && type === "float8") {
		return { kind: "literal", type, text: literal.text };
	}
	if (from === "int4" && type === "bool") {
		return { kind: "literal", type, text: literal.text === "0" ? "f" : "t" };
	}
	if (from === "bool" && type === "int4") {
		return { kind: "literal", type, text: literal.text === "t" ? "1" : "0" };
	}
	if (from === "date" && type === "timestamp") {
		const text = dateToTimestamp(literal.text);
		return text === null ? "invalid" : { kind: "literal", type, text };
	}
	return "unknown";
}
