/**
 * Decodes a raw query string (application/x-www-form-urlencoded with `a[b]=c` nesting, as Plug's decoder does):
 * bounded, never through an object with a prototype, a repeated key's last value wins. Must not know what any
 * parameter means. Called once a request, before authentication.
 */

import { HTTP_QUERY_PAIRS_MAX } from "../../shared/limits.ts";

/** Text; the entries of `name[key]=…`; or null for a structure that no parameter of ours has. */
export type QueryValue = string | ReadonlyMap<string, string | null> | null;
export type Query = ReadonlyMap<string, QueryValue>;

const EMPTY_QUERY: Query = new Map();

const NESTED_KEY = /^([^[\]]+)\[([^[\]]*)\]$/;
const DEEPER_KEY = /^([^[\]]+)\[([^[\]]*)\](?:\[[^[\]]*\])+$/;

/** The decoded query, or null when it cannot be decoded: bad percent-encoding, invalid UTF-8, too many pairs. */
export function decodeQuery(raw: string): Query | null {
	if (raw === "") {
		return EMPTY_QUERY;
	}
	const text = fromWireText(raw);
	if (text === null) {
		return null;
	}
	const query = new Map<string, string | Map<string, string | null> | null>();
	let pairs = 0;
	for (const pair of text.split("&")) {
		if (pair === "") {
			continue;
		}
		pairs += 1;
		const equals = pair.indexOf("=");
		const key = decodeFormText(equals < 0 ? pair : pair.slice(0, equals));
		const value = decodeFormText(equals < 0 ? "" : pair.slice(equals + 1));
		if (key === null || value === null || pairs > HTTP_QUERY_PAIRS_MAX) {
			return null;
		}
		assign(query, key, value);
	}
	return query;
}

function assign(query: Map<string, string | Map<string, string | null> | null>, key: string, value: string): void {
	const nested = NESTED_KEY.exec(key);
	const deeper = nested === null ? DEEPER_KEY.exec(key) : null;
	const match = nested ?? deeper;
	const name = match?.[1];
	const entry = match?.[2];
	if (name === undefined || entry === undefined) {
		query.set(key, value);
		return;
	}
	if (entry === "") {
		// `name[]=…` is a list.
		query.set(name, null);
		return;
	}
	const present = query.get(name);
	const map = present instanceof Map ? present : new Map<string, string | null>();
	map.set(entry, nested === null ? null : value);
	query.set(name, map);
}

/** `+` is a space; null when the encoding is broken. */
function decodeFormText(text: string): string | null {
	try {
		return decodeURIComponent(text.includes("+") ? text.replaceAll("+", " ") : text);
	} catch {
		return null;
	}
}

/** node:http hands over raw bytes above 0x7f as Latin-1: they are read as the UTF-8 that they should be. */
export function fromWireText(raw: string): string | null {
	if (/^[\x20-\x7e]*$/.test(raw)) {
		return raw;
	}
	try {
		return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(raw, "latin1"));
	} catch {
		return null;
	}
}
