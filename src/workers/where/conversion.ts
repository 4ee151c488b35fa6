/**
 * Gives an expression another type: constants are converted here and now, columns and computed values for each
 * row. Owns which conversions of a row's value exist; must refuse those that depend on a setting or on the time.
 * Called by casts.ts (explicit), calls.ts, pairing.ts and special-forms.ts (implicit).
 */

import { castOf } from "../../shared/sql/casts.ts";
import type { Operand, ScalarType, ValueType } from "../../shared/where-tree.ts";
import { isScalar } from "./column-types.ts";
import { type Expression, type ParameterTypes, settleUntyped, type TypedOperand, typedOperand } from "./expression.ts";
import { castLiteral } from "./literal.ts";
import { shown, WhereRefusal } from "./refusal.ts";

const TEXT_TARGETS: readonly ScalarType[] = ["text", "varchar"];

/** Casts of a column that its text goes through as it is, so that it can still be compared by bytes. */
const TRANSPARENT: Readonly<Partial<Record<ValueType, readonly ScalarType[]>>> = {
	int2: ["int4", "int8", "numeric", "float4", "float8", ...TEXT_TARGETS],
	int4: ["int8", "numeric", "float8", ...TEXT_TARGETS],
	int8: ["numeric", "float8", ...TEXT_TARGETS],
	float4: ["float8"],
	numeric: TEXT_TARGETS,
	text: ["varchar", "bpchar"],
	varchar: ["text", "bpchar"],
	bpchar: TEXT_TARGETS,
	name: TEXT_TARGETS,
	uuid: TEXT_TARGETS,
	date: ["timestamp"],
	enum: TEXT_TARGETS,
};

/** The value of a conversion of an operand that is not NULL; null when there is no such conversion. */
export function convertedOperand(
	operand: Operand,
	from: ValueType,
	to: ValueType,
	modifiers: readonly number[],
): Operand | null {
	if (from === to && modifiers.length === 0) {
		return operand;
	}
	if (castOf(from, to, modifiers) === null) {
		return null;
	}
	if (operand.kind === "column" && isScalar(to) && modifiers.length === 0 && TRANSPARENT[from]?.includes(to) === true) {
		return { ...operand, casts: [...operand.casts, to] };
	}
	return { kind: "cast", type: to, modifiers, operand };
}

/**
 * The expression as a value of the type. @throws WhereRefusal when there is no such conversion, or the constant does
 * not fit
 */
export function converted(
	expression: Expression,
	type: ValueType,
	modifiers: readonly number[],
	location: number | null,
	parameters: ParameterTypes,
): Expression {
	if (expression.form === "untyped") {
		const settled = settleUntyped(expression, type, parameters);
		return modifiers.length === 0 ? settled : converted(settled, type, modifiers, location, parameters);
	}
	const { type: from, operand } = typedOperand(expression);
	if (from === type && modifiers.length === 0) {
		return expression;
	}
	if (operand === null) {
		return { form: "literal", type, literal: null, location: expression.location };
	}
	if (operand.kind === "literal") {
		return convertedLiteral(operand.text, from, type, modifiers, expression.location, location);
	}
	const result = convertedOperand(operand, from, type, modifiers);
	if (result === null) {
		throw new WhereRefusal(missingCast(from, type), location);
	}
	return expression.form === "column" && result.kind === "column"
		? { ...expression, operand: result }
		: { form: "value", type, operand: result, location: expression.location };
}

function convertedLiteral(
	text: string,
	from: ValueType,
	to: ValueType,
	modifiers: readonly number[],
	valueLocation: number | null,
	location: number | null,
): Expression {
	const result = castLiteral({ kind: "literal", type: from, text }, to, modifiers);
	if (result === "unknown") {
		throw new WhereRefusal(`unknown cast from type ${from} to type ${to}`, location);
	}
	if (result === "invalid") {
		throw new WhereRefusal(`could not cast value ${JSON.stringify(shown(text))} from ${from} to ${to}`, valueLocation);
	}
	return { form: "literal", type: to, literal: result, location: valueLocation };
}

const TEXTS: readonly ValueType[] = ["text", "varchar", "bpchar", "name"];
const UNSTEADY: readonly ValueType[] = ["date", "time", "timestamp", "timestamptz", "interval"];

function missingCast(from: ValueType, to: ValueType): string {
	const reason =
		TEXTS.includes(from) && UNSTEADY.includes(to)
			? ": what a row's text means as one depends on settings of the database"
			: "";
	return `unknown cast from type ${from} to type ${to}${reason}`;
}

/** An implicit conversion of one side. @throws WhereRefusal */
export function convertedSide(side: TypedOperand, type: ValueType, location: number | null): Operand | null {
	const { operand } = side;
	if (operand === null || side.type === type) {
		return operand;
	}
	if (operand.kind === "literal") {
		const result = convertedLiteral(operand.text, side.type, type, [], location, location);
		return result.form === "literal" ? result.literal : null;
	}
	const result = convertedOperand(operand, side.type, type, []);
	if (result === null) {
		throw new WhereRefusal(missingCast(side.type, type), location);
	}
	return result;
}
