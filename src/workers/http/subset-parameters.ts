/**
 * What a request says about the subset that it asks for: `subset__*` of the query with a body's subset merged over it,
 * checked as far as that goes without the table (shape-http-api.md 12). Pure. Called by the parameter check; `where`
 * and `order_by` are texts here, which the registrar parses.
 */

import { PARAMS_BYTES_MAX } from "../../shared/limits.ts";
import { parseJsonText } from "./json-text.ts";
import type { Query } from "./query.ts";
import type { BodySubset } from "./request-body.ts";

export interface SubsetParameters {
	readonly where: string | null;
	readonly params: Readonly<Record<string, string>>;
	readonly orderBy: string | null;
	readonly limit: number | null;
	readonly offset: number | null;
}

/** Messages by field of the subset. */
export type SubsetErrors = Readonly<Record<string, readonly string[]>>;

export type CheckedSubset =
	| { readonly ok: true; readonly value: SubsetParameters }
	| { readonly ok: false; readonly errors: SubsetErrors };

const PREFIX = "subset__";
const INVALID = "is invalid";
const INTEGER = /^[+-]?\d{1,19}$/;

/** Null when the request asks for no subset. Any `subset__*` key makes it one, whatever its value. */
export function checkSubset(query: Query, body: BodySubset | null): CheckedSubset | null {
	const fields = new Map<string, unknown>();
	for (const [key, value] of query) {
		if (key.startsWith(PREFIX)) {
			fields.set(key.slice(PREFIX.length), value);
		}
	}
	for (const [key, value] of Object.entries(body ?? {})) {
		fields.set(key, value);
	}
	return fields.size === 0 && body === null ? null : new SubsetCast(fields).check();
}

class SubsetCast {
	readonly #fields: ReadonlyMap<string, unknown>;
	readonly #errors: Record<string, string[]> = {};

	constructor(fields: ReadonlyMap<string, unknown>) {
		this.#fields = fields;
	}

	check(): CheckedSubset {
		const where = this.#text("where");
		const params = this.#params();
		const orderBy = this.#text("order_by");
		const limit = this.#integer("limit", { least: 1, message: "must be greater than 0" });
		const offset = this.#integer("offset", { least: 0, message: "must be greater than or equal to 0" });
		if (orderBy === null && (limit !== null || offset !== null)) {
			this.#fail("order_by", "order_by is required when limit or offset is present");
		}
		return Object.keys(this.#errors).length > 0
			? { ok: false, errors: this.#errors }
			: { ok: true, value: { where, params: where === null ? {} : params, orderBy, limit, offset } };
	}

	#fail(field: string, message: string): void {
		this.#errors[field] ??= [message];
	}

	/** Blank counts as absent. */
	#text(field: string): string | null {
		const value = this.#fields.get(field) ?? null;
		if (value === null || (typeof value === "string" && value.trim() === "")) {
			return null;
		}
		if (typeof value !== "string" || value.includes("\0")) {
			this.#fail(field, INVALID);
			return null;
		}
		return value;
	}

	#integer(field: string, bound: { readonly least: number; readonly message: string }): number | null {
		const text = this.#text(field);
		if (text === null) {
			return null;
		}
		const value = INTEGER.test(text) ? Number(text) : Number.NaN;
		if (!Number.isSafeInteger(value)) {
			this.#fail(field, INVALID);
			return null;
		}
		if (value < bound.least) {
			this.#fail(field, bound.message);
			return null;
		}
		return value;
	}

	#params(): Readonly<Record<string, string>> {
		const value = this.#parsedParams();
		if (value === null) {
			return {};
		}
		const entries: [string, string][] = [];
		let bytes = 0;
		for (const [key, entry] of Object.entries(value)) {
			if (typeof entry !== "string" && typeof entry !== "boolean") {
				this.#fail("params", "params must be text, numbers or booleans");
				return {};
			}
			bytes += Buffer.byteLength(String(entry));
			entries.push([key, String(entry)]);
		}
		if (bytes > PARAMS_BYTES_MAX) {
			this.#fail("params", `Parameters are too large (the limit is ${PARAMS_BYTES_MAX} bytes)`);
			return {};
		}
		return Object.fromEntries(entries);
	}

	/** An object of a body, the JSON text of one, or `subset__params[1]=…`, as client 1.0 writes it. */
	#parsedParams(): Readonly<Record<string, unknown>> | null {
		let value: unknown = this.#fields.get("params") ?? null;
		if (typeof value === "string") {
			if (value.trim() === "") {
				return null;
			}
			try {
				value = parseJsonText(value);
			} catch {
				this.#fail("params", "params must be valid JSON");
				return null;
			}
		} else if (value === null) {
			return null;
		}
		if (value instanceof Map) {
			return Object.fromEntries(value);
		}
		if (typeof value !== "object" || value === null || Array.isArray(value)) {
			this.#fail("params", "params must be a JSON object");
			return null;
		}
		return value as Readonly<Record<string, unknown>>;
	}
}
