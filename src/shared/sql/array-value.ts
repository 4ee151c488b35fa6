/**
 * Arrays as values of an expression: the shape of array-text.ts with elements of a type. Owns how the elements of
 * each type are compared inside an array; how they are read and printed is in text-form.ts. Pure. Called by whoever
 * evaluates an expression.
 */

import type { ArrayType, ScalarType, ValueType } from "../where-tree.ts";
import type { ArrayValue } from "./array-text.ts";
import { compareDecimal, Decimal } from "./decimal.ts";
import { compareInterval, Interval } from "./interval.ts";
import { SqlJson } from "./json-document.ts";
import { jsonOrder } from "./json-operations.ts";
import { compareExact, compareFloat } from "./stream-values.ts";
import { compareBytes, withoutBlanks } from "./text-functions.ts";
import { type SqlObject, type SqlValue, UNEVALUABLE } from "./value.ts";

export class SqlArray implements SqlObject, ArrayValue<SqlValue> {
	readonly sqlKind = "array";
	readonly elementType: ScalarType;
	readonly dimensions: readonly number[];
	readonly lowerBounds: readonly number[];
	readonly elements: readonly (SqlValue | null)[];

	constructor(elementType: ScalarType, { dimensions, lowerBounds, elements }: ArrayValue<SqlValue>) {
		this.elementType = elementType;
		this.dimensions = dimensions;
		this.lowerBounds = lowerBounds;
		this.elements = elements;
	}
}

export function isArrayType(type: ValueType): type is ArrayType {
	return type.endsWith("[]");
}

export function elementTypeOf(type: ArrayType): ScalarType {
	return type.slice(0, -2) as ScalarType;
}

/**
 * The order of two elements of a type, as its default operator class has it: texts by bytes. jsonb is only told
 * equal from unequal.
 */
export function elementOrder(type: ScalarType): (left: SqlValue, right: SqlValue) => number {
	switch (type) {
		case "bpchar":
			return (left, right) => compareBytes(withoutBlanks(String(left)), withoutBlanks(String(right)));
		case "text":
		case "varchar":
		case "name":
		case "uuid":
		case "enum":
			return (left, right) => compareBytes(String(left), String(right));
		case "float4":
		case "float8":
			return (left, right) => compareFloat(Number(left), Number(right));
		default:
			return compareByClass;
	}
}

function compareByClass(left: SqlValue, right: SqlValue): number {
	if (left instanceof Decimal && right instanceof Decimal) {
		return compareDecimal(left, right);
	}
	if (left instanceof Interval && right instanceof Interval) {
		return compareInterval(left, right);
	}
	if (left instanceof SqlJson && right instanceof SqlJson) {
		return jsonOrder(left.value, right.value);
	}
	const isExact = (value: SqlValue) => typeof value === "number" || typeof value === "bigint";
	if (!isExact(left) || !isExact(right)) {
		throw UNEVALUABLE;
	}
	return compareExact(left, right);
}
