/**
 * Where a condition is hung in a filter index: which steps lead to it and what is left to evaluate there. Pure
 * decider; must lose no row: following any of the branches and evaluating its rest is true for exactly the rows
 * that the condition is true for. Called by filter-index.ts, when a shape is added.
 */

import { INDEX_KEYS_MAX } from "../../shared/limits.ts";
import type { CompareOperator, Comparison, LiteralOperand, Operand, WhereNode } from "../../shared/where-tree.ts";
import { typeOfOperand } from "../../shared/where-tree.ts";
import { type ElementStep, elementStep } from "./element-step.ts";
import type { Bound, Interval } from "./interval-map.ts";
import { type KeyForm, keyBytes, keyForm } from "./key-form.ts";
import { exactText, literalPrefix, prefixInterval } from "./like-prefix.ts";

/** Equality of a column with any of some keys, byte by byte. */
export interface EqualityStep {
	readonly kind: "equality";
	readonly column: string;
	readonly form: KeyForm;
	readonly keys: readonly Uint8Array[];
}

/** A value, which may have to be computed, lies in any of some intervals. */
export interface RangeStep {
	readonly kind: "range";
	readonly operand: Operand;
	readonly comparison: Comparison;
	readonly intervals: readonly Interval<LiteralOperand>[];
}

export type Step = EqualityStep | ElementStep | RangeStep;

/** A way to a condition: all of the steps in order, then the rest; null: nothing is left to evaluate. */
export interface Way {
	readonly steps: readonly Step[];
	readonly rest: WhereNode | null;
}

/** A branch, and how it goes on, in place of its rest, where many shapes end at the same place. */
export interface Branch extends Way {
	readonly onward: Way | null;
}

/** A step, and what it leaves open of the condition it was made from. */
export interface PartialStep {
	readonly step: Step;
	readonly rest: WhereNode | null;
}

const NO_BOUND = { value: null, inclusive: false } as const;

/** The branches of a condition. One without steps: it is evaluated for every row. */
export function branchesOf(tree: WhereNode | null): readonly Branch[] {
	if (tree === null) {
		return [{ steps: [], rest: null, onward: null }];
	}
	const pushed = withoutNot(tree, false);
	return indexableBranches(pushed, INDEX_KEYS_MAX) ?? [{ steps: [], rest: pushed, onward: null }];
}

/**
 * The same condition, its NOTs moved inwards to where they end or can go no further. Exact in three-valued logic:
 * De Morgan's laws hold in it, and every order here is total, so that NOT a < b is a >= b, or NULL as it is.
 */
function withoutNot(tree: WhereNode, negated: boolean): WhereNode {
	switch (tree.kind) {
		case "not":
			return withoutNot(tree.node, !negated);
		case "and":
		case "or":
			return {
				kind: (tree.kind === "and") === negated ? "or" : "and",
				nodes: tree.nodes.map((node) => withoutNot(node, negated)),
			};
		case "compare":
			return negated ? { ...tree, operator: OPPOSITE[tree.operator] } : tree;
		default:
			return negated ? { kind: "not", node: tree } : tree;
	}
}

const OPPOSITE: Readonly<Record<CompareOperator, CompareOperator>> = {
	"=": "<>",
	"<>": "=",
	"<": ">=",
	"<=": ">",
	">": "<=",
	">=": "<",
};

const MIRRORED: Readonly<Record<CompareOperator, CompareOperator>> = {
	"=": "=",
	"<>": "<>",
	"<": ">",
	"<=": ">=",
	">": "<",
	">=": "<=",
};

/** Branches that all begin with a step, or null when there is one that could not. */
function indexableBranches(tree: WhereNode, budget: number): readonly Branch[] | null {
	switch (tree.kind) {
		case "and":
			return andBranches(tree.nodes, budget);
		case "or": {
			// The budget is the whole condition's: products of lists in every branch would add up to millions of places.
			const share = Math.max(1, budget / tree.nodes.length);
			const all = tree.nodes.map((node) => indexableBranches(node, share));
			const branches = all.flatMap((part) => part ?? []);
			return all.includes(null) || branches.length > INDEX_KEYS_MAX ? null : branches;
		}
		default: {
			const found = stepOf(tree);
			return found === null ? null : [{ steps: [found.step], rest: found.rest, onward: null }];
		}
	}
}

