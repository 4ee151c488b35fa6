/**
 * What PostgreSQL's operators and functions do with arrays, whatever their elements are: comparison, containment,
 * subscripts, concatenation. Pure; elements are compared by the function that the caller gives. Throws UNEVALUABLE
 * where PostgreSQL raises an error. Called by whoever evaluates an expression.
 */

import { ARRAY_DIMENSIONS_MAX, type ArrayValue, EMPTY_ARRAY } from "./array-text.ts";
import { UNEVALUABLE } from "./value.ts";

export type CompareElements<T> = (left: T, right: T) => number;

const INT4_MAX = 2_147_483_647;

/** array_cmp: elements first (NULL above all others), then their number, dimensions and lower bounds. */
export function compareArrays<T>(left: ArrayValue<T>, right: ArrayValue<T>, compare: CompareElements<T>): number {
	const shared = Math.min(left.elements.length, right.elements.length);
	for (let index = 0; index < shared; index += 1) {
		const order = compareNullable(left.elements[index] ?? null, right.elements[index] ?? null, compare);
		if (order !== 0) {
			return order;
		}
	}
	return (
		left.elements.length - right.elements.length ||
		left.dimensions.length - right.dimensions.length ||
		firstDifference(left.dimensions, right.dimensions) ||
		firstDifference(left.lowerBounds, right.lowerBounds)
	);
}

function compareNullable<T>(left: T | null, right: T | null, compare: CompareElements<T>): number {
	if (left === null || right === null) {
		return left === right ? 0 : left === null ? 1 : -1;
	}
	return compare(left, right);
}

function sameNumbers(left: readonly number[], right: readonly number[]): boolean {
	return left.length === right.length && firstDifference(left, right) === 0;
}

function firstDifference(left: readonly number[], right: readonly number[]): number {
	for (let index = 0; index < left.length; index += 1) {
		const difference = (left[index] ?? 0) - (right[index] ?? 0);
		if (difference !== 0) {
			return difference;
		}
	}
	return 0;
}

/** Beyond this many comparisons a containment sorts one side first: long arrays must not cost their product. */
const PAIRS_MAX = 256;

/** `container @> contained`: dimensions do not count, a NULL element is found nowhere. */
export function arrayContains<T>(
	container: ArrayValue<T>,
	contained: ArrayValue<T>,
	compare: CompareElements<T>,
): boolean {
	if (contained.elements.includes(null)) {
		return false;
	}
	const has = membership(container, contained.elements.length, compare);
	return contained.elements.every((element) => element !== null && has(element));
}

/** `left && right`: whether they share an element that is not NULL. */
export function arraysOverlap<T>(left: ArrayValue<T>, right: ArrayValue<T>, compare: CompareElements<T>): boolean {
	const has = membership(left, right.elements.length, compare);
	return right.elements.some((element) => element !== null && has(element));
}

function membership<T>(array: ArrayValue<T>, lookups: number, compare: CompareElements<T>): (element: T) => boolean {
	const { elements } = array;
	if (elements.length * lookups <= PAIRS_MAX) {
		return (element) => elements.some((other) => other !== null && compare(other, element) === 0);
	}
	const sorted = elements.filter((element) => element !== null).sort(compare);
	return (element) => {
		let low = 0;
		let high = sorted.length;
		while (low < high) {
			const middle = (low + high) >>> 1;
			const other = sorted[middle];
			const order = other === undefined ? 0 : compare(other, element);
			if (order === 0) {
				return true;
			}
			if (order < 0) {
				low = middle + 1;
			} else {
				high = middle;
			}
		}
		return false;
	};
}

/**
 * `x op ANY (array)` and `x op ALL (array)`; `test` answers for one element that is not NULL, null when x is NULL.
 * An empty array decides before a NULL x does.
 */
export function quantified<T>(
	array: ArrayValue<T>,
	isAny: boolean,
	test: (element: T) => boolean | null,
): boolean | null {
	let result: boolean | null = !isAny;
	for (const element of array.elements) {
		const answer = element === null ? null : test(element);
		if (answer === isAny) {
			return answer;
		}
		result = answer === null ? null : result;
	}
	return result;
}

