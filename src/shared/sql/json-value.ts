/**
 * JSON as PostgreSQL's jsonb holds it: numbers are exact decimals that keep their scale, an object's keys are
 * unique and sorted by length, then bytes. Owns reading (jsonb_in) and printing (jsonb_out); must give null for what
 * PostgreSQL refuses, and for what it would hold but this does not (numbers and nesting beyond the limits). Pure.
 * Called by the where room for constants and by the match room for values of the stream.
 */

import { JSON_DEPTH_MAX, NUMERIC_DIGITS_MAX, WRITTEN_OUT_CHARACTERS_MAX } from "../limits.ts";
import { compareBytes } from "./text-functions.ts";

/** A number in the text that numeric_out gives: `1.50`, `-3`, `0.001`; never an exponent, never `-0`. */
export class JsonNumber {
	readonly text: string;
	constructor(text: string) {
		this.text = text;
	}
}

export type JsonValue = null | boolean | string | JsonNumber | readonly JsonValue[] | ReadonlyMap<string, JsonValue>;

export function isJsonArray(value: JsonValue): value is readonly JsonValue[] {
	return Array.isArray(value);
}

export function isJsonObject(value: JsonValue): value is ReadonlyMap<string, JsonValue> {
	return value instanceof Map;
}

/** jsonb_in. @returns null when the text is not JSON, or beyond the limits */
export function parseJson(text: string, keepsNumbers = true): { readonly value: JsonValue } | null {
	const reader = new JsonReader(text, keepsNumbers);
	try {
		return { value: reader.readAll() };
	} catch (error) {
		if (error === MALFORMED) {
			return null;
		}
		throw error;
	}
}

class MalformedJsonError extends Error {
	override readonly name = "MalformedJsonError";
}

const MALFORMED = new MalformedJsonError("the text is not JSON that can be held");

const LITERALS: readonly (readonly [string, null | boolean])[] = [
	["null", null],
	["true", true],
	["false", false],
];

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
/** Most numbers are written as numeric_out writes them. */
const PLAIN_NUMBER = /^(?:0|-?[1-9][0-9]{0,99})$/;

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
	'"': '"',
	"\\": "\\",
	"/": "/",
	b: "\b",
	f: "\f",
	n: "\n",
	r: "\r",
	t: "\t",
};

/** Reads token by token; also used to find the places of values in a json text (json-text.ts). */
export class JsonReader {
	readonly #text: string;
	readonly #keepsNumbers: boolean;
	#writtenOut = 0;
	at = 0;

	/** `keepsNumbers` false: numbers are only looked at, so that none is too large. */
	constructor(text: string, keepsNumbers = true) {
		this.#text = text;
		this.#keepsNumbers = keepsNumbers;
	}

	readAll(): JsonValue {
		const value = this.readValue(0);
		this.skipSpace();
		if (this.at !== this.#text.length) {
			throw MALFORMED;
		}
		return value;
	}

	/** @throws MALFORMED */
	readValue(depth: number): JsonValue {
		if (depth > JSON_DEPTH_MAX) {
			throw MALFORMED;
		}
		this.skipSpace();
		switch (this.#text[this.at]) {
			case "{":
				return this.#readObject(depth);
			case "[":
				return this.#readArray(depth);
			case '"':
				return this.readString();
			default:
				return this.#readScalar();
		}
	}

	#readObject(depth: number): JsonValue {
		const members = new Map<string, JsonValue>();
		this.readMembers((key) => members.set(key, this.readValue(depth + 1)));
		return sortedByKey(members);
	}

	#readArray(depth: number): JsonValue {
		const items: JsonValue[] = [];
		this.readItems(() => items.push(this.readValue(depth + 1)));
		return items;
	}

	/** From `{` past its `}`; `each` must consume the value. */
	readMembers(each: (key: string) => void): void {
		this.#readList("}", () => {
			this.skipSpace();
			if (this.#text[this.at] !== '"') {
				throw MALFORMED;
			}
			const key = this.readString();
			this.skipSpace();
			this.#expect(":");
			each(key);
		});
	}

	/** From `[` past its `]`; `each` must consume the value. */
	readItems(each: () => void): void {
		this.#readList("]", each);
	}

	#readList(close: string, each: () => void): void {
		this.at += 1;
		this.skipSpace();
		if (this.#text[this.at] === close) {
			this.at += 1;
			return;
		}
		for (;;) {
			each();
			this.skipSpace();
			const next = this.#text[this.at];
			this.at += 1;
			if (next === close) {
				return;
			}
			if (next !== ",") {
				throw MALFORMED;
			}
		}
	}

	#expect(character: string): void {
		if (this.#text[this.at] !== character) {
			throw MALFORMED;
		}
		this.at += 1;
	}

	#readScalar(): JsonValue {
		const text = this.#text;
		for (const [word, value] of LITERALS) {
			if (text.startsWith(word, this.at)) {
				this.at += word.length;
				return value;
			}
		}
		NUMBER.lastIndex = this.at;
		const written = NUMBER.exec(text)?.[0];
		const number = written === undefined ? null : this.#keepsNumbers ? jsonNumber(written) : new JsonNumber(written);
		if (written === undefined || number === null) {
			throw MALFORMED;
		}
		this.#writtenOut += Math.max(0, number.text.length - written.length);
		if (this.#writtenOut > WRITTEN_OUT_CHARACTERS_MAX) {
			throw MALFORMED;
		}
		this.at += written.length;
		return number;
	}

	readString(): string {
		const text = this.#text;
		let value = "";
		let from = this.at + 1;
		for (let at = from; at < text.length; at += 1) {
			const code = text.charCodeAt(at);
			if (code === 0x22) {
				this.at = at + 1;
				const result = value + text.slice(from, at);
				if (value !== "" && !result.isWellFormed()) {
					throw MALFORMED;
				}
				return result;
			}
			if (code < 0x20) {
				throw MALFORMED;
			}
			if (code !== 0x5c) {
				continue;
			}
			value += text.slice(from, at);
			at += 1;
			const escaped = text[at] ?? "";
			if (escaped === "u") {
				const digits = text.slice(at + 1, at + 5);
				// Neither type can turn \u0000 into text.
				if (!/^[0-9a-fA-F]{4}$/.test(digits) || digits === "0000") {
					throw MALFORMED;
				}
				value += String.fromCharCode(Number.parseInt(digits, 16));
				at += 4;
			} else {
				const plain = Object.hasOwn(SIMPLE_ESCAPES, escaped) ? SIMPLE_ESCAPES[escaped] : undefined;
				if (plain === undefined) {
					throw MALFORMED;
				}
				value += plain;
			}
			from = at + 1;
		}
		throw MALFORMED;
	}

	skipSpace(): void {
		for (;;) {
			const character = this.#text[this.at];
			if (character !== " " && character !== "\t" && character !== "\n" && character !== "\r") {
				return;
			}
			this.at += 1;
		}
	}
}

