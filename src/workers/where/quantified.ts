/**
 * `x op ANY (array)` and `x op ALL (array)`. Owns which arrays and operators they take: constants become a list, as
 * IN has one, so that they can be indexed; other arrays are looked through for each row. Called by checker.ts.
 */

import { elementTypeOf, isArrayType } from "../../shared/sql/array-value.ts";
import {
	type ColumnOperand,
	type CompareOperator,
	type LikeOperator,
	type Operand,
	type ScalarType,
	typeOfOperand,
	type ValueType,
	type WhereNode,
} from "../../shared/where-tree.ts";
import { arrayItems } from "./array-items.ts";
import type { Check } from "./arrays.ts";
import { type CallInput, isOfName } from "./calls.ts";
import { requireElementType } from "./column-types.ts";
import { convertedOperand } from "./conversion.ts";
import { type Expression, settleUntyped, typedOperand } from "./expression.ts";
import { compareOperator, comparesEach, equalsAny, NULL_CONDITION } from "./lists.ts";
import { isText, pairExpressions } from "./pairing.ts";
import { unknownOperator, WhereRefusal } from "./refusal.ts";
import type { SyntaxNode } from "./syntax-node.ts";

/** How the checker builds conditions of two values. */
export interface Pairing {
	readonly check: Check;
	readonly calls: CallInput;
	readonly compare: (left: Expression, operator: CompareOperator, right: Expression) => WhereNode;
	readonly like: (left: Expression, right: Expression, name: string) => WhereNode;
}

/** @throws WhereRefusal */
export function quantifiedNode(node: SyntaxNode, name: string, isAny: boolean, pairing: Pairing): WhereNode {
	const { location } = node;
	const left = pairing.check(node.fields["lexpr"], location);
	const right = arrayItems(node.fields["rexpr"], location, pairing.calls, pairing.check);
	const operator = compareOperator(name);
	if (operator === null && !isLike(name)) {
		throw new WhereRefusal(unknownOperator(name), location);
	}
	return "array" in right
		? overArray(left, operator ?? (name as LikeOperator), right.array, isAny, location, pairing.calls)
		: overConstants(left, name, right.items, isAny, location, pairing);
}

function isLike(name: string): name is LikeOperator {
	return /^!?~~\*?$/.test(name);
}

function overConstants(
	left: Expression,
	name: string,
	items: readonly Expression[],
	isAny: boolean,
	location: number | null,
	{ calls, compare, like }: Pairing,
): WhereNode {
	if (left.form !== "untyped" && isArrayType(typedOperand(left).type)) {
		throw new WhereRefusal("Could not select an operator overload", location);
	}
	const operator = compareOperator(name);
	const isMembership = (operator === "=" && isAny) || (operator === "<>" && !isAny);
	if (isMembership && items.length > 0) {
		const node = equalsAny(left, items, location, calls.parameters);
		return isAny ? node : { kind: "not", node };
	}
	const nodes = items.map((item) => (operator === null ? like(left, item, name) : compare(left, operator, item)));
	return comparesEach(nodes, isAny);
}

/** Stands for an element while its type is paired with the left side's. */
function placeholder(type: ScalarType): ColumnOperand {
	return { kind: "column", name: "", type, casts: [] };
}

function overArray(
	left: Expression,
	operator: CompareOperator | LikeOperator,
	right: Expression,
	isAny: boolean,
	location: number | null,
	input: CallInput,
): WhereNode {
	const given = right.form === "untyped" ? null : typedOperand(right);
	if (given === null || !isArrayType(given.type)) {
		throw new WhereRefusal("argument of ANY must be an array", right.location ?? location);
	}
	if (given.operand === null) {
		return NULL_CONDITION;
	}
	let { operand } = given;
	let elementType = elementTypeOf(given.type);
	const isEquality = operator === "=" || operator === "<>";
	if (elementType === "enum" && left.form === "untyped" && isEquality) {
		operand = castArray(operand, "text", location);
		elementType = "text";
	}
	requireElementType(elementType, location);
	const quantifier = isAny ? "any" : "all";
	if (isLike(operator)) {
		return {
			kind: "quantified",
			quantifier,
			operator,
			...likeSides(left, operator, operand, elementType, location, input),
		};
	}
	const element: Expression = { form: "value", type: elementType, operand: placeholder(elementType), location };
	const pair = pairExpressions(left, element, isEquality, location, input.parameters);
	const paired = pair.right === null ? elementType : typeOfOperand(pair.right);
	if (isArrayType(paired) || (pair.comparison === "timestamp" && elementType !== leftType(pair.left, elementType))) {
		throw new WhereRefusal("Could not select an operator overload", location);
	}
	return {
		kind: "quantified",
		quantifier,
		operator,
		comparison: pair.comparison,
		left: pair.left ?? { kind: "null", type: elementType },
		array: paired === elementType ? operand : castArray(operand, paired, location),
		folding: null,
	};
}

function leftType(operand: Operand | null, otherwise: ValueType): ValueType {
	return operand === null ? otherwise : typeOfOperand(operand);
}

function castArray(operand: Operand, elementType: ScalarType, location: number | null): Operand {
	const result = convertedOperand(operand, typeOfOperand(operand), `${elementType}[]`, []);
	if (result === null) {
		throw new WhereRefusal("Could not select an operator overload", location);
	}
	return result;
}

/** Patterns are text: char(n) loses its blanks on the way. */
function likeSides(
	left: Expression,
	operator: LikeOperator,
	array: Operand,
	elementType: ScalarType,
	location: number | null,
	{ caseFolding, parameters }: CallInput,
): Pick<Extract<WhereNode, { kind: "quantified" }>, "comparison" | "left" | "array" | "folding"> {
	const subject = typedOperand(left.form === "untyped" ? settleUntyped(left, "text", parameters) : left);
	if (!isText(subject.type) || !isText(elementType)) {
		throw new WhereRefusal("Could not select an operator overload", location);
	}
	const operand: Operand = subject.operand ?? { kind: "null", type: "text" };
	const folding = operator.endsWith("*") ? (isOfName(operand) ? "ascii" : caseFolding) : null;
	return {
		comparison: "text",
		left: operand,
		array: elementType === "bpchar" ? castArray(array, "text", location) : array,
		folding,
	};
}
