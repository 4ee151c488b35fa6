/**
 * Whether a relation, as the stream describes it, is still what a shape was defined on. Pure. Called by the lane
 * at each new Relation message. Shape API reference, section 15; columns of the `where` count like selected
 * ones, since a condition that cannot be evaluated would make rows vanish silently.
 */

import type { Relation, RelationColumn } from "../../shared/matching.ts";
import type { ShapeDefinition } from "../../shared/shape-definition.ts";
import { columnsOfWhere } from "../../shared/where-tree.ts";

/** Columns without which the shape's rows cannot be matched or written. */
export function neededColumns(definition: ShapeDefinition): readonly string[] {
	const names = new Set([...definition.selectedColumns, ...definition.keyColumns]);
	if (definition.where !== null) {
		for (const name of columnsOfWhere(definition.where.tree)) {
			names.add(name);
		}
	}
	return [...names];
}

/**
 * False when the shape has to be dropped: its table was renamed or made anew, a column that it needs was
 * dropped or re-typed (a changed type modifier rewrites values without sending rows), or the table got or lost
 * a column and the shape takes all of them. A partition is compared to the root's columns and may have any name.
 * @param needed of {@link neededColumns}, computed once a shape
 */
export function fitsDefinition(relation: Relation, definition: ShapeDefinition, needed: readonly string[]): boolean {
	const { table } = definition;
	const isSameName = relation.schema === table.schema && relation.name === table.name;
	if (relation.oid === table.oid ? !isSameName : isSameName) {
		return false;
	}
	const present = new Map<string, RelationColumn>(relation.columns.map((column) => [column.name, column]));
	const defined = new Map(table.columns.map((column) => [column.name, column]));
	const fits = needed.every((name) => {
		const [found, expected] = [present.get(name), defined.get(name)];
		return (
			found !== undefined &&
			expected !== undefined &&
			found.typeOid === expected.typeOid &&
			found.typmod === expected.typmod
		);
	});
	// All selected columns are there: with `columns` not given only a column that is new can differ in the count.
	return fits && (definition.columnsGiven || relation.columns.every((column) => defined.has(column.name)));
}