/** A JSON number as numeric_in reads it: digits after the point stay, an exponent moves the point. */
function jsonNumber(written: string): JsonNumber | null {
	if (PLAIN_NUMBER.test(written)) {
		return new JsonNumber(written);
	}
	const match = /^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/.exec(written);
	if (match === null) {
		return null;
	}
	const [, minus = "", whole = "", fraction = "", exponentText = "0"] = match;
	const exponent = Number(exponentText);
	const digits = whole + fraction;
	if (Math.abs(exponent) > NUMERIC_DIGITS_MAX) {
		return null;
	}
	const scale = Math.max(0, fraction.length - exponent);
	const pointAt = whole.length + exponent;
	// PostgreSQL's own limits are 131072 digits before and 16383 after the point.
	if (scale > 16_383 || pointAt > 131_072) {
		return null;
	}
	const padded = pointAt < 0 ? "0".repeat(-pointAt) + digits : digits.padEnd(Math.max(pointAt, digits.length), "0");
	const split = Math.max(pointAt, 0);
	const wholeDigits = padded.slice(0, split).replace(/^0+/, "") || "0";
	const text = scale === 0 ? wholeDigits : `${wholeDigits}.${padded.slice(split)}`;
	return new JsonNumber(minus === "" || !/[1-9]/.test(text) ? text : `-${text}`);
}

/** lengthCompareJsonbStringValue: by length in bytes, then by bytes. */
function sortedByKey(members: ReadonlyMap<string, JsonValue>): ReadonlyMap<string, JsonValue> {
	if (isSorted(members)) {
		return members;
	}
	const keyed = [...members].map(([key, value]) => ({ bytes: Buffer.from(key, "utf8"), key, value }));
	keyed.sort((left, right) => left.bytes.length - right.bytes.length || left.bytes.compare(right.bytes));
	return new Map(keyed.map(({ key, value }) => [key, value]));
}

/** As the text of a jsonb is. */
function isSorted(members: ReadonlyMap<string, JsonValue>): boolean {
	let last: string | null = null;
	let lastLength = 0;
	for (const key of members.keys()) {
		const length = Buffer.byteLength(key);
		if (last !== null && (length < lastLength || (length === lastLength && compareBytes(last, key) > 0))) {
			return false;
		}
		last = key;
		lastLength = length;
	}
	return true;
}

/** jsonb_out. */
export function formatJson(value: JsonValue): string {
	if (value === null || typeof value === "boolean") {
		return String(value);
	}
	if (typeof value === "string") {
		return quoteJson(value);
	}
	if (value instanceof JsonNumber) {
		return value.text;
	}
	return isJsonArray(value)
		? `[${value.map(formatJson).join(", ")}]`
		: `{${[...value].map(([key, member]) => `${quoteJson(key)}: ${formatJson(member)}`).join(", ")}}`;
}

const ESCAPED: Readonly<Record<string, string>> = {
	'"': '\\"',
	"\\": "\\\\",
	"\b": "\\b",
	"\f": "\\f",
	"\n": "\\n",
	"\r": "\\r",
	"\t": "\\t",
};

/** escape_json. */
function quoteJson(text: string): string {
	return `"${text.replace(/["\\\p{Cc}]/gu, escaped)}"`;
}

function escaped(character: string): string {
	const code = character.charCodeAt(0);
	return ESCAPED[character] ?? (code < 0x20 ? `\\u${code.toString(16).padStart(4, "0")}` : character);
}
