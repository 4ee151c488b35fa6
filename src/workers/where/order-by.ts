/**
 * The `order_by` of a subset: parsed by PostgreSQL's grammar, reduced to column references with their directions, and
 * rebuilt. Owns that short list; must let no byte of the client's text through. Called by the registrar through the
 * room's door. Source: shape-http-api.md 12.
 */

import { SluiceError } from "../../shared/errors.ts";
import { WHERE_BYTES_MAX } from "../../shared/limits.ts";
import type { ColumnInfo } from "../../shared/shape-definition.ts";
import { quoteIdentifier } from "./deparse.ts";
import { isStorableText, parseSelects, scan } from "./grammar.ts";
import { checkTokens } from "./nesting.ts";
import { shownName, WhereRefusal } from "./refusal.ts";
import { isRecord, listField, numberField, stringsOf } from "./syntax-node.ts";

export interface OrderByInput {
	/** As the client wrote it. */
	readonly text: string;
	/** The columns that it may name. */
	readonly columns: readonly ColumnInfo[];
}

const WRAPPER = "SELECT 1 ORDER BY ";
/** Tokens of {@link WRAPPER}. */
const WRAPPER_TOKENS = 4;

/** What a bare `SELECT 1 ORDER BY …` may hold. */
const STATEMENT_FIELDS = ["targetList", "sortClause", "limitOption", "op"];
const DIRECTIONS: Readonly<Record<string, string>> = {
	SORTBY_DEFAULT: "",
	SORTBY_ASC: " ASC",
	SORTBY_DESC: " DESC",
};
const NULLS: Readonly<Record<string, string>> = {
	SORTBY_NULLS_DEFAULT: "",
	SORTBY_NULLS_FIRST: " NULLS FIRST",
	SORTBY_NULLS_LAST: " NULLS LAST",
};

/**
 * SQL for `ORDER BY`, or the empty text when nothing is left that orders: constants are accepted and left out, since
 * PostgreSQL would take a number for a position in a list that the client does not see. A repeated column orders
 * nothing either.
 * @throws SluiceError SLUICE_REQUEST_INVALID with context `{ errors: { order_by: [message] } }`
 */
export function parseOrderBy(input: OrderByInput): string {
	try {
		const names = new Set(input.columns.map((column) => column.name));
		const keys = new Map<string, string>();
		for (const item of sortClauseOf(input.text)) {
			const key = sortKey(item, names);
			if (key !== null && !keys.has(key.column)) {
				keys.set(key.column, key.sql);
			}
		}
		return [...keys.values()].join(", ");
	} catch (error) {
		throw error instanceof WhereRefusal ? toSluiceError(error) : error;
	}
}

function toSluiceError(refusal: WhereRefusal): SluiceError {
	const { location } = refusal;
	const message =
		location === null ? refusal.message : `At location ${Math.max(0, location - WRAPPER.length)}: ${refusal.message}`;
	return new SluiceError("SLUICE_REQUEST_INVALID", { errors: { order_by: [message] } });
}

function sortClauseOf(text: string): readonly unknown[] {
	const wrapped = WRAPPER + text;
	if (Buffer.byteLength(wrapped) > WHERE_BYTES_MAX) {
		throw new WhereRefusal(`the text is bigger than the maximum size of ${WHERE_BYTES_MAX} bytes`, null);
	}
	if (!isStorableText(text)) {
		throw new WhereRefusal("the text must be valid and without NUL characters", null);
	}
	const tokens = scan(wrapped);
	if (tokens !== null) {
		if (tokens.some((token) => token.text === ";")) {
			throw new WhereRefusal("Unexpected `;` in order by", null);
		}
		checkTokens(tokens, WRAPPER_TOKENS);
	}
	const statements = parseSelects(wrapped);
	const [body] = statements;
	if (
		statements.length !== 1 ||
		body === null ||
		body === undefined ||
		body["limitOption"] !== "LIMIT_OPTION_DEFAULT" ||
		body["op"] !== "SETOP_NONE" ||
		Object.keys(body).some((field) => !STATEMENT_FIELDS.includes(field))
	) {
		throw new WhereRefusal("malformed query ending with SQL clauses", null);
	}
	return listField(body, "sortClause");
}

/** Null for a constant. */
function sortKey(item: unknown, names: ReadonlySet<string>): { readonly column: string; readonly sql: string } | null {
	const sort = isRecord(item) && isRecord(item["SortBy"]) ? item["SortBy"] : {};
	const direction = ownText(DIRECTIONS, sort["sortby_dir"]);
	const nulls = ownText(NULLS, sort["sortby_nulls"]);
	const [entry] = isRecord(sort["node"]) ? Object.entries(sort["node"]) : [];
	if (entry === undefined || direction === null || nulls === null || sort["useOp"] !== undefined) {
		throw new WhereRefusal("only ASC and DESC, NULLS FIRST and NULLS LAST are allowed in ORDER BY clauses", null);
	}
	const [tag, fields] = entry;
	const location = isRecord(fields) ? numberField(fields, "location") : null;
	switch (tag) {
		case "A_Const":
			return null;
		case "ColumnRef": {
			const path = isRecord(fields) ? stringsOf(listField(fields, "fields")) : null;
			const [name, ...rest] = path ?? [];
			if (name === undefined || rest.length > 0 || !names.has(name)) {
				throw new WhereRefusal(`unknown reference ${(path ?? ["*"]).map(shownName).join(".")}`, location);
			}
			return { column: name, sql: `${quoteIdentifier(name)}${direction}${nulls}` };
		}
		case "ParamRef": {
			const number = isRecord(fields) && typeof fields["number"] === "number" ? fields["number"] : 0;
			throw new WhereRefusal(`parameter $${number} is not supported in ORDER BY clauses`, location);
		}
		default:
			throw new WhereRefusal(`${tag} expressions are not allowed in ORDER BY clauses`, location);
	}
}

function ownText(texts: Readonly<Record<string, string>>, key: unknown): string | null {
	return typeof key === "string" && Object.hasOwn(texts, key) ? (texts[key] ?? null) : null;
}
