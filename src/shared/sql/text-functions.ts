/**
 * Functions of texts, by characters (code points), as PostgreSQL's UTF-8 databases count them. Pure; throws
 * UNEVALUABLE where PostgreSQL raises an error. Source: PostgreSQL `varlena.c`, `oracle_compat.c`.
 */

import { WHERE_TEXT_CHARACTERS_MAX } from "../limits.ts";
import { UNEVALUABLE } from "./value.ts";

const isNarrow = (text: string): boolean => !/[\ud800-\udbff]/.test(text);

function characters(text: string): readonly string[] {
	return isNarrow(text) ? text.split("") : [...text];
}

export function characterCount(text: string): number {
	return isNarrow(text) ? text.length : [...text].length;
}

export function byteCount(text: string): number {
	return Buffer.byteLength(text, "utf8");
}

/** Characters from `start` (counted from 0) up to `end`. */
function sliced(text: string, start: number, end: number): string {
	return isNarrow(text) ? text.slice(start, end) : [...text].slice(start, end).join("");
}

/** substring(text, start [, length]); `start` counts from 1 and may be outside. */
export function substring(text: string, start: number, length: number | null): string {
	if (length === null) {
		return sliced(text, Math.max(start - 1, 0), Number.MAX_SAFE_INTEGER);
	}
	if (length < 0) {
		throw UNEVALUABLE;
	}
	const end = start - 1 + length;
	return end < 1 ? "" : sliced(text, Math.max(start - 1, 0), end);
}

/** left(text, n): all but the last -n when negative. */
export function leftPart(text: string, count: number): string {
	return count >= 0 ? sliced(text, 0, count) : sliced(text, 0, Math.max(characterCount(text) + count, 0));
}

/** The lowest count has no negative in int4: PostgreSQL then leaves nothing out. */
export function rightPart(text: string, count: number): string {
	if (count === -(2 ** 31)) {
		return text;
	}
	const length = characterCount(text);
	return count >= 0
		? sliced(text, Math.max(length - count, 0), length)
		: sliced(text, Math.min(-count, length), length);
}

/** position(part in text), from 1; 0 when it is not there. */
export function positionOf(text: string, part: string): number {
	const found = text.indexOf(part);
	return found < 0 ? 0 : characterCount(text.slice(0, found)) + 1;
}

export function replaceAll(text: string, from: string, to: string): string {
	if (from === "" || !text.includes(from)) {
		return text;
	}
	const parts = text.split(from);
	checkLength(text.length + (parts.length - 1) * (to.length - from.length));
	return parts.join(to);
}

export function concatenated(left: string, right: string): string {
	checkLength(left.length + right.length);
	return left + right;
}

/** Calls can be nested so that a short text becomes one without end. @throws UNEVALUABLE */
function checkLength(length: number): void {
	if (length > WHERE_TEXT_CHARACTERS_MAX) {
		throw UNEVALUABLE;
	}
}

export function trimStart(text: string, set: string): string {
	const dropped = new Set(characters(set));
	const all = characters(text);
	let start = 0;
	while (start < all.length && dropped.has(all[start] ?? "")) {
		start += 1;
	}
	return all.slice(start).join("");
}

export function trimEnd(text: string, set: string): string {
	const dropped = new Set(characters(set));
	const all = characters(text);
	let end = all.length;
	while (end > 0 && dropped.has(all[end - 1] ?? "")) {
		end -= 1;
	}
	return all.slice(0, end).join("");
}

/** lpad (`atStart`) and rpad: cut at `length`, too. */
export function padded(text: string, length: number, fill: string, atStart: boolean): string {
	const wanted = Math.max(length, 0);
	const all = characters(text);
	const pattern = characters(fill);
	if (all.length >= wanted || pattern.length === 0) {
		return all.slice(0, wanted).join("");
	}
	const padding = Array.from({ length: wanted - all.length }, (_, index) => pattern[index % pattern.length]).join("");
	return atStart ? padding + text : text + padding;
}

export function reversed(text: string): string {
	return [...text].reverse().join("");
}

export function repeated(text: string, count: number): string {
	const times = Math.max(count, 0);
	checkLength(text.length * times);
	return text.repeat(times);
}

/** split_part(text, delimiter, n); a negative n counts from the end. */
export function splitPart(text: string, delimiter: string, field: number): string {
	if (field === 0) {
		throw UNEVALUABLE;
	}
	if (text === "") {
		return "";
	}
	const parts = delimiter === "" ? [text] : text.split(delimiter);
	return (field > 0 ? parts[field - 1] : parts[parts.length + field]) ?? "";
}

export function translated(text: string, from: string, to: string): string {
	const [sources, targets] = [characters(from), characters(to)];
	const map = new Map<string, string>();
	sources.forEach((source, index) => {
		if (!map.has(source)) {
			map.set(source, targets[index] ?? "");
		}
	});
	return characters(text)
		.map((character) => map.get(character) ?? character)
		.join("");
}

/** Orders as bytes in UTF-8 (COLLATE "C"): by code point. */
export function compareBytes(left: string, right: string): number {
	if (left === right) {
		return 0;
	}
	const length = Math.min(left.length, right.length);
	for (let index = 0; index < length; index += 1) {
		const [first, second] = [left.charCodeAt(index), right.charCodeAt(index)];
		if (first !== second) {
			// Surrogates stand for what lies above everything else.
			const [firstHigh, secondHigh] = [(first & 0xf800) === 0xd800, (second & 0xf800) === 0xd800];
			return firstHigh === secondHigh ? first - second : firstHigh ? 1 : -1;
		}
	}
	return left.length - right.length;
}

/** Without trailing blanks: the value of a bpchar. */
export function withoutBlanks(text: string): string {
	let end = text.length;
	while (end > 0 && text.charCodeAt(end - 1) === 0x20) {
		end -= 1;
	}
	return end === text.length ? text : text.slice(0, end);
}
