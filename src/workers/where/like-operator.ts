/**
 * LIKE and ILIKE with a constant pattern. Owns which operands they take; must refuse a pattern that PostgreSQL
 * would only complain about when it meets a row. Called by checker.ts.
 */

import { LIKE_PATTERN_CHARACTERS_MAX } from "../../shared/limits.ts";
import { hasOpenEscape } from "../../shared/sql/letters.ts";
import type { CaseFolding, WhereNode } from "../../shared/where-tree.ts";
import { isOfName, refuseNameConstant } from "./calls.ts";
import { type Expression, type ParameterTypes, settleUntyped, typedOperand } from "./expression.ts";
import { NULL_CONDITION } from "./lists.ts";
import { castLiteral } from "./literal.ts";
import { isScalarLiteral, isText } from "./pairing.ts";
import { WhereRefusal } from "./refusal.ts";

/** `subject LIKE pattern`; `folding` not null: ILIKE. @throws WhereRefusal */
export function likeNode(
	subject: Expression,
	pattern: Expression,
	folding: CaseFolding | null,
	location: number | null,
	parameters: ParameterTypes,
): WhereNode {
	const left = typedOperand(subject.form === "untyped" ? settleUntyped(subject, "text", parameters) : subject);
	if (pattern.form !== "untyped" && pattern.form !== "literal") {
		throw new WhereRefusal("only a constant pattern is supported with LIKE and ILIKE", pattern.location ?? location);
	}
	const right = typedOperand(pattern.form === "untyped" ? settleUntyped(pattern, "text", parameters) : pattern);
	if (!isText(left.type) || !isText(right.type)) {
		throw new WhereRefusal("Could not select an operator overload", location);
	}
	if (left.operand === null || right.operand === null) {
		return NULL_CONDITION;
	}
	const text =
		right.operand.kind === "literal" && isScalarLiteral(right.operand) ? castLiteral(right.operand, "text") : "invalid";
	if (text === null) {
		return NULL_CONDITION;
	}
	if (typeof text === "string" || left.operand.kind === "condition") {
		throw new WhereRefusal("Could not select an operator overload", location);
	}
	if (text.text.length > LIKE_PATTERN_CHARACTERS_MAX) {
		throw new WhereRefusal(
			`the LIKE pattern is too long (the limit is ${LIKE_PATTERN_CHARACTERS_MAX} characters)`,
			pattern.location ?? location,
		);
	}
	if (hasOpenEscape(text.text)) {
		throw new WhereRefusal("LIKE pattern must not end with escape character", pattern.location ?? location);
	}
	// Columns of type name have the collation "C" whatever the database's, also after a cast.
	const isName = isOfName(left.operand);
	if (folding !== null) {
		refuseNameConstant(pattern);
	}
	return {
		kind: "like",
		operand: left.operand,
		pattern: text.text,
		folding: folding !== null && isName ? "ascii" : folding,
	};
}
