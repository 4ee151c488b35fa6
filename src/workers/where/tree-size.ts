/**
 * How large a checked tree is once it is written out. Parts of a tree may be shared (BETWEEN uses its subject
 * twice), so it may be far larger than what was built; owns the count that stops before that hurts. Pure. Called
 * by where-parser.ts before anything walks the tree.
 */

import { WHERE_TREE_CHARACTERS_MAX } from "../../shared/limits.ts";
import type { Operand, WhereNode } from "../../shared/where-tree.ts";
import { WhereRefusal } from "./refusal.ts";

/** About what keywords, quotes and casts of one node take. */
const NODE_CHARACTERS = 24;

/** @throws WhereRefusal when the tree, written out, is beyond WHERE_TREE_CHARACTERS_MAX */
export function checkTreeSize(tree: WhereNode): void {
	let characters = 0;
	const spend = (amount: number): void => {
		characters += amount + NODE_CHARACTERS;
		if (characters > WHERE_TREE_CHARACTERS_MAX) {
			throw new WhereRefusal(`the condition is too large (the limit is ${WHERE_TREE_CHARACTERS_MAX} characters)`, null);
		}
	};
	const operand = (value: Operand): void => {
		if (value.kind === "condition") {
			visit(value.node);
		} else {
			spend(value.kind === "column" ? value.name.length : value.kind === "literal" ? value.text.length : 0);
		}
	};
	const visit = (node: WhereNode): void => {
		spend(0);
		switch (node.kind) {
			case "and":
			case "or":
				for (const child of node.nodes) {
					visit(child);
				}
				return;
			case "not":
			case "booleanTest":
				visit(node.node);
				return;
			case "compare":
			case "distinct":
				operand(node.left);
				operand(node.right);
				return;
			case "in":
				operand(node.operand);
				for (const value of node.values) {
					spend(value.length);
				}
				return;
			case "like":
				operand(node.operand);
				spend(node.pattern.length);
				return;
			case "constant":
			case "boolean":
			case "isNull":
				return;
		}
	};
	visit(tree);
}
