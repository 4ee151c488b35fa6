/**
 * Walks the parser's tree, refuses what is not on the list, and builds the typed tree. Owns the forms of the
 * language and their three-valued meaning; must never accept a form that the match room does not evaluate
 * exactly. Called by where-parser.ts, once per clause.
 */

import { WHERE_DEPTH_MAX } from "../../shared/limits.ts";
import type { ColumnInfo } from "../../shared/shape-definition.ts";
import type { CaseFolding, CompareOperator, WhereNode } from "../../shared/where-tree.ts";
import { arrayConstructor, subscripted } from "./arrays.ts";
import { betweenNode } from "./between.ts";
import { type CallInput, call, isCallable } from "./calls.ts";
import { caseExpression } from "./case-expression.ts";
import { castExpression } from "./casts.ts";
import { castTarget, typeOfColumn } from "./column-types.ts";
import { constant } from "./constants.ts";
import {
	collationAllows,
	type Expression,
	isConstant,
	ParameterTypes,
	settleUntyped,
	typedOperand,
	typeLabel,
} from "./expression.ts";
import { functionCall } from "./function-call.ts";
import { likeNode } from "./like-operator.ts";
import { compareOperator, comparesEach, equalsAny, NULL_CONDITION, unifyItems } from "./lists.ts";
import { pairExpressions } from "./pairing.ts";
import { type Pairing, quantifiedNode } from "./quantified.ts";
import { shown, shownName, unknownOperator, WhereRefusal } from "./refusal.ts";
import { isRegexOperator, regexNode, similarPattern } from "./regex-operator.ts";
import { type RowPairing, rowCondition, rowFields, rowIsNull } from "./rows.ts";
import { coalesce, extreme, nullIf } from "./special-forms.ts";
import { listField, openNode, type SyntaxNode, stringsOf, textField } from "./syntax-node.ts";

export interface CheckInput {
	readonly columns: ReadonlyMap<string, ColumnInfo>;
	readonly params: Readonly<Record<string, string>>;
	readonly caseFolding: CaseFolding;
}

/** The condition of a WHERE clause. @throws WhereRefusal */
export function checkWhere(clause: unknown, input: CheckInput): WhereNode {
	return new Checker(input).root(clause);
}

class Checker {
	readonly #input: CheckInput;
	readonly #parameters = new ParameterTypes();
	#depth = 0;

	constructor(input: CheckInput) {
		this.#input = input;
	}

	root(clause: unknown): WhereNode {
		const expression = this.#expression(clause, null);
		const isBoolean = expression.form === "untyped" || typedOperand(expression).type === "bool";
		if (!isBoolean) {
			throw new WhereRefusal("WHERE clause must return a boolean", null);
		}
		return this.#asCondition(expression);
	}

