/**
 * A table with columns of arrays, json and jsonb, as the tests of the `where` language see it: its statement, its
 * columns as the registrar would describe them, and rows with the values at which these types go wrong. Called by
 * where-oracle-documents.pg.test.ts and by unit tests.
 */

import type { Relation } from "../../src/shared/matching.ts";
import type { ColumnInfo, ShapeDefinition, WhereClause } from "../../src/shared/shape-definition.ts";
import type { Random } from "./random.ts";

export const DOCUMENT_TABLE_OID = 50_100;
const MOOD_OID = 60_001;

interface DocumentColumn {
	readonly name: string;
	readonly declaration: string;
	readonly typeName: string;
	readonly typeOid: number;
	readonly typeKind?: string;
	readonly values: readonly string[];
}

const INTEGER_ARRAYS: readonly string[] = [
	"{}",
	"{1}",
	"{1,2}",
	"{2,1}",
	"{1,2,3}",
	"{1,1,NULL}",
	"{NULL}",
	"{NULL,NULL}",
	"[0:1]={1,2}",
	"[-2:-1]={5,6}",
	"{5,100,2147483647,-2147483648}",
];

export const DOCUMENTS: readonly string[] = [
	"null",
	"1",
	"1.0",
	"-0.50",
	'"a"',
	'"1"',
	"true",
	"[]",
	"{}",
	"[1, 2, 3]",
	"[1, [1, 2], null]",
	'["a", "b", "b"]',
	'[{"a": 1}, {"a": 2, "b": [1]}]',
	'{"a": 1}',
	'{"a": 1.0, "b": null}',
	'{"a": "1", "bb": [1, 2, {"c": "d"}]}',
	'{"b": {"c": {"d": [1, 2]}}, "a": [1, 2]}',
	'{"a": true, "": "empty", "é": "é"}',
	'{"a": {"b": "x"}, "b": "a\\nb\\"\\\\"}',
	'{"a": 12345678901234567890.123456789}',
	'{"a": 1e3, "b": 1e-3}',
	'{"a": "  x ", "b": "2024-01-01"}',
	"[[1, 2], [3]]",
	'{"n": 1, "a": [[1]]}',
	'{"a": []}',
	'{"a": {}}',
	"[null]",
	"[true, false]",
	"-5",
	'"\\u0001 \\ud83d\\ude00"',
];

const column = (
	name: string,
	declaration: string,
	typeName: string,
	typeOid: number,
	values: readonly string[],
	typeKind = "b",
): DocumentColumn => ({ name, declaration, typeName, typeOid, values, typeKind });

