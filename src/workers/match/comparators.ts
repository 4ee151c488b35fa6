/**
 * The order of computed values under each comparison. Owns the pairing of comparison and order; pure. Called by
 * operands.ts and compile-value.ts.
 */

import { compareArrays } from "../../shared/sql/array-operations.ts";
import { elementOrder, SqlArray } from "../../shared/sql/array-value.ts";
import { compareDecimal, Decimal } from "../../shared/sql/decimal.ts";
import { compareInterval, Interval } from "../../shared/sql/interval.ts";
import { SqlJson } from "../../shared/sql/json-document.ts";
import { jsonOrder } from "../../shared/sql/json-operations.ts";
import type { JsonValue } from "../../shared/sql/json-value.ts";
import { compareBytes, withoutBlanks } from "../../shared/sql/text-functions.ts";
import type { SqlValue } from "../../shared/sql/value.ts";
import type { Comparison } from "../../shared/where-tree.ts";
import { compareExact, compareFloat, UNEVALUABLE } from "./values.ts";

/** Below 0, 0, above 0. */
export type Comparator = (left: SqlValue, right: SqlValue) => number;

/** Of values of one type. jsonb has an order of its own, for equality. */
export function comparatorOf(comparison: Comparison): Comparator {
	switch (comparison) {
		case "boolean":
		case "integer":
		case "date":
		case "time":
		case "timestamp":
		case "timestamptz":
			return (left, right) => compareExact(exact(left), exact(right));
		case "numeric":
			return (left, right) => compareDecimal(decimal(left), decimal(right));
		case "float":
			return (left, right) => compareFloat(Number(left), Number(right));
		case "text":
		case "uuid":
			return (left, right) => compareBytes(String(left), String(right));
		case "bpchar":
			return (left, right) => compareBytes(withoutBlanks(String(left)), withoutBlanks(String(right)));
		case "interval":
			return (left, right) => compareInterval(interval(left), interval(right));
		case "jsonb":
			return (left, right) => jsonOrder(document(left), document(right));
		case "array":
			return (left, right) => compareArrays<SqlValue>(array(left), array(right), elementOrder(array(left).elementType));
	}
}

function exact(value: SqlValue): number | bigint {
	if (typeof value === "number" || typeof value === "bigint") {
		return value;
	}
	throw UNEVALUABLE;
}

/** Integers compare with numerics as they are. */
function decimal(value: SqlValue): Decimal {
	return value instanceof Decimal ? value : new Decimal(BigInt(exact(value)), 0);
}

function document(value: SqlValue): JsonValue {
	if (value instanceof SqlJson) {
		return value.value;
	}
	throw UNEVALUABLE;
}

function array(value: SqlValue): SqlArray {
	if (value instanceof SqlArray) {
		return value;
	}
	throw UNEVALUABLE;
}

function interval(value: SqlValue): Interval {
	if (value instanceof Interval) {
		return value;
	}
	throw UNEVALUABLE;
}
