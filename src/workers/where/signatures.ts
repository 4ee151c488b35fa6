/**
 * What exists: every operator and function of the language, with the types it takes and gives. Owns the table;
 * what each computes is in shared/sql under the same name. The types are PostgreSQL's (pg_operator, pg_proc),
 * overloads included that only widen the choice, so that resolution finds what PostgreSQL finds. Called by
 * resolution.ts and deparse.ts.
 */

import type { FunctionName } from "../../shared/where-functions.ts";
import type { ScalarType, ValueType } from "../../shared/where-tree.ts";

import { DOCUMENT_SIGNATURES } from "./document-signatures.ts";

export type SignatureForm = "binary" | "prefix" | "function";

export interface Signature {
	readonly form: SignatureForm;
	/** Symbol of the operator, or name of the function. */
	readonly name: string;
	readonly arguments: readonly ValueType[];
	readonly result: ValueType;
	readonly function: FunctionName;
}

function row(form: SignatureForm, name: string, types: string, result: ValueType, called: FunctionName): Signature {
	return {
		form,
		name,
		arguments: types.split(" ") as ValueType[],
		result,
		function: called,
	};
}

const binary = (name: string, types: string, result: ValueType, called: FunctionName) =>
	row("binary", name, types, result, called);
const prefix = (name: string, type: ValueType, result: ValueType, called: FunctionName) =>
	row("prefix", name, type, result, called);
const func = (name: string, types: string, result: ValueType, called: FunctionName) =>
	row("function", name, types, result, called);

const INTEGERS: readonly ScalarType[] = ["int2", "int4", "int8"];
const FLOATS: readonly ScalarType[] = ["float4", "float8"];

const ARITHMETIC = [
	["+", "add"],
	["-", "sub"],
	["*", "mul"],
	["/", "div"],
] as const;

const NUMBER_SIGNATURES: readonly Signature[] = [
	...ARITHMETIC.flatMap(([symbol, word]) => [
		...INTEGERS.flatMap((left, leftRank) =>
			INTEGERS.map((right, rightRank) =>
				binary(symbol, `${left} ${right}`, leftRank > rightRank ? left : right, `int_${word}`),
			),
		),
		...FLOATS.flatMap((left) =>
			FLOATS.map((right) =>
				binary(
					symbol,
					`${left} ${right}`,
					left === "float4" && right === "float4" ? "float4" : "float8",
					`float_${word}`,
				),
			),
		),
		binary(symbol, "numeric numeric", "numeric", `numeric_${word}`),
	]),
	...INTEGERS.flatMap((type) => [
		binary("%", `${type} ${type}`, type, "int_mod"),
		func("mod", `${type} ${type}`, type, "int_mod"),
		binary("&", `${type} ${type}`, type, "int_and"),
		binary("|", `${type} ${type}`, type, "int_or"),
		binary("#", `${type} ${type}`, type, "int_xor"),
		prefix("~", type, type, "int_not"),
		prefix("-", type, type, "int_neg"),
		prefix("+", type, type, "int_plus"),
		prefix("@", type, type, "int_abs"),
		func("abs", type, type, "int_abs"),
	]),
	...FLOATS.flatMap((type) => [
		prefix("-", type, type, "float_neg"),
		prefix("+", type, type, "float_plus"),
		prefix("@", type, type, "float_abs"),
		func("abs", type, type, "float_abs"),
	]),
	binary("%", "numeric numeric", "numeric", "numeric_mod"),
	func("mod", "numeric numeric", "numeric", "numeric_mod"),
	func("div", "numeric numeric", "numeric", "numeric_div_trunc"),
	prefix("-", "numeric", "numeric", "numeric_neg"),
	prefix("+", "numeric", "numeric", "numeric_plus"),
	prefix("@", "numeric", "numeric", "numeric_abs"),
	func("abs", "numeric", "numeric", "numeric_abs"),
	func("sign", "numeric", "numeric", "numeric_sign"),
	func("sign", "float8", "float8", "float_sign"),
	func("ceil", "numeric", "numeric", "numeric_ceil"),
	func("ceiling", "numeric", "numeric", "numeric_ceil"),
	func("ceil", "float8", "float8", "float_ceil"),
	func("ceiling", "float8", "float8", "float_ceil"),
	func("floor", "numeric", "numeric", "numeric_floor"),
	func("floor", "float8", "float8", "float_floor"),
	func("round", "numeric", "numeric", "numeric_round"),
	func("round", "numeric int4", "numeric", "numeric_round_scale"),
	func("round", "float8", "float8", "float_round"),
	func("trunc", "numeric", "numeric", "numeric_trunc"),
	func("trunc", "numeric int4", "numeric", "numeric_trunc_scale"),
	func("trunc", "float8", "float8", "float_trunc"),
	func("sqrt", "numeric", "numeric", "numeric_sqrt"),
	func("sqrt", "float8", "float8", "float_sqrt"),
	prefix("|/", "float8", "float8", "float_sqrt"),
];

