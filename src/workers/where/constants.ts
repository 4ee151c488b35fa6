/**
 * Constants as the grammar delivers them. Owns the types that PostgreSQL gives to bare constants; pure. Called by
 * checker.ts.
 */

import type { Expression } from "./expression.ts";
import { literalFromText } from "./literal.ts";
import { shown, WhereRefusal } from "./refusal.ts";
import { isRecord, type SyntaxNode, textField } from "./syntax-node.ts";

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
		const literal = literalFromText(text, "int4") ?? literalFromText(text, "int8") ?? literalFromText(text, "numeric");
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
