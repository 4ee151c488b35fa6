/**
 * From a decoded query to a checked request: the validation stages and messages of shape-http-api.md 3 and 4, in
 * their order; the first stage with an error ends the check. Pure. What needs the database (the table, the
 * columns, the `where`) is checked by the registrar.
 */

import { parseIdentifierList } from "../../shared/identifiers.ts";
import type { ShapeRequest } from "../../shared/messages.ts";
import type { Query } from "./query.ts";
import type { BodySubset } from "./request-body.ts";
import { parseRequestOffset, type RequestOffset } from "./request-offset.ts";
import { checkSubset, type SubsetParameters } from "./subset-parameters.ts";

/** Messages by field, as the body of a 400 shows them. A subset's field holds its own; a database's word is a text. */
export type FieldErrors = Readonly<
	Record<string, readonly string[] | Readonly<Record<string, readonly string[] | string>>>
>;

export type Checked<T> =
	| { readonly ok: true; readonly value: T }
	| { readonly ok: false; readonly errors: FieldErrors };

export interface ReadParameters {
	readonly definition: ShapeRequest;
	/** The selected columns are those of `queryable_columns`: the registrar's messages are about that field. */
	readonly columnsFromQueryable: boolean;
	readonly offset: RequestOffset;
	/** Null also when the offset is -1 or now: the handle is discarded then. */
	readonly handle: string | null;
	/** As given: it tells a client that was here before from a new one. */
	readonly givenHandle: string | null;
	readonly live: boolean;
	readonly sse: boolean;
	readonly cursor: string;
	/** What a subset's condition and order may name; null for all columns. */
	readonly queryableColumns: readonly string[] | null;
	/** Null: an ordinary read. */
	readonly subset: SubsetParameters | null;
}

export interface DeleteParameters {
	readonly definition: ShapeRequest | null;
	readonly handle: string | null;
}

const INVALID = "is invalid";
const BOOLEANS = new Set(["true", "false", "1", "0"]);

/** GET, HEAD and POST. @param bodySubset what the body of a POST says about a subset, or null */
export function checkReadRequest(query: Query, bodySubset: BodySubset | null): Checked<ReadParameters> {
	const cast = new Cast(query);
	const definition = castDefinition(cast);
	const handle = cast.text("handle");
	const offsetText = cast.text("offset");
	if (offsetText === null && !cast.failed("offset")) {
		cast.fail("offset", "can't be blank");
	}
	if (cast.errors !== null) {
		return { ok: false, errors: cast.errors };
	}
	const offset = parseRequestOffset(offsetText ?? "");
	if (offset === null) {
		return invalid("offset", "has invalid format");
	}
	const atPosition = offset.kind === "position";
	if (atPosition && handle === null) {
		return invalid("handle", "can't be blank when offset != -1");
	}
	const live = lenientFlag(query, "live") ?? false;
	if (live && !atPosition) {
		const reason = offset.kind === "now" ? "offset is 'now'" : "offset == -1";
		return invalid("live", `can't be true when ${reason}`);
	}
	const sse = lenientFlag(query, "live_sse") ?? lenientFlag(query, "experimental_live_sse") ?? false;
	if (sse && !live) {
		return invalid("live_sse", "can't be true unless live is also true");
	}
	if (definition.request === null) {
		return invalid("table", "can't be blank");
	}
	const subset = checkSubset(query, bodySubset);
	if (subset !== null && !subset.ok) {
		return { ok: false, errors: { subset: subset.errors } };
	}
	const cursor = query.get("cursor");
	return {
		ok: true,
		value: {
			definition: definition.request,
			columnsFromQueryable: definition.columnsFromQueryable,
			offset,
			handle: atPosition ? handle : null,
			givenHandle: handle,
			live,
			sse,
			cursor: typeof cursor === "string" ? cursor : "",
			queryableColumns: definition.queryableColumns,
			subset: subset?.value ?? null,
		},
	};
}

/** DELETE: a definition, a handle, or both; offset and live are cast and otherwise not looked at. */
export function checkDeleteRequest(query: Query): Checked<DeleteParameters> {
	const cast = new Cast(query);
	const definition = castDefinition(cast);
	const handle = cast.text("handle");
	cast.text("offset");
	cast.boolean("live");
	cast.boolean("live_sse");
	if (cast.errors !== null) {
		return { ok: false, errors: cast.errors };
	}
	if (definition.request === null && handle === null) {
		return invalid("handle", "can't be blank when shape definition is missing");
	}
	return { ok: true, value: { definition: definition.request, handle } };
}

