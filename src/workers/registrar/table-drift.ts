/**
 * Whether a table still is what a shape was made from. Pure: two descriptions in, the difference out. Owns
 * which changes end a shape; must err on the side of ending it. Called by the reconciler.
 * Source: shape-http-api.md 15.
 */

import type {
	ColumnInfo,
	ShapeDefinition,
	TableFingerprint,
	TableInfo,
	TypeFingerprint,
} from "../../shared/shape-definition.ts";
import { columnsOfWhere } from "../../shared/where-tree.ts";

/** "rewritten": a column's values may be others. "printed": values are the same, and their text is another. */
export type Drift = "dropped" | "replaced" | "renamed" | "partitions" | "key" | "columns" | "rewritten" | "printed";

const NO_PARTS: TypeFingerprint = { labels: "", attributes: "" };

/**
 * Null when the shape may live on. A column that the shape does not read may come, go and change. NOT NULL may
 * be added but not dropped: clients were promised that there are no NULLs.
 */
export function tableDrift(definition: ShapeDefinition, current: TableInfo | null): Drift | null {
	const { table } = definition;
	if (current === null) {
		return "dropped";
	}
	if (current.oid !== table.oid || current.kind !== table.kind) {
		return "replaced";
	}
	if (current.schema !== table.schema || current.name !== table.name) {
		return "renamed";
	}
	if (!sameItems(current.leafOids, table.leafOids)) {
		return "partitions";
	}
	if (!sameItems(keyOf(current), keyOf(table))) {
		return "key";
	}
	if (!definition.columnsGiven && current.columns.length !== table.columns.length) {
		return "columns";
	}
	const now = new Map(current.columns.map((column) => [column.name, column]));
	const read = new Set([
		...definition.selectedColumns,
		...definition.keyColumns,
		...(definition.where === null ? [] : columnsOfWhere(definition.where.tree)),
	]);
	const columns = table.columns.filter((column) => read.has(column.name));
	if (columns.some((column) => columnDiffers(column, now.get(column.name)))) {
		return "columns";
	}
	return table.fingerprint === undefined || current.fingerprint === undefined
		? null
		: fingerprintDrift(columns, table.fingerprint, current.fingerprint);
}

/**
 * VACUUM FULL and CLUSTER make other files and leave the columns alone; SET DEFAULT and the like alter a column and
 * leave the files alone; ALTER COLUMN ... TYPE ... USING does both.
 */
function fingerprintDrift(
	columns: readonly ColumnInfo[],
	before: TableFingerprint,
	now: TableFingerprint,
): "rewritten" | "printed" | null {
	if (before.files !== now.files && columns.some(({ name }) => before.columns[name] !== now.columns[name])) {
		return "rewritten";
	}
	return columns.some(({ typeOid }) => isPrintedOtherwise(before.types[typeOid], now.types[typeOid]))
		? "printed"
		: null;
}

/** A label more changes no value that there was. */
function isPrintedOtherwise(before: TypeFingerprint = NO_PARTS, now: TypeFingerprint = NO_PARTS): boolean {
	const labels = new Set(now.labels.split(" "));
	return (
		before.attributes !== now.attributes || before.labels.split(" ").some((label) => label !== "" && !labels.has(label))
	);
}

function columnDiffers(before: ColumnInfo, now: ColumnInfo | undefined): boolean {
	return (
		now === undefined ||
		now.attributeNumber !== before.attributeNumber ||
		now.typeOid !== before.typeOid ||
		now.typmod !== before.typmod ||
		now.isGenerated !== before.isGenerated ||
		now.deterministicCollation !== before.deterministicCollation ||
		(before.notNull && !now.notNull)
	);
}

function keyOf(table: TableInfo): readonly string[] {
	return table.columns
		.filter((column) => column.primaryKeyIndex !== null)
		.map((column) => `${column.primaryKeyIndex}:${column.name}`)
		.sort();
}

function sameItems(left: readonly unknown[], right: readonly unknown[]): boolean {
	return left.length === right.length && left.every((item, index) => item === right[index]);
}
