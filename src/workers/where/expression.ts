/**
 * A checked part of the expression while its type is being settled, and how an untyped constant gets one.
 * Owns the record of parameter types (one parameter, one type); must never coerce a column. Called by
 * checker.ts, pairing.ts and casts.ts.
 */

import { PARAMS_BYTES_MAX, WHERE_ELEMENTS_MAX } from "../../shared/limits.ts";
import type { ColumnInfo } from "../../shared/shape-definition.ts";
import { isArrayType } from "../../shared/sql/array-value.ts";
import type { ColumnOperand, LiteralOperand, Operand, ValueType, WhereNode } from "../../shared/where-tree.ts";
import { columnTypeName, hasCollation } from "./column-types.ts";
import { literalFromText } from "./literal.ts";
import { shown, shownName, WhereRefusal } from "./refusal.ts";
import type { GivenType } from "./resolution.ts";

/** A column. `operand` is null when no value of it can be evaluated; `reason` then says why. */
export interface ColumnExpression {
	readonly form: "column";
	readonly column: ColumnInfo;
	readonly operand: ColumnOperand | null;
	readonly location: number | null;
}

/** A constant that has no type yet: a quoted string, a parameter, or NULL (text null). */
export interface UntypedExpression {
	readonly form: "untyped";
	readonly text: string | null;
	/** Number of the parameter that it comes from. */
	readonly parameter: number | null;
	readonly location: number | null;
}

/** A constant of a type; `literal` null is NULL of that type. */
export interface LiteralExpression {
	readonly form: "literal";
	readonly type: ValueType;
	readonly literal: LiteralOperand | null;
	readonly location: number | null;
}

/** A value that has to be computed for each row; of any type, bool too. */
export interface ValueExpression {
	readonly form: "value";
	readonly type: ValueType;
	readonly operand: Operand;
	readonly location: number | null;
}

export interface ConditionExpression {
	readonly form: "condition";
	readonly node: WhereNode;
	readonly location: number | null;
}

export type Expression =
	| ColumnExpression
	| UntypedExpression
	| LiteralExpression
	| ValueExpression
	| ConditionExpression;

/** An expression whose type is settled and whose value can be evaluated. NULL has no operand. */
export interface TypedOperand {
	readonly type: ValueType;
	readonly operand: Operand | null;
}

/** The type of an operand after its casts. */
function operandType(operand: ColumnOperand): ValueType {
	return operand.casts.at(-1) ?? operand.type;
}

/** Types of the parameters met so far, and what constants have been spent on. */
export class ParameterTypes {
	readonly #types = new Map<number, ValueType>();
	#characters = 0;
	#elements = 0;

	/** Counts one use of a parameter. @throws WhereRefusal when all uses together are too large */
	countUse(text: string, location: number | null): void {
		this.#characters += text.length;
		if (this.#characters > PARAMS_BYTES_MAX) {
			throw new WhereRefusal(
				`the parameters are too large, each as often as it is used (the limit is ${PARAMS_BYTES_MAX} bytes)`,
				location,
			);
		}
	}

	/** Counts the elements of an array constant. @throws WhereRefusal when there are too many in all */
	countElements(count: number, location: number | null): void {
		this.#elements += count;
		if (this.#elements > WHERE_ELEMENTS_MAX) {
			throw new WhereRefusal(`too many array elements (the limit is ${WHERE_ELEMENTS_MAX})`, location);
		}
	}

	/** @throws WhereRefusal when the parameter already has another type */
	settle(parameter: number, type: ValueType, location: number | null): void {
		const known = this.#types.get(parameter);
		if (known !== undefined && known !== type) {
			throw new WhereRefusal(`type conflict for $${parameter}: ${known} and ${type}`, location);
		}
		this.#types.set(parameter, type);
	}
}

/** The value of an expression, or why there is none. Untyped constants must have been given a type before. */
export function typedOperand(expression: Exclude<Expression, UntypedExpression>): TypedOperand {
	switch (expression.form) {
		case "column":
			if (expression.operand === null) {
				throw new WhereRefusal(unusableColumn(expression.column), expression.location);
			}
			return { type: operandType(expression.operand), operand: expression.operand };
		case "literal":
			return { type: expression.type, operand: expression.literal };
		case "value":
			return { type: expression.type, operand: expression.operand };
		case "condition":
			return { type: "bool", operand: { kind: "condition", node: expression.node } };
	}
}

/** The type of an argument as resolution sees it: null for a constant that has none yet. */
export function givenType(expression: Expression): GivenType {
	return expression.form === "untyped" ? null : typedOperand(expression).type;
}

/** Gives an untyped constant its type. @throws WhereRefusal when its text is not valid for the type */
export function settleUntyped(
	expression: UntypedExpression,
	type: ValueType,
	parameters: ParameterTypes,
	typeName: string = type,
): LiteralExpression {
	if (expression.parameter !== null) {
		parameters.settle(expression.parameter, type, expression.location);
	}
	if (expression.text === null) {
		return { form: "literal", type, literal: null, location: expression.location };
	}
	if (isArrayType(type)) {
		parameters.countElements(expression.text.split(",").length, expression.location);
	}
	const literal = literalFromText(expression.text, type);
	if (literal === null) {
		throw new WhereRefusal(`invalid syntax for type ${typeName}: ${shown(expression.text)}`, expression.location);
	}
	return { form: "literal", type, literal, location: expression.location };
}

/** What a message calls the expression's type. */
export function typeLabel(expression: Expression): string {
	switch (expression.form) {
		case "column":
			return expression.operand === null || expression.operand.casts.length === 0
				? columnTypeName(expression.column)
				: operandType(expression.operand);
		case "untyped":
			return "unknown";
		case "literal":
		case "value":
			return expression.type;
		case "condition":
			return "bool";
	}
}

function unusableColumn(column: ColumnInfo): string {
	const name = shownName(column.name);
	return column.deterministicCollation
		? `column ${name} of type ${columnTypeName(column)} can only be tested with IS [NOT] NULL`
		: `column ${name} has a nondeterministic collation and can only be tested with IS [NOT] NULL`;
}

/** Whether a column of this type may be evaluated under its collation. */
export function collationAllows(column: ColumnInfo, type: ValueType): boolean {
	return column.deterministicCollation || !hasCollation(type);
}

export function isConstant(expression: Expression): boolean {
	return expression.form === "untyped" || expression.form === "literal";
}
