/**
 * The value of the `electric-schema` header. Pure: columns in, ASCII JSON out. Owns the reading of type
 * modifiers; must match what clients parse values with. Source: shape-http-api.md 10.2; PostgreSQL
 * `*typmodout` functions.
 */

import type { ColumnInfo, ShapeDefinition } from "../../shared/shape-definition.ts";

/** VARHDRSZ: lengths of character and numeric types are stored with it added. */
const TYPMOD_HEADER = 4;

/** Bits of an interval's field mask. Source: PostgreSQL `datetime.h` / `timestamp.h` INTERVAL_MASK. */
const YEAR = 1 << 2;
const MONTH = 1 << 1;
const DAY = 1 << 3;
const HOUR = 1 << 10;
const MINUTE = 1 << 11;
const SECOND = 1 << 12;
const INTERVAL_FULL_RANGE = 0x7fff;
const INTERVAL_FULL_PRECISION = 0xffff;

const INTERVAL_FIELDS = new Map<number, string>([
	[YEAR, "YEAR"],
	[MONTH, "MONTH"],
	[DAY, "DAY"],
	[HOUR, "HOUR"],
	[MINUTE, "MINUTE"],
	[SECOND, "SECOND"],
	[YEAR | MONTH, "YEAR TO MONTH"],
	[DAY | HOUR, "DAY TO HOUR"],
	[DAY | HOUR | MINUTE, "DAY TO MINUTE"],
	[DAY | HOUR | MINUTE | SECOND, "DAY TO SECOND"],
	[HOUR | MINUTE, "HOUR TO MINUTE"],
	[HOUR | MINUTE | SECOND, "HOUR TO SECOND"],
	[MINUTE | SECOND, "MINUTE TO SECOND"],
]);

type Property = string | number | boolean;

export function schemaHeader(definition: ShapeDefinition): string {
	const selected = new Set(definition.selectedColumns);
	// Entries, not an object literal with assignments: a column may be called "__proto__".
	const entries = definition.table.columns
		.filter((column) => selected.has(column.name))
		.map((column): [string, Record<string, Property>] => [column.name, columnSchema(column)]);
	return escapeNonAscii(JSON.stringify(Object.fromEntries(entries)));
}

function columnSchema(column: ColumnInfo): Record<string, Property> {
	return {
		type: column.typeName,
		...(column.isArray && column.dimensions > 0 ? { dims: column.dimensions } : {}),
		...(column.primaryKeyIndex === null ? {} : { pk_index: column.primaryKeyIndex }),
		...(column.notNull ? { not_null: true } : {}),
		...modifiers(column.typeName, column.typmod),
	};
}

function modifiers(typeName: string, typmod: number): Record<string, Property> {
	switch (typeName) {
		case "varchar":
			return typmod >= TYPMOD_HEADER ? { max_length: typmod - TYPMOD_HEADER } : {};
		case "bpchar":
			return typmod >= TYPMOD_HEADER ? { length: typmod - TYPMOD_HEADER } : {};
		case "bit":
		case "varbit":
			return { length: typmod };
		case "numeric":
			return typmod >= TYPMOD_HEADER ? numericModifiers(typmod - TYPMOD_HEADER) : {};
		case "interval":
			return typmod >= 0 ? intervalModifiers(typmod) : {};
		case "time":
		case "timetz":
		case "timestamp":
		case "timestamptz":
			if (typmod > 0) {
				return { precision: typmod };
			}
			break;
	}
	return typmod > -1 ? { type_mod: typmod } : {};
}

/** Precision in the high half; scale in the low 11 bits, signed since 15. Source: `numeric_typmod_scale`. */
function numericModifiers(packed: number): Record<string, Property> {
	const scale = packed & 0x7ff;
	return { precision: (packed >> 16) & 0xffff, scale: (scale ^ 1024) - 1024 };
}

function intervalModifiers(typmod: number): Record<string, Property> {
	const range = (typmod >> 16) & 0x7fff;
	const precision = typmod & 0xffff;
	const fields = range === INTERVAL_FULL_RANGE ? undefined : INTERVAL_FIELDS.get(range);
	return {
		...(precision === INTERVAL_FULL_PRECISION ? {} : { precision }),
		...(fields === undefined ? {} : { fields }),
	};
}

/** HTTP header values are ASCII: everything else becomes `\u` escapes, which JSON reads back unchanged. */
function escapeNonAscii(json: string): string {
	return json.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
