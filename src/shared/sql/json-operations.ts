/**
 * What PostgreSQL's jsonb operators and functions answer. Pure; values are those of json-value.ts. Throws
 * UNEVALUABLE where PostgreSQL raises an error. Called by whoever evaluates an expression.
 */

import { formatJson, isJsonArray, isJsonObject, JsonNumber, type JsonValue, parseJson } from "./json-value.ts";
import { UNEVALUABLE } from "./value.ts";

/** A value of the stream, or a constant. @throws UNEVALUABLE */
export function readJson(text: string): JsonValue {
	const parsed = parseJson(text);
	if (parsed === null) {
		throw UNEVALUABLE;
	}
	return parsed.value;
}

function isContainer(value: JsonValue): value is readonly JsonValue[] | ReadonlyMap<string, JsonValue> {
	return isJsonArray(value) || isJsonObject(value);
}

function sameScalar(left: JsonValue, right: JsonValue): boolean {
	return left instanceof JsonNumber && right instanceof JsonNumber ? sameNumber(left, right) : left === right;
}

/** 1.0 equals 1.00. */
function sameNumber(left: JsonNumber, right: JsonNumber): boolean {
	return left.text === right.text || plainNumber(left) === plainNumber(right);
}

/** Without zeros that do not count: one text a value. */
function plainNumber({ text }: JsonNumber): string {
	if (!text.includes(".")) {
		return text;
	}
	let end = text.length;
	while (text[end - 1] === "0") {
		end -= 1;
	}
	return text.slice(0, text[end - 1] === "." ? end - 1 : end);
}

/** jsonb_eq. */
export function jsonEqual(left: JsonValue, right: JsonValue): boolean {
	if (isJsonArray(left)) {
		return (
			isJsonArray(right) &&
			left.length === right.length &&
			left.every((item, index) => jsonEqual(item, right[index] ?? null))
		);
	}
	if (isJsonObject(left)) {
		if (!isJsonObject(right) || left.size !== right.size) {
			return false;
		}
		for (const [key, member] of left) {
			const other = right.get(key);
			if (other === undefined || !jsonEqual(member, other)) {
				return false;
			}
		}
		return true;
	}
	return sameScalar(left, right);
}

/**
 * An order of documents in which only equal ones are equal, for looking them up: not PostgreSQL's, which depends on
 * the database's collation.
 */
export function jsonOrder(left: JsonValue, right: JsonValue): number {
	const ranks = rankOf(left) - rankOf(right);
	if (ranks !== 0) {
		return ranks;
	}
	if (isJsonArray(left) && isJsonArray(right)) {
		return left.length - right.length || firstOrder(left, right);
	}
	if (isJsonObject(left) && isJsonObject(right)) {
		const keys = left.size - right.size || firstOrder([...left.keys()], [...right.keys()]);
		return keys || firstOrder([...left.values()], [...right.values()]);
	}
	const [first, second] = [String(scalarKey(left)), String(scalarKey(right))];
	return first < second ? -1 : first > second ? 1 : 0;
}

function firstOrder(left: readonly JsonValue[], right: readonly JsonValue[]): number {
	for (const [index, item] of left.entries()) {
		const order = jsonOrder(item, right[index] ?? null);
		if (order !== 0) {
			return order;
		}
	}
	return 0;
}

const RANKS: readonly string[] = ["null", "boolean", "number", "string", "array", "object"];

function rankOf(value: JsonValue): number {
	return RANKS.indexOf(jsonTypeName(value));
}

/** `container @> contained`. At the top an array contains a scalar that is one of its items. */
export function jsonContains(container: JsonValue, contained: JsonValue): boolean {
	if (!isContainer(contained)) {
		return isJsonArray(container)
			? container.some((item) => sameScalar(item, contained))
			: !isContainer(container) && sameScalar(container, contained);
	}
	return isContainer(container) && containsDeep(container, contained);
}

