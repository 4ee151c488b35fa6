/**
 * One table with a column of every type that a `where` can evaluate, as the tests of that language see it: its
 * statement, its columns as the registrar would describe them, and rows as tuples. Called by the tests of the
 * where and match rooms.
 */

import type { Relation } from "../../src/shared/matching.ts";
import type { ColumnInfo, ShapeDefinition, WhereClause } from "../../src/shared/shape-definition.ts";
import { LENGTH_NULL, Tuple } from "../../src/shared/tuple.ts";

export const WHERE_TABLE_OID = 50_000;

interface ColumnSpec {
	readonly name: string;
	readonly declaration: string;
	readonly typeName: string;
	readonly typeOid: number;
	readonly typeKind?: string;
	readonly isArray?: boolean;
}

/** Oids of user types are what the test's server gave them; unit tests take any. */
const MOOD_OID = 60_001;

export const WHERE_COLUMN_SPECS: readonly ColumnSpec[] = [
	{ name: "id", declaration: "int4 primary key", typeName: "int4", typeOid: 23 },
	{ name: "i2", declaration: "int2", typeName: "int2", typeOid: 21 },
	{ name: "i4", declaration: "int4", typeName: "int4", typeOid: 23 },
	{ name: "i8", declaration: "int8", typeName: "int8", typeOid: 20 },
	{ name: "f4", declaration: "float4", typeName: "float4", typeOid: 700 },
	{ name: "f8", declaration: "float8", typeName: "float8", typeOid: 701 },
	{ name: "n", declaration: "numeric", typeName: "numeric", typeOid: 1700 },
	{ name: "s", declaration: "text", typeName: "text", typeOid: 25 },
	{ name: "v", declaration: "varchar", typeName: "varchar", typeOid: 1043 },
	{ name: "c", declaration: "char(6)", typeName: "bpchar", typeOid: 1042 },
	{ name: "nm", declaration: "name", typeName: "name", typeOid: 19 },
	{ name: "b", declaration: "bool", typeName: "bool", typeOid: 16 },
	{ name: 'Odd "name"', declaration: "bool", typeName: "bool", typeOid: 16 },
	{ name: "u", declaration: "uuid", typeName: "uuid", typeOid: 2950 },
	{ name: "d", declaration: "date", typeName: "date", typeOid: 1082 },
	{ name: "t", declaration: "time", typeName: "time", typeOid: 1083 },
	{ name: "ts", declaration: "timestamp", typeName: "timestamp", typeOid: 1114 },
	{ name: "tz", declaration: "timestamptz", typeName: "timestamptz", typeOid: 1184 },
	{ name: "iv", declaration: "interval", typeName: "interval", typeOid: 1186 },
	{ name: "e", declaration: "mood", typeName: "mood", typeOid: MOOD_OID, typeKind: "e" },
	{ name: "j", declaration: "jsonb", typeName: "jsonb", typeOid: 3802 },
	{ name: "a", declaration: "int4[]", typeName: "int4", typeOid: 1007, isArray: true },
];

export const MOODS: readonly string[] = ["sad", "ok", 'it\'s \\ "fine"', "happy"];

/** The columns as ColumnInfo. */
export function whereColumns(change: (spec: ColumnSpec) => Partial<ColumnInfo> = () => ({})): readonly ColumnInfo[] {
	return WHERE_COLUMN_SPECS.map((spec, index) => ({
		name: spec.name,
		attributeNumber: index + 1,
		typeOid: spec.typeOid,
		typeName: spec.typeName,
		baseTypeName: spec.typeName,
		typeKind: spec.typeKind ?? "b",
		typmod: -1,
		dimensions: spec.isArray === true ? 1 : 0,
		isArray: spec.isArray === true,
		notNull: spec.name === "id",
		primaryKeyIndex: spec.name === "id" ? 0 : null,
		isGenerated: false,
		deterministicCollation: true,
		...change(spec),
	}));
}

/** A shape on the table. */
export function whereShape(where: WhereClause | null, leafOids: readonly number[] = []): ShapeDefinition {
	const columns = whereColumns();
	return {
		table: {
			oid: WHERE_TABLE_OID,
			schema: "public",
			name: "t",
			kind: leafOids.length > 0 ? "p" : "r",
			columns,
			leafOids,
		},
		where,
		selectedColumns: columns.map((column) => column.name).sort(),
		columnsGiven: false,
		keyColumns: ["id"],
		hasPrimaryKey: true,
		replica: "default",
		log: "full",
	};
}

/** The relation as the stream would describe it. */
export function whereRelation(oid = WHERE_TABLE_OID): Relation {
	return {
		oid,
		schema: "public",
		name: "t",
		replicaIdentity: "f",
		columns: WHERE_COLUMN_SPECS.map((spec) => ({
			name: spec.name,
			typeOid: spec.typeOid,
			typmod: -1,
			partOfKey: spec.name === "id",
		})),
	};
}

/** A row of texts as a tuple; the bytes do not begin at 0, as in a batch. */
export function tupleOf(values: readonly (string | null | undefined)[]): Tuple {
	const tuple = new Tuple();
	const texts = values.map((value) => (value === null || value === undefined ? null : Buffer.from(value, "utf8")));
	const buffer = Buffer.concat([Buffer.from("before"), ...texts.map((text) => text ?? Buffer.alloc(0))]);
	tuple.reset(buffer, values.length);
	let position = 6;
	texts.forEach((text, column) => {
		tuple.start[column] = position;
		tuple.length[column] = text?.length ?? LENGTH_NULL;
		position += text?.length ?? 0;
	});
	return tuple;
}

/** A row by column name; other columns are NULL. */
export function rowOf(values: Readonly<Record<string, string>>): Tuple {
	return tupleOf(WHERE_COLUMN_SPECS.map((spec) => values[spec.name]));
}
