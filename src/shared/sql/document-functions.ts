/**
 * What each function of arrays and of JSON computes, by its name. Owns the table; the work is in
 * array-operations.ts, json-operations.ts and json-text.ts. Unlike the functions of evaluators.ts some of these are
 * called with NULL (LENIENT_FUNCTIONS). Pure; throws UNEVALUABLE where PostgreSQL raises an error. Called by
 * evaluators.ts.
 */

import type { ArrayFunction, JsonFunction } from "../where-functions.ts";
import {
	addElement,
	arrayBound,
	arrayContains,
	arrayDimensions,
	arrayLength,
	arrayPosition,
	arraysOverlap,
	concatenateArrays,
	removeElement,
} from "./array-operations.ts";
import { elementOrder, SqlArray } from "./array-value.ts";
import { SqlJson } from "./json-document.ts";
import {
	jsonArrayLength,
	jsonAtPath,
	jsonContains,
	jsonHasKey,
	jsonHasKeys,
	jsonItem,
	jsonMember,
	jsonText,
	jsonTypeName,
} from "./json-operations.ts";
import { jsonTextAtPath, jsonTextContent, jsonTextItem, jsonTextMember } from "./json-text.ts";
import type { JsonValue } from "./json-value.ts";
import { type SqlValue, UNEVALUABLE } from "./value.ts";

type Argument = SqlValue | null;
/** NULL arguments come only where the name is among LENIENT_FUNCTIONS. */
export type DocumentEvaluator = (a: Argument, b: Argument) => SqlValue | null;

function array(value: Argument): SqlArray {
	if (value instanceof SqlArray) {
		return value;
	}
	throw UNEVALUABLE;
}

function arrayOrNull(value: Argument): SqlArray | null {
	return value === null ? null : array(value);
}

function document(value: Argument): JsonValue {
	if (value instanceof SqlJson) {
		return value.value;
	}
	throw UNEVALUABLE;
}

function text(value: Argument): string {
	if (typeof value === "string") {
		return value;
	}
	throw UNEVALUABLE;
}

function integer(value: Argument): number {
	if (typeof value === "number") {
		return value;
	}
	throw UNEVALUABLE;
}

/** An array of text. */
function names(value: Argument): readonly (string | null)[] {
	return array(value).elements.map((element) => (element === null ? null : text(element)));
}

const bool = (value: boolean): number => (value ? 1 : 0);

function json(value: JsonValue | undefined): SqlValue | null {
	return value === undefined ? null : new SqlJson(value);
}

function orderOf(value: SqlArray): (left: SqlValue, right: SqlValue) => number {
	return elementOrder(value.elementType);
}

function appended(value: Argument, element: Argument, atEnd: boolean, elementType: SqlArray["elementType"]): SqlArray {
	return new SqlArray(elementType, addElement<SqlValue>(arrayOrNull(value), element, atEnd));
}

type Maker = (elementType: SqlArray["elementType"]) => DocumentEvaluator;

const ARRAYS: Readonly<Record<ArrayFunction, Maker>> = {
	array_contains: () => (a, b) => bool(arrayContains(array(a), array(b), orderOf(array(a)))),
	array_contained: () => (a, b) => bool(arrayContains(array(b), array(a), orderOf(array(a)))),
	array_overlaps: () => (a, b) => bool(arraysOverlap(array(a), array(b), orderOf(array(a)))),
	array_cat: (elementType) => (a, b) => {
		const result = concatenateArrays<SqlValue>(arrayOrNull(a), arrayOrNull(b));
		return result === null ? null : new SqlArray(elementType, result);
	},
	array_append: (elementType) => (a, b) => appended(a, b, true, elementType),
	array_prepend: (elementType) => (a, b) => appended(b, a, false, elementType),
	array_remove: (elementType) => (a, b) =>
		a === null ? null : new SqlArray(elementType, removeElement<SqlValue>(array(a), b, orderOf(array(a)))),
	array_position: () => (a, b) => (a === null ? null : arrayPosition<SqlValue>(array(a), b, orderOf(array(a)))),
	array_length: () => (a, b) => arrayLength(array(a), integer(b)),
	array_lower: () => (a, b) => arrayBound(array(a), integer(b), false),
	array_upper: () => (a, b) => arrayBound(array(a), integer(b), true),
	array_ndims: () => (a) => arrayDimensions(array(a)),
	array_cardinality: () => (a) => array(a).elements.length,
};

const JSONS: Readonly<Record<JsonFunction, DocumentEvaluator>> = {
	jsonb_member: (a, b) => json(jsonMember(document(a), text(b))),
	jsonb_member_text: (a, b) => jsonText(jsonMember(document(a), text(b))),
	jsonb_item: (a, b) => json(jsonItem(document(a), integer(b))),
	jsonb_item_text: (a, b) => jsonText(jsonItem(document(a), integer(b))),
	jsonb_path: (a, b) => json(jsonAtPath(document(a), names(b))),
	jsonb_path_text: (a, b) => jsonText(jsonAtPath(document(a), names(b))),
	jsonb_contains: (a, b) => bool(jsonContains(document(a), document(b))),
	jsonb_contained: (a, b) => bool(jsonContains(document(b), document(a))),
	jsonb_exists: (a, b) => bool(jsonHasKey(document(a), text(b))),
	jsonb_exists_any: (a, b) => bool(jsonHasKeys(document(a), names(b), false)),
	jsonb_exists_all: (a, b) => bool(jsonHasKeys(document(a), names(b), true)),
	jsonb_type: (a) => jsonTypeName(document(a)),
	jsonb_length: (a) => jsonArrayLength(document(a)),
	json_member: (a, b) => jsonTextMember(text(a), text(b)),
	json_member_text: (a, b) => jsonTextContent(jsonTextMember(text(a), text(b))),
	json_item: (a, b) => jsonTextItem(text(a), integer(b)),
	json_item_text: (a, b) => jsonTextContent(jsonTextItem(text(a), integer(b))),
	json_path: (a, b) => jsonTextAtPath(text(a), names(b)),
	json_path_text: (a, b) => jsonTextContent(jsonTextAtPath(text(a), names(b))),
};

export function isDocumentFunction(name: string): name is ArrayFunction | JsonFunction {
	return Object.hasOwn(ARRAYS, name) || Object.hasOwn(JSONS, name);
}

function isJsonFunction(name: ArrayFunction | JsonFunction): name is JsonFunction {
	return Object.hasOwn(JSONS, name);
}

/** The evaluator of a call. `elementType`: of the result, when it is an array. Unused arguments may be anything. */
export function documentEvaluator(
	name: ArrayFunction | JsonFunction,
	elementType: SqlArray["elementType"],
): DocumentEvaluator {
	return isJsonFunction(name) ? JSONS[name] : ARRAYS[name](elementType);
}