/** `a[i][j]`: NULL unless there are as many subscripts as dimensions and all are within bounds. */
export function arrayElement<T>(array: ArrayValue<T>, subscripts: readonly number[]): T | null {
	const { dimensions, lowerBounds, elements } = array;
	if (subscripts.length !== dimensions.length || dimensions.length === 0) {
		return null;
	}
	let position = 0;
	for (const [index, subscript] of subscripts.entries()) {
		const length = dimensions[index] ?? 0;
		const offset = subscript - (lowerBounds[index] ?? 1);
		if (offset < 0 || offset >= length) {
			return null;
		}
		position = position * length + offset;
	}
	return elements[position] ?? null;
}

/** One subscript of a slice; null: that bound was left out. */
export interface SliceBounds {
	readonly lower: number | null;
	readonly upper: number | null;
}

/** `a[i:j]…`: bounds are clipped, dimensions without a subscript are taken whole, lower bounds become 1. */
export function arraySlice<T>(array: ArrayValue<T>, bounds: readonly SliceBounds[]): ArrayValue<T> {
	const { dimensions, lowerBounds, elements } = array;
	if (dimensions.length < bounds.length || dimensions.length === 0) {
		return EMPTY_ARRAY;
	}
	const from: number[] = [];
	const taken: number[] = [];
	for (const [index, length] of dimensions.entries()) {
		const first = lowerBounds[index] ?? 1;
		const last = first + length - 1;
		const bound = bounds[index];
		const lower = Math.max(bound?.lower ?? first, first);
		const upper = Math.min(bound?.upper ?? last, last);
		if (lower > upper) {
			return EMPTY_ARRAY;
		}
		from.push(lower - first);
		taken.push(upper - lower + 1);
	}
	const result: (T | null)[] = [];
	const take = (depth: number, position: number): void => {
		const length = dimensions[depth] ?? 0;
		for (let index = 0; index < (taken[depth] ?? 0); index += 1) {
			const next = position * length + (from[depth] ?? 0) + index;
			if (depth + 1 < dimensions.length) {
				take(depth + 1, next);
			} else {
				result.push(elements[next] ?? null);
			}
		}
	};
	take(0, 0);
	return { dimensions: taken, lowerBounds: taken.map(() => 1), elements: result };
}

/** array_cat. @throws UNEVALUABLE when the dimensions do not fit together */
export function concatenateArrays<T>(left: ArrayValue<T> | null, right: ArrayValue<T> | null): ArrayValue<T> | null {
	if (left === null || right === null) {
		return left ?? right;
	}
	if (left.dimensions.length === 0) {
		return right;
	}
	if (right.dimensions.length === 0) {
		return left;
	}
	const elements = [...left.elements, ...right.elements];
	const difference = left.dimensions.length - right.dimensions.length;
	const outer = difference < 0 ? right : left;
	const inner = difference === 0 ? right : difference < 0 ? left : right;
	// With the same number of dimensions the outermost ones add up; else the smaller array is one more element.
	const skipped = difference === 0 ? 1 : 0;
	const fits =
		Math.abs(difference) <= 1 &&
		sameNumbers(outer.dimensions.slice(1), inner.dimensions.slice(skipped)) &&
		sameNumbers(outer.lowerBounds.slice(1), inner.lowerBounds.slice(skipped));
	if (!fits) {
		throw UNEVALUABLE;
	}
	const added = difference === 0 ? (inner.dimensions[0] ?? 0) : 1;
	const dimensions = [(outer.dimensions[0] ?? 0) + added, ...outer.dimensions.slice(1)];
	return { dimensions, lowerBounds: outer.lowerBounds, elements };
}

