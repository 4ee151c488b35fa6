/**
 * How large and how deep a checked tree is once it is written out. Parts of a tree may be shared (BETWEEN uses its
 * subject twice), and rows become nested comparisons, so it may be far larger and deeper than what was written; owns
 * the counts that stop before that hurts: whoever walks the tree recurses. Pure. Called by where-parser.ts before
 * anything else walks the tree.
 */

import { WHERE_TREE_CHARACTERS_MAX, WHERE_TREE_DEPTH_MAX } from "../../shared/limits.ts";
import { isOperand, type Operand, partsOfNode, partsOfOperand, type WhereNode } from "../../shared/where-tree.ts";
import { WhereRefusal } from "./refusal.ts";

/** About what keywords, quotes and casts of one node take. */
const NODE_CHARACTERS = 24;

/** @throws WhereRefusal when the tree, written out, is beyond WHERE_TREE_CHARACTERS_MAX or WHERE_TREE_DEPTH_MAX */
export function checkTreeSize(tree: WhereNode): void {
	let characters = 0;
	const spend = (amount: number): void => {
		characters += amount + NODE_CHARACTERS;
		if (characters > WHERE_TREE_CHARACTERS_MAX) {
			throw new WhereRefusal(`the condition is too large (the limit is ${WHERE_TREE_CHARACTERS_MAX} characters)`, null);
		}
	};
	const visit = (part: Operand | WhereNode, depth: number): void => {
		if (depth > WHERE_TREE_DEPTH_MAX) {
			throw new WhereRefusal(`the condition is nested too deeply (the limit is ${WHERE_TREE_DEPTH_MAX} levels)`, null);
		}
		spend(0);
		if (part.kind === "column") {
			spend(part.name.length);
		} else if (part.kind === "literal") {
			spend(part.text.length);
		} else if (part.kind === "like" || part.kind === "regex") {
			spend(part.pattern.length);
		} else if (part.kind === "in") {
			for (const value of part.values) {
				spend(value.length);
			}
		}
		for (const child of isOperand(part) ? partsOfOperand(part) : partsOfNode(part)) {
			visit(child, depth + 1);
		}
	};
	visit(tree, 1);
}
