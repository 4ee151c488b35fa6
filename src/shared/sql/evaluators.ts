/**
 * What each function of the closed list computes, by its name. Owns the table and the reading of arguments; the
 * arithmetic is in the files beside it. But for the lenient ones they are never called with NULL. Pure; an evaluator throws
 * UNEVALUABLE where PostgreSQL raises an error. Called by the where room (constants) and the match room (rows).
 */

import { invariant } from "../assert.ts";
import { LIKE_PATTERN_CHARACTERS_MAX } from "../limits.ts";
import type { FunctionName, NumberFunction, TextFunction, TimeFunction } from "../where-functions.ts";
import type { CaseFolding, ValueType } from "../where-tree.ts";
import { elementTypeOf, isArrayType } from "./array-value.ts";
import {
	asPart,
	extractFromDate,
	extractFromInterval,
	extractFromTime,
	extractFromTimestamp,
	intervalPart,
	timestampPart,
	truncateInterval,
	truncateTimestamp,
} from "./date-fields.ts";
import {
	addDays,
	addToTime,
	addToTimestamp,
	dateDifference,
	timestampDifference,
	timestampOfDate,
} from "./date-time.ts";
import {
	absoluteDecimal,
	addDecimal,
	ceilDecimal,
	Decimal,
	divideDecimal,
	divideTruncated,
	floorDecimal,
	moduloDecimal,
	multiplyDecimal,
	negateDecimal,
	roundDecimal,
	signDecimal,
	squareRoot,
	subtractDecimal,
	truncateDecimal,
} from "./decimal.ts";
import { type DocumentEvaluator, documentEvaluator, isDocumentFunction } from "./document-functions.ts";
import {
	addExact,
	addInterval,
	divideInterval,
	Interval,
	justifyDays,
	justifyHours,
	justifyInterval,
	multiplyInterval,
	negateInterval,
	roundHalfEven,
	subtractInterval,
} from "./interval.ts";
import { foldCase, likeMatcher, raiseCase } from "./letters.ts";
import {
	checkedProduct,
	checkedQuotient,
	divideExact,
	finiteSum,
	inRange,
	moduloExact,
	multiplyExact,
} from "./number-functions.ts";
import {
	byteCount,
	characterCount,
	concatenated,
	leftPart,
	padded,
	positionOf,
	repeated,
	replaceAll,
	reversed,
	rightPart,
	splitPart,
	substring,
	translated,
	trimEnd,
	trimStart,
	withoutBlanks,
} from "./text-functions.ts";
import { localTime, momentOf } from "./time-zones.ts";
import { type Exact, exactOf, type SqlValue, UNEVALUABLE } from "./value.ts";

/** Arguments are not NULL, but of the lenient functions; the result may be. */
export type Evaluator = (a: SqlValue, b: SqlValue, c: SqlValue) => SqlValue | null;

/** What an evaluator may depend on beside its arguments. */
export interface CallContext {
	/** Of the result. */
	readonly type: ValueType;
	readonly folding: CaseFolding | null;
}

type Maker = (context: CallContext) => Evaluator;

function exact(value: SqlValue): Exact {
	if (typeof value === "number" || typeof value === "bigint") {
		return value;
	}
	throw UNEVALUABLE;
}

function decimal(value: SqlValue): Decimal {
	if (value instanceof Decimal) {
		return value;
	}
	throw UNEVALUABLE;
}

function interval(value: SqlValue): Interval {
	if (value instanceof Interval) {
		return value;
	}
	throw UNEVALUABLE;
}

function text(value: SqlValue): string {
	if (typeof value === "string") {
		return value;
	}
	throw UNEVALUABLE;
}

const float = (value: SqlValue): number => Number(exact(value));
const bool = (value: boolean): number => (value ? 1 : 0);

