/**
 * The right side of ANY and ALL: the constants in `ARRAY[…]`, `'{…}'` or a parameter, or else an array that is
 * computed. Owns telling one from the other. Called by quantified.ts.
 */

import { parseArrayText } from "../../shared/sql/array-text.ts";
import { isArrayType } from "../../shared/sql/array-value.ts";
import { arrayFrom, type Check } from "./arrays.ts";
import type { CallInput } from "./calls.ts";
import { castExpression } from "./casts.ts";
import { castTarget } from "./column-types.ts";
import { type Expression, isConstant } from "./expression.ts";
import { unifyItems } from "./lists.ts";
import { shown, WhereRefusal } from "./refusal.ts";
import { listField, openNode } from "./syntax-node.ts";

export type ArraySide = { readonly items: readonly Expression[] } | { readonly array: Expression };

/** The elements of a constant array, or the expression of another one. @throws WhereRefusal */
export function arrayItems(value: unknown, outerLocation: number | null, input: CallInput, check: Check): ArraySide {
	const node = openNode(value, outerLocation);
	const { fields, location } = node;
	if (node.tag === "A_ArrayExpr") {
		const items = listField(fields, "elements").map((element) => check(element, location));
		const isNested = items.some((item) => item.form === "literal" && isArrayType(item.type));
		if (items.every(isConstant) && !isNested) {
			return { items: items.length > 1 ? unifyItems(null, items, location) : items };
		}
		return { array: arrayFrom(items, null, location, input) };
	}
	if (node.tag === "TypeCast") {
		const target = castTarget(fields["typeName"], location);
		if (target.isArray) {
			const { parameters } = input;
			const inner = arrayItems(fields["arg"], location, input, check);
			if ("array" in inner) {
				return { array: castExpression(inner.array, target, location, parameters) };
			}
			const element = { type: target.type, isArray: false, modifiers: [] } as const;
			return { items: inner.items.map((item) => castExpression(item, element, location, parameters)) };
		}
	}
	const expression = check(value, outerLocation);
	if (expression.form !== "untyped") {
		return { array: expression };
	}
	if (expression.text === null) {
		return { items: [expression] };
	}
	const array = parseArrayText(expression.text);
	if (array === null) {
		throw new WhereRefusal(`malformed array literal: ${shown(expression.text)}`, expression.location);
	}
	// One parameter may be used once as an array and once as a scalar; PostgreSQL would see two types.
	const { location: at } = expression;
	input.parameters.countElements(array.elements.length, at);
	return { items: array.elements.map((text) => ({ form: "untyped", text, parameter: null, location: at })) };
}