/** array_append (`atEnd`) and array_prepend. @throws UNEVALUABLE for more than one dimension */
export function addElement<T>(array: ArrayValue<T> | null, element: T | null, atEnd: boolean): ArrayValue<T> {
	const { dimensions, lowerBounds, elements } = array ?? EMPTY_ARRAY;
	if (dimensions.length > 1) {
		throw UNEVALUABLE;
	}
	const lower = lowerBounds[0] ?? 1;
	const next = atEnd ? lower + elements.length : lower - 1;
	if (next >= INT4_MAX || next < -INT4_MAX - 1) {
		throw UNEVALUABLE;
	}
	return {
		dimensions: [elements.length + 1],
		lowerBounds: [lower],
		elements: atEnd ? [...elements, element] : [element, ...elements],
	};
}

/** array_length; null where PostgreSQL gives NULL. */
export function arrayLength(array: ArrayValue<unknown>, dimension: number): number | null {
	return array.dimensions[dimension - 1] ?? null;
}

/** array_lower and array_upper. */
export function arrayBound(array: ArrayValue<unknown>, dimension: number, isUpper: boolean): number | null {
	const lower = array.lowerBounds[dimension - 1];
	const length = array.dimensions[dimension - 1];
	return lower === undefined || length === undefined ? null : isUpper ? lower + length - 1 : lower;
}

/** array_ndims; null for the empty array. */
export function arrayDimensions(array: ArrayValue<unknown>): number | null {
	return array.dimensions.length === 0 ? null : array.dimensions.length;
}

/** array_position(array, element): NULL is found too. @throws UNEVALUABLE for more than one dimension */
export function arrayPosition<T>(array: ArrayValue<T>, element: T | null, compare: CompareElements<T>): number | null {
	if (array.dimensions.length > 1) {
		throw UNEVALUABLE;
	}
	const index = array.elements.findIndex((other) => compareNullable(other, element, compare) === 0);
	return index === -1 ? null : index + (array.lowerBounds[0] ?? 1);
}

/** array_remove(array, element), as `IS NOT DISTINCT FROM` compares. @throws UNEVALUABLE for more than one dimension */
export function removeElement<T>(array: ArrayValue<T>, element: T | null, compare: CompareElements<T>): ArrayValue<T> {
	if (array.dimensions.length > 1) {
		throw UNEVALUABLE;
	}
	const elements = array.elements.filter((other) => compareNullable(other, element, compare) !== 0);
	return elements.length === 0
		? EMPTY_ARRAY
		: { dimensions: [elements.length], lowerBounds: array.lowerBounds, elements };
}

/** `ARRAY[…]` of scalars. */
export function arrayOf<T>(elements: readonly (T | null)[]): ArrayValue<T> {
	return elements.length === 0 ? EMPTY_ARRAY : { dimensions: [elements.length], lowerBounds: [1], elements };
}

/**
 * `ARRAY[…]` of arrays. @throws UNEVALUABLE when their dimensions differ, or some are empty or NULL and others are
 * not
 */
export function nestArrays<T>(arrays: readonly (ArrayValue<T> | null)[]): ArrayValue<T> {
	const filled = arrays.filter((array) => array !== null && array.dimensions.length > 0);
	const [first] = filled;
	if (first === undefined || first === null) {
		return EMPTY_ARRAY;
	}
	const fits =
		filled.length === arrays.length &&
		first.dimensions.length < ARRAY_DIMENSIONS_MAX &&
		filled.every(
			(array) =>
				array !== null &&
				sameNumbers(array.dimensions, first.dimensions) &&
				sameNumbers(array.lowerBounds, first.lowerBounds),
		);
	if (!fits) {
		throw UNEVALUABLE;
	}
	return {
		dimensions: [arrays.length, ...first.dimensions],
		lowerBounds: [1, ...first.lowerBounds],
		elements: filled.flatMap((array) => array?.elements ?? []),
	};
}

/** The same shape with other elements. */
export function mapArray<A, B>(array: ArrayValue<A>, convert: (element: A) => B): ArrayValue<B> {
	return { ...array, elements: array.elements.map((element) => (element === null ? null : convert(element))) };
}