/** Whole numbers in the range of the result's type. */
function integer(compute: (a: Exact, b: Exact) => Exact): Maker {
	return ({ type }) => {
		if (type !== "int2" && type !== "int4" && type !== "int8") {
			throw UNEVALUABLE;
		}
		return (a, b) => inRange(compute(exact(a), exact(b)), type);
	};
}

function integer1(compute: (a: Exact) => Exact): Maker {
	return (context) => {
		const evaluate = integer((a) => compute(a))(context);
		return (a, _b, c) => evaluate(a, 0, c);
	};
}

function bitwise(compute: (a: bigint, b: bigint) => bigint): Maker {
	return integer((a, b) => exactOf(compute(BigInt(a), BigInt(b))));
}

function numeric(compute: (a: Decimal, b: Decimal) => Decimal): Maker {
	return () => (a, b) => compute(decimal(a), decimal(b));
}

function numeric1(compute: (a: Decimal) => Decimal): Maker {
	return () => (a) => compute(decimal(a));
}

function numericScale(compute: (a: Decimal, scale: number) => Decimal): Maker {
	return () => (a, b) => compute(decimal(a), float(b));
}

/** Floats; in single precision when the result is float4. */
function floats(
	compute: (a: number, b: number) => number,
	check: (result: number, a: number, b: number) => number,
): Maker {
	return ({ type }) => {
		const single = type === "float4";
		return (a, b) => {
			const [first, second] = [float(a), float(b)];
			const result = compute(first, second);
			return check(single ? Math.fround(result) : result, first, second);
		};
	};
}

function float1(compute: (a: number) => number): Maker {
	return () => (a) => compute(float(a));
}

function squareRootOf(value: number): number {
	if (value < 0) {
		throw UNEVALUABLE;
	}
	return Math.sqrt(value);
}

const NUMBERS: Readonly<Record<NumberFunction, Maker>> = {
	int_add: integer(addExact),
	int_sub: integer((a, b) => addExact(a, typeof b === "bigint" ? -b : 0 - b)),
	int_mul: integer(multiplyExact),
	int_div: integer(divideExact),
	int_mod: integer(moduloExact),
	int_neg: integer1((a) => (typeof a === "bigint" ? exactOf(-a) : 0 - a)),
	int_plus: integer1((a) => a),
	int_abs: integer1((a) => (a < 0 ? exactOf(-BigInt(a)) : a)),
	int_and: bitwise((a, b) => a & b),
	int_or: bitwise((a, b) => a | b),
	int_xor: bitwise((a, b) => a ^ b),
	int_not: integer1((a) => exactOf(~BigInt(a))),
	numeric_add: numeric(addDecimal),
	numeric_sub: numeric(subtractDecimal),
	numeric_mul: numeric(multiplyDecimal),
	numeric_div: numeric(divideDecimal),
	numeric_mod: numeric(moduloDecimal),
	numeric_div_trunc: numeric(divideTruncated),
	numeric_neg: numeric1(negateDecimal),
	numeric_plus: numeric1((a) => a),
	numeric_abs: numeric1(absoluteDecimal),
	numeric_sign: numeric1(signDecimal),
	numeric_ceil: numeric1(ceilDecimal),
	numeric_floor: numeric1(floorDecimal),
	numeric_round: numeric1((a) => roundDecimal(a, 0)),
	numeric_round_scale: numericScale(roundDecimal),
	numeric_trunc: numeric1((a) => truncateDecimal(a, 0)),
	numeric_trunc_scale: numericScale(truncateDecimal),
	numeric_sqrt: numeric1(squareRoot),
	float_add: floats((a, b) => a + b, finiteSum),
	float_sub: floats((a, b) => a - b, finiteSum),
	float_mul: floats((a, b) => a * b, checkedProduct),
	float_div: floats((a, b) => a / b, checkedQuotient),
	float_neg: float1((a) => -a),
	float_plus: float1((a) => a),
	float_abs: float1(Math.abs),
	float_sign: float1((a) => (a > 0 ? 1 : a < 0 ? -1 : 0)),
	float_ceil: float1(Math.ceil),
	float_floor: float1(Math.floor),
	float_round: float1(roundHalfEven),
	float_trunc: float1(Math.trunc),
	float_sqrt: float1(squareRootOf),
};

