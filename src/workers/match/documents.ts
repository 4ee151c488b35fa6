/**
 * Conditions and values that are made of arrays, and regular expressions: array constructors, subscripts, ANY and ALL
 * of an array. Owns how they are compiled; the work is in shared/sql. Called by compile.ts and compile-value.ts, which
 * give themselves as arguments.
 */

import { invariant, must } from "../../shared/assert.ts";
import { arrayElement, arrayOf, arraySlice, nestArrays, quantified } from "../../shared/sql/array-operations.ts";
import { elementTypeOf, isArrayType, SqlArray } from "../../shared/sql/array-value.ts";
import { hasOpenEscape } from "../../shared/sql/letters.ts";
import { regexMatcher } from "../../shared/sql/regex-machine.ts";
import { parseRegex } from "../../shared/sql/regex-pattern.ts";
import type { SqlValue } from "../../shared/sql/value.ts";
import type { Tuple } from "../../shared/tuple.ts";
import {
	type ArrayOperand,
	type CaseFolding,
	type CompareOperator,
	type LikeOperator,
	type Operand,
	type Subscript,
	type SubscriptOperand,
	typeOfOperand,
	type WhereNode,
} from "../../shared/where-tree.ts";
import { comparatorOf } from "./comparators.ts";
import { compileLike } from "./like.ts";
import { FALSE, type Predicate, TRUE, type Truth, UNKNOWN } from "./truth.ts";
import { UNEVALUABLE } from "./values.ts";

export type CompileOperand = (operand: Operand) => (tuple: Tuple) => SqlValue | null;

function asArray(value: SqlValue): SqlArray {
	if (value instanceof SqlArray) {
		return value;
	}
	throw UNEVALUABLE;
}

/** ARRAY[…]. */
export function compileArray(operand: ArrayOperand, compile: CompileOperand): (tuple: Tuple) => SqlValue {
	const elementType = elementTypeOf(operand.type);
	const getters = operand.elements.map(compile);
	const nests = operand.elements.some((element) => isArrayType(typeOfOperand(element)));
	if (nests) {
		return (tuple) => {
			const arrays = getters.map((get) => {
				const value = get(tuple);
				return value === null ? null : asArray(value);
			});
			return new SqlArray(elementType, nestArrays<SqlValue>(arrays));
		};
	}
	return (tuple) => new SqlArray(elementType, arrayOf(getters.map((get) => get(tuple))));
}

/** `a[i]` and `a[i:j]`: NULL when the array or any subscript that is there is NULL. */
export function compileSubscript(
	operand: SubscriptOperand,
	compile: CompileOperand,
): (tuple: Tuple) => SqlValue | null {
	const array = compile(operand.array);
	return operand.subscripts.some(({ isSlice }) => isSlice)
		? compileSlice(array, operand.subscripts, compile)
		: compileElement(array, operand.subscripts, compile);
}

function compileElement(
	array: (tuple: Tuple) => SqlValue | null,
	subscripts: readonly Subscript[],
	compile: CompileOperand,
): (tuple: Tuple) => SqlValue | null {
	const getters = subscripts.map(({ upper }) => compile(must(upper, "a subscript without an index")));
	return (tuple) => {
		const value = array(tuple);
		if (value === null) {
			return null;
		}
		const indexes: number[] = [];
		for (const get of getters) {
			const index = get(tuple);
			if (index === null) {
				return null;
			}
			indexes.push(Number(index));
		}
		return arrayElement<SqlValue>(asArray(value), indexes);
	};
}

/** Among slices a plain `[i]` means `[1:i]`. */
function compileSlice(
	array: (tuple: Tuple) => SqlValue | null,
	subscripts: readonly Subscript[],
	compile: CompileOperand,
): (tuple: Tuple) => SqlValue | null {
	const one = (): SqlValue => 1;
	const bounds = subscripts.map(({ isSlice, lower, upper }) => ({
		lower: !isSlice ? one : lower === null ? null : compile(lower),
		upper: upper === null ? null : compile(upper),
	}));
	return (tuple) => {
		const value = array(tuple);
		if (value === null) {
			return null;
		}
		const taken: { lower: number | null; upper: number | null }[] = [];
		for (const { lower, upper } of bounds) {
			const [first, last] = [lower?.(tuple), upper?.(tuple)];
			if (first === null || last === null) {
				return null;
			}
			taken.push({
				lower: first === undefined ? null : Number(first),
				upper: last === undefined ? null : Number(last),
			});
		}
		const source = asArray(value);
		return new SqlArray(source.elementType, arraySlice<SqlValue>(source, taken));
	};
}

type Test = (left: SqlValue, element: SqlValue) => boolean;

/** `left operator ANY (array)`, or ALL. */
export function compileQuantified(
	tree: Extract<WhereNode, { kind: "quantified" }>,
	compile: CompileOperand,
): Predicate {
	const left = compile(tree.left);
	const array = compile(tree.array);
	const { operator } = tree;
	const isLike = operator.endsWith("~") || operator.endsWith("~*");
	const test = isLike ? likeTest(operator as LikeOperator, tree.folding) : comparisonTest(tree);
	const isAny = tree.quantifier === "any";
	return (tuple) => {
		const value = array(tuple);
		if (value === null) {
			return UNKNOWN;
		}
		const subject = left(tuple);
		const answer = quantified<SqlValue>(asArray(value), isAny, (element) =>
			subject === null ? null : test(subject, element),
		);
		return truthOf(answer);
	};
}

function truthOf(answer: boolean | null): Truth {
	return answer === null ? UNKNOWN : answer ? TRUE : FALSE;
}

function comparisonTest(tree: Extract<WhereNode, { kind: "quantified" }>): Test {
	const compare = comparatorOf(tree.comparison);
	const holds = HOLDS[tree.operator as CompareOperator];
	return (left, element) => holds(compare(left, element));
}

const HOLDS: Readonly<Record<CompareOperator, (order: number) => boolean>> = {
	"=": (order) => order === 0,
	"<>": (order) => order !== 0,
	"<": (order) => order < 0,
	"<=": (order) => order <= 0,
	">": (order) => order > 0,
	">=": (order) => order >= 0,
};

/** Patterns come from the row: each is made into a matcher when it is met. */
function likeTest(operator: LikeOperator, folding: CaseFolding | null): Test {
	const negated = operator.startsWith("!");
	return (left, element) => {
		const pattern = String(element);
		if (hasOpenEscape(pattern)) {
			throw UNEVALUABLE;
		}
		return compileLike(pattern, folding)(String(left)) !== negated;
	};
}

/** A regular expression; its pattern was accepted when the clause was checked. */
export function compileRegex(tree: Extract<WhereNode, { kind: "regex" }>, compile: CompileOperand): Predicate {
	const parsed = parseRegex(tree.pattern, { ignoresCase: tree.folding !== null, isUnicode: false });
	invariant("node" in parsed, "a pattern that was not checked");
	const matches = regexMatcher(parsed.node);
	const subject = compile(tree.operand);
	return (tuple) => {
		const text = subject(tuple);
		return text === null ? UNKNOWN : matches(String(text)) ? TRUE : FALSE;
	};
}
