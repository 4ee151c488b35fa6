/**
 * The typed tree of a checked `where`: plain JSON data. Made by the where room (registrar thread), compiled
 * by the match room (lanes), stored in the catalogue. Owns the vocabulary of both; must hold nothing that is
 * not JSON, and nothing that was not checked: whoever compiles or deparses a tree trusts it.
 *
 * Two sorts, each made of the other: a WhereNode is a condition (true, false, NULL), an Operand is a value of a
 * type. Operand: column, literal, null, call, cast, coalesce, extreme (greatest, least), case, condition, array
 * constructor, subscript. A boolean operand is a condition as node "value"; a condition is a value as operand
 * "condition". What a call may name is the closed list of where-functions.ts: the where room says for each name
 * its symbol and types (signatures), shared/sql says what it computes (evaluators). Special forms that are not
 * strict, or not functions, have kinds of their own.
 *
 * Stored trees stay readable: kinds and fields are added, never changed. The forms that the first version wrote
 * (a column's `casts`, "boolean", "isNull" of a column, "in", "like") are also the ones that are matched by bytes.
 */

import { unreachable } from "./assert.ts";
import type { FunctionName } from "./where-functions.ts";

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
	| "interval"
	| "json"
	| "jsonb"
	/** Any enum type; its label is its text. */
	| "enum";

/** The array type of a scalar, of any dimensions. */
export type ArrayType = `${ScalarType}[]`;
export type ValueType = ScalarType | ArrayType;

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
	| "timestamptz"
	/** By length, a month being 30 days and a day 24 hours. */
	| "interval"
	/** jsonb, in PostgreSQL's order of documents. */
	| "jsonb"
	/** Arrays, element by element, then by their bounds. */
	| "array";

export type CompareOperator = "=" | "<>" | "<" | "<=" | ">" | ">=";
export type LikeOperator = "~~" | "!~~" | "~~*" | "!~~*";

/** A column, then casts from left to right. bpchar to text or varchar drops trailing blanks, as in PostgreSQL. */
export interface ColumnOperand {
	readonly kind: "column";
	readonly name: string;
	readonly type: ValueType;
	readonly casts: readonly ScalarType[];
}

/**
 * A constant that is not NULL, in the text that PostgreSQL's output function gives for it under the session that
 * reads (DateStyle ISO, TimeZone UTC, IntervalStyle iso_8601).
 */
export interface LiteralOperand {
	readonly kind: "literal";
	readonly type: ValueType;
	readonly text: string;
}

export interface ScalarLiteral extends LiteralOperand {
	readonly type: ScalarType;
}

export interface NullOperand {
	readonly kind: "null";
	readonly type: ValueType;
}

/** A condition used as a boolean value, as in `(id = 1) = true`. */
export interface ConditionOperand {
	readonly kind: "condition";
	readonly node: WhereNode;
}

/** A strict, immutable function or operator. */
export interface CallOperand {
	readonly kind: "call";
	readonly function: FunctionName;
	readonly type: ValueType;
	readonly arguments: readonly Operand[];
	/** Of functions that fold letters. */
	readonly folding?: CaseFolding;
}

/** A conversion that may fail on a row. `modifiers`: of varchar(n), char(n), numeric(p, s), timestamp(p). */
export interface CastOperand {
	readonly kind: "cast";
	readonly type: ValueType;
	readonly modifiers: readonly number[];
	readonly operand: Operand;
}

/** The first argument that is not NULL; what stands behind it is not evaluated. */
export interface CoalesceOperand {
	readonly kind: "coalesce";
	readonly type: ValueType;
	readonly arguments: readonly Operand[];
}

/** GREATEST and LEAST: NULLs are passed over. */
export interface ExtremeOperand {
	readonly kind: "extreme";
	readonly greatest: boolean;
	readonly type: ValueType;
	readonly comparison: Comparison;
	readonly arguments: readonly Operand[];
}

/** The result of the first branch whose condition is true. NULLIF too. */
export interface CaseOperand {
	readonly kind: "case";
	readonly type: ValueType;
	readonly branches: readonly { readonly when: WhereNode; readonly result: Operand }[];
	readonly otherwise: Operand;
}

/** ARRAY[…]; elements may be arrays, all of the same dimensions. */
export interface ArrayOperand {
	readonly kind: "array";
	readonly type: ArrayType;
	readonly elements: readonly Operand[];
}

/** `array[i]` (all `lower` null, type the element's) or `array[i:j]` (a slice when any subscript is one). */
export interface SubscriptOperand {
	readonly kind: "subscript";
	readonly type: ValueType;
	readonly array: Operand;
	readonly subscripts: readonly Subscript[];
}

/** In a slice a null bound is left out (`[:j]`, `[i:]`). Bounds are int4. */
export interface Subscript {
	readonly isSlice: boolean;
	readonly lower: Operand | null;
	readonly upper: Operand | null;
}