/**
 * Equalities first, as long as their keys do not multiply out; then one containment and one range. Behind an
 * equality these come into play only where many shapes meet: following them costs more than evaluating a few
 * conditions. An OR below an AND never leads the way.
 */
function andBranches(nodes: readonly WhereNode[], budget: number): readonly Branch[] | null {
	const equalities: EqualityStep[] = [];
	/** What the equalities leave open, and what the other steps leave open of that. */
	const rest: WhereNode[] = [];
	const onwardRest: WhereNode[] = [];
	let element: ElementStep | null = null;
	let range: RangeStep | null = null;
	let keyCount = 1;
	for (const node of flattened(nodes)) {
		const found = stepOf(node);
		const step = found?.step;
		if (step?.kind === "equality" && (equalities.length === 0 || keyCount * step.keys.length <= budget)) {
			equalities.push(step);
			keyCount *= step.keys.length;
			continue;
		}
		rest.push(node);
		let isLeading = false;
		if (step?.kind === "element" && element === null) {
			element = step;
			isLeading = true;
		} else if (step?.kind === "range") {
			const joined: RangeStep | null = range === null ? step : bothOf(range, step);
			range = joined ?? range;
			isLeading = joined !== null;
		}
		if (!isLeading) {
			onwardRest.push(node);
		} else if (found !== null && found.rest !== null) {
			onwardRest.push(found.rest);
		}
	}
	const others = withinBudget([element, range], budget / keyCount);
	if (others === null) {
		return equalities.length === 0 ? null : [{ steps: equalities, rest: allOf(rest), onward: null }];
	}
	const onward = { steps: others, rest: allOf(onwardRest) };
	return equalities.length === 0 ? [{ ...onward, onward: null }] : [{ steps: equalities, rest: allOf(rest), onward }];
}

/** The steps that are there, or null when there is none or their places multiply out. */
function withinBudget(candidates: readonly (ElementStep | RangeStep | null)[], budget: number): readonly Step[] | null {
	const steps = candidates.filter((step) => step !== null);
	const places = steps.reduce((count, step) => count * placesOf(step), 1);
	return steps.length === 0 || places > budget ? null : steps;
}

/** How many nodes a step leads to. */
function placesOf(step: ElementStep | RangeStep): number {
	if (step.kind === "range") {
		return step.intervals.length;
	}
	return step.needs === "all" ? 1 : step.keys.length;
}

function allOf(nodes: readonly WhereNode[]): WhereNode | null {
	const [only] = nodes;
	return nodes.length > 1 ? { kind: "and", nodes } : (only ?? null);
}

function flattened(nodes: readonly WhereNode[]): readonly WhereNode[] {
	return nodes.flatMap((node) => (node.kind === "and" ? flattened(node.nodes) : [node]));
}

/** A lower and an upper bound of one value make one interval; anything else is left to be evaluated. */
function bothOf(first: RangeStep, second: RangeStep): RangeStep | null {
	const [one, other] = [first.intervals[0], second.intervals[0]];
	const isOfOneValue =
		first.comparison === second.comparison && JSON.stringify(first.operand) === JSON.stringify(second.operand);
	if (!isOfOneValue || one === undefined || other === undefined) {
		return null;
	}
	if (first.intervals.length !== 1 || second.intervals.length !== 1) {
		return null;
	}
	const low = endOf(one.low, other.low);
	const high = endOf(one.high, other.high);
	return low === null || high === null ? null : { ...first, intervals: [{ low, high }] };
}

