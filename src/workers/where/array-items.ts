/**
 * The right side of ANY and ALL: the constants in `ARRAY[…]`, `'{…}'` or a parameter. Owns which arrays are
 * accepted; must refuse an array that is not known when the clause is checked. Called by checker.ts.
 */

import { parseArrayLiteral } from "./array-literal.ts";
import { castExpression } from "./casts.ts";
import { castTarget } from "./column-types.ts";
import { type Expression, isConstant, type ParameterTypes, typeLabel } from "./expression.ts";
import { unifyItems } from "./lists.ts";
import { shown, shownName, WhereRefusal } from "./refusal.ts";
import { listField, openNode } from "./syntax-node.ts";

/** The elements of a constant array. */
export function arrayItems(
	value: unknown,
	outerLocation: number | null,
	parameters: ParameterTypes,
	check: (value: unknown, location: number | null) => Expression,
): readonly Expression[] {
	const node = openNode(value, outerLocation);
	const { fields, location } = node;
	if (node.tag === "A_ArrayExpr") {
		const items = listField(fields, "elements").map((element) => check(element, location));
		if (!items.every(isConstant)) {
			throw new WhereRefusal("ARRAY[…] of anything but constants is not supported", location);
		}
		return items.length > 1 ? unifyItems(null, items, location) : items;
	}
	if (node.tag === "TypeCast") {
		const target = castTarget(fields["typeName"], location);
		if (target.isArray) {
			const element = { type: target.type, isArray: false, modifiers: [] } as const;
			return arrayItems(fields["arg"], location, parameters, check).map((item) =>
				castExpression(item, element, location, parameters),
			);
		}
	}
	const expression = check(value, outerLocation);
	if (expression.form === "column" && expression.column.isArray) {
		throw new WhereRefusal(
			`column ${shownName(expression.column.name)} of type ${typeLabel(expression)} can only be tested with IS [NOT] NULL`,
			expression.location,
		);
	}
	if (expression.form !== "untyped") {
		throw new WhereRefusal("argument of ANY must be an array", expression.location);
	}
	if (expression.text === null) {
		return [expression];
	}
	const elements = parseArrayLiteral(expression.text);
	if (elements === null) {
		throw new WhereRefusal(`malformed array literal: ${shown(expression.text)}`, expression.location);
	}
	// One parameter may be used once as an array and once as a scalar; PostgreSQL would see two types.
	const { location: at } = expression;
	parameters.countElements(elements.length, at);
	return elements.map((text) => ({ form: "untyped", text, parameter: null, location: at }));
}
