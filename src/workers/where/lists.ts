/**
 * Equality with a list of constants: IN, NOT IN, ANY, ALL. Owns the common type of a list, which PostgreSQL
 * settles before it compares (a float4 column IN (0.1, 0.2) finds what = 0.1 does not). Called by checker.ts.
 */

import type { CompareOperator, LiteralOperand, Operand, WhereNode } from "../../shared/where-tree.ts";
import { convertedSide } from "./conversion.ts";
import { type Expression, type LiteralExpression, type ParameterTypes, typedOperand } from "./expression.ts";
import { isText, numberRank, pairExpressions } from "./pairing.ts";
import { WhereRefusal } from "./refusal.ts";

export const NULL_CONDITION: WhereNode = { kind: "constant", value: null };

/** `left = any of items` where every item is a constant. `left` may be a constant too. */
export function equalsAny(
	left: Expression,
	items: readonly Expression[],
	location: number | null,
	parameters: ParameterTypes,
): WhereNode {
	const nodes: WhereNode[] = [];
	const groups: {
		operand: Operand;
		comparison: string;
		node: Extract<WhereNode, { kind: "in" }>;
		seen: Set<string>;
	}[] = [];
	let hasNull = false;
	for (const item of items) {
		const pair = pairExpressions(left, item, true, location, parameters);
		if (pair.left === null || pair.right === null) {
			hasNull = true;
			continue;
		}
		if (pair.right.kind !== "literal") {
			nodes.push({ kind: "compare", operator: "=", comparison: pair.comparison, left: pair.left, right: pair.right });
			continue;
		}
		const literal: LiteralOperand = pair.right;
		const group = groups.find(
			(other) =>
				other.comparison === pair.comparison &&
				other.node.type === literal.type &&
				isSameOperand(other.operand, pair.left),
		);
		if (group === undefined) {
			const node = {
				kind: "in",
				comparison: pair.comparison,
				operand: pair.left,
				type: literal.type,
				values: [literal.text],
				hasNull: false,
			} as const;
			groups.push({ operand: pair.left, comparison: pair.comparison, node, seen: new Set([literal.text]) });
		} else {
			group.seen.add(literal.text);
		}
	}
	const lists = groups.map(({ node, seen }, index) => listNode(node, [...seen], hasNull && index === 0));
	const all = [...lists, ...nodes, ...(hasNull && lists.length === 0 ? [NULL_CONDITION] : [])];
	const [only] = all;
	if (only === undefined) {
		return { kind: "constant", value: false };
	}
	return all.length === 1 ? only : { kind: "or", nodes: all };
}

/** Operands that one expression gave; a condition is the same only when it is the same node. */
function isSameOperand(left: Operand, right: Operand | null): boolean {
	if (left.kind === "column" && right?.kind === "column") {
		return left.casts.length === right.casts.length && left.casts.every((type, index) => type === right.casts[index]);
	}
	if (left.kind === "literal" && right?.kind === "literal") {
		return left.type === right.type && left.text === right.text;
	}
	return left.kind === "condition" && right?.kind === "condition" && left.node === right.node;
}

function listNode(node: Extract<WhereNode, { kind: "in" }>, values: readonly string[], hasNull: boolean): WhereNode {
	const [only] = values;
	if (values.length === 1 && !hasNull && only !== undefined) {
		return {
			kind: "compare",
			operator: "=",
			comparison: node.comparison,
			left: node.operand,
			right: { kind: "literal", type: node.type, text: only },
		};
	}
	return { ...node, values, hasNull };
}

/** `left op ANY (items)` (`isAny`) or `left op ALL (items)`, as PostgreSQL defines it also for no items. */
export function comparesEach(nodes: readonly WhereNode[], isAny: boolean): WhereNode {
	const [only] = nodes;
	if (only === undefined) {
		return { kind: "constant", value: !isAny };
	}
	return nodes.length === 1 ? only : { kind: isAny ? "or" : "and", nodes };
}

/**
 * Brings constants to one type as PostgreSQL's select_common_type does. For IN the left side takes part; for
 * ARRAY[…] pass null.
 * @throws WhereRefusal when the left side is a column that would have to be converted inexactly
 */
export function unifyItems(
	left: Expression | null,
	items: readonly Expression[],
	location: number | null,
): readonly Expression[] {
	const typed = items.filter((item): item is LiteralExpression => item.form === "literal");
	const leftType = left === null || left.form === "untyped" ? null : typedOperand(left).type;
	const leftRank = leftType === null ? undefined : numberRank(leftType);
	const ranks = typed.map((item) => numberRank(item.type)).filter((rank) => rank !== undefined);
	if (ranks.length > 0 && ranks.length === typed.length) {
		return unifyNumbers(left, leftRank, typed, items, location);
	}
	for (const item of typed) {
		refuseMixture(leftType, typed[0]?.type ?? item.type, item, location);
	}
	return items;
}

function unifyNumbers(
	left: Expression | null,
	leftRank: number | undefined,
	typed: readonly LiteralExpression[],
	items: readonly Expression[],
	location: number | null,
): readonly Expression[] {
	const rankOf = (item: LiteralExpression): number => numberRank(item.type) ?? 0;
	const highest = Math.max(leftRank ?? 0, ...typed.map(rankOf));
	const target = typed.find((item) => rankOf(item) === highest)?.type ?? (left === null ? null : typedNumber(left));
	if (target === null || (target !== "float4" && target !== "float8")) {
		return items;
	}
	if (leftRank !== undefined && leftRank < highest && left?.form === "column") {
		throw new WhereRefusal(`a list that mixes in ${target} constants is not supported for this column`, location);
	}
	return items.map((item) => {
		if (item.form !== "literal" || item.type === target) {
			return item;
		}
		const literal = convertedSide({ type: item.type, operand: item.literal }, target, item.location);
		return { ...item, type: target, literal: literal?.kind === "literal" ? literal : null };
	});
}

function typedNumber(left: Expression): "float4" | "float8" | null {
	if (left.form === "untyped") {
		return null;
	}
	const { type } = typedOperand(left);
	return type === "float4" || type === "float8" ? type : null;
}

/** Lists of texts of several types have a common type that depends on their order: refused when that matters. */
function refuseMixture(
	leftType: string | null,
	firstType: LiteralExpression["type"],
	item: LiteralExpression,
	location: number | null,
): void {
	const mixes = item.type !== firstType || (leftType !== null && item.type !== leftType);
	const involvesBlanks = [leftType, firstType, item.type].some((type) => type === "bpchar" || type === "name");
	if (isText(item.type) && mixes && involvesBlanks) {
		throw new WhereRefusal("a list that mixes text types is not supported", item.location ?? location);
	}
	if (!isText(item.type) && item.type !== firstType) {
		throw new WhereRefusal(`ARRAY types ${firstType} and ${item.type} cannot be matched`, item.location ?? location);
	}
}

/** The operators that ANY and ALL take. */
export function compareOperator(name: string): CompareOperator | null {
	switch (name) {
		case "=":
		case "<>":
		case "<":
		case "<=":
		case ">":
		case ">=":
			return name;
		case "!=":
			return "<>";
		default:
			return null;
	}
}
