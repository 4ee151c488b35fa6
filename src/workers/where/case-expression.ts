/**
 * CASE, in both of its spellings, as the grammar delivers it. Owns the reading of its branches; what they become is
 * in special-forms.ts. Called by checker.ts.
 */

import type { WhereNode } from "../../shared/where-tree.ts";
import type { CallInput } from "./calls.ts";
import type { Expression } from "./expression.ts";
import { WhereRefusal } from "./refusal.ts";
import { type Branch, caseOf } from "./special-forms.ts";
import { listField, openNode, type SyntaxNode } from "./syntax-node.ts";

export interface CaseChecks {
	readonly expression: (value: unknown, location: number | null) => Expression;
	readonly condition: (expression: Expression) => WhereNode;
	readonly equal: (left: Expression, right: Expression) => WhereNode;
}

/** @throws WhereRefusal */
export function caseExpression(node: SyntaxNode, checks: CaseChecks, input: CallInput): Expression {
	const { fields, location } = node;
	const subject = fields["arg"] === undefined ? null : checks.expression(fields["arg"], location);
	if (subject?.form === "untyped") {
		throw new WhereRefusal("CASE of a constant is not supported", location);
	}
	const branches = listField(fields, "args").map((value): Branch => {
		const branch = openNode(value, location);
		if (branch.tag !== "CaseWhen") {
			throw new WhereRefusal(`${branch.tag} is not supported in this context`, location);
		}
		const tested = checks.expression(branch.fields["expr"], location);
		return {
			when: subject === null ? checks.condition(tested) : checks.equal(subject, tested),
			result: checks.expression(branch.fields["result"], location),
		};
	});
	const otherwise: Expression =
		fields["defresult"] === undefined
			? { form: "untyped", text: null, parameter: null, location }
			: checks.expression(fields["defresult"], location);
	return caseOf(branches, otherwise, location, input);
}
