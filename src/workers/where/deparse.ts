/**
 * The SQL of a checked tree: the only text of a `where` that reaches PostgreSQL. Owns quoting; must take
 * nothing but the tree, so that no byte of the user's text can come through unquoted. Called by where-parser.ts.
 *
 * Where the two halves could differ by a setting the SQL pins it: text is ordered with COLLATE "C", letters
 * are folded with the collation that `folding` stands for, enum labels are compared as text.
 */

import { must, unreachable } from "../../shared/assert.ts";
import type { FunctionName } from "../../shared/where-functions.ts";
import {
	type CallOperand,
	type CaseFolding,
	type ColumnOperand,
	type Comparison,
	type LiteralOperand,
	type Operand,
	type Subscript,
	typeOfOperand,
	type ValueType,
	type WhereNode,
} from "../../shared/where-tree.ts";
import { hasCollation, isScalar } from "./column-types.ts";
import { writtenSignature } from "./signatures.ts";

const COLLATE_BYTES = 'COLLATE pg_catalog."C"';
const COLLATE_DATABASE = 'COLLATE pg_catalog."default"';

/** The condition as SQL. Put it in parentheses before combining it with anything. */
export function deparse(tree: WhereNode): string {
	switch (tree.kind) {
		case "constant":
			return tree.value === null ? "NULL::bool" : String(tree.value);
		case "boolean":
			return quoteIdentifier(tree.column);
		case "and":
			return tree.nodes
				.map((node) => (node.kind === "and" || node.kind === "or" ? paren(node) : deparse(node)))
				.join(" AND ");
		case "or":
			return tree.nodes.map((node) => (node.kind === "or" ? paren(node) : deparse(node))).join(" OR ");
		case "not":
			return `NOT ${tree.node.kind === "and" || tree.node.kind === "or" ? paren(tree.node) : deparse(tree.node)}`;
		case "compare":
			return pair(tree.left, tree.operator, tree.right, tree.comparison, isOrdering(tree.operator));
		case "distinct":
			return pair(tree.left, `IS ${tree.negated ? "NOT " : ""}DISTINCT FROM`, tree.right, tree.comparison, false);
		case "in": {
			const values = tree.values.map((text) => typedLiteral(text, tree.type));
			const isText = tree.comparison === "text" || tree.comparison === "bpchar";
			const collate = isText && isComputed(tree.operand) ? ` ${COLLATE_BYTES}` : "";
			return `${operandSql(tree.operand)}${collate} IN (${(tree.hasNull ? [...values, "NULL"] : values).join(", ")})`;
		}
		case "like": {
			const pattern = typedLiteral(tree.pattern, "text");
			if (tree.folding === null) {
				return `${operandSql(tree.operand)}${isComputed(tree.operand) ? ` ${COLLATE_BYTES}` : ""} LIKE ${pattern}`;
			}
			const collate = collationOf(tree.folding);
			return `${operandSql(tree.operand)} ${collate} ILIKE ${pattern}`;
		}
		case "isNull":
			return `${quoteIdentifier(tree.column)} IS ${tree.negated ? "NOT " : ""}NULL`;
		case "booleanTest": {
			const inner = tree.node.kind === "boolean" ? deparse(tree.node) : paren(tree.node);
			return `${inner} IS ${tree.negated ? "NOT " : ""}${tree.test.toUpperCase()}`;
		}
		case "value":
			return operandSql(tree.operand);
		case "valueIsNull":
			return `${operandSql(tree.operand)} IS ${tree.negated ? "NOT " : ""}NULL`;
		case "regex": {
			const operator = tree.folding === null ? "~" : "~*";
			return `${operandSql(tree.operand)} ${COLLATE_BYTES} ${operator} ${typedLiteral(tree.pattern, "text")}`;
		}
		case "quantified": {
			const isText = tree.comparison === "text" || tree.comparison === "bpchar";
			const collate = tree.folding === null ? COLLATE_BYTES : collationOf(tree.folding);
			const left = `${operandSql(tree.left)}${isText ? ` ${collate}` : ""}`;
			return `${left} ${tree.operator} ${tree.quantifier.toUpperCase()} (${partSql(tree.array, collate)})`;
		}
		default:
			return unreachable(tree);
	}
}

/** The collation under which PostgreSQL folds letters so. */
function collationOf(folding: CaseFolding): string {
	return folding === "ascii" ? COLLATE_BYTES : COLLATE_DATABASE;
}

function paren(node: WhereNode): string {
	return `(${deparse(node)})`;
}

function isOrdering(operator: string): boolean {
	return operator !== "=" && operator !== "<>";
}

/** Two columns may have two collations, which PostgreSQL refuses even for equality: then the bytes decide too. */
function pair(left: Operand, operator: string, right: Operand, comparison: Comparison, ordering: boolean): string {
	const isText = comparison === "text" || comparison === "bpchar" || (comparison === "array" && hasTexts(left));
	const collate = isText && (ordering || mayConflict(left, right));
	return `${collate ? collated(left) : operandSql(left)} ${operator} ${partSql(right)}`;
}

