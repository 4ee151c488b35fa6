/**
 * Which columns and which type names this language can evaluate. Owns the mapping from PostgreSQL's catalogue
 * and grammar to ScalarType; must name a type only when the match room evaluates it exactly. Called by the
 * checkers of this room.
 */

import type { ColumnInfo } from "../../shared/shape-definition.ts";
import { modifierRules } from "../../shared/sql/casts.ts";
import type { ScalarType, ValueType } from "../../shared/where-tree.ts";
import { WhereRefusal } from "./refusal.ts";
import { isRecord, listField, numberField, openNode, stringsOf } from "./syntax-node.ts";

/** pg_type oids of the built-in types: an oid cannot be shadowed by a user's type of the same name. */
const TYPE_BY_OID: ReadonlyMap<number, ScalarType> = new Map([
	[16, "bool"],
	[19, "name"],
	[20, "int8"],
	[21, "int2"],
	[23, "int4"],
	[25, "text"],
	[114, "json"],
	[700, "float4"],
	[701, "float8"],
	[1042, "bpchar"],
	[1043, "varchar"],
	[1082, "date"],
	[1083, "time"],
	[1114, "timestamp"],
	[1184, "timestamptz"],
	[1186, "interval"],
	[1700, "numeric"],
	[2950, "uuid"],
	[3802, "jsonb"],
]);

/** The same of the array types. */
const ELEMENT_BY_OID: ReadonlyMap<number, ScalarType> = new Map([
	[1000, "bool"],
	[1003, "name"],
	[1005, "int2"],
	[1007, "int4"],
	[1009, "text"],
	[1014, "bpchar"],
	[1015, "varchar"],
	[1016, "int8"],
	[1021, "float4"],
	[1022, "float8"],
	[1115, "timestamp"],
	[1182, "date"],
	[1183, "time"],
	[1185, "timestamptz"],
	[1187, "interval"],
	[1231, "numeric"],
	[2951, "uuid"],
]);

const TYPE_BY_NAME: ReadonlyMap<string, ScalarType> = new Map([...TYPE_BY_OID.values()].map((type) => [type, type]));

/** The type as which a column is evaluated, or null when only IS [NOT] NULL can be asked about it. */
export function typeOfColumn(column: ColumnInfo): ValueType | null {
	if (column.isArray) {
		const element = column.typeKind === "e" ? "enum" : ELEMENT_BY_OID.get(column.typeOid);
		return element === undefined ? null : `${element}[]`;
	}
	if (column.typeKind === "e") {
		return "enum";
	}
	if (column.typeKind === "d") {
		return TYPE_BY_NAME.get(column.baseTypeName) ?? null;
	}
	return TYPE_BY_OID.get(column.typeOid) ?? null;
}

/** Types whose arrays are evaluated. */
export const ELEMENT_TYPES: readonly ScalarType[] = [...ELEMENT_BY_OID.values()];

/** @throws WhereRefusal for types whose arrays are not evaluated */
export function requireElementType(type: ScalarType, location: number | null): void {
	if (!ELEMENT_TYPES.includes(type)) {
		const advice = type === "enum" ? ": cast the column to text[]" : "";
		throw new WhereRefusal(`arrays of type ${type} are not supported${advice}`, location);
	}
}

/** The built-in type of a name, as a function of that name would cast to. */
export function builtInType(name: string): ScalarType | undefined {
	const type = TYPE_BY_NAME.get(name);
	return type === "json" ? undefined : type;
}

export function isScalar(type: ValueType): type is ScalarType {
	return !type.endsWith("[]");
}

/** Arrays have the collation of their elements. */
export function hasCollation(type: ValueType): boolean {
	return ["text", "varchar", "bpchar", "name"].includes(isScalar(type) ? type : type.slice(0, -2));
}

/** The column's type as an error message names it. */
export function columnTypeName(column: ColumnInfo): string {
	return column.isArray ? `${column.typeName}[]` : column.typeName;
}

/** The target of a cast. */
export interface CastTarget {
	readonly type: ScalarType;
	readonly isArray: boolean;
	/** Of varchar(n), char(n), numeric(p, s), timestamp(p); empty when none are written. */
	readonly modifiers: readonly number[];
}

const TYPE_NAME_FIELDS = ["names", "typemod", "typmods", "arrayBounds", "location"];

/** Reads the grammar's TypeName. @throws WhereRefusal for types, modifiers or dimensions that are not evaluated */
export function castTarget(typeName: unknown, location: number | null): CastTarget {
	if (!isRecord(typeName)) {
		throw new WhereRefusal("the cast is not supported", location);
	}
	const at = numberField(typeName, "location") ?? location;
	const names = stringsOf(listField(typeName, "names"));
	const qualified = names ?? [];
	const plain = qualified[0] === "pg_catalog" && qualified.length === 2 ? qualified.slice(1) : qualified;
	const written = qualified.join(".");
	const type = plain.length === 1 ? TYPE_BY_NAME.get(plain[0] ?? "") : undefined;
	const odd = Object.keys(typeName).some((field) => !TYPE_NAME_FIELDS.includes(field));
	if (type === undefined || odd) {
		throw new WhereRefusal(`unsupported type ${plain.length === 1 ? plain[0] : written}`, at);
	}
	const modifiers = modifiersOf(listField(typeName, "typmods"), type, at);
	const bounds = listField(typeName, "arrayBounds");
	if (bounds.length > 1) {
		throw new WhereRefusal(`arrays of more than one dimension are not supported in casts to ${type}`, at);
	}
	if (bounds.length === 1 && modifiers.length > 0) {
		throw new WhereRefusal(`type modifiers are not supported in casts to ${type}[]`, at);
	}
	return { type, isArray: bounds.length === 1, modifiers };
}

function modifiersOf(written: readonly unknown[], type: ScalarType, location: number | null): readonly number[] {
	if (written.length === 0) {
		return [];
	}
	const rules = modifierRules(type);
	const modifiers = written.map((value) => {
		const { fields, tag } = openNode(value, location);
		const constant = tag === "A_Const" && isRecord(fields["ival"]) ? fields["ival"] : null;
		const number = constant === null ? undefined : (constant["ival"] ?? 0);
		return typeof number === "number" ? number : Number.NaN;
	});
	// numeric(p) is numeric(p, 0).
	const complete = type === "numeric" && modifiers.length === 1 ? [...modifiers, 0] : modifiers;
	const isValid =
		complete.length === rules.length &&
		rules.every(([low, high], index) => {
			const modifier = complete[index] ?? Number.NaN;
			return modifier >= low && modifier <= high;
		});
	if (!isValid) {
		throw new WhereRefusal(`these type modifiers are not supported in casts to ${type}`, location);
	}
	return complete;
}
