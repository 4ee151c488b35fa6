/**
 * Arrays in expressions: ARRAY[…], casts to an array type, `a[i]` and `a[i:j]`. Owns their types and what of them is
 * computed when the clause is checked. Called by checker.ts and quantified.ts.
 */

import { arrayOf, nestArrays } from "../../shared/sql/array-operations.ts";
import { elementTypeOf, isArrayType, SqlArray } from "../../shared/sql/array-value.ts";
import { type SqlValue, UNEVALUABLE } from "../../shared/sql/value.ts";
import type { ArrayType, Operand, ScalarType, Subscript, ValueType } from "../../shared/where-tree.ts";
import type { CallInput } from "./calls.ts";
import { requireElementType } from "./column-types.ts";
import { converted } from "./conversion.ts";
import { type Expression, typedOperand, typeLabel } from "./expression.ts";
import { literalOfValue, valueOfLiteral } from "./literal.ts";
import { WhereRefusal } from "./refusal.ts";
import { commonType } from "./resolution.ts";
import { isRecord, listField, openNode, type SyntaxNode } from "./syntax-node.ts";

export type Check = (value: unknown, location: number | null) => Expression;

/** ARRAY[…]; with a cast behind it, each element is cast to `target`. @throws WhereRefusal */
export function arrayConstructor(
	node: SyntaxNode,
	target: ScalarType | null,
	check: Check,
	input: CallInput,
): Expression {
	const { fields, location } = node;
	const items = listField(fields, "elements").map((value) => {
		const isNested = isRecord(value) && value["A_ArrayExpr"] !== undefined;
		return isNested && target !== null
			? arrayConstructor(openNode(value, location), target, check, input)
			: check(value, location);
	});
	return arrayFrom(items, target, location, input);
}

/** An array of these elements. @throws WhereRefusal when they have no common type */
export function arrayFrom(
	items: readonly Expression[],
	target: ScalarType | null,
	location: number | null,
	input: CallInput,
): Expression {
	if (items.length === 0 && target === null) {
		throw new WhereRefusal("cannot determine type of empty array", location);
	}
	const types = items.map((item) => (item.form === "untyped" ? null : typedOperand(item).type));
	const nested = types.find((type) => type !== null && isArrayType(type));
	if (nested !== undefined && types.some((type) => type !== null && type !== nested)) {
		throw new WhereRefusal(`ARRAY of ${nested} and of another type is not supported`, location);
	}
	const type = nested ?? target ?? commonType(types);
	if (type === null) {
		const known = [...new Set(items.filter((item) => item.form !== "untyped").map(typeLabel))];
		throw new WhereRefusal(`ARRAY types ${known[0]} and ${known[1] ?? known[0]} cannot be matched`, location);
	}
	const elementType = isArrayType(type) ? elementTypeOf(type) : type;
	requireElementType(elementType, location);
	const operands = items.map((item): Operand => {
		const element = converted(item, type, [], location, input.parameters);
		const operand = element.form === "untyped" ? null : typedOperand(element).operand;
		return operand ?? { kind: "null", type };
	});
	input.parameters.countElements(operands.length, location);
	return (
		constantArray(operands, elementType, isArrayType(type), location) ?? {
			form: "value",
			type: `${elementType}[]`,
			operand: { kind: "array", type: `${elementType}[]`, elements: operands },
			location,
		}
	);
}

/** The array when all of its elements are constants. */
function constantArray(
	operands: readonly Operand[],
	elementType: ScalarType,
	isNested: boolean,
	location: number | null,
): Expression | null {
	const values: (SqlValue | null)[] = [];
	for (const operand of operands) {
		if (operand.kind !== "literal" && operand.kind !== "null") {
			return null;
		}
		values.push(operand.kind === "null" ? null : valueOfLiteral(operand));
	}
	const type: ArrayType = `${elementType}[]`;
	try {
		const arrays = values.map((value) => (value instanceof SqlArray ? value : null));
		const array = new SqlArray(elementType, isNested ? nestArrays<SqlValue>(arrays) : arrayOf(values));
		return { form: "literal", type, literal: literalOfValue(array, type), location };
	} catch (error) {
		if (error === UNEVALUABLE) {
			throw new WhereRefusal("multidimensional arrays must have sub-arrays with matching dimensions", location);
		}
		throw error;
	}
}

/** `a[i]`, `a[i][j]`, `a[i:j]`. @throws WhereRefusal */
export function subscripted(node: SyntaxNode, check: Check, input: CallInput): Expression {
	const { fields, location } = node;
	const array = check(fields["arg"], location);
	const label = typeLabel(array);
	const { type, operand } = array.form === "untyped" ? { type: null, operand: null } : typedOperand(array);
	if (type === null || !isArrayType(type)) {
		throw new WhereRefusal(`cannot subscript type ${label}`, location);
	}
	const elementType = elementTypeOf(type);
	requireElementType(elementType, location);
	const subscripts = listField(fields, "indirection").map((value) => subscript(value, location, check, input));
	const isSlice = subscripts.some((one) => one.isSlice);
	const result: ValueType = isSlice ? type : elementType;
	if (operand === null) {
		return { form: "literal", type: result, literal: null, location };
	}
	return {
		form: "value",
		type: result,
		operand: { kind: "subscript", type: result, array: operand, subscripts },
		location,
	};
}

function subscript(value: unknown, outerLocation: number | null, check: Check, input: CallInput): Subscript {
	const { tag, fields, location } = openNode(value, outerLocation);
	if (tag !== "A_Indices") {
		throw new WhereRefusal("this subscript is not supported", location);
	}
	return {
		isSlice: fields["is_slice"] === true,
		lower: index(fields["lidx"], location, check, input),
		upper: index(fields["uidx"], location, check, input),
	};
}

/** Subscripts are assigned to int4. */
function index(value: unknown, location: number | null, check: Check, input: CallInput): Operand | null {
	if (value === undefined) {
		return null;
	}
	const expression = check(value, location);
	const isNumber =
		expression.form === "untyped" ||
		["int2", "int4", "int8", "numeric", "float4", "float8"].includes(typedOperand(expression).type);
	if (!isNumber) {
		throw new WhereRefusal("array subscript must have type integer", expression.location ?? location);
	}
	const number = converted(expression, "int4", [], location, input.parameters);
	const operand = number.form === "untyped" ? null : typedOperand(number).operand;
	return operand ?? { kind: "null", type: "int4" };
}