function texts(compute: (a: string, b: string, c: string) => SqlValue): Maker {
	return () => (a, b, c) => compute(text(a), text(b), text(c));
}

function text1(compute: (a: string) => SqlValue): Maker {
	return () => (a) => compute(text(a));
}

function text2(compute: (a: string, b: string) => SqlValue): Maker {
	return () => (a, b) => compute(text(a), text(b));
}

function textCount(compute: (a: string, count: number) => SqlValue): Maker {
	return () => (a, b) => compute(text(a), float(b));
}

/** The matcher of the last pattern is kept: most often it is the same for every row. */
function like(ignoresCase: boolean, negated: boolean): Maker {
	return ({ folding }) => {
		let lastPattern: string | null = null;
		let matches: (value: string) => boolean = () => false;
		return (a, b) => {
			const pattern = text(b);
			if (pattern !== lastPattern) {
				if (pattern.length > LIKE_PATTERN_CHARACTERS_MAX) {
					throw UNEVALUABLE;
				}
				matches = likeMatcher(pattern, ignoresCase ? (folding ?? "ascii") : null);
				lastPattern = pattern;
			}
			return bool(matches(text(a)) !== negated);
		};
	};
}

const TEXTS: Readonly<Record<TextFunction, Maker>> = {
	text_concat: text2(concatenated),
	text_lower:
		({ folding }) =>
		(a) =>
			foldCase(text(a), folding ?? "ascii"),
	text_upper:
		({ folding }) =>
		(a) =>
			raiseCase(text(a), folding ?? "ascii"),
	text_like: like(false, false),
	text_not_like: like(false, true),
	text_ilike: like(true, false),
	text_not_ilike: like(true, true),
	text_length: text1(characterCount),
	bpchar_length: text1((a) => characterCount(withoutBlanks(a))),
	text_octet_length: text1(byteCount),
	bpchar_octet_length: text1(byteCount),
	text_substring: textCount((a, start) => substring(a, start, null)),
	text_substring_length: () => (a, b, c) => substring(text(a), float(b), float(c)),
	text_left: textCount(leftPart),
	text_right: textCount(rightPart),
	text_position: text2(positionOf),
	text_replace: texts(replaceAll),
	text_ltrim: text1((a) => trimStart(a, " ")),
	text_rtrim: text1((a) => trimEnd(a, " ")),
	text_btrim: text1((a) => trimEnd(trimStart(a, " "), " ")),
	text_ltrim_set: text2(trimStart),
	text_rtrim_set: text2(trimEnd),
	text_btrim_set: text2((a, set) => trimEnd(trimStart(a, set), set)),
	text_lpad: () => (a, b, c) => padded(text(a), float(b), text(c), true),
	text_rpad: () => (a, b, c) => padded(text(a), float(b), text(c), false),
	text_starts_with: text2((a, b) => bool(a.startsWith(b))),
	text_reverse: text1(reversed),
	text_repeat: textCount(repeated),
	text_split_part: () => (a, b, c) => splitPart(text(a), text(b), float(c)),
	text_translate: texts(translated),
	text_ascii: text1((a) => a.codePointAt(0) ?? 0),
};

