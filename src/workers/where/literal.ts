/**
 * Constants: text into a typed constant in PostgreSQL's output form, and casts between constants. Pure; must
 * never let a value through whose meaning could differ between the two halves. Called by the checkers.
 */

import { castOf } from "../../shared/sql/casts.ts";
import { readerOf, valueText } from "../../shared/sql/text-form.ts";
import { canonicalText } from "../../shared/sql/text-input.ts";
import { type SqlValue, UNEVALUABLE } from "../../shared/sql/value.ts";
import type { LiteralOperand, ValueType } from "../../shared/where-tree.ts";

/** The constant that the type's input function makes of `text`, or null when it would refuse it. */
export function literalFromText(text: string, type: ValueType): LiteralOperand | null {
	const canonical = canonicalText(text, type);
	return canonical === null ? null : { kind: "literal", type, text: canonical };
}

/** The value of a constant. */
export function valueOfLiteral(literal: LiteralOperand): SqlValue {
	const bytes = Buffer.from(literal.text, "utf8");
	return readerOf(literal.type)(bytes, 0, bytes.length);
}

/** @throws UNEVALUABLE for a value that PostgreSQL can compute but not read: rounded beyond the range of its type */
export function literalOfValue(value: SqlValue, type: ValueType): LiteralOperand {
	const text = valueText(value, type);
	if ((type === "timestamp" || type === "timestamptz") && canonicalText(text, type) === null) {
		throw UNEVALUABLE;
	}
	return { kind: "literal", type, text };
}

/**
 * "unknown": there is no such cast here. "invalid": there is, but PostgreSQL would refuse this value.
 */
export type CastResult = LiteralOperand | "unknown" | "invalid" | null;

const TEXTS: readonly ValueType[] = ["text", "varchar", "bpchar", "name"];

/** Casts a typed constant, explicitly. Null: NULL. */
export function castLiteral(literal: LiteralOperand, type: ValueType, modifiers: readonly number[] = []): CastResult {
	const { type: from } = literal;
	if (from === type && modifiers.length === 0) {
		return literal;
	}
	if (TEXTS.includes(from) && !TEXTS.includes(type)) {
		const read = literalFromText(literal.text, type);
		return read === null ? "invalid" : castLiteral(read, type, modifiers);
	}
	const cast = castOf(from, type, modifiers);
	if (cast === null) {
		return "unknown";
	}
	try {
		const value = cast(valueOfLiteral(literal));
		return value === null ? null : literalOfValue(value, type);
	} catch (error) {
		if (error === UNEVALUABLE) {
			return "invalid";
		}
		throw error;
	}
}
