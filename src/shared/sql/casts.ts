/**
 * Explicit and implicit casts between scalar types, with their modifiers. Owns the table of what is cast how, and
 * so which casts exist; casts from text to types whose input depends on a setting or on the time are not in it.
 * Pure; the casts throw UNEVALUABLE where PostgreSQL raises an error.
 */

import type { ScalarType, ValueType } from "../where-tree.ts";
import { dateOfTimestamp, roundMicroseconds, timeOfInterval, timeOfTimestamp, timestampOfDate } from "./date-time.ts";
import { Decimal, fitDecimal } from "./decimal.ts";
import { documentCast, isDocumentType } from "./document-casts.ts";
import { Interval, roundHalfEven } from "./interval.ts";
import {
	decimalOfFloat,
	floatOfDecimal,
	floatOfInteger,
	inRange,
	integerOfDecimal,
	integerOfFloat,
} from "./number-functions.ts";
import { readerOf, valueText } from "./text-form.ts";
import { characterCount, leftPart, padded, withoutBlanks } from "./text-functions.ts";
import { canonicalText, truncateName } from "./text-input.ts";
import { type Exact, type SqlValue, UNEVALUABLE } from "./value.ts";

/** Null: NULL. */
export type Cast = (value: SqlValue) => SqlValue | null;

const INTEGERS: readonly ValueType[] = ["int2", "int4", "int8"];
const FLOATS: readonly ValueType[] = ["float4", "float8"];
const TEXTS: readonly ValueType[] = ["text", "varchar", "bpchar", "name"];
/** Types whose input function takes the same texts always. */
const STEADY_INPUT: readonly ValueType[] = ["bool", "int2", "int4", "int8", "float4", "float8", "numeric", "uuid"];

function isIntegerType(type: ValueType): type is "int2" | "int4" | "int8" {
	return INTEGERS.includes(type);
}

function exact(value: SqlValue): Exact {
	if (typeof value !== "number" && typeof value !== "bigint") {
		throw UNEVALUABLE;
	}
	return value;
}

function decimal(value: SqlValue): Decimal {
	if (!(value instanceof Decimal)) {
		throw UNEVALUABLE;
	}
	return value;
}

const same: Cast = (value) => value;

/** The cast, or null when the language has none. Pass no modifiers for a type without them. */
export function castOf(from: ValueType, to: ValueType, modifiers: readonly number[] = []): Cast | null {
	const cast = plainCast(from, to);
	const bounded = modifiers.length === 0 ? null : modifierOf(to, modifiers);
	if (cast === null || bounded === null) {
		return cast;
	}
	return (value) => {
		const result = cast(value);
		return result === null ? null : bounded(result);
	};
}

function plainCast(from: ValueType, to: ValueType): Cast | null {
	if (from === to) {
		return same;
	}
	if (isDocumentType(from) || isDocumentType(to)) {
		return documentCast(from, to, plainCast);
	}
	if (TEXTS.includes(to)) {
		return toText(from, to);
	}
	if (TEXTS.includes(from)) {
		return STEADY_INPUT.includes(to) ? fromText(to as ScalarType) : null;
	}
	if (isIntegerType(to)) {
		return toInteger(from, to);
	}
	if (FLOATS.includes(to)) {
		return toFloat(from, to === "float4");
	}
	switch (to) {
		case "numeric":
			if (isIntegerType(from)) {
				return (value) => new Decimal(BigInt(exact(value)), 0);
			}
			return FLOATS.includes(from) ? (value) => decimalOfFloat(Number(value), from === "float4") : null;
		case "bool":
			return from === "int4" ? (value) => (Number(value) === 0 ? 0 : 1) : null;
		case "date":
			return from === "timestamp" || from === "timestamptz" ? (value) => dateOfTimestamp(exact(value)) : null;
		case "time":
			if (from === "interval") {
				return (value) => (value instanceof Interval ? timeOfInterval(value) : null);
			}
			return from === "timestamp" || from === "timestamptz" ? (value) => timeOfTimestamp(exact(value)) : null;
		case "timestamp":
		case "timestamptz":
			if (from === "date") {
				return (value) => timestampOfDate(Number(value));
			}
			return from === "timestamp" || from === "timestamptz" ? same : null;
		case "interval":
			return from === "time" ? (value) => new Interval(0, 0, Number(value)) : null;
		default:
			return null;
	}
}

/** bpchar loses its trailing blanks on the way to text, varchar and name. */
function toText(from: ValueType, to: ValueType): Cast | null {
	if (from === "enum" && to !== "name") {
		return same;
	}
	if (TEXTS.includes(from)) {
		const trimmed = from === "bpchar" ? (value: SqlValue) => withoutBlanks(String(value)) : same;
		return to === "name" ? (value) => truncateName(String(trimmed(value))) : trimmed;
	}
	if (to === "name" || from === "enum") {
		return null;
	}
	// The cast of bool writes words, its output function letters.
	return from === "bool" ? (value) => (value === 1 ? "true" : "false") : (value) => valueText(value, from);
}

function fromText(to: ScalarType): Cast {
	const read = readerOf(to);
	return (value) => {
		const text = canonicalText(String(value), to);
		if (text === null || read === null) {
			throw UNEVALUABLE;
		}
		const bytes = Buffer.from(text, "utf8");
		return read(bytes, 0, bytes.length);
	};
}

function toInteger(from: ValueType, to: "int2" | "int4" | "int8"): Cast | null {
	if (INTEGERS.includes(from)) {
		return (value) => inRange(exact(value), to);
	}
	if (from === "numeric") {
		return (value) => integerOfDecimal(decimal(value), to);
	}
	if (FLOATS.includes(from)) {
		return (value) => integerOfFloat(Number(value), roundHalfEven(Number(value)), to);
	}
	return from === "bool" && to === "int4" ? same : null;
}

function toFloat(from: ValueType, single: boolean): Cast | null {
	if (INTEGERS.includes(from)) {
		return (value) => floatOfInteger(exact(value), single);
	}
	if (from === "numeric") {
		return (value) => floatOfDecimal(decimal(value), single);
	}
	if (from === "float4") {
		return same;
	}
	return from === "float8" ? (value) => singleOf(Number(value)) : null;
}

/** dtof. @throws UNEVALUABLE on overflow and underflow */
function singleOf(value: number): number {
	const single = Math.fround(value);
	if ((!Number.isFinite(single) && Number.isFinite(value)) || (single === 0 && value !== 0)) {
		throw UNEVALUABLE;
	}
	return single;
}

/** How many modifiers a type takes at least and at most, and their range; null: none. */
export function modifierRules(type: ValueType): readonly (readonly [low: number, high: number])[] {
	switch (type) {
		case "varchar":
		case "bpchar":
			return [[1, 10_485_760]];
		case "numeric":
			return [
				[1, 1_000],
				[0, 1_000],
			];
		case "time":
		case "timestamp":
		case "timestamptz":
			return [[0, 6]];
		default:
			return [];
	}
}

function modifierOf(type: ValueType, modifiers: readonly number[]): Cast | null {
	const [first = 0, second = 0] = modifiers;
	switch (type) {
		case "varchar":
			return (value) => leftPart(String(value), first);
		case "bpchar":
			return (value) => {
				const text = String(value);
				return characterCount(text) >= first ? leftPart(text, first) : padded(text, first, " ", false);
			};
		case "numeric":
			return (value) => fitDecimal(decimal(value), first, second);
		case "time":
		case "timestamp":
		case "timestamptz":
			return (value) => roundMicroseconds(exact(value), first);
		default:
			return null;
	}
}
