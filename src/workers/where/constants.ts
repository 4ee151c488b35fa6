/**
 * Constants as the grammar delivers them, and the words in which functions are refused. Owns the types that
 * PostgreSQL gives to bare constants; pure. Called by checker.ts.
 */

import type { Expression } from "./expression.ts";
import { literalFromText } from "./literal.ts";
import { numberRank } from "./pairing.ts";
import { shown, shownName, WhereRefusal } from "./refusal.ts";
import { isRecord, listField, type SyntaxNode, stringsOf, textField } from "./syntax-node.ts";

/** A constant of the grammar. Integers beyond int4 are int8, then numeric, as in PostgreSQL's make_const. */
export function constant(node: SyntaxNode): Expression {
	const { fields, location } = node;
	if (fields["isnull"] === true) {
		return { form: "untyped", text: null, parameter: null, location };
	}
	if (isRecord(fields["sval"])) {
		return { form: "untyped", text: textField(fields["sval"], "sval"), parameter: null, location };
	}
	if (isRecord(fields["boolval"])) {
		const text = fields["boolval"]["boolval"] === true ? "t" : "f";
		return { form: "literal", type: "bool", literal: { kind: "literal", type: "bool", text }, location };
	}
	if (isRecord(fields["ival"])) {
		const value = fields["ival"]["ival"];
		const text = String(typeof value === "number" ? value : 0);
		return { form: "literal", type: "int4", literal: { kind: "literal", type: "int4", text }, location };
	}
	if (isRecord(fields["fval"])) {
		const written = textField(fields["fval"], "fval").replaceAll("_", "");
		const negative = written.startsWith("-");
		const unsigned = negative ? written.slice(1) : written;
		const isPrefixed = /^0[xob]/i.test(unsigned);
		const decimal = isPrefixed ? BigInt(unsigned).toString() : unsigned;
		const text = negative ? `-${decimal}` : decimal;
		const literal = literalFromText(text, "int8") ?? literalFromText(text, "numeric");
		if (literal === null) {
			throw new WhereRefusal(`invalid syntax for type numeric: ${shown(text)}`, location);
		}
		return { form: "literal", type: literal.type, literal, location };
	}
	if (fields["bsval"] !== undefined) {
		throw new WhereRefusal("BitString values are not supported", location);
	}
	throw new WhereRefusal("A_Const is not supported in this context", location);
}

/** The sign of a number; the grammar has already folded most of them into the constant. */
export function signed(name: string, argument: Expression, location: number | null): Expression {
	if (argument.form !== "literal" || argument.literal === null || !/^-?[0-9]/.test(argument.literal.text)) {
		throw new WhereRefusal(`unknown unary operator ${JSON.stringify(shown(name))}`, location);
	}
	const { text, type } = argument.literal;
	if (numberRank(type) === undefined || (name !== "+" && name !== "-")) {
		throw new WhereRefusal(`unknown unary operator ${JSON.stringify(shown(name))}`, location);
	}
	if (name === "+") {
		return argument;
	}
	const negated = literalFromText(text.startsWith("-") ? text.slice(1) : `-${text}`, type);
	if (negated === null) {
		throw new WhereRefusal("Failed to apply function to constant arguments", location);
	}
	return { ...argument, literal: negated };
}

/** Why a function call is refused. */
export function functionRefusal(node: SyntaxNode): WhereRefusal {
	const { fields, location } = node;
	if (
		["agg_star", "agg_distinct", "agg_filter", "agg_order", "agg_within_group", "over"].some((field) => field in fields)
	) {
		return new WhereRefusal("aggregation is not supported in this context", location);
	}
	if (fields["func_variadic"] === true) {
		return new WhereRefusal("explicit VARIADIC function calls are not currently supported", location);
	}
	const path = stringsOf(listField(fields, "funcname")) ?? [];
	const name = (path[0] === "pg_catalog" ? path.slice(1) : path).map(shownName).join(".");
	return new WhereRefusal(`unknown or unsupported function ${name}/${listField(fields, "args").length}`, location);
}
