/**
 * A checked tree into a function over raw tuples. Owns the three-valued logic and the choice of how values are
 * read; must agree with PostgreSQL on every tree that the where room makes, or throw UNEVALUABLE. Called by
 * range-form.ts and shared-conditions.ts; test/pg/where-oracle.pg.test.ts compares it with PostgreSQL.
 */

import { invariant, unreachable } from "../../shared/assert.ts";
import { LENGTH_NULL, type Tuple } from "../../shared/tuple.ts";
import type { CompareOperator, Comparison, WhereNode } from "../../shared/where-tree.ts";
import { ByteTable, sameBytes } from "./byte-table.ts";
import { compileValue } from "./compile-value.ts";
import { compileQuantified, compileRegex } from "./documents.ts";
import { endWithoutBlanks, type KeyForm, keyBytes, keyEnd, keyForm, losesBlanks } from "./key-form.ts";
import { compileLike } from "./like.ts";
import { bytesGetter, equalityWithAny, type Getter, orderOf, type ValueOrder } from "./operands.ts";
import {
	type ColumnBinder,
	type ColumnPosition,
	FALSE,
	lengthAt,
	type Predicate,
	TRUE,
	type Truth,
	UNKNOWN,
} from "./truth.ts";
import { UNEVALUABLE } from "./values.ts";

/** Compiles a condition; column positions are read from `bind`'s objects at each call. */
export function compileWhere(tree: WhereNode, bind: ColumnBinder): Predicate {
	switch (tree.kind) {
		case "constant": {
			const truth = tree.value === null ? UNKNOWN : tree.value ? TRUE : FALSE;
			return () => truth;
		}
		case "boolean":
			return compileBoolean(bind(tree.column));
		case "and":
			return compileAnd(tree.nodes.map((node) => compileWhere(node, bind)));
		case "or":
			return compileOr(tree.nodes.map((node) => compileWhere(node, bind)));
		case "not": {
			const inner = compileWhere(tree.node, bind);
			return (tuple) => negate(inner(tuple));
		}
		case "compare":
			return compileCompare(tree, bind);
		case "distinct":
			return compileDistinct(orderOf(tree.comparison, tree.left, tree.right, bind, compileWhere), tree.negated);
		case "in":
			return compileIn(tree, bind);
		case "like":
			return compileLikeNode(tree, bind);
		case "isNull": {
			const position = bind(tree.column);
			const whenNull = tree.negated ? FALSE : TRUE;
			const otherwise = tree.negated ? TRUE : FALSE;
			return (tuple) => (lengthAt(tuple, position.index) === LENGTH_NULL ? whenNull : otherwise);
		}
		case "booleanTest": {
			const inner = compileWhere(tree.node, bind);
			const expected = tree.test === "true" ? TRUE : tree.test === "false" ? FALSE : UNKNOWN;
			const whenSame = tree.negated ? FALSE : TRUE;
			const otherwise = tree.negated ? TRUE : FALSE;
			return (tuple) => (inner(tuple) === expected ? whenSame : otherwise);
		}
		case "value": {
			const get = compileValue(tree.operand, bind, compileWhere);
			return (tuple) => {
				const value = get(tuple);
				return value === null ? UNKNOWN : value === 1 ? TRUE : FALSE;
			};
		}
		case "valueIsNull": {
			const get = compileValue(tree.operand, bind, compileWhere);
			return (tuple) => ((get(tuple) === null) === tree.negated ? FALSE : TRUE);
		}
		case "regex":
			return compileRegex(tree, (operand) => compileValue(operand, bind, compileWhere));
		case "quantified":
			return compileQuantified(tree, (operand) => compileValue(operand, bind, compileWhere));
		default:
			return unreachable(tree);
	}
}

export function negate(truth: Truth): Truth {
	return truth === UNKNOWN ? UNKNOWN : truth === TRUE ? FALSE : TRUE;
}

const LETTER_T = 0x74;
const LETTER_F = 0x66;

function compileBoolean(position: ColumnPosition): Predicate {
	return (tuple) => {
		const length = lengthAt(tuple, position.index);
		if (length === LENGTH_NULL) {
			return UNKNOWN;
		}
		const byte = tuple.buffer[tuple.start[position.index] ?? 0];
		if (length !== 1 || (byte !== LETTER_T && byte !== LETTER_F)) {
			throw UNEVALUABLE;
		}
		return byte === LETTER_T ? TRUE : FALSE;
	};
}

export function compileAnd(predicates: readonly Predicate[]): Predicate {
	return compileJunction(predicates, FALSE, TRUE);
}

export function compileOr(predicates: readonly Predicate[]): Predicate {
	return compileJunction(predicates, TRUE, FALSE);
}

/**
 * AND and OR: one part that is `decisive` decides, whatever the others are. PostgreSQL promises no order of
 * evaluation, so a part that cannot be evaluated does not stop the others from deciding.
 */
function compileJunction(predicates: readonly Predicate[], decisive: Truth, otherwise: Truth): Predicate {
	return (tuple) => {
		let result: Truth = otherwise;
		let at = 0;
		try {
			for (; at < predicates.length; at += 1) {
				const truth = predicates[at]?.(tuple) ?? otherwise;
				if (truth === decisive) {
					return decisive;
				}
				result = truth === UNKNOWN ? UNKNOWN : result;
			}
		} catch (error) {
			if (predicates.slice(at + 1).some((predicate) => decides(predicate, tuple, decisive))) {
				return decisive;
			}
			throw error;
		}
		return result;
	};
}

function decides(predicate: Predicate, tuple: Tuple, decisive: Truth): boolean {
	try {
		return predicate(tuple) === decisive;
	} catch (error) {
		if (error === UNEVALUABLE) {
			return false;
		}
		throw error;
	}
}