const TEXT_SIGNATURES: readonly Signature[] = [
	binary("||", "text text", "text", "text_concat"),
	func("lower", "text", "text", "text_lower"),
	func("upper", "text", "text", "text_upper"),
	...(["text", "bpchar", "name"] as const).flatMap((type) => [
		binary("~~", `${type} text`, "bool", "text_like"),
		binary("!~~", `${type} text`, "bool", "text_not_like"),
		binary("~~*", `${type} text`, "bool", "text_ilike"),
		binary("!~~*", `${type} text`, "bool", "text_not_ilike"),
	]),
	func("like", "text text", "bool", "text_like"),
	func("notlike", "text text", "bool", "text_not_like"),
	func("ilike", "text text", "bool", "text_ilike"),
	...["length", "char_length", "character_length"].flatMap((name) => [
		func(name, "text", "int4", "text_length"),
		func(name, "bpchar", "int4", "bpchar_length"),
	]),
	func("octet_length", "text", "int4", "text_octet_length"),
	func("octet_length", "bpchar", "int4", "bpchar_octet_length"),
	...["substring", "substr"].flatMap((name) => [
		func(name, "text int4", "text", "text_substring"),
		func(name, "text int4 int4", "text", "text_substring_length"),
	]),
	func("left", "text int4", "text", "text_left"),
	func("right", "text int4", "text", "text_right"),
	func("strpos", "text text", "int4", "text_position"),
	func("position", "text text", "int4", "text_position"),
	func("replace", "text text text", "text", "text_replace"),
	func("ltrim", "text", "text", "text_ltrim"),
	func("ltrim", "text text", "text", "text_ltrim_set"),
	func("rtrim", "text", "text", "text_rtrim"),
	func("rtrim", "text text", "text", "text_rtrim_set"),
	func("btrim", "text", "text", "text_btrim"),
	func("btrim", "text text", "text", "text_btrim_set"),
	func("lpad", "text int4 text", "text", "text_lpad"),
	func("rpad", "text int4 text", "text", "text_rpad"),
	func("starts_with", "text text", "bool", "text_starts_with"),
	binary("^@", "text text", "bool", "text_starts_with"),
	func("reverse", "text", "text", "text_reverse"),
	func("repeat", "text int4", "text", "text_repeat"),
	func("split_part", "text text int4", "text", "text_split_part"),
	func("translate", "text text text", "text", "text_translate"),
	func("ascii", "text", "int4", "text_ascii"),
];

const MOMENTS: readonly ScalarType[] = ["timestamp", "timestamptz"];

const TIME_SIGNATURES: readonly Signature[] = [
	binary("+", "date int4", "date", "date_add_days"),
	binary("+", "int4 date", "date", "days_add_date"),
	binary("-", "date int4", "date", "date_sub_days"),
	binary("-", "date date", "int4", "date_sub_date"),
	binary("+", "date time", "timestamp", "date_add_time"),
	binary("+", "time date", "timestamp", "time_add_date"),
	...MOMENTS.flatMap((type) => [
		binary("+", `${type} interval`, type, "timestamp_add_interval"),
		binary("+", `interval ${type}`, type, "interval_add_timestamp"),
		binary("-", `${type} interval`, type, "timestamp_sub_interval"),
		binary("-", `${type} ${type}`, "interval", "timestamp_sub_timestamp"),
	]),
	binary("+", "date interval", "timestamp", "date_add_interval"),
	binary("+", "interval date", "timestamp", "interval_add_date"),
	binary("-", "date interval", "timestamp", "date_sub_interval"),
	binary("+", "time interval", "time", "time_add_interval"),
	binary("+", "interval time", "time", "interval_add_time"),
	binary("-", "time interval", "time", "time_sub_interval"),
	binary("-", "time time", "interval", "time_sub_time"),
	binary("+", "interval interval", "interval", "interval_add"),
	binary("-", "interval interval", "interval", "interval_sub"),
	prefix("-", "interval", "interval", "interval_neg"),
	binary("*", "interval float8", "interval", "interval_mul"),
	binary("*", "float8 interval", "interval", "float_mul_interval"),
	binary("/", "interval float8", "interval", "interval_div"),
	func("justify_days", "interval", "interval", "interval_justify_days"),
	func("justify_hours", "interval", "interval", "interval_justify_hours"),
	func("justify_interval", "interval", "interval", "interval_justify"),
	func("timezone", "text timestamp", "timestamptz", "timezone_of_timestamp"),
	func("timezone", "text timestamptz", "timestamp", "timezone_of_timestamptz"),
	func("date_trunc", "text timestamp", "timestamp", "date_trunc_timestamp"),
	func("date_trunc", "text timestamptz", "timestamptz", "date_trunc_timestamptz"),
	func("date_trunc", "text interval", "interval", "date_trunc_interval"),
	...(["date", "time", "timestamp", "timestamptz", "interval"] as const).flatMap((type) => [
		func("extract", `text ${type}`, "numeric", `extract_${type}`),
		func("date_part", `text ${type}`, "float8", `date_part_${type}`),
	]),
];

export const SIGNATURES: readonly Signature[] = [
	...DOCUMENT_SIGNATURES,
	...NUMBER_SIGNATURES,
	...TEXT_SIGNATURES,
	...TIME_SIGNATURES,
];

/** How a function of the tree is written: its first signature. */
const WRITTEN: ReadonlyMap<FunctionName, Signature> = new Map(
	SIGNATURES.toReversed().map((signature) => [signature.function, signature]),
);

export function writtenSignature(name: FunctionName): Signature | undefined {
	return WRITTEN.get(name);
}