/** The one of two ends that is there; null when both are. */
function endOf(one: Bound<LiteralOperand>, other: Bound<LiteralOperand>): Bound<LiteralOperand> | null {
	if (one.value !== null && other.value !== null) {
		return null;
	}
	return one.value === null ? other : one;
}

/** The step that a condition without AND, OR and NOT begins with, if there is one. */
function stepOf(tree: WhereNode): PartialStep | null {
	switch (tree.kind) {
		case "boolean":
			return booleanStep(tree.column, "t");
		case "not":
			return tree.node.kind === "boolean" ? booleanStep(tree.node.column, "f") : null;
		case "compare":
			return compareStep(tree);
		case "in":
			return inStep(tree);
		case "like":
			return likeStep(tree);
		default:
			return elementStep(tree);
	}
}

function booleanStep(column: string, text: string): PartialStep {
	return { step: { kind: "equality", column, form: "plain", keys: [Buffer.from(text)] }, rest: null };
}

function compareStep(tree: Extract<WhereNode, { kind: "compare" }>): PartialStep | null {
	const { comparison } = tree;
	const [operand, literal, operator] =
		tree.left.kind === "literal"
			? [tree.right, tree.left, MIRRORED[tree.operator]]
			: [tree.left, tree.right, tree.operator];
	if (literal.kind !== "literal" || operator === "<>") {
		return null;
	}
	if (operator === "=") {
		const form = keyForm(operand, comparison, literal.type);
		if (form !== null && operand.kind === "column") {
			const keys = [keyBytes(literal.text, comparison)];
			return { step: { kind: "equality", column: operand.name, form, keys }, rest: null };
		}
	}
	return rangeStep(operand, comparison, [intervalOf(operator, literal)]);
}

function intervalOf(operator: Exclude<CompareOperator, "<>">, literal: LiteralOperand): Interval<LiteralOperand> {
	const bound = { value: literal, inclusive: operator === "=" || operator.endsWith("=") };
	switch (operator) {
		case "=":
			return { low: bound, high: bound };
		case "<":
		case "<=":
			return { low: NO_BOUND, high: bound };
		case ">":
		case ">=":
			return { low: bound, high: NO_BOUND };
	}
}

/** NULL in the list makes no row true that is not true without it. */
function inStep(tree: Extract<WhereNode, { kind: "in" }>): PartialStep | null {
	const { operand, comparison, type, values } = tree;
	const form = keyForm(operand, comparison, type);
	if (form !== null && operand.kind === "column") {
		const keys = values.map((text) => keyBytes(text, comparison));
		return { step: { kind: "equality", column: operand.name, form, keys }, rest: null };
	}
	return values.length > INDEX_KEYS_MAX
		? null
		: rangeStep(
				operand,
				comparison,
				values.map((text) => intervalOf("=", { kind: "literal", type, text })),
			);
}

/** Text that begins with the literal beginning of the pattern; the pattern itself is evaluated where it says more. */
function likeStep(tree: Extract<WhereNode, { kind: "like" }>): PartialStep | null {
	const type = typeOfOperand(tree.operand);
	if (tree.folding !== null || (type !== "text" && type !== "varchar")) {
		return null;
	}
	const exact = exactText(tree.pattern);
	if (exact !== null) {
		return rangeStep(tree.operand, "text", [intervalOf("=", { kind: "literal", type: "text", text: exact })]);
	}
	const prefix = literalPrefix(tree.pattern);
	const interval = prefixInterval(prefix.text);
	const found = interval === null ? null : rangeStep(tree.operand, "text", [interval]);
	return found === null ? null : { ...found, rest: prefix.isWhole ? null : tree };
}

/** Intervals of a value that is not a constant and not a condition. */
function rangeStep(
	operand: Operand,
	comparison: Comparison,
	intervals: readonly Interval<LiteralOperand>[],
): PartialStep | null {
	const isValue = operand.kind !== "literal" && operand.kind !== "null" && operand.kind !== "condition";
	return isValue ? { step: { kind: "range", operand, comparison, intervals }, rest: null } : null;
}
