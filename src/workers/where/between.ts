/**
 * BETWEEN, in its four forms. Owns their meaning in terms of `>=` and `<=`; pure. Called by checker.ts.
 */

import type { WhereNode } from "../../shared/where-tree.ts";
import type { Expression } from "./expression.ts";
import type { Pairing } from "./quantified.ts";
import { WhereRefusal } from "./refusal.ts";
import { listField, openNode, type SyntaxNode } from "./syntax-node.ts";

/** @throws WhereRefusal */
export function betweenNode(node: SyntaxNode, kind: string, { check, compare }: Pairing): WhereNode {
	const { location } = node;
	const subject = check(node.fields["lexpr"], location);
	const bounds = openNode(node.fields["rexpr"], location);
	const [first, second, ...rest] = listField(bounds.fields, "items").map((value) => check(value, location));
	if (bounds.tag !== "List" || first === undefined || second === undefined || rest.length > 0) {
		throw new WhereRefusal("BETWEEN is not supported in this context", location);
	}
	const within = (low: Expression, high: Expression): WhereNode => ({
		kind: "and",
		nodes: [compare(subject, ">=", low), compare(subject, "<=", high)],
	});
	const inside: WhereNode = kind.endsWith("_SYM")
		? { kind: "or", nodes: [within(first, second), within(second, first)] }
		: within(first, second);
	return kind.startsWith("AEXPR_NOT_") ? { kind: "not", node: inside } : inside;
}
