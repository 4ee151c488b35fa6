/**
 * The door of the where room: a client's text and parameters become a checked clause or a 400. Owns the order
 * of the checks (sizes, tokens, grammar, types) and nothing of their content; must never pass the text on.
 * Called by the registrar.
 */

import { loadModule } from "libpg-query";
import { SluiceError } from "../../shared/errors.ts";
import { PARAMS_BYTES_MAX, PARAMS_MAX, WHERE_BYTES_MAX } from "../../shared/limits.ts";
import type { ColumnInfo, WhereClause } from "../../shared/shape-definition.ts";
import type { CaseFolding } from "../../shared/where-tree.ts";
import { checkWhere } from "./checker.ts";
import { deparse } from "./deparse.ts";
import { isStorableText, parseSelects, scan } from "./grammar.ts";
import { checkTokens } from "./nesting.ts";
import { type OrderByInput, parseOrderBy } from "./order-by.ts";
import { WhereRefusal, WRAPPER } from "./refusal.ts";
import { checkTreeSize } from "./tree-size.ts";

export interface WhereInput {
	/** The `where` as the client wrote it. */
	readonly text: string;
	/** `params[n]`; keys as given. */
	readonly params: Readonly<Record<string, string>>;
	/** All columns of the table. */
	readonly columns: readonly ColumnInfo[];
	/** How the database folds letters for ILIKE: "ascii" when its ctype is C or POSIX. */
	readonly caseFolding: CaseFolding;
}

export interface WhereParser {
	/**
	 * Checks a clause and returns it in its two forms. Synchronous; bounded by WHERE_BYTES_MAX, WHERE_DEPTH_MAX,
	 * PARAMS_MAX and PARAMS_BYTES_MAX.
	 * @throws SluiceError SLUICE_REQUEST_INVALID with context `{ errors: { where | params: [message] } }`
	 */
	parse(input: WhereInput): WhereClause;
	/** The sort keys of a subset, rebuilt; see order-by.ts. @throws SluiceError SLUICE_REQUEST_INVALID */
	parseOrderBy(input: OrderByInput): string;
}

/** Loads the grammar (once a thread; about 20 ms). */
export async function loadWhereParser(): Promise<WhereParser> {
	await loadModule();
	return { parse, parseOrderBy };
}

/** Tokens of {@link WRAPPER}. */
const WRAPPER_TOKENS = 3;

function parse(input: WhereInput): WhereClause {
	checkParams(input.params);
	try {
		const clause = whereClauseOf(input.text);
		const columns = new Map(input.columns.map((column) => [column.name, column]));
		const tree = checkWhere(clause, { columns, params: input.params, caseFolding: input.caseFolding });
		checkTreeSize(tree);
		return { sql: deparse(tree), tree };
	} catch (error) {
		throw error instanceof WhereRefusal ? error.toSluiceError() : error;
	}
}

/** @throws SluiceError with errors under `params` */
function checkParams(params: Readonly<Record<string, string>>): void {
	const refuse = (message: string): never => {
		throw new SluiceError("SLUICE_REQUEST_INVALID", { errors: { params: [message] } });
	};
	const keys = Object.keys(params);
	if (keys.length > PARAMS_MAX) {
		refuse(`Too many parameters (the limit is ${PARAMS_MAX})`);
	}
	if (!keys.every((key) => /^[0-9]+$/.test(key))) {
		refuse("Parameters can only use numbers as keys");
	}
	if (!keys.every((_, index) => Object.hasOwn(params, String(index + 1)))) {
		refuse("Parameters must be numbered sequentially, starting from 1");
	}
	let bytes = 0;
	for (const value of Object.values(params)) {
		bytes += Buffer.byteLength(value);
		if (!isStorableText(value)) {
			refuse("Parameters must be valid text without NUL characters");
		}
	}
	if (bytes > PARAMS_BYTES_MAX) {
		refuse(`Parameters are too large (the limit is ${PARAMS_BYTES_MAX} bytes)`);
	}
}

/** The WHERE clause of the parsed statement. @throws WhereRefusal */
function whereClauseOf(text: string): unknown {
	const wrapped = WRAPPER + text;
	if (Buffer.byteLength(wrapped) > WHERE_BYTES_MAX) {
		throw new WhereRefusal(`the query is bigger than the maximum size of ${WHERE_BYTES_MAX} bytes`, null);
	}
	if (!isStorableText(text)) {
		throw new WhereRefusal("the text must be valid and without NUL characters", null);
	}
	const tokens = scan(wrapped);
	if (tokens !== null) {
		checkTokens(tokens, WRAPPER_TOKENS);
	}
	return onlyWhere(parseSelects(wrapped));
}

/** What a bare `SELECT 1 WHERE …` may hold; anything else was smuggled in behind the expression. */
const STATEMENT_FIELDS = ["targetList", "whereClause", "limitOption", "op"];

function onlyWhere(statements: ReturnType<typeof parseSelects>): unknown {
	const [body] = statements;
	if (statements.length !== 1) {
		throw new WhereRefusal('unescaped ";" causing statement split', null);
	}
	if (
		body === null ||
		body === undefined ||
		body["whereClause"] === undefined ||
		body["limitOption"] !== "LIMIT_OPTION_DEFAULT" ||
		body["op"] !== "SETOP_NONE" ||
		Object.keys(body).some((field) => !STATEMENT_FIELDS.includes(field))
	) {
		throw new WhereRefusal("malformed query ending with SQL clauses", null);
	}
	return body["whereClause"];
}
