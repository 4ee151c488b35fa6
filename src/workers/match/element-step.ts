/**
 * Conditions on what an array column holds (`= ANY (column)` and its like), as steps of the index: by an element that
 * every matching row has, or by several of which it has one. Pure; must lose no row. Called by registration.ts.
 */

import type { LiteralOperand, ScalarType, WhereNode } from "../../shared/where-tree.ts";
import { type KeyForm, keyBytes, keyForm } from "./key-form.ts";

/** The array column has any of some elements, byte by byte. */
export interface ElementStep {
	readonly kind: "element";
	readonly column: string;
	readonly form: KeyForm;
	readonly keys: readonly Uint8Array[];
}

/** The step that a condition on an array begins with, and what it leaves open, or null. */
export function elementStep(tree: WhereNode): { readonly step: ElementStep; readonly rest: WhereNode | null } | null {
	if (tree.kind !== "quantified" || tree.quantifier !== "any" || tree.operator !== "=") {
		return null;
	}
	const { array, left, comparison } = tree;
	if (array.kind !== "column" || array.casts.length > 0 || left.kind !== "literal") {
		return null;
	}
	const type = elementTypeOf(array.type);
	const form =
		type === null ? null : keyForm({ kind: "column", name: array.name, type, casts: [] }, comparison, scalarOf(left));
	return form === null
		? null
		: { step: { kind: "element", column: array.name, form, keys: [keyBytes(left.text, comparison)] }, rest: null };
}

function elementTypeOf(type: string): ScalarType | null {
	return type.endsWith("[]") ? (type.slice(0, -2) as ScalarType) : null;
}

function scalarOf(literal: LiteralOperand): ScalarType {
	return literal.type as ScalarType;
}
