/**
 * Conditions on what an array column holds (`= ANY (column)`, `@>`, `<@`, `&&`), as steps of the index: by elements
 * of which every matching row has one, or has all. Pure; must lose no row. Called by registration.ts.
 */

import { INDEX_KEYS_MAX } from "../../shared/limits.ts";
import { parseArrayText } from "../../shared/sql/array-text.ts";
import { withoutScale } from "../../shared/sql/number-input.ts";
import type { Comparison, Operand, ScalarType, ValueType, WhereNode } from "../../shared/where-tree.ts";
import { type KeyForm, keyBytes, keyForm } from "./key-form.ts";

/** The array column has any, or all, of some elements, byte by byte. Where it has all, one of them leads the way. */
export interface ElementStep {
	readonly kind: "element";
	readonly column: string;
	readonly form: KeyForm;
	readonly needs: "any" | "all";
	readonly keys: readonly Uint8Array[];
}

/** A step, and what it leaves open of the condition it was made from. */
export interface PartialElementStep {
	readonly step: ElementStep;
	readonly rest: WhereNode | null;
}

/** The step that a condition on an array begins with, or null. */
export function elementStep(tree: WhereNode): PartialElementStep | null {
	if (tree.kind === "quantified") {
		const isElement = tree.quantifier === "any" && tree.operator === "=" && tree.left.kind === "literal";
		const made = isElement ? stepOf(tree.array, tree.left.type, [tree.left.text], "any") : null;
		return made === null ? null : { step: made, rest: null };
	}
	if (tree.kind !== "value" || tree.operand.kind !== "call") {
		return null;
	}
	const [left, right] = tree.operand.arguments;
	if (left === undefined || right === undefined) {
		return null;
	}
	switch (tree.operand.function) {
		case "array_contains":
			return containmentStep(left, right, tree);
		case "array_contained":
			return containmentStep(right, left, tree);
		case "array_overlaps":
			return right.kind === "literal" ? overlapStep(left, right) : overlapStep(right, left);
		default:
			return null;
	}
}

/** A NULL in what must be contained is never found: nothing matches, and the condition itself says so. */
function containmentStep(container: Operand, contained: Operand, tree: WhereNode): PartialElementStep | null {
	const elements = elementsOf(contained);
	if (elements === null || elements.includes(null)) {
		return null;
	}
	const step = stepOf(container, contained.kind === "literal" ? elementTypeOf(contained.type) : null, elements, "all");
	return step === null ? null : { step, rest: step.keys.length === 1 ? null : tree };
}

function overlapStep(column: Operand, constant: Operand): PartialElementStep | null {
	const elements = elementsOf(constant)?.filter((element) => element !== null) ?? [];
	const step = stepOf(column, constant.kind === "literal" ? elementTypeOf(constant.type) : null, elements, "any");
	return step === null ? null : { step, rest: null };
}

/** Each element of a constant array once; null when it is no constant. */
function elementsOf(operand: Operand): readonly (string | null)[] | null {
	const array = operand.kind === "literal" ? parseArrayText(operand.text) : null;
	return array === null ? null : [...new Set(array.elements)];
}

function stepOf(
	operand: Operand,
	constantType: ValueType | null,
	elements: readonly (string | null)[],
	needs: "any" | "all",
): ElementStep | null {
	if (operand.kind !== "column" || operand.casts.length > 0 || elements.length === 0) {
		return null;
	}
	const type = elementTypeOf(operand.type);
	const comparison = type === null ? null : comparisonOf(type);
	if (type === null || comparison === null || constantType === null || elements.length > INDEX_KEYS_MAX) {
		return null;
	}
	const form = keyForm({ kind: "column", name: operand.name, type, casts: [] }, comparison, constantType as ScalarType);
	// One text a value: elements of a constant keep their scale.
	const texts = elements
		.filter((element) => element !== null)
		.map((element) => (type === "numeric" ? withoutScale(element) : element));
	return form === null
		? null
		: { kind: "element", column: operand.name, form, needs, keys: texts.map((text) => keyBytes(text, comparison)) };
}

function elementTypeOf(type: ValueType): ScalarType | null {
	return type.endsWith("[]") ? (type.slice(0, -2) as ScalarType) : null;
}

/** How elements of the type are equal, where equal ones have equal bytes; null elsewhere. */
function comparisonOf(type: ScalarType): Comparison | null {
	switch (type) {
		case "bool":
			return "boolean";
		case "int2":
		case "int4":
		case "int8":
			return "integer";
		case "numeric":
			return "numeric";
		case "text":
		case "varchar":
		case "name":
		case "enum":
			return "text";
		case "bpchar":
			return "bpchar";
		case "uuid":
			return "uuid";
		case "date":
			return "date";
		default:
			return null;
	}
}
