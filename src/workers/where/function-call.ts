/**
 * Function calls as the grammar delivers them, SQL's own spellings (`trim(both …)`, `extract(… from …)`, AT TIME
 * ZONE) included. Owns which names there are and the words in which others are refused. Called by checker.ts.
 */

import { type CallInput, call, isCallable } from "./calls.ts";
import { castExpression } from "./casts.ts";
import { builtInType } from "./column-types.ts";
import type { Expression } from "./expression.ts";
import { shownName, WhereRefusal } from "./refusal.ts";
import { concat } from "./special-forms.ts";
import { listField, type SyntaxNode, stringsOf } from "./syntax-node.ts";

const AGGREGATE_FIELDS = ["agg_star", "agg_distinct", "agg_filter", "agg_order", "agg_within_group", "over"];
const CALL_FIELDS = ["funcname", "args", "funcformat", "location"];

/** Not supported although they are immutable in PostgreSQL, and why. */
const REASONS: Readonly<Record<string, string>> = {
	power: "its last digit depends on the mathematics library of the server",
	pow: "its last digit depends on the mathematics library of the server",
	exp: "its last digit depends on the mathematics library of the server",
	ln: "its last digit depends on the mathematics library of the server",
	log: "its last digit depends on the mathematics library of the server",
	now: "a condition must have the same value at any time",
	clock_timestamp: "a condition must have the same value at any time",
	statement_timestamp: "a condition must have the same value at any time",
	transaction_timestamp: "a condition must have the same value at any time",
	random: "a condition must have the same value at any time",
	gen_random_uuid: "a condition must have the same value at any time",
	to_char: "its result depends on settings of the database",
	to_date: "its result depends on settings of the database",
	to_timestamp: "its result depends on settings of the database",
	age: "it depends on the current date, or on how months are counted",
	initcap: "what begins a word depends on the locale of the database",
};

/** @throws WhereRefusal */
export function functionCall(
	node: SyntaxNode,
	check: (value: unknown, location: number | null) => Expression,
	input: CallInput,
): Expression {
	const { fields, location } = node;
	if (AGGREGATE_FIELDS.some((field) => field in fields)) {
		throw new WhereRefusal("aggregation is not supported in this context", location);
	}
	if (fields["func_variadic"] === true) {
		throw new WhereRefusal("explicit VARIADIC function calls are not currently supported", location);
	}
	const path = stringsOf(listField(fields, "funcname")) ?? [];
	const plain = path[0] === "pg_catalog" ? path.slice(1) : path;
	const name = plain.length === 1 ? (plain[0] ?? "") : "";
	const written = listField(fields, "args");
	const unknown = (): WhereRefusal => {
		const shown = plain.map(shownName).join(".");
		const reason = Object.hasOwn(REASONS, name) ? `: ${REASONS[name]}` : "";
		return new WhereRefusal(`unknown or unsupported function ${shown}/${written.length}${reason}`, location);
	};
	if (name === "" || Object.keys(fields).some((field) => !CALL_FIELDS.includes(field))) {
		throw unknown();
	}
	const isPadding = (name === "lpad" || name === "rpad") && written.length === 2;
	const type = written.length === 1 ? builtInType(name) : undefined;
	const isKnown =
		isPadding ||
		(name === "concat" && written.length > 0) ||
		type !== undefined ||
		isCallable("function", name, written.length);
	if (!isKnown) {
		throw unknown();
	}
	const given = written.map((value) => check(value, location));
	if (name === "concat") {
		return concat(given, location, input);
	}
	const [only] = given;
	if (type !== undefined && only !== undefined && !isCallable("function", name, 1)) {
		return castExpression(only, { type, isArray: false, modifiers: [] }, location, input.parameters);
	}
	const blank: Expression = { form: "untyped", text: " ", parameter: null, location };
	return call("function", name, isPadding ? [...given, blank] : given, location, input);
}
