/**
 * The SQL of a checked tree: the only text of a `where` that reaches PostgreSQL. Owns quoting; must take
 * nothing but the tree, so that no byte of the user's text can come through unquoted. Called by where-parser.ts.
 *
 * Where the two halves could differ by a setting the SQL pins it: text is ordered with COLLATE "C", letters
 * are folded with the collation that `folding` stands for, enum labels are compared as text.
 */

import { unreachable } from "../../shared/assert.ts";
import type {
	ColumnOperand,
	Comparison,
	LiteralOperand,
	Operand,
	ValueType,
	WhereNode,
} from "../../shared/where-tree.ts";

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
			return `${operandSql(tree.operand)} IN (${(tree.hasNull ? [...values, "NULL"] : values).join(", ")})`;
		}
		case "like": {
			const pattern = typedLiteral(tree.pattern, "text");
			if (tree.folding === null) {
				return `${operandSql(tree.operand)} LIKE ${pattern}`;
			}
			const collate = tree.folding === "unicode" ? COLLATE_DATABASE : COLLATE_BYTES;
			return `${operandSql(tree.operand)} ${collate} ILIKE ${pattern}`;
		}
		case "isNull":
			return `${quoteIdentifier(tree.column)} IS ${tree.negated ? "NOT " : ""}NULL`;
		case "booleanTest": {
			const inner = tree.node.kind === "boolean" ? deparse(tree.node) : paren(tree.node);
			return `${inner} IS ${tree.negated ? "NOT " : ""}${tree.test.toUpperCase()}`;
		}
		case "regex":
		case "quantified":
		case "value":
		case "valueIsNull":
			throw new Error(tree.kind);
		default:
			return unreachable(tree);
	}
}

function paren(node: WhereNode): string {
	return `(${deparse(node)})`;
}

function isOrdering(operator: string): boolean {
	return operator !== "=" && operator !== "<>";
}

/** Two columns may have two collations, which PostgreSQL refuses even for equality: then the bytes decide too. */
function pair(left: Operand, operator: string, right: Operand, comparison: Comparison, ordering: boolean): string {
	const isText = comparison === "text" || comparison === "bpchar";
	const collate = isText && (ordering || (left.kind === "column" && right.kind === "column"));
	return `${operandSql(left)}${collate ? ` ${COLLATE_BYTES}` : ""} ${operator} ${operandSql(right)}`;
}

function operandSql(operand: Operand): string {
	switch (operand.kind) {
		case "column":
			return columnSql(operand);
		case "literal":
			return literalSql(operand);
		case "condition":
			return paren(operand.node);
		default:
			throw new Error(operand.kind);
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