export const DOCUMENT_COLUMNS: readonly DocumentColumn[] = [
	column("id", "int4 primary key", "int4", 23, []),
	column("i", "int4", "int4", 23, ["0", "1", "2", "3", "-1", "5", "100"]),
	column("big", "int8", "int8", 20, ["1", "2", "3000000000", "-1"]),
	column("n", "numeric", "numeric", 1700, ["1", "1.0", "2.50", "NaN", "-1"]),
	column("s", "text", "text", 25, [
		"",
		"a",
		"A",
		"b",
		"ab",
		"a b",
		"1",
		"É",
		"é",
		"NULL",
		"a\nb",
		"k",
		"\u212a",
		"x1y",
	]),
	column("c", "char(3)", "bpchar", 1042, ["a", "ab", "b"]),
	column("b", "bool", "bool", 16, ["t", "f"]),
	column("d", "date", "date", 1082, ["2024-01-01", "2000-02-29", "infinity"]),
	column("ia", "int4[]", "int4", 1007, [...INTEGER_ARRAYS, "{{1,2},{3,4}}", "{{1},{2}}", "{{{1,2}},{{3,NULL}}}"]),
	column("flat", "int4[]", "int4", 1007, INTEGER_ARRAYS),
	column("la", "int8[]", "int8", 1016, ["{}", "{1}", "{1,2}", "{3000000000,9007199254740993}", "{1,NULL}"]),
	column("ta", "text[]", "text", 1009, [
		"{}",
		"{a}",
		"{a,b}",
		"{b,a,a}",
		"{a,NULL}",
		'{"NULL","",NULL}',
		'{"a b","{","\\"","\\\\\\\\",","}',
		"{É,é,ab}",
		"{{a,b},{c,d}}",
		"{a%,_}",
		"{1,2}",
	]),
	column("va", "varchar[]", "varchar", 1015, ["{}", "{a}", "{a,b}", '{"a ",NULL}']),
	column("ca", "char(3)[]", "bpchar", 1014, ["{}", "{a}", "{a,ab}", '{"b  ",NULL}']),
	column("na", "numeric[]", "numeric", 1231, ["{}", "{1}", "{1.0,2.50}", "{NaN,NULL}", "{1.00,2.5}"]),
	column("fa", "float8[]", "float8", 1022, ["{}", "{1}", "{0,-0}", "{NaN,1.5}", "{Infinity,NULL}", "{0.1,0.2}"]),
	column("ba", "bool[]", "bool", 1000, ["{}", "{t}", "{t,f}", "{NULL,f}"]),
	column("ua", "uuid[]", "uuid", 2951, [
		"{}",
		"{f47ac10b-58cc-4372-a567-0e02b2c3d479}",
		"{00000000-0000-0000-0000-000000000000,NULL}",
	]),
	column("da", "date[]", "date", 1182, ["{}", "{2024-01-01}", "{infinity,2000-02-29}", '{"0044-03-15 BC"}']),
	column("tza", "timestamptz[]", "timestamptz", 1185, [
		"{}",
		'{"2024-01-01 10:00:00+02"}',
		'{"2024-01-01 08:00:00Z",NULL}',
	]),
	column("ea", "mood[]", "mood", MOOD_OID + 1, ["{}", "{sad}", "{happy,sad}", "{NULL,ok}"], "e"),
	column("j", "jsonb", "jsonb", 3802, DOCUMENTS),
	column("k", "jsonb", "jsonb", 3802, DOCUMENTS),
	column("js", "json", "json", 114, [...DOCUMENTS, ' { "a" : 1 , "a" : [ 1.0 , 2 ] } ', "[ 1e2, 1E+2 ]"]),
];

export const DOCUMENT_MOODS: readonly string[] = ["sad", "ok", "happy"];

export function documentValues(name: string): readonly string[] {
	return DOCUMENT_COLUMNS.find((spec) => spec.name === name)?.values ?? [];
}

/** Input texts of one row, in column order. */
export function generateDocumentRow(random: Random, id: number): (string | null)[] {
	return DOCUMENT_COLUMNS.map(({ name, values }) =>
		name === "id" ? String(id) : random.chance(0.1) ? null : random.pick(values),
	);
}

function isArray({ declaration }: DocumentColumn): boolean {
	return declaration.endsWith("[]");
}

export function documentColumns(): readonly ColumnInfo[] {
	return DOCUMENT_COLUMNS.map((spec, index) => ({
		name: spec.name,
		attributeNumber: index + 1,
		typeOid: spec.typeOid,
		typeName: spec.typeName,
		baseTypeName: spec.typeName,
		typeKind: spec.typeKind ?? "b",
		typmod: -1,
		dimensions: isArray(spec) ? 1 : 0,
		isArray: isArray(spec),
		notNull: spec.name === "id",
		primaryKeyIndex: spec.name === "id" ? 0 : null,
		isGenerated: false,
		deterministicCollation: true,
	}));
}

export function documentShape(where: WhereClause): ShapeDefinition {
	const columns = documentColumns();
	return {
		table: { oid: DOCUMENT_TABLE_OID, schema: "public", name: "t", kind: "r", columns, leafOids: [] },
		where,
		selectedColumns: columns.map(({ name }) => name).sort(),
		columnsGiven: false,
		keyColumns: ["id"],
		hasPrimaryKey: true,
		replica: "default",
		log: "full",
	};
}

export function documentRelation(): Relation {
	return {
		oid: DOCUMENT_TABLE_OID,
		schema: "public",
		name: "t",
		replicaIdentity: "f",
		columns: DOCUMENT_COLUMNS.map(({ name, typeOid }) => ({ name, typeOid, typmod: -1, partOfKey: name === "id" })),
	};
}