export type Operand =
	| ColumnOperand
	| LiteralOperand
	| NullOperand
	| ConditionOperand
	| CallOperand
	| CastOperand
	| CoalesceOperand
	| ExtremeOperand
	| CaseOperand
	| ArrayOperand
	| SubscriptOperand;

/**
 * "ascii": only A to Z fold. "unicode": each character folds on its own. "full": the text as a whole, by the language's
 * rules where they are a language's own (an ICU locale).
 */
export type CaseFolding = "ascii" | "unicode" | "full" | "full:tr" | "full:lt";

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
			readonly type: ValueType;
			readonly values: readonly string[];
			readonly hasNull: boolean;
	  }
	/** The pattern's escapes are still in it and are known to be complete. `folding` null: case counts. */
	| {
			readonly kind: "like";
			readonly operand: Operand;
			readonly pattern: string;
			readonly folding: CaseFolding | null;
	  }
	/** A regular expression (PostgreSQL's advanced ones) that is known to be valid. `folding` null: case counts. */
	| {
			readonly kind: "regex";
			readonly operand: Operand;
			readonly pattern: string;
			readonly folding: CaseFolding | null;
	  }
	/** `left operator ANY (array)`, or ALL. The like operators take `folding` as "like" does. */
	| {
			readonly kind: "quantified";
			readonly quantifier: "any" | "all";
			readonly operator: CompareOperator | LikeOperator;
			readonly comparison: Comparison;
			readonly left: Operand;
			readonly array: Operand;
			readonly folding: CaseFolding | null;
	  }
	/** A boolean operand as a condition. */
	| { readonly kind: "value"; readonly operand: Operand }
	/** IS NULL of a value that has to be computed. */
	| { readonly kind: "valueIsNull"; readonly operand: Operand; readonly negated: boolean }
	/** IS NULL of a column of any type. */
	| { readonly kind: "isNull"; readonly column: string; readonly negated: boolean }
	| {
			readonly kind: "booleanTest";
			readonly test: "true" | "false" | "unknown";
			readonly negated: boolean;
			readonly node: WhereNode;
	  };

/** The type of an operand's value, its casts applied. */
export function typeOfOperand(operand: Operand): ValueType {
	switch (operand.kind) {
		case "column":
			return operand.casts.at(-1) ?? operand.type;
		case "condition":
			return "bool";
		default:
			return operand.type;
	}
}

/** What an operand is made of: operands and conditions directly below it. */
export function partsOfOperand(operand: Operand): readonly (Operand | WhereNode)[] {
	switch (operand.kind) {
		case "column":
		case "literal":
		case "null":
			return [];
		case "condition":
			return [operand.node];
		case "call":
		case "coalesce":
		case "extreme":
			return operand.arguments;
		case "cast":
			return [operand.operand];
		case "case":
			return [...operand.branches.flatMap(({ when, result }) => [when, result]), operand.otherwise];
		case "array":
			return operand.elements;
		case "subscript":
			return [
				operand.array,
				...operand.subscripts.flatMap(({ lower, upper }) => [lower, upper]).filter((bound) => bound !== null),
			];
		default:
			return unreachable(operand);
	}
}

/** What a condition is made of: conditions and operands directly below it. */
export function partsOfNode(node: WhereNode): readonly (Operand | WhereNode)[] {
	switch (node.kind) {
		case "constant":
		case "boolean":
		case "isNull":
			return [];
		case "and":
		case "or":
			return node.nodes;
		case "not":
		case "booleanTest":
			return [node.node];
		case "compare":
		case "distinct":
			return [node.left, node.right];
		case "in":
		case "like":
		case "regex":
		case "value":
		case "valueIsNull":
			return [node.operand];
		case "quantified":
			return [node.left, node.array];
		default:
			return unreachable(node);
	}
}

const OPERAND_KINDS: Readonly<Record<Operand["kind"], true>> = {
	column: true,
	literal: true,
	null: true,
	condition: true,
	call: true,
	cast: true,
	coalesce: true,
	extreme: true,
	case: true,
	array: true,
	subscript: true,
};

export function isOperand(part: Operand | WhereNode): part is Operand {
	return Object.hasOwn(OPERAND_KINDS, part.kind);
}

/** Names of the columns that the condition reads, each once, in order of first use. */
export function columnsOfWhere(tree: WhereNode): string[] {
	const names = new Set<string>();
	collect(tree, names);
	return [...names];
}

function collect(part: Operand | WhereNode, names: Set<string>): void {
	if (part.kind === "boolean" || part.kind === "isNull") {
		names.add(part.column);
	} else if (part.kind === "column") {
		names.add(part.name);
	} else {
		for (const child of isOperand(part) ? partsOfOperand(part) : partsOfNode(part)) {
			collect(child, names);
		}
	}
}
