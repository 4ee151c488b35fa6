/**
 * Casts of arrays, json and jsonb: to text and back, into each other, and of arrays element by element. Owns which
 * of these exist; casts of a jsonb to a number or boolean are not among them, for what they make of JSON's null
 * depends on PostgreSQL's version. Pure; throws UNEVALUABLE where PostgreSQL raises an error. Called by casts.ts.
 */

import type { ValueType } from "../where-tree.ts";
import { mapArray } from "./array-operations.ts";
import { elementTypeOf, isArrayType, SqlArray } from "./array-value.ts";
import type { Cast } from "./casts.ts";
import { readJsonb } from "./json-document.ts";
import { parseJson } from "./json-value.ts";
import { valueText } from "./text-form.ts";
import { type SqlValue, UNEVALUABLE } from "./value.ts";

function isPlainText(type: ValueType): boolean {
	return type === "text" || type === "varchar";
}

export function isDocumentType(type: ValueType): boolean {
	return type === "json" || type === "jsonb" || isArrayType(type);
}

/** The cast, or null; `castElement` finds casts between element types. */
export function documentCast(
	from: ValueType,
	to: ValueType,
	castElement: (from: ValueType, to: ValueType) => Cast | null,
): Cast | null {
	if (isArrayType(from) && isArrayType(to)) {
		const elementType = elementTypeOf(to);
		const cast = castElement(elementTypeOf(from), elementType);
		return cast === null
			? null
			: (value) =>
					new SqlArray(
						elementType,
						mapArray(arrayOf(value), (item) => must(cast(item))),
					);
	}
	if (isPlainText(to)) {
		return (value) => valueText(value, from);
	}
	if (to === "jsonb" && (from === "json" || isPlainText(from))) {
		return (value) => readJsonb(String(value));
	}
	if (to === "json" && from === "jsonb") {
		return String;
	}
	return to === "json" && isPlainText(from) ? (value) => checkedJson(String(value)) : null;
}

function arrayOf(value: SqlValue): SqlArray {
	if (value instanceof SqlArray) {
		return value;
	}
	throw UNEVALUABLE;
}

/** No cast makes NULL of a value here. */
function must(value: SqlValue | null): SqlValue {
	if (value === null) {
		throw UNEVALUABLE;
	}
	return value;
}

function checkedJson(text: string): string {
	if (parseJson(text, false) === null) {
		throw UNEVALUABLE;
	}
	return text;
}
