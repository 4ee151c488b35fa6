/**
 * Rows: `(a, b) = (1, 2)`, `(a, b) < (1, 2)`, `(a, b) IN ((1, 2), (3, 4))`. Owns what PostgreSQL's row comparison
 * means in terms of the rows' fields; there are no rows in the tree. The rewriting is exact with three values: `<`
 * of rows is decided by the first pair that is not equal, or is NULL where that pair is. Called by checker.ts.
 */

import type { CompareOperator, WhereNode } from "../../shared/where-tree.ts";
import type { Expression } from "./expression.ts";
import { compareOperator } from "./lists.ts";
import { WhereRefusal } from "./refusal.ts";
import { isRecord, listField, openNode, type SyntaxNode } from "./syntax-node.ts";

export type Fields = readonly Expression[];

export type CompareFields = (left: Expression, operator: CompareOperator, right: Expression) => WhereNode;

/** The fields of a row constructor, `(a, b)` or ROW(a, b), as the grammar has them; null for anything else. */
export function rowFields(value: unknown): readonly unknown[] | null {
	const row = isRecord(value) ? value["RowExpr"] : undefined;
	return isRecord(row) ? listField(row, "args") : null;
}

/** @throws WhereRefusal when the rows are not of one length */
function compareRows(
	left: Fields,
	operator: CompareOperator,
	right: Fields,
	location: number | null,
	compare: CompareFields,
): WhereNode {
	const pairs = pairsOf(left, right, location);
	if (operator === "=" || operator === "<>") {
		const nodes = pairs.map(([first, second]) => compare(first, operator, second));
		return combined(operator === "=" ? "and" : "or", nodes);
	}
	const strict = operator.startsWith("<") ? "<" : ">";
	// From the last pair to the first: a < x OR (a = x AND the rest).
	return (
		pairs.reduceRight<WhereNode | null>((rest, [first, second]) => {
			if (rest === null) {
				return compare(first, operator, second);
			}
			const same = compare(first, "=", second);
			return { kind: "or", nodes: [compare(first, strict, second), { kind: "and", nodes: [same, rest] }] };
		}, null) ?? { kind: "constant", value: null }
	);
}

/** IS [NOT] DISTINCT FROM of rows: whether any pair is. */
function distinctRows(
	left: Fields,
	right: Fields,
	negated: boolean,
	location: number | null,
	distinct: (left: Expression, right: Expression, negated: boolean) => WhereNode,
): WhereNode {
	const nodes = pairsOf(left, right, location).map(([first, second]) => distinct(first, second, negated));
	return combined(negated ? "and" : "or", nodes);
}

/** IS [NOT] NULL of a row: whether all of its fields are, or are not. */
export function rowIsNull(fields: Fields, isNull: (field: Expression) => WhereNode): WhereNode {
	return combined("and", fields.map(isNull));
}

function combined(kind: "and" | "or", nodes: readonly WhereNode[]): WhereNode {
	const [only] = nodes;
	return nodes.length === 1 && only !== undefined ? only : { kind, nodes };
}

function pairsOf(left: Fields, right: Fields, location: number | null): (readonly [Expression, Expression])[] {
	if (left.length !== right.length) {
		throw new WhereRefusal("unequal number of entries in row expressions", location);
	}
	if (left.length === 0) {
		throw new WhereRefusal("cannot compare rows of zero length", location);
	}
	return left.flatMap((first, index) => {
		const second = right[index];
		return second === undefined ? [] : [[first, second] as const];
	});
}

/** How the checker builds conditions of two values. */
export interface RowPairing {
	readonly check: (value: unknown, location: number | null) => Expression;
	readonly compare: CompareFields;
	readonly distinct: (left: Expression, right: Expression, negated: boolean) => WhereNode;
}

/** An operator whose left side is a row; null when it is none. @throws WhereRefusal */
export function rowCondition(node: SyntaxNode, kind: string, name: string, pairing: RowPairing): WhereNode | null {
	const { fields, location } = node;
	const written = rowFields(fields["lexpr"]);
	if (written === null) {
		return null;
	}
	const checked = (values: readonly unknown[]): Fields => values.map((value) => pairing.check(value, location));
	const left = checked(written);
	const other = (value: unknown): Fields => {
		const right = rowFields(value);
		if (right === null) {
			throw new WhereRefusal("a row can only be compared with a row", location);
		}
		return checked(right);
	};
	const compared = (operator: CompareOperator, right: Fields) =>
		compareRows(left, operator, right, location, pairing.compare);
	switch (kind) {
		case "AEXPR_OP": {
			const operator = compareOperator(name);
			return operator === null ? null : compared(operator, other(fields["rexpr"]));
		}
		case "AEXPR_DISTINCT":
		case "AEXPR_NOT_DISTINCT":
			return distinctRows(left, other(fields["rexpr"]), kind === "AEXPR_NOT_DISTINCT", location, pairing.distinct);
		case "AEXPR_IN": {
			const rows = listItems(fields["rexpr"], location).map((value) => compared("=", other(value)));
			const node_ = combined("or", rows);
			return name === "<>" ? { kind: "not", node: node_ } : node_;
		}
		case "AEXPR_BETWEEN":
		case "AEXPR_NOT_BETWEEN": {
			const [low, high] = listItems(fields["rexpr"], location);
			const inside = combined("and", [compared(">=", other(low)), compared("<=", other(high))]);
			return kind === "AEXPR_BETWEEN" ? inside : { kind: "not", node: inside };
		}
		default:
			return null;
	}
}

function listItems(value: unknown, location: number | null): readonly unknown[] {
	const list = openNode(value, location);
	if (list.tag !== "List") {
		throw new WhereRefusal(`${list.tag} is not supported in this context`, location);
	}
	return listField(list.fields, "items");
}