function invalid(field: string, message: string): { readonly ok: false; readonly errors: FieldErrors } {
	return { ok: false, errors: { [field]: [message] } };
}

/** Absent → null; exactly `false` → false; anything else, the empty string included, → true. */
function lenientFlag(query: Query, name: string): boolean | null {
	const value = query.get(name);
	return value === undefined ? null : value !== "false";
}

interface CastDefinition {
	readonly request: ShapeRequest | null;
	readonly columnsFromQueryable: boolean;
	readonly queryableColumns: readonly string[] | null;
}

function castDefinition(cast: Cast): CastDefinition {
	const table = cast.text("table");
	const where = cast.text("where");
	const params = cast.entries("params");
	const columns = cast.identifiers("columns");
	const queryable = cast.identifiers("queryable_columns");
	const replica = cast.choice("replica", ["default", "full"] as const);
	const log = cast.choice("log", ["full", "changes_only"] as const);
	cast.boolean("experimental_compaction");
	if (columns !== null && queryable !== null) {
		const allowed = new Set(queryable.names);
		const refused = columns.names.filter((name) => !allowed.has(name));
		if (refused.length > 0) {
			cast.fail("columns", `The following columns are not found on the table: ${refused.join(", ")}`);
		}
	}
	if (table === null) {
		return { request: null, columnsFromQueryable: false, queryableColumns: null };
	}
	return {
		request: {
			table,
			where,
			params: where === null ? {} : params,
			columns: columns?.text ?? queryable?.text ?? null,
			replica: replica ?? "default",
			log: log ?? "full",
		},
		columnsFromQueryable: columns === null && queryable !== null,
		queryableColumns: queryable?.names ?? null,
	};
}

/** The cast stage: reads typed values and collects one error a field. */
class Cast {
	readonly #query: Query;
	#errors: Record<string, string[]> | null = null;

	constructor(query: Query) {
		this.#query = query;
	}

	get errors(): FieldErrors | null {
		return this.#errors;
	}

	fail(field: string, message: string): void {
		this.#errors ??= {};
		this.#errors[field] ??= [message];
	}

	failed(field: string): boolean {
		return this.#errors?.[field] !== undefined;
	}

	/** Blank counts as absent. PostgreSQL's text cannot hold a NUL. */
	text(field: string): string | null {
		const value = this.#query.get(field);
		if (value === undefined || (typeof value === "string" && value.trim() === "")) {
			return null;
		}
		if (typeof value !== "string" || value.includes("\0")) {
			this.fail(field, INVALID);
			return null;
		}
		return value;
	}

	choice<T extends string>(field: string, choices: readonly T[]): T | null {
		const value = this.text(field);
		const choice = choices.find((candidate) => candidate === value) ?? null;
		if (value !== null && choice === null) {
			this.fail(field, INVALID);
		}
		return choice;
	}

	boolean(field: string): void {
		const value = this.text(field);
		if (value !== null && !BOOLEANS.has(value)) {
			this.fail(field, INVALID);
		}
	}

	identifiers(field: string): { readonly text: string; readonly names: readonly string[] } | null {
		const value = this.text(field);
		if (value === null) {
			return null;
		}
		const list = parseIdentifierList(value);
		if (!list.ok) {
			this.fail(field, list.message);
			return null;
		}
		return { text: value, names: list.value };
	}

	/** Bracket form only; text instead of a map is an error. */
	entries(field: string): Readonly<Record<string, string>> {
		const value = this.#query.get(field);
		if (value === undefined || (typeof value === "string" && value.trim() === "")) {
			return {};
		}
		const entries: [string, string][] = [];
		if (value !== null && typeof value !== "string") {
			for (const [key, text] of value) {
				if (text === null || text.includes("\0")) {
					this.fail(field, INVALID);
					return {};
				}
				entries.push([key, text]);
			}
			return Object.fromEntries(entries);
		}
		this.fail(field, INVALID);
		return {};
	}
}

/** The registrar's messages about columns that were given as `queryable_columns`, under that name. */
export function renameColumnErrors(errors: FieldErrors): FieldErrors {
	const { columns, ...others } = errors;
	if (!Array.isArray(columns)) {
		return errors;
	}
	const renamed = (columns as readonly string[]).map((message) =>
		message
			.replace(/^The list of columns must/, "The list of queryable columns must")
			.replace(/^The following columns are not found/, "The following queryable columns are not found"),
	);
	return { ...others, queryable_columns: renamed };
}
