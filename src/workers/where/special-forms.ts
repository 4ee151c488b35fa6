/**
 * Forms that are not strict functions: COALESCE, NULLIF, GREATEST, LEAST, CASE and concat. Owns their common types
 * and what they become in the tree. Called by checker.ts.
 */

import type { Operand, ValueType, WhereNode } from "../../shared/where-tree.ts";
import { type CallInput, call } from "./calls.ts";
import { isScalar } from "./column-types.ts";
import { converted } from "./conversion.ts";
import { type Expression, givenType, type ParameterTypes, typedOperand, typeLabel } from "./expression.ts";
import { pairTyped } from "./pairing.ts";
import { WhereRefusal } from "./refusal.ts";
import { commonType, type GivenType } from "./resolution.ts";

/** The common type, in PostgreSQL's words when there is none. `what` names the form. */
function sharedType(what: string, given: readonly Expression[], location: number | null): ValueType {
	const types = given.map(givenType);
	const type = commonType(types);
	if (type === null) {
		const known = [...new Set(given.filter((_, index) => types[index] !== null).map(typeLabel))];
		throw new WhereRefusal(`${what} types ${known[0]} and ${known[1] ?? known[0]} cannot be matched`, location);
	}
	if (type === "enum" || type === "enum[]") {
		throw new WhereRefusal(`${what} of type ${type} is not supported`, location);
	}
	return type;
}

function operandAs(
	expression: Expression,
	type: ValueType,
	location: number | null,
	parameters: ParameterTypes,
): Operand {
	const result = converted(expression, type, [], location, parameters);
	const operand = result.form === "untyped" ? null : typedOperand(result).operand;
	return operand ?? { kind: "null", type };
}

function settled(operand: Operand, type: ValueType, location: number | null): Expression {
	if (operand.kind === "null") {
		return { form: "literal", type, literal: null, location };
	}
	return operand.kind === "literal"
		? { form: "literal", type, literal: operand, location }
		: { form: "value", type, operand, location };
}

export function coalesce(given: readonly Expression[], location: number | null, input: CallInput): Expression {
	const type = sharedType("COALESCE", given, location);
	const operands: Operand[] = [];
	for (const expression of given) {
		const operand = operandAs(expression, type, location, input.parameters);
		if (operand.kind !== "null") {
			operands.push(operand);
		}
		if (operand.kind === "literal") {
			break;
		}
	}
	const [only] = operands;
	if (only === undefined || operands.length === 1) {
		return settled(only ?? { kind: "null", type }, type, location);
	}
	return { form: "value", type, operand: { kind: "coalesce", type, arguments: operands }, location };
}

export function extreme(
	greatest: boolean,
	given: readonly Expression[],
	location: number | null,
	input: CallInput,
): Expression {
	const type = sharedType(greatest ? "GREATEST" : "LEAST", given, location);
	if (!isScalar(type) || type === "json" || type === "jsonb") {
		throw new WhereRefusal(`${greatest ? "GREATEST" : "LEAST"} of type ${type} is not supported`, location);
	}
	const operands = given
		.map((expression) => operandAs(expression, type, location, input.parameters))
		.filter((operand) => operand.kind !== "null");
	const [only] = operands;
	if (only === undefined) {
		return settled({ kind: "null", type }, type, location);
	}
	const { comparison } = pairTyped({ type, operand: only }, { type, operand: only }, location);
	return {
		form: "value",
		type,
		operand: { kind: "extreme", greatest, type, comparison, arguments: operands },
		location,
	};
}

/** `compare` gives the condition `left = right`. */
export function nullIf(
	left: Expression,
	right: Expression,
	location: number | null,
	input: CallInput,
	compare: (left: Expression, right: Expression) => WhereNode,
): Expression {
	const when = compare(left, right);
	const type = nullIfType(givenType(left), givenType(right));
	if (!isScalar(type) || type === "enum") {
		throw new WhereRefusal(`NULLIF of type ${type} is not supported`, location);
	}
	const otherwise = operandAs(left, type, location, input.parameters);
	const branches = [{ when, result: { kind: "null", type } as const }];
	return { form: "value", type, operand: { kind: "case", type, branches, otherwise }, location };
}

/** The type of the left side once the operator `=` has been chosen. */
function nullIfType(left: GivenType, right: GivenType): ValueType {
	const other = left ?? right ?? "text";
	const types = [other, right ?? other];
	if (types.includes("float8") || types.includes("float4")) {
		return types.every((type) => type === "float4" || type === "float8") ? other : "float8";
	}
	if (types.includes("numeric")) {
		return "numeric";
	}
	if (types.includes("bpchar")) {
		return types.every((type) => type === "bpchar" || type === "varchar") ? "bpchar" : "text";
	}
	return other === "varchar" ? "text" : other;
}

export interface Branch {
	readonly when: WhereNode;
	readonly result: Expression;
}

export function caseOf(
	branches: readonly Branch[],
	otherwise: Expression,
	location: number | null,
	input: CallInput,
): Expression {
	// PostgreSQL looks at ELSE first.
	const type = sharedType("CASE", [otherwise, ...branches.map(({ result }) => result)], location);
	return {
		form: "value",
		type,
		operand: {
			kind: "case",
			type,
			branches: branches.map(({ when, result }) => ({
				when,
				result: operandAs(result, type, location, input.parameters),
			})),
			otherwise: operandAs(otherwise, type, location, input.parameters),
		},
		location,
	};
}

/** Types whose text in concat() is that of their cast. */
const CONCATENATED: readonly ValueType[] = [
	"text",
	"varchar",
	"bpchar",
	"name",
	"int2",
	"int4",
	"int8",
	"numeric",
	"float4",
	"float8",
	"uuid",
	"date",
	"time",
	"timestamp",
	"timestamptz",
];

/** concat(): NULLs are empty, blanks of a char(n) stay. */
export function concat(given: readonly Expression[], location: number | null, input: CallInput): Expression {
	const empty: Expression = {
		form: "literal",
		type: "text",
		literal: { kind: "literal", type: "text", text: "" },
		location,
	};
	const parts = given.map((expression) => {
		const type = givenType(expression);
		if (type !== null && !CONCATENATED.includes(type)) {
			throw new WhereRefusal(
				`Could not select a function overload for concat(${given.map(typeLabel).join(", ")})`,
				location,
			);
		}
		if (type === "bpchar") {
			throw new WhereRefusal("concat of a char(n) is not supported: cast it to text", location);
		}
		return coalesce([converted(expression, "text", [], location, input.parameters), empty], location, input);
	});
	return parts.reduce((joined, part) => call("binary", "||", [joined, part], location, input));
}