function holds(operator: CompareOperator, order: number): boolean {
	switch (operator) {
		case "=":
			return order === 0;
		case "<>":
			return order !== 0;
		case "<":
			return order < 0;
		case "<=":
			return order <= 0;
		case ">":
			return order > 0;
		case ">=":
			return order >= 0;
	}
}

const FLIPPED: Readonly<Record<CompareOperator, CompareOperator>> = {
	"=": "=",
	"<>": "<>",
	"<": ">",
	"<=": ">=",
	">": "<",
	">=": "<=",
};

function compileCompare(tree: Extract<WhereNode, { kind: "compare" }>, bind: ColumnBinder): Predicate {
	if (tree.left.kind === "literal" && tree.right.kind === "column") {
		return compileCompare({ ...tree, left: tree.right, right: tree.left, operator: FLIPPED[tree.operator] }, bind);
	}
	const { left, right, operator, comparison } = tree;
	if (left.kind === "column" && right.kind === "literal") {
		const form = keyForm(left, comparison, right.type);
		if (form !== null && (operator === "=" || operator === "<>")) {
			return compileKeyEquality(bind(left.name), form, keyBytes(right.text, comparison), operator === "<>");
		}
		if (comparison === "text" || comparison === "bpchar" || comparison === "uuid") {
			const trims = comparison === "bpchar" || losesBlanks(left);
			return compileBytesOrder(bind(left.name), trims, keyBytes(right.text, comparison), operator);
		}
	}
	return compileOrder(orderOf(comparison, left, right, bind, compileWhere), operator);
}

function compileOrder(order: ValueOrder, operator: CompareOperator): Predicate {
	return (tuple) => {
		const result = order(tuple);
		return result === null ? UNKNOWN : holds(operator, result) ? TRUE : FALSE;
	};
}

function compileKeyEquality(position: ColumnPosition, form: KeyForm, key: Uint8Array, negated: boolean): Predicate {
	const whenSame = negated ? FALSE : TRUE;
	const otherwise = negated ? TRUE : FALSE;
	return (tuple) => {
		const length = lengthAt(tuple, position.index);
		if (length === LENGTH_NULL) {
			return UNKNOWN;
		}
		const { buffer } = tuple;
		const start = tuple.start[position.index] ?? 0;
		return sameBytes(key, buffer, start, keyEnd(form, buffer, start, start + length)) ? whenSame : otherwise;
	};
}

function compileBytesOrder(
	position: ColumnPosition,
	trims: boolean,
	key: Uint8Array,
	operator: CompareOperator,
): Predicate {
	return (tuple) => {
		const length = lengthAt(tuple, position.index);
		if (length === LENGTH_NULL) {
			return UNKNOWN;
		}
		const { buffer } = tuple;
		const start = tuple.start[position.index] ?? 0;
		const end = trims ? endWithoutBlanks(buffer, start, start + length) : start + length;
		return holds(operator, buffer.compare(key, 0, key.length, start, end)) ? TRUE : FALSE;
	};
}

function compileDistinct(order: ValueOrder & { readonly bothNull: Predicate }, negated: boolean): Predicate {
	const whenDistinct = negated ? FALSE : TRUE;
	const otherwise = negated ? TRUE : FALSE;
	return (tuple) => {
		const result = order(tuple);
		const isDistinct = result === null ? order.bothNull(tuple) !== TRUE : result !== 0;
		return isDistinct ? whenDistinct : otherwise;
	};
}

function compileIn(tree: Extract<WhereNode, { kind: "in" }>, bind: ColumnBinder): Predicate {
	const { operand, comparison, type, values } = tree;
	const whenAbsent = tree.hasNull ? UNKNOWN : FALSE;
	const form = keyForm(operand, comparison, type);
	if (form !== null && operand.kind === "column") {
		return compileKeyMembership(bind(operand.name), form, values, comparison, whenAbsent);
	}
	invariant(values.length > 0, "a list without values");
	const literals = values.map((text) => ({ kind: "literal", type, text }) as const);
	const equals = equalityWithAny(comparison, operand, literals, bind, compileWhere);
	return (tuple) => {
		const result = equals(tuple);
		return result === null ? UNKNOWN : result ? TRUE : whenAbsent;
	};
}

function compileKeyMembership(
	position: ColumnPosition,
	form: KeyForm,
	values: readonly string[],
	comparison: Comparison,
	whenAbsent: Truth,
): Predicate {
	const table = new ByteTable<true>();
	for (const text of values) {
		table.set(keyBytes(text, comparison), true);
	}
	return (tuple) => {
		const length = lengthAt(tuple, position.index);
		if (length === LENGTH_NULL) {
			return UNKNOWN;
		}
		const { buffer } = tuple;
		const start = tuple.start[position.index] ?? 0;
		return table.find(buffer, start, keyEnd(form, buffer, start, start + length)) >= 0 ? TRUE : whenAbsent;
	};
}

function compileLikeNode(tree: Extract<WhereNode, { kind: "like" }>, bind: ColumnBinder): Predicate {
	const match = compileLike(tree.pattern, tree.folding);
	const { operand } = tree;
	if (operand.kind !== "column" && operand.kind !== "literal") {
		const value = compileValue(operand, bind, compileWhere);
		return (tuple) => {
			const text = value(tuple);
			return text === null ? UNKNOWN : match(String(text)) ? TRUE : FALSE;
		};
	}
	const get: Getter<Buffer> = bytesGetter(operand, "text", bind);
	return (tuple) => {
		const bytes = get(tuple);
		return bytes === null ? UNKNOWN : match(bytes.toString("utf8")) ? TRUE : FALSE;
	};
}