function containsDeep(container: JsonValue, contained: JsonValue): boolean {
	if (isJsonObject(contained)) {
		if (!isJsonObject(container)) {
			return false;
		}
		for (const [key, member] of contained) {
			const other = container.get(key);
			if (other === undefined || !containsMember(other, member)) {
				return false;
			}
		}
		return true;
	}
	if (!isJsonArray(contained) || !isJsonArray(container)) {
		return false;
	}
	const scalars = scalarSet(container);
	return contained.every((item) =>
		isContainer(item)
			? container.some((other) => isContainer(other) && containsDeep(other, item))
			: scalars.has(scalarKey(item)),
	);
}

function containsMember(container: JsonValue, contained: JsonValue): boolean {
	return isContainer(contained) ? containsDeep(container, contained) : sameScalar(container, contained);
}

/** One key a scalar: items are looked up many times. */
function scalarKey(value: JsonValue): JsonValue {
	return value instanceof JsonNumber ? `n${plainNumber(value)}` : typeof value === "string" ? `s${value}` : value;
}

function scalarSet(items: readonly JsonValue[]): ReadonlySet<JsonValue> {
	return new Set(items.filter((item) => !isContainer(item)).map(scalarKey));
}

/** `j -> 'key'`. */
export function jsonMember(value: JsonValue, key: string): JsonValue | undefined {
	return isJsonObject(value) ? value.get(key) : undefined;
}

/** `j -> n`: a negative index counts from the end; a scalar counts as an array of itself, as it is stored. */
export function jsonItem(value: JsonValue, index: number): JsonValue | undefined {
	if (isJsonObject(value)) {
		return undefined;
	}
	const items = isJsonArray(value) ? value : [value];
	return items[index < 0 ? items.length + index : index];
}

const INT4_MAX = 2_147_483_647;

/** An index in a path, as strtol reads it; null when it is none. */
export function pathIndex(text: string): number | null {
	const match = /^[ \t\n\v\f\r]*([+-]?[0-9]+)$/.exec(text);
	const index = match === null ? Number.NaN : Number(match[1]);
	return index >= -INT4_MAX - 1 && index <= INT4_MAX ? index : null;
}

/** `j #> path`. A NULL in the path gives NULL. */
export function jsonAtPath(value: JsonValue, path: readonly (string | null)[]): JsonValue | undefined {
	if (path.includes(null)) {
		return undefined;
	}
	let current: JsonValue | undefined = value;
	for (const step of path) {
		if (current === undefined || step === null) {
			return undefined;
		}
		if (isJsonObject(current)) {
			current = current.get(step);
		} else if (isJsonArray(current)) {
			const index = pathIndex(step);
			current = index === null ? undefined : current[index < 0 ? current.length + index : index];
		} else {
			return undefined;
		}
	}
	return current;
}

/** What `->>` and `#>>` give for a value: null for NULL and for JSON's null. */
export function jsonText(value: JsonValue | undefined): string | null {
	if (value === undefined || value === null) {
		return null;
	}
	return typeof value === "string" ? value : formatJson(value);
}

/** `j ? 'key'`: a key of the object, or a string of the array; a scalar string is its own only item. */
export function jsonHasKey(value: JsonValue, key: string): boolean {
	if (isJsonObject(value)) {
		return value.has(key);
	}
	return isJsonArray(value) ? value.includes(key) : value === key;
}

/** `j ?| keys` and `j ?& keys` (`all`). NULLs among the keys do not count. */
export function jsonHasKeys(value: JsonValue, keys: readonly (string | null)[], all: boolean): boolean {
	const asked = keys.filter((key) => key !== null);
	return all ? asked.every((key) => jsonHasKey(value, key)) : asked.some((key) => jsonHasKey(value, key));
}

/** jsonb_typeof. */
export function jsonTypeName(value: JsonValue): string {
	if (value === null) {
		return "null";
	}
	if (value instanceof JsonNumber) {
		return "number";
	}
	if (isJsonArray(value)) {
		return "array";
	}
	return isJsonObject(value) ? "object" : typeof value;
}

/** jsonb_array_length. @throws UNEVALUABLE when the value is not an array */
export function jsonArrayLength(value: JsonValue): number {
	if (!isJsonArray(value)) {
		throw UNEVALUABLE;
	}
	return value.length;
}
