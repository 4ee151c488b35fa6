/**
 * Explicit casts of constants and columns. Owns the table of casts that mean the same here and in PostgreSQL
 * and cannot fail on a row; must refuse all others. Called by checker.ts.
 */

import type { ScalarType } from "../../shared/where-tree.ts";
import type { CastTarget } from "./column-types.ts";
import {
	type Expression,
	operandType,
	type ParameterTypes,
	settleUntyped,
	typedOperand,
	typeLabel,
} from "./expression.ts";
import { castLiteral } from "./literal.ts";
import { withCast } from "./pairing.ts";
import { shown, WhereRefusal } from "./refusal.ts";

const TEXT_TARGETS: readonly ScalarType[] = ["text", "varchar"];

/** Casts of a column's value: exact, total, independent of settings. */
const COLUMN_CASTS: Readonly<Record<ScalarType, readonly ScalarType[]>> = {
	bool: [],
	int2: ["int4", "int8", "numeric", "float4", "float8", ...TEXT_TARGETS],
	int4: ["int8", "numeric", "float4", "float8", ...TEXT_TARGETS],
	int8: ["numeric", "float8", ...TEXT_TARGETS],
	float4: ["float8"],
	float8: [],
	numeric: TEXT_TARGETS,
	text: ["varchar", "bpchar"],
	varchar: ["text", "bpchar"],
	bpchar: ["text", "varchar"],
	name: ["text", "varchar"],
	uuid: TEXT_TARGETS,
	date: ["timestamp"],
	time: [],
	timestamp: [],
	timestamptz: [],
	interval: [],
	json: [],
	jsonb: [],
	enum: TEXT_TARGETS,
};

/** Applies a cast to a scalar. @throws WhereRefusal when the cast is unknown here or the constant does not fit */
export function castExpression(
	expression: Expression,
	target: CastTarget,
	location: number | null,
	parameters: ParameterTypes,
): Expression {
	const { type } = target;
	if (target.isArray) {
		throw new WhereRefusal("arrays are only supported on the right side of ANY and ALL", location);
	}
	const refuse = (): never => {
		throw new WhereRefusal(`unknown cast from type ${typeLabel(expression)} to type ${type}`, location);
	};
	switch (expression.form) {
		case "untyped":
			return settleUntyped(expression, type, parameters);
		case "condition":
			return type === "bool" ? expression : refuse();
		case "literal": {
			if (expression.literal === null) {
				return { ...expression, type };
			}
			const result = castLiteral(expression.literal, type);
			if (result === "unknown") {
				return refuse();
			}
			if (result === "invalid") {
				const { text, type: from } = expression.literal;
				throw new WhereRefusal(
					`could not cast value ${JSON.stringify(shown(text))} from ${from} to ${type}`,
					expression.location,
				);
			}
			return { ...expression, type, literal: result };
		}
		case "column": {
			// Says why when the column cannot be evaluated at all.
			typedOperand(expression);
			const { operand } = expression;
			if (operand === null || operandType(operand) === type) {
				return expression;
			}
			return COLUMN_CASTS[operandType(operand)].includes(type)
				? { ...expression, operand: withCast(operand, type) }
				: refuse();
		}
	}
}
