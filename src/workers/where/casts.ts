/**
 * Explicit casts, `x::type` and CAST. Owns what may be cast at all; what a conversion does is in conversion.ts.
 * Called by checker.ts.
 */

import type { CastTarget } from "./column-types.ts";
import { converted } from "./conversion.ts";
import { type Expression, type ParameterTypes, typedOperand, typeLabel } from "./expression.ts";
import { WhereRefusal } from "./refusal.ts";

/** Applies a cast to a scalar. @throws WhereRefusal when the cast is unknown here or the constant does not fit */
export function castExpression(
	expression: Expression,
	target: CastTarget,
	location: number | null,
	parameters: ParameterTypes,
): Expression {
	if (target.isArray) {
		throw new WhereRefusal("arrays are only supported on the right side of ANY and ALL", location);
	}
	// Says why when the column cannot be evaluated at all.
	if (expression.form === "column") {
		typedOperand(expression);
	}
	if (expression.form === "condition" && target.type !== "bool" && target.type !== "int4" && target.type !== "text") {
		throw new WhereRefusal(`unknown cast from type ${typeLabel(expression)} to type ${target.type}`, location);
	}
	return converted(expression, target.type, target.modifiers, location, parameters);
}
