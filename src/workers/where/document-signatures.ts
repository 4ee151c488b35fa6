/**
 * The operators and functions of arrays and of JSON, with the types they take and give: the part of signatures.ts
 * that is written for each element type. Owns this table; pure. Called by signatures.ts.
 */

import type { FunctionName } from "../../shared/where-functions.ts";
import type { ValueType } from "../../shared/where-tree.ts";
import { ELEMENT_TYPES } from "./column-types.ts";
import type { Signature, SignatureForm } from "./signatures.ts";

function row(form: SignatureForm, name: string, types: string, result: ValueType, called: FunctionName): Signature {
	return { form, name, arguments: types.split(" ") as ValueType[], result, function: called };
}

const binary = (name: string, types: string, result: ValueType, called: FunctionName) =>
	row("binary", name, types, result, called);
const func = (name: string, types: string, result: ValueType, called: FunctionName) =>
	row("function", name, types, result, called);

const ARRAY_SIGNATURES: readonly Signature[] = ELEMENT_TYPES.flatMap((element) => {
	const array = `${element}[]` as const;
	const pair = `${array} ${array}`;
	return [
		binary("@>", pair, "bool", "array_contains"),
		binary("<@", pair, "bool", "array_contained"),
		binary("&&", pair, "bool", "array_overlaps"),
		func("array_cat", pair, array, "array_cat"),
		func("array_append", `${array} ${element}`, array, "array_append"),
		func("array_prepend", `${element} ${array}`, array, "array_prepend"),
		binary("||", pair, array, "array_cat"),
		binary("||", `${array} ${element}`, array, "array_append"),
		binary("||", `${element} ${array}`, array, "array_prepend"),
		func("array_remove", `${array} ${element}`, array, "array_remove"),
		func("array_position", `${array} ${element}`, "int4", "array_position"),
		func("array_length", `${array} int4`, "int4", "array_length"),
		func("array_lower", `${array} int4`, "int4", "array_lower"),
		func("array_upper", `${array} int4`, "int4", "array_upper"),
		func("array_ndims", array, "int4", "array_ndims"),
		func("cardinality", array, "int4", "array_cardinality"),
	];
});

const JSON_SIGNATURES: readonly Signature[] = [
	...(["json", "jsonb"] as const).flatMap((type) => [
		binary("->", `${type} text`, type, `${type}_member`),
		binary("->", `${type} int4`, type, `${type}_item`),
		binary("->>", `${type} text`, "text", `${type}_member_text`),
		binary("->>", `${type} int4`, "text", `${type}_item_text`),
		binary("#>", `${type} text[]`, type, `${type}_path`),
		binary("#>>", `${type} text[]`, "text", `${type}_path_text`),
	]),
	binary("@>", "jsonb jsonb", "bool", "jsonb_contains"),
	binary("<@", "jsonb jsonb", "bool", "jsonb_contained"),
	binary("?", "jsonb text", "bool", "jsonb_exists"),
	binary("?|", "jsonb text[]", "bool", "jsonb_exists_any"),
	binary("?&", "jsonb text[]", "bool", "jsonb_exists_all"),
	func("jsonb_typeof", "jsonb", "text", "jsonb_type"),
	func("jsonb_array_length", "jsonb", "int4", "jsonb_length"),
];

export const DOCUMENT_SIGNATURES: readonly Signature[] = [...ARRAY_SIGNATURES, ...JSON_SIGNATURES];