/** Two columns, or a computed text, which may be made of two. */
function mayConflict(left: Operand, right: Operand): boolean {
	return (left.kind === "column" && right.kind === "column") || isComputed(left) || isComputed(right);
}

/** As a part of something that has one collation: parts that were computed under another are brought to it. */
function partSql(operand: Operand, collate = COLLATE_BYTES): string {
	return isComputed(operand) && hasCollation(typeOfOperand(operand)) ? collated(operand, collate) : operandSql(operand);
}

function collated(operand: Operand, collate = COLLATE_BYTES): string {
	return `${operandSql(operand)} ${collate}`;
}

function isComputed(operand: Operand): boolean {
	return operand.kind !== "column" && operand.kind !== "literal";
}

function operandSql(operand: Operand): string {
	switch (operand.kind) {
		case "column":
			return columnSql(operand);
		case "literal":
			return literalSql(operand);
		case "condition":
			return paren(operand.node);
		case "null":
			return `NULL::${operand.type}`;
		case "call":
			return callSql(operand);
		case "cast": {
			const modifiers = operand.modifiers.length === 0 ? "" : `(${operand.modifiers.join(", ")})`;
			return `${operandSql(operand.operand)}::${operand.type}${modifiers}`;
		}
		case "coalesce":
			return `COALESCE(${operand.arguments.map((argument) => partSql(argument)).join(", ")})`;
		case "extreme": {
			const collate = operand.comparison === "text" || operand.comparison === "bpchar" ? ` ${COLLATE_BYTES}` : "";
			const sides = operand.arguments.map((argument) => operandSql(argument) + collate);
			return `${operand.greatest ? "GREATEST" : "LEAST"}(${sides.join(", ")})`;
		}
		case "case": {
			const branches = operand.branches.map(({ when, result }) => `WHEN ${deparse(when)} THEN ${partSql(result)}`);
			return `CASE ${branches.join(" ")} ELSE ${partSql(operand.otherwise)} END`;
		}
		case "array":
			return `ARRAY[${operand.elements.map((element) => partSql(element)).join(", ")}]::${operand.type}`;
		case "subscript":
			return `(${operandSql(operand.array)})${operand.subscripts.map(subscriptSql).join("")}`;
		default:
			return unreachable(operand);
	}
}

function subscriptSql({ isSlice, lower, upper }: Subscript): string {
	const [first, last] = [lower, upper].map((bound) => (bound === null ? "" : `(${operandSql(bound)})`));
	return isSlice ? `[${first}:${last}]` : `[${last}]`;
}

/** Functions that look at a collation, whose result does not depend on which one it is. */
const BYTEWISE: readonly FunctionName[] = [
	"text_like",
	"text_not_like",
	"text_position",
	"text_replace",
	"text_split_part",
	"text_starts_with",
];

function isBytewise({ function: name, arguments: given }: CallOperand): boolean {
	return BYTEWISE.includes(name) || (ARRAY_SEARCHES.includes(name) && given.some(hasTexts));
}

/** Functions that compare the elements of arrays. */
const ARRAY_SEARCHES: readonly FunctionName[] = [
	"array_contains",
	"array_contained",
	"array_overlaps",
	"array_remove",
	"array_position",
];

/** Whether the operand is an array of texts. */
function hasTexts(operand: Operand): boolean {
	const type = typeOfOperand(operand);
	return !isScalar(type) && hasCollation(type);
}

function callSql(call: CallOperand): string {
	const signature = must(writtenSignature(call.function), "a function without a signature");
	const collate = call.folding === undefined ? COLLATE_BYTES : collationOf(call.folding);
	const isPinned = call.folding !== undefined || isBytewise(call);
	const sides = call.arguments.map((argument, index) =>
		isPinned && index === 0 ? collated(argument, collate) : partSql(argument, collate),
	);
	switch (signature.form) {
		case "binary":
			return `(${sides.join(` ${signature.name} `)})`;
		case "prefix":
			return `(${signature.name} ${sides.join(" ")})`;
		case "function":
			return `pg_catalog.${quoteIdentifier(signature.name)}(${sides.join(", ")})`;
	}
}

function columnSql(column: ColumnOperand): string {
	return quoteIdentifier(column.name) + column.casts.map((type) => `::${type}`).join("");
}

function literalSql(literal: LiteralOperand): string {
	return typedLiteral(literal.text, literal.type);
}

function typedLiteral(text: string, type: ValueType): string {
	return `${quoteLiteral(text)}::${type}`;
}

/** Safe whatever standard_conforming_strings is: a backslash is only ever written in an E string. */
export function quoteLiteral(text: string): string {
	const quoted = text.replaceAll("'", "''");
	return quoted.includes("\\") ? `E'${quoted.replaceAll("\\", "\\\\")}'` : `'${quoted}'`;
}

export function quoteIdentifier(name: string): string {
	return `"${name.replaceAll('"', '""')}"`;
}
