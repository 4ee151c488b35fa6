/**
 * Regular expressions: `~`, `~*`, `!~`, `!~*` and SIMILAR TO, with a constant pattern (`isSimilar`: one of SIMILAR TO). Owns which operands they take;
 * must refuse a pattern, and say which construct of it, unless what it matches is the same in both halves. Called by
 * checker.ts.
 */

import { parseRegex } from "../../shared/sql/regex-pattern.ts";
import { similarToRegex } from "../../shared/sql/similar-pattern.ts";
import type { WhereNode } from "../../shared/where-tree.ts";
import type { CallInput } from "./calls.ts";
import { type Expression, settleUntyped, typedOperand } from "./expression.ts";
import { NULL_CONDITION } from "./lists.ts";
import { isText } from "./pairing.ts";
import { WhereRefusal } from "./refusal.ts";
import { isRecord, listField, openNode, stringsOf } from "./syntax-node.ts";

export type RegexOperator = "~" | "~*" | "!~" | "!~*";

export function isRegexOperator(name: string): name is RegexOperator {
	return name === "~" || name === "~*" || name === "!~" || name === "!~*";
}

/** `subject operator pattern`. @throws WhereRefusal */
export function regexNode(
	subject: Expression,
	operator: RegexOperator,
	pattern: Expression,
	location: number | null,
	input: CallInput,
	isSimilar: boolean,
): WhereNode {
	const left = typedOperand(subject.form === "untyped" ? settleUntyped(subject, "text", input.parameters) : subject);
	if (pattern.form !== "untyped" && pattern.form !== "literal") {
		throw new WhereRefusal("only a constant pattern is supported with regular expressions", location);
	}
	const right = typedOperand(pattern.form === "untyped" ? settleUntyped(pattern, "text", input.parameters) : pattern);
	if (!isText(left.type) || !isText(right.type)) {
		throw new WhereRefusal("Could not select an operator overload", location);
	}
	if (left.operand === null || right.operand === null) {
		return NULL_CONDITION;
	}
	const text = right.operand.kind === "literal" ? right.operand.text : "";
	const at = pattern.location ?? location;
	const ignoresCase = operator.endsWith("*");
	const regex = isSimilar ? rewritten(text, at) : text;
	// Columns of type name have the collation "C" whatever the database's.
	const isUnicode = input.caseFolding !== "ascii" && left.type !== "name";
	const parsed = parseRegex(regex, { ignoresCase, isUnicode });
	if ("refusal" in parsed) {
		throw new WhereRefusal(`the pattern has ${parsed.refusal}, which is not supported`, at);
	}
	const node: WhereNode = {
		kind: "regex",
		operand: left.operand,
		pattern: regex,
		folding: ignoresCase ? "ascii" : null,
	};
	return operator.startsWith("!") ? { kind: "not", node } : node;
}

function rewritten(pattern: string, location: number | null): string {
	const result = similarToRegex(pattern);
	if ("refusal" in result) {
		throw new WhereRefusal(`the pattern has ${result.refusal}, which is not supported`, location);
	}
	return result.pattern;
}

/** The pattern of SIMILAR TO, which the grammar has wrapped in a call. @throws WhereRefusal for ESCAPE */
export function similarPattern(value: unknown, location: number | null): unknown {
	const { tag, fields } = openNode(value, location);
	const names = stringsOf(listField(fields, "funcname")) ?? [];
	const [pattern, ...others] = listField(fields, "args");
	if (tag !== "FuncCall" || names.at(-1) !== "similar_to_escape" || !isRecord(pattern) || others.length > 0) {
		throw new WhereRefusal("SIMILAR TO with ESCAPE is not supported", location);
	}
	return pattern;
}
