/**
 * Where a condition is hung in a filter index: which equalities lead to it and what is left to evaluate there.
 * Pure decider; must lose no row: following any of the branches and evaluating its rest is exactly the
 * condition. Called by filter-index.ts, when a shape is added.
 */

import { INDEX_KEYS_MAX } from "../../shared/limits.ts";
import type { Operand, WhereNode } from "../../shared/where-tree.ts";
import { type KeyForm, keyBytes, keyForm } from "./key-form.ts";

/** One equality of a column with any of some keys. */
export interface EqualityStep {
	readonly column: string;
	readonly form: KeyForm;
	readonly keys: readonly Uint8Array[];
}

/** A branch: all of its equalities in order, then the rest; null: nothing is left to evaluate. */
export interface Branch {
	readonly steps: readonly EqualityStep[];
	readonly rest: WhereNode | null;
}

/** The branches of a condition. One without steps: it is evaluated for every row. */
export function branchesOf(tree: WhereNode | null): readonly Branch[] {
	return tree === null ? [{ steps: [], rest: null }] : (indexableBranches(tree, INDEX_KEYS_MAX) ?? [wholly(tree)]);
}

function wholly(tree: WhereNode): Branch {
	return { steps: [], rest: tree };
}

/** Branches that all begin with an equality, or null when there is one that could not. */
function indexableBranches(tree: WhereNode, budget: number): readonly Branch[] | null {
	switch (tree.kind) {
		case "compare":
		case "in": {
			const step = equalityStep(tree);
			return step === null ? null : [{ steps: [step], rest: null }];
		}
		case "and":
			return andBranches(tree.nodes, budget);
		case "or": {
			const all = tree.nodes.map((node) => indexableBranches(node, budget));
			const branches = all.flatMap((part) => part ?? []);
			return all.includes(null) || branches.length > INDEX_KEYS_MAX ? null : branches;
		}
		default:
			return null;
	}
}

/**
 * All equalities of an AND become steps, as long as their keys do not multiply out; an OR never counts as the
 * indexable side.
 */
function andBranches(nodes: readonly WhereNode[], budget: number): readonly Branch[] | null {
	const steps: EqualityStep[] = [];
	const rest: WhereNode[] = [];
	let keyCount = 1;
	for (const node of flattened(nodes)) {
		const step = node.kind === "compare" || node.kind === "in" ? equalityStep(node) : null;
		if (step !== null && (steps.length === 0 || keyCount * step.keys.length <= budget)) {
			steps.push(step);
			keyCount *= step.keys.length;
		} else {
			rest.push(node);
		}
	}
	if (steps.length === 0) {
		return null;
	}
	const [only] = rest;
	return [{ steps, rest: rest.length > 1 ? { kind: "and", nodes: rest } : (only ?? null) }];
}

function flattened(nodes: readonly WhereNode[]): readonly WhereNode[] {
	return nodes.flatMap((node) => (node.kind === "and" ? flattened(node.nodes) : [node]));
}

function equalityStep(tree: Extract<WhereNode, { kind: "compare" | "in" }>): EqualityStep | null {
	if (tree.kind === "in") {
		const form = keyForm(tree.operand, tree.comparison, tree.type);
		// NULL in the list makes no row true that is not true without it.
		return stepOf(
			tree.operand,
			form,
			tree.values.map((text) => keyBytes(text, tree.comparison)),
		);
	}
	if (tree.operator !== "=") {
		return null;
	}
	const [operand, literal] = tree.left.kind === "literal" ? [tree.right, tree.left] : [tree.left, tree.right];
	if (literal.kind !== "literal") {
		return null;
	}
	return stepOf(operand, keyForm(operand, tree.comparison, literal.type), [keyBytes(literal.text, tree.comparison)]);
}

function stepOf(operand: Operand, form: KeyForm | null, keys: readonly Uint8Array[]): EqualityStep | null {
	return form === null || operand.kind !== "column" ? null : { column: operand.name, form, keys };
}
