/**
 * The typed tree of a checked `where`: plain JSON data. Made by the where room (registrar thread), compiled
 * by the match room (lanes), stored in the catalogue. Owns the vocabulary of both; must hold nothing that is
 * not JSON, and nothing that was not checked: whoever compiles or deparses a tree trusts it.
 */

import { unreachable } from "./assert.ts";

/** Types whose values are evaluated here exactly as PostgreSQL does. Names are pg_type.typname. */
export type ScalarType =
	| "bool"
	| "int2"
	| "int4"
	| "int8"
	| "float4"
	| "float8"
	| "numeric"
	| "text"
	| "varchar"
	| "bpchar"
	| "name"
	| "uuid"
	| "date"
	| "time"
	| "timestamp"
	| "timestamptz"
	/** Any enum type; its label is its text. */
	| "enum";

/**
 * How two values are compared. "text" is by bytes (COLLATE "C"); "bpchar" too, without trailing blanks on
 * either side; "float" and "numeric" hold NaN equal to itself and above everything; "timestamp" compares
 * dates and timestamps with each other.
 */
export type Comparison =
	| "boolean"
	| "integer"
	| "numeric"
	| "float"
	| "text"
	| "bpchar"
	| "uuid"
	| "date"
	| "time"
	| "timestamp"
	| "timestamptz";

export type CompareOperator = "=" | "<>" | "<" | "<=" | ">" | ">=";

/** A column, then casts from left to right. bpchar to text or varchar drops trailing blanks, as in PostgreSQL. */
export interface ColumnOperand {
	readonly kind: "column";
	readonly name: string;
	readonly type: ScalarType;
	readonly casts: readonly ScalarType[];
}

/** A constant that is not NULL, in the text that PostgreSQL's output function gives for it. */
export interface LiteralOperand {
	readonly kind: "literal";
	readonly type: ScalarType;
	readonly text: string;
}

/** A condition used as a boolean value, as in `(id = 1) = true`. */
export interface ConditionOperand {
	readonly kind: "condition";
	readonly node: WhereNode;
}

export type Operand = ColumnOperand | LiteralOperand | ConditionOperand;

/** "ascii": only A to Z fold. "unicode": each character folds on its own. */
export type CaseFolding = "ascii" | "unicode";

export type WhereNode =
	| { readonly kind: "constant"; readonly value: boolean | null }
	/** A bool column as a condition. */
	| { readonly kind: "boolean"; readonly column: string }
	| { readonly kind: "and" | "or"; readonly nodes: readonly WhereNode[] }
	| { readonly kind: "not"; readonly node: WhereNode }
	| {
			readonly kind: "compare";
			readonly operator: CompareOperator;
			readonly comparison: Comparison;
			readonly left: Operand;
			readonly right: Operand;
	  }
	/** IS DISTINCT FROM; negated: IS NOT DISTINCT FROM. */
	| {
			readonly kind: "distinct";
			readonly negated: boolean;
			readonly comparison: Comparison;
			readonly left: Operand;
			readonly right: Operand;
	  }
	/** Equality with any of at least one constant, all of one type, without duplicates. */
	| {
			readonly kind: "in";
			readonly comparison: Comparison;
			readonly operand: Operand;
			readonly type: ScalarType;
			readonly values: readonly string[];
			readonly hasNull: boolean;
	  }
	/** The pattern's escapes are still in it and are known to be complete. `folding` null: case counts. */
	| {
			readonly kind: "like";
			readonly operand: ColumnOperand | LiteralOperand;
			readonly pattern: string;
			readonly folding: CaseFolding | null;
	  }
	/** IS NULL of a column of any type. */
	| { readonly kind: "isNull"; readonly column: string; readonly negated: boolean }
	| {
			readonly kind: "booleanTest";
			readonly test: "true" | "false" | "unknown";
			readonly negated: boolean;
			readonly node: WhereNode;
	  };

/** Names of the columns that the condition reads, each once, in order of first use. */
export function columnsOfWhere(tree: WhereNode): string[] {
	const names = new Set<string>();
	collect(tree, names);
	return [...names];
}

function collect(node: WhereNode, names: Set<string>): void {
	switch (node.kind) {
		case "constant":
			return;
		case "boolean":
		case "isNull":
			names.add(node.column);
			return;
		case "and":
		case "or":
			for (const child of node.nodes) {
				collect(child, names);
			}
			return;
		case "not":
		case "booleanTest":
			collect(node.node, names);
			return;
		case "compare":
		case "distinct":
			collectOperand(node.left, names);
			collectOperand(node.right, names);
			return;
		case "in":
		case "like":
			collectOperand(node.operand, names);
			return;
		default:
			unreachable(node);
	}
}

function collectOperand(operand: Operand, names: Set<string>): void {
	if (operand.kind === "column") {
		names.add(operand.name);
	} else if (operand.kind === "condition") {
		collect(operand.node, names);
	}
}
