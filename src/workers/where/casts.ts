/**
 * Explicit casts, `x::type` and CAST. Owns what may be cast at all; what a conversion does is in conversion.ts.
 * Called by checker.ts.
 */

import { type CastTarget, requireElementType } from "./column-types.ts";
import { converted } from "./conversion.ts";
import { type Expression, type ParameterTypes, typedOperand, typeLabel } from "./expression.ts";
import { WhereRefusal } from "./refusal.ts";

/** Applies a cast. @throws WhereRefusal when the cast is unknown here or the constant does not fit */
export function castExpression(
	expression: Expression,
	target: CastTarget,
	location: number | null,
	parameters: ParameterTypes,
): Expression {
	// Says why when the column cannot be evaluated at all.
	if (expression.form === "column") {
		typedOperand(expression);
	}
	const takesCondition = !target.isArray && ["bool", "int4", "text"].includes(target.type);
	if (expression.form === "condition" && !takesCondition) {
		throw new WhereRefusal(`unknown cast from type ${typeLabel(expression)} to type ${target.type}`, location);
	}
	if (target.isArray) {
		requireElementType(target.type, location);
	}
	const type = target.isArray ? (`${target.type}[]` as const) : target.type;
	return converted(expression, type, target.modifiers, location, parameters);
}
