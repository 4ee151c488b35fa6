/**
 * The words of the compiled conditions: three-valued truth, where a column is, and what a condition is once it
 * is compiled. Owns no logic beyond reading a column's length. Imported by all of this room.
 */

import type { SqlValue } from "../../shared/sql/value.ts";
import { LENGTH_NULL, type Tuple } from "../../shared/tuple.ts";
import type { Operand, WhereNode } from "../../shared/where-tree.ts";
import { UNEVALUABLE } from "./values.ts";

/** Three-valued logic; small integers, so that a branch on them is cheap. */
export type Truth = 0 | 1 | 2;
export const FALSE: Truth = 0;
export const TRUE: Truth = 1;
export const UNKNOWN: Truth = 2;

/** Where a column is in the tuples to come; rewritten when the relation changes. -1: it is not there. */
export interface ColumnPosition {
	index: number;
}

/** Says where a column is, and keeps what several conditions compute alike. */
export interface ColumnBinder {
	(name: string): ColumnPosition;
	/** The compiled value of the operand, made once for all that ask for it and computed once a row. */
	readonly share?: (operand: Operand, make: () => SharedValue) => SharedValue;
}

/** A value of a row that was computed, or null for NULL. @throws UNEVALUABLE */
export type SharedValue = (tuple: Tuple) => SqlValue | null;

/** @throws UNEVALUABLE when a value has no form that is known */
export type Predicate = (tuple: Tuple) => Truth;

export type CompileCondition = (tree: WhereNode, bind: ColumnBinder) => Predicate;

/** The length of a column's text, or LENGTH_NULL. @throws UNEVALUABLE when the tuple does not hold the column */
export function lengthAt(tuple: Tuple, index: number): number {
	const length = index < tuple.columnCount ? tuple.length[index] : undefined;
	if (length === undefined || length < LENGTH_NULL) {
		throw UNEVALUABLE;
	}
	return length;
}