	#expression(value: unknown, outerLocation: number | null): Expression {
		this.#depth += 1;
		if (this.#depth > WHERE_DEPTH_MAX) {
			throw new WhereRefusal(`the expression is nested too deeply (the limit is ${WHERE_DEPTH_MAX})`, outerLocation);
		}
		const expression = this.#dispatch(openNode(value, outerLocation));
		this.#depth -= 1;
		return expression;
	}

	#dispatch(node: SyntaxNode): Expression {
		const { fields, location } = node;
		switch (node.tag) {
			case "A_Const":
				return constant(node);
			case "ColumnRef":
				return this.#column(node);
			case "ParamRef":
				return this.#parameter(node);
			case "TypeCast":
				return this.#cast(node);
			case "BoolExpr":
				return condition(this.#logic(node), location);
			case "NullTest":
				return condition(this.#nullTest(node), location);
			case "BooleanTest":
				return condition(this.#booleanTest(node), location);
			case "A_Expr":
				return this.#operator(node);
			case "FuncCall":
				return functionCall(node, this.#check, this.#calls);
			case "CaseExpr":
				return caseExpression(
					node,
					{
						expression: this.#check,
						condition: (expression) => this.#asCondition(expression),
						equal: (left, right) => this.#compare(left, "=", right, location),
					},
					this.#calls,
				);
			case "CoalesceExpr":
				return coalesce(this.#list(node), location, this.#calls);
			case "MinMaxExpr":
				return extreme(textField(fields, "op") !== "IS_LEAST", this.#list(node), location, this.#calls);
			case "SubLink":
				throw new WhereRefusal("subqueries are not supported yet", location);
			case "A_ArrayExpr":
				return arrayConstructor(node, null, this.#check, this.#calls);
			case "A_Indirection":
				return subscripted(node, this.#check, this.#calls);
			case "RowExpr":
				throw new WhereRefusal("a row can only be compared with a row", location);
			case "A_Indices":
			case "CaseWhen":
			case "List":
				throw new WhereRefusal(`${node.tag} is not supported in this context`, location);
		}
	}

	readonly #check = (value: unknown, location: number | null): Expression => this.#expression(value, location);

	#cast(node: SyntaxNode): Expression {
		const { fields, location } = node;
		const target = castTarget(fields["typeName"], location);
		const argument = openNode(fields["arg"], location);
		return argument.tag === "A_ArrayExpr" && target.isArray
			? arrayConstructor(argument, target.type, this.#check, this.#calls)
			: castExpression(this.#expression(fields["arg"], location), target, location, this.#parameters);
	}

	#pairing(location: number | null): Pairing & RowPairing {
		return {
			check: this.#check,
			calls: this.#calls,
			compare: (left, operator, right) => this.#compare(left, operator, right, location),
			like: (left, right, name) => this.#likePair(left, right, name, location),
			distinct: (left, right, negated) => this.#distinct(left, right, negated, location),
		};
	}

	get #calls(): CallInput {
		return { caseFolding: this.#input.caseFolding, parameters: this.#parameters };
	}

	#list(node: SyntaxNode): readonly Expression[] {
		return listField(node.fields, "args").map((value) => this.#expression(value, node.location));
	}

	#column(node: SyntaxNode): Expression {
		const path = stringsOf(listField(node.fields, "fields"));
		const name = path?.length === 1 ? path[0] : undefined;
		const column = name === undefined ? undefined : this.#input.columns.get(name);
		if (column === undefined) {
			const written = (path ?? ["*"]).map(shownName).join(".");
			throw new WhereRefusal(`unknown reference ${written}`, node.location);
		}
		const type = typeOfColumn(column);
		const operand =
			type === null || !collationAllows(column, type)
				? null
				: ({ kind: "column", name: column.name, type, casts: [] } as const);
		return { form: "column", column, operand, location: node.location };
	}

	#parameter(node: SyntaxNode): Expression {
		const number = node.fields["number"];
		const parameter = typeof number === "number" ? number : 0;
		const key = String(parameter);
		const text = Object.hasOwn(this.#input.params, key) ? this.#input.params[key] : undefined;
		if (text === undefined) {
			throw new WhereRefusal(`parameter $${parameter} was not provided`, node.location);
		}
		this.#parameters.countUse(text, node.location);
		return { form: "untyped", text, parameter, location: node.location };
	}

	#logic(node: SyntaxNode): WhereNode {
		const nodes = listField(node.fields, "args").map((value) =>
			this.#asCondition(this.#expression(value, node.location)),
		);
		const operator = textField(node.fields, "boolop");
		const [first] = nodes;
		if (operator === "NOT_EXPR" && nodes.length === 1 && first !== undefined) {
			return { kind: "not", node: first };
		}
		if ((operator === "AND_EXPR" || operator === "OR_EXPR") && nodes.length > 1) {
			return { kind: operator === "AND_EXPR" ? "and" : "or", nodes };
		}
		throw new WhereRefusal(`${operator} is not supported in this context`, node.location);
	}

	/** @throws WhereRefusal when the expression is not boolean */
	#asCondition(expression: Expression): WhereNode {
		switch (expression.form) {
			case "condition":
				return expression.node;
			case "untyped":
				return constantCondition(settleUntyped(expression, "bool", this.#parameters).literal?.text ?? null);
			case "literal":
				if (expression.type === "bool") {
					return constantCondition(expression.literal?.text ?? null);
				}
				throw new WhereRefusal(`constant of type ${expression.type} is not castable to bool`, expression.location);
			case "value":
				if (expression.type === "bool") {
					return { kind: "value", operand: expression.operand };
				}
				throw new WhereRefusal(`expression of type ${expression.type} is not castable to bool`, expression.location);
			case "column": {
				const { type } = typedOperand(expression);
				if (type === "bool") {
					const { operand } = expression;
					return operand !== null && operand.type !== "bool"
						? { kind: "value", operand }
						: { kind: "boolean", column: expression.column.name };
				}
				const name = shownName(expression.column.name);
				throw new WhereRefusal(
					`reference ${name} of type ${typeLabel(expression)} is not castable to bool`,
					expression.location,
				);
			}
		}
	}

	#nullTest(node: SyntaxNode): WhereNode {
		const kind = textField(node.fields, "nulltesttype");
		if (kind !== "IS_NULL" && kind !== "IS_NOT_NULL") {
			throw new WhereRefusal(`${kind} is not supported in this context`, node.location);
		}
		const negated = kind === "IS_NOT_NULL";
		const row = rowFields(node.fields["arg"]);
		return row === null
			? this.#isNull(this.#expression(node.fields["arg"], node.location), negated)
			: rowIsNull(
					row.map((value) => this.#expression(value, node.location)),
					(field) => this.#isNull(field, negated),
				);
	}

	#isNull(expression: Expression, negated: boolean): WhereNode {
		switch (expression.form) {
			case "column":
				return { kind: "isNull", column: expression.column.name, negated };
			case "untyped": {
				const { literal } = settleUntyped(expression, "text", this.#parameters);
				return { kind: "constant", value: (literal === null) !== negated };
			}
			case "literal":
				return { kind: "constant", value: (expression.literal === null) !== negated };
			case "value":
				return { kind: "valueIsNull", operand: expression.operand, negated };
			case "condition":
				return { kind: "booleanTest", test: "unknown", negated, node: expression.node };
		}
	}

	#booleanTest(node: SyntaxNode): WhereNode {
		const match = /^IS_(NOT_)?(TRUE|FALSE|UNKNOWN)$/.exec(textField(node.fields, "booltesttype"));
		const word = match?.[2];
		const test = word === "TRUE" ? "true" : word === "FALSE" ? "false" : "unknown";
		if (word === undefined) {
			throw new WhereRefusal("BooleanTest is not supported in this context", node.location);
		}
		const expression = this.#expression(node.fields["arg"], node.location);
		const negated = match?.[1] !== undefined;
		if (expression.form !== "untyped" && typedOperand(expression).type !== "bool") {
			throw new WhereRefusal(
				`argument of IS ${negated ? "NOT " : ""}${word} must be bool, not ${typeLabel(expression)}`,
				node.location,
			);
		}
		return { kind: "booleanTest", test, negated, node: this.#asCondition(expression) };
	}

	#operator(node: SyntaxNode): Expression {
		const { fields, location } = node;
		const names = stringsOf(listField(fields, "name")) ?? [];
		const name = names.at(-1) ?? "";
		const kind = textField(fields, "kind");
		const isPlain = names.length === 1;
		const rows = isPlain ? rowCondition(node, kind, name, this.#pairing(location)) : null;
		if (rows !== null) {
			return condition(rows, location);
		}
		switch (kind) {
			case "AEXPR_OP":
				if (isPlain || (names.length === 2 && names[0] === "pg_catalog")) {
					return this.#plainOperator(node, name);
				}
				break;
			case "AEXPR_NULLIF":
				if (isPlain && name === "=") {
					return this.#nullIf(node);
				}
				break;
			case "AEXPR_DISTINCT":
			case "AEXPR_NOT_DISTINCT":
				if (isPlain && name === "=") {
					const [left, right] = this.#sides(node);
					return condition(this.#distinct(left, right, kind === "AEXPR_NOT_DISTINCT", location), location);
				}
				break;
			case "AEXPR_IN":
				if (isPlain && (name === "=" || name === "<>")) {
					const node_ = this.#in(node);
					return condition(name === "=" ? node_ : { kind: "not", node: node_ }, location);
				}
				break;
			case "AEXPR_LIKE":
			case "AEXPR_ILIKE":
				if (isPlain) {
					return condition(this.#like(node, name), location);
				}
				break;
			case "AEXPR_SIMILAR":
				if (isRegexOperator(name)) {
					const subject = this.#expression(fields["lexpr"], location);
					const pattern = this.#expression(similarPattern(fields["rexpr"], location), location);
					return condition(regexNode(subject, name, pattern, location, this.#calls, true), location);
				}
				break;
			case "AEXPR_BETWEEN":
			case "AEXPR_NOT_BETWEEN":
			case "AEXPR_BETWEEN_SYM":
			case "AEXPR_NOT_BETWEEN_SYM":
				return condition(betweenNode(node, kind, this.#pairing(location)), location);
			case "AEXPR_OP_ANY":
			case "AEXPR_OP_ALL":
				if (isPlain) {
					return condition(quantifiedNode(node, name, kind === "AEXPR_OP_ANY", this.#pairing(location)), location);
				}
				break;
			default:
		}
		throw new WhereRefusal(
			`expression ${JSON.stringify(shown(name))} of :${kind} is not currently supported`,
			location,
		);
	}

	#plainOperator(node: SyntaxNode, name: string): Expression {
		const { fields, location } = node;
		if (fields["lexpr"] === undefined) {
			if (!isCallable("prefix", name, 1)) {
				throw new WhereRefusal(`unknown unary operator ${JSON.stringify(shown(name))}`, location);
			}
			return call("prefix", name, [this.#expression(fields["rexpr"], location)], location, this.#calls);
		}
		const operator = compareOperator(name);
		const isRegex = isRegexOperator(name);
		if (operator === null && !isRegex && !isCallable("binary", name, 2)) {
			throw new WhereRefusal(unknownOperator(name), location);
		}
		const [left, right] = this.#sides(node);
		if (isRegex) {
			return condition(regexNode(left, name, right, location, this.#calls, false), location);
		}
		return operator === null
			? call("binary", name, [left, right], location, this.#calls)
			: condition(this.#compare(left, operator, right, location), location);
	}

	#nullIf(node: SyntaxNode): Expression {
		const { location } = node;
		const [left, right] = this.#sides(node);
		return nullIf(left, right, location, this.#calls, (first, second) => this.#compare(first, "=", second, location));
	}

	#compare(left: Expression, operator: CompareOperator, right: Expression, location: number | null): WhereNode {
		const isEquality = operator === "=" || operator === "<>";
		const pair = pairExpressions(left, right, isEquality, location, this.#parameters);
		if (pair.left === null || pair.right === null) {
			return NULL_CONDITION;
		}
		return { kind: "compare", operator, comparison: pair.comparison, left: pair.left, right: pair.right };
	}

	#sides({ fields, location }: SyntaxNode): readonly [Expression, Expression] {
		return [this.#expression(fields["lexpr"], location), this.#expression(fields["rexpr"], location)];
	}

	#distinct(left: Expression, right: Expression, negated: boolean, location: number | null): WhereNode {
		// PostgreSQL reads IS DISTINCT FROM NULL as a test for NULL, whatever the type.
		if (isUntypedNull(right)) {
			return this.#isNull(left, !negated);
		}
		if (isUntypedNull(left)) {
			return this.#isNull(right, !negated);
		}
		const pair = pairExpressions(left, right, true, location, this.#parameters);
		if (pair.left === null || pair.right === null) {
			const other = pair.left === null ? right : left;
			return this.#isNull(pair.left === null && pair.right === null ? NULL_LITERAL : other, !negated);
		}
		return { kind: "distinct", negated, comparison: pair.comparison, left: pair.left, right: pair.right };
	}

	#in(node: SyntaxNode): WhereNode {
		const left = this.#expression(node.fields["lexpr"], node.location);
		const list = openNode(node.fields["rexpr"], node.location);
		if (list.tag !== "List") {
			throw new WhereRefusal(`${list.tag} is not supported in this context`, node.location);
		}
		const items = listField(list.fields, "items").map((value) => this.#expression(value, node.location));
		const constants = items.filter(isConstant);
		const others = items.filter((item) => !isConstant(item));
		const unified = constants.length > 1 ? unifyItems(left, constants, node.location) : constants;
		const nodes = others.map((item) => this.#compare(left, "=", item, node.location));
		if (unified.length > 0) {
			nodes.unshift(equalsAny(left, unified, node.location, this.#parameters));
		}
		return comparesEach(nodes, true);
	}

	#like(node: SyntaxNode, name: string): WhereNode {
		const [left, right] = this.#sides(node);
		const isPattern = right.form === "untyped" || right.form === "literal";
		return isPattern
			? this.#likePair(left, right, name, node.location)
			: this.#asCondition(call("binary", name, [left, right], node.location, this.#calls));
	}

	#likePair(left: Expression, right: Expression, name: string, location: number | null): WhereNode {
		const folding = name.endsWith("*") ? this.#input.caseFolding : null;
		const match = likeNode(left, right, folding, location, this.#parameters);
		return name.startsWith("!") ? { kind: "not", node: match } : match;
	}
}

const NULL_LITERAL: Expression = { form: "untyped", text: null, parameter: null, location: null };

function condition(node: WhereNode, location: number | null): Expression {
	return { form: "condition", node, location };
}

function constantCondition(text: string | null): WhereNode {
	return { kind: "constant", value: text === null ? null : text === "t" };
}

function isUntypedNull(expression: Expression): boolean {
	return expression.form === "untyped" && expression.text === null;
}