const TIMES: Readonly<Record<TimeFunction, Maker>> = {
	date_add_days: () => (a, b) => addDays(float(a), exact(b)),
	days_add_date: () => (a, b) => addDays(float(b), exact(a)),
	date_sub_days: () => (a, b) => addDays(float(a), -float(b)),
	date_sub_date: () => (a, b) => dateDifference(float(a), float(b)),
	date_add_interval: () => (a, b) => addToTimestamp(timestampOfDate(float(a)), interval(b)),
	interval_add_date: () => (a, b) => addToTimestamp(timestampOfDate(float(b)), interval(a)),
	date_sub_interval: () => (a, b) => addToTimestamp(timestampOfDate(float(a)), negateInterval(interval(b))),
	date_add_time: () => (a, b) => timestampOfDate(float(a), float(b)),
	time_add_date: () => (a, b) => timestampOfDate(float(b), float(a)),
	timestamp_add_interval: () => (a, b) => addToTimestamp(exact(a), interval(b)),
	interval_add_timestamp: () => (a, b) => addToTimestamp(exact(b), interval(a)),
	timestamp_sub_interval: () => (a, b) => addToTimestamp(exact(a), negateInterval(interval(b))),
	timestamp_sub_timestamp: () => (a, b) => timestampDifference(exact(a), exact(b)),
	time_add_interval: () => (a, b) => addToTime(float(a), interval(b)),
	interval_add_time: () => (a, b) => addToTime(float(b), interval(a)),
	time_sub_interval: () => (a, b) => addToTime(float(a), negateInterval(interval(b))),
	time_sub_time: () => (a, b) => new Interval(0, 0, float(a) - float(b)),
	interval_add: () => (a, b) => addInterval(interval(a), interval(b)),
	interval_sub: () => (a, b) => subtractInterval(interval(a), interval(b)),
	interval_neg: () => (a) => negateInterval(interval(a)),
	interval_mul: () => (a, b) => multiplyInterval(interval(a), float(b)),
	float_mul_interval: () => (a, b) => multiplyInterval(interval(b), float(a)),
	interval_div: () => (a, b) => divideInterval(interval(a), float(b)),
	interval_justify_days: () => (a) => justifyDays(interval(a)),
	interval_justify_hours: () => (a) => justifyHours(interval(a)),
	interval_justify: () => (a) => justifyInterval(interval(a)),
	timezone_of_timestamp: () => (a, b) => momentOf(text(a), exact(b)),
	timezone_of_timestamptz: () => (a, b) => localTime(text(a), exact(b)),
	date_trunc_timestamp: () => (a, b) => truncateTimestamp(text(a), exact(b)),
	date_trunc_timestamptz: () => (a, b) => truncateTimestamp(text(a), exact(b)),
	date_trunc_interval: () => (a, b) => truncateInterval(text(a), interval(b)),
	extract_date: () => (a, b) => extractFromDate(text(a), float(b)),
	extract_time: () => (a, b) => extractFromTime(text(a), float(b)),
	extract_timestamp: () => (a, b) => extractFromTimestamp(text(a), exact(b)),
	extract_timestamptz: () => (a, b) => extractFromTimestamp(text(a), exact(b)),
	extract_interval: () => (a, b) => extractFromInterval(text(a), interval(b)),
	date_part_date: () => (a, b) => timestampPart(text(a), timestampOfDate(float(b))),
	date_part_time: () => (a, b) => asPart(text(a), extractFromTime(text(a), float(b))),
	date_part_timestamp: () => (a, b) => timestampPart(text(a), exact(b)),
	date_part_timestamptz: () => (a, b) => timestampPart(text(a), exact(b)),
	date_part_interval: () => (a, b) => intervalPart(text(a), interval(b)),
};

const ALL = { ...NUMBERS, ...TEXTS, ...TIMES };

/** The evaluator of a call. Unused arguments may be anything. */
export function evaluatorOf(name: FunctionName, context: CallContext): Evaluator {
	return isDocumentFunction(name) ? lenientEvaluatorOf(name, context) : ALL[name](context);
}

/** The evaluator of a call that takes NULL (LENIENT_FUNCTIONS). */
export function lenientEvaluatorOf(name: FunctionName, { type }: CallContext): DocumentEvaluator {
	invariant(isDocumentFunction(name), "a function that does not take NULL");
	return documentEvaluator(name, isArrayType(type) ? elementTypeOf(type) : type);
}
