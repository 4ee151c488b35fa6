/**
 * Values to and from the text that PostgreSQL's output functions give under the sessions that read (DateStyle ISO,
 * TimeZone UTC, IntervalStyle iso_8601, extra_float_digits 1). Owns the pairing of types and forms. Pure; throws
 * UNEVALUABLE for a text that is not of the type.
 */

import type { ScalarType, ValueType } from "../where-tree.ts";
import { formatArrayText, parseArrayText } from "./array-text.ts";
import { elementTypeOf, isArrayType, SqlArray } from "./array-value.ts";
import { clockText, datePieces } from "./calendar-text.ts";
import { splitTimestamp } from "./date-time.ts";
import { readDecimal } from "./decimal.ts";
import { readInterval } from "./interval.ts";
import { readJsonb } from "./json-document.ts";
import { floatText } from "./number-functions.ts";
import { readDate, readFloat, readInteger, readTime, readTimestamp } from "./stream-values.ts";
import { type Exact, type SqlValue, UNEVALUABLE } from "./value.ts";

const LETTER_T = 0x74;
const LETTER_F = 0x66;

/** The value of a column's text, or of a constant's. */
export type ValueReader = (buffer: Buffer, start: number, length: number) => SqlValue;

const utf8: ValueReader = (buffer, start, length) => buffer.toString("utf8", start, start + length);

export function readBoolean(buffer: Buffer, start: number, length: number): 0 | 1 {
	const byte = buffer[start];
	if (length !== 1 || (byte !== LETTER_T && byte !== LETTER_F)) {
		throw UNEVALUABLE;
	}
	return byte === LETTER_T ? 1 : 0;
}

const READERS: Readonly<Record<ScalarType, ValueReader>> = {
	bool: readBoolean,
	int2: readInteger,
	int4: readInteger,
	int8: readInteger,
	float4: (buffer, start, length) => readFloat(buffer, start, length, true),
	float8: (buffer, start, length) => readFloat(buffer, start, length, false),
	numeric: (buffer, start, length) => readDecimal(buffer.toString("latin1", start, start + length)),
	text: utf8,
	varchar: utf8,
	bpchar: utf8,
	name: utf8,
	uuid: utf8,
	json: utf8,
	jsonb: (buffer, start, length) => readJsonb(buffer.toString("utf8", start, start + length)),
	enum: utf8,
	date: readDate,
	time: readTime,
	timestamp: (buffer, start, length) => readTimestamp(buffer, start, length, false),
	timestamptz: (buffer, start, length) => readTimestamp(buffer, start, length, true),
	interval: (buffer, start, length) => readInterval(buffer.toString("latin1", start, start + length)),
};

/** How values of a type are read. */
export function readerOf(type: ValueType): ValueReader {
	if (!isArrayType(type)) {
		return READERS[type];
	}
	const elementType = elementTypeOf(type);
	return (buffer, start, length) => readArray(buffer.toString("utf8", start, start + length), elementType);
}

function readArray(text: string, elementType: ScalarType): SqlArray {
	const parsed = parseArrayText(text);
	if (parsed === null) {
		throw UNEVALUABLE;
	}
	const read = READERS[elementType];
	const elements = parsed.elements.map((element) => {
		if (element === null || read === utf8) {
			return element;
		}
		const bytes = Buffer.from(element, "utf8");
		return read(bytes, 0, bytes.length);
	});
	return new SqlArray(elementType, { ...parsed, elements });
}

/** The text of a value as its output function writes it. bool: `t` or `f`. */
export function valueText(value: SqlValue, type: ValueType): string {
	switch (type) {
		case "bool":
			return value === 1 ? "t" : "f";
		case "float4":
		case "float8":
			return floatText(Number(value), type === "float4");
		case "date":
			return dateText(Number(value));
		case "time":
			return clockText(Number(value));
		case "timestamp":
		case "timestamptz":
			return timestampText(value, type === "timestamptz");
		default:
			return value instanceof SqlArray ? arrayText(value) : String(value);
	}
}

function arrayText(array: SqlArray): string {
	const elements = array.elements.map((element) => (element === null ? null : valueText(element, array.elementType)));
	return formatArrayText({ ...array, elements });
}

function dateText(days: number): string {
	if (!Number.isFinite(days)) {
		return days > 0 ? "infinity" : "-infinity";
	}
	const { date, era } = datePieces(days);
	return date + era;
}

function timestampText(value: SqlValue, zoned: boolean): string {
	if (typeof value === "number" && !Number.isFinite(value)) {
		return value > 0 ? "infinity" : "-infinity";
	}
	if (typeof value !== "number" && typeof value !== "bigint") {
		throw UNEVALUABLE;
	}
	const { day, time } = splitTimestamp(value satisfies Exact);
	const { date, era } = datePieces(day);
	return `${date} ${clockText(time)}${zoned ? "+00" : ""}${era}`;
}
