/**
 * Which comparison PostgreSQL would choose for two operands, and the conversions it needs. Owns operator
 * resolution; must refuse every pair that has no operator there, or whose conversion could fail or round
 * differently here. Pure apart from recording parameter types. Called by checker.ts.
 */

import { elementTypeOf, isArrayType } from "../../shared/sql/array-value.ts";
import { withoutScale } from "../../shared/sql/number-input.ts";
import type {
	ColumnOperand,
	Comparison,
	LiteralOperand,
	Operand,
	ScalarLiteral,
	ScalarType,
	ValueType,
} from "../../shared/where-tree.ts";
import { isScalar, requireElementType } from "./column-types.ts";
import { convertedSide } from "./conversion.ts";
import { type Expression, type ParameterTypes, settleUntyped, type TypedOperand, typedOperand } from "./expression.ts";
import { WhereRefusal } from "./refusal.ts";

export interface Pair {
	readonly comparison: Comparison;
	/** Null: that side is NULL. */
	readonly left: Operand | null;
	readonly right: Operand | null;
}

const NUMBER_RANK: ReadonlyMap<ValueType, number> = new Map([
	["int2", 0],
	["int4", 1],
	["int8", 2],
	["numeric", 3],
	["float4", 4],
	["float8", 5],
]);
const NUMERIC_RANK = 3;

export function numberRank(type: ValueType): number | undefined {
	return NUMBER_RANK.get(type);
}

const SAME_TYPE_COMPARISON: ReadonlyMap<ValueType, Comparison> = new Map([
	["bool", "boolean"],
	["uuid", "uuid"],
	["date", "date"],
	["time", "time"],
	["timestamp", "timestamp"],
	["timestamptz", "timestamptz"],
	["interval", "interval"],
	["jsonb", "jsonb"],
]);

/**
 * Pairs two expressions for an operator that stands at `location`.
 * @throws WhereRefusal when there is no such operator, or a constant is not valid for its type
 */
export function pairExpressions(
	left: Expression,
	right: Expression,
	isEquality: boolean,
	location: number | null,
	parameters: ParameterTypes,
): Pair {
	let first: TypedOperand;
	let second: TypedOperand;
	if (left.form === "untyped") {
		second = right.form === "untyped" ? settledText(right, parameters) : comparable(right, isEquality);
		first = typedOperand(settleUntyped(left, untypedTarget(second), parameters));
	} else {
		first = comparable(left, isEquality);
		second =
			right.form === "untyped"
				? typedOperand(settleUntyped(right, untypedTarget(first), parameters))
				: comparable(right, isEquality);
		if (right.form !== "untyped" && (left.form === "column" || right.form === "column")) {
			refuseEnumAgainstTyped(left, right, location);
		}
	}
	const pair = pairTyped(first, second, location);
	if (pair.comparison === "jsonb" && !isEquality) {
		throw new WhereRefusal(
			"jsonb can only be compared with =, <> and IN: its order depends on the database's collation",
			location,
		);
	}
	return pair;
}

function settledText(expression: Extract<Expression, { form: "untyped" }>, parameters: ParameterTypes): TypedOperand {
	return typedOperand(settleUntyped(expression, "text", parameters));
}

/** PostgreSQL has no operator for an enum and anything but its own type; an untyped label is read as one. */
function refuseEnumAgainstTyped(left: Expression, right: Expression, location: number | null): void {
	for (const side of [left, right]) {
		if (side.form === "column" && side.operand?.type === "enum" && side.operand.casts.length === 0) {
			throw new WhereRefusal("Could not select an operator overload", location);
		}
	}
}

/** An enum is compared by its label; nothing orders labels as the enum does. */
function comparable(expression: Exclude<Expression, { form: "untyped" }>, isEquality: boolean): TypedOperand {
	const typed = typedOperand(expression);
	if (typed.type !== "enum" || typed.operand?.kind !== "column") {
		return typed;
	}
	if (!isEquality) {
		throw new WhereRefusal(
			"enum columns can only be compared with =, <> and IN: their order is not known here",
			expression.location,
		);
	}
	return { type: "text", operand: withCast(typed.operand, "text") };
}

function untypedTarget(other: TypedOperand): ValueType {
	// varchar has no operators of its own: PostgreSQL compares it as text.
	return other.type === "varchar" ? "text" : other.type;
}

function withCast(operand: ColumnOperand, type: ScalarType): ColumnOperand {
	return { ...operand, casts: [...operand.casts, type] };
}

/** Pairs two operands of settled types. @throws WhereRefusal */
export function pairTyped(left: TypedOperand, right: TypedOperand, location: number | null): Pair {
	const leftRank = NUMBER_RANK.get(left.type);
	const rightRank = NUMBER_RANK.get(right.type);
	if (leftRank !== undefined && rightRank !== undefined) {
		const rank = Math.max(leftRank, rightRank);
		if (rank > NUMERIC_RANK) {
			return { comparison: "float", left: asFloat(left, location), right: asFloat(right, location) };
		}
		return {
			comparison: rank === NUMERIC_RANK ? "numeric" : "integer",
			left: withoutScaleOf(left.operand),
			right: withoutScaleOf(right.operand),
		};
	}
	if (isText(left.type) && isText(right.type)) {
		return pairTexts(left, right, location);
	}
	const same = left.type === right.type ? SAME_TYPE_COMPARISON.get(left.type) : undefined;
	if (same !== undefined) {
		return { comparison: same, left: left.operand, right: right.operand };
	}
	if (left.type === right.type && isArrayType(left.type)) {
		requireElementType(elementTypeOf(left.type), location);
		return { comparison: "array", left: left.operand, right: right.operand };
	}
	const types = new Set<ValueType>([left.type, right.type]);
	if (types.has("date") && types.has("timestamp")) {
		return { comparison: "timestamp", left: left.operand, right: right.operand };
	}
	throw new WhereRefusal("Could not select an operator overload", location);
}

/** Comparisons do not see the scale of a constant: one text a value, as keys need it. */
function withoutScaleOf(operand: Operand | null): Operand | null {
	return operand?.kind === "literal" && operand.type === "numeric"
		? { ...operand, text: withoutScale(operand.text) }
		: operand;
}

export function isText(type: ValueType): boolean {
	return type === "text" || type === "varchar" || type === "bpchar" || type === "name";
}

/**
 * bpchar with varchar is compared as bpchar; with text or name as text, after its trailing blanks are gone
 * (PostgreSQL prefers text where both would do).
 */
function pairTexts(left: TypedOperand, right: TypedOperand, location: number | null): Pair {
	const types = [left.type, right.type];
	if (!types.includes("bpchar")) {
		return { comparison: "text", left: left.operand, right: right.operand };
	}
	const target = types.every((type) => type === "bpchar" || type === "varchar") ? "bpchar" : "text";
	const convert = (side: TypedOperand): Operand | null =>
		side.type === target || (target === "text" && side.type !== "bpchar")
			? side.operand
			: convertedSide(side, target, location);
	return { comparison: target, left: convert(left), right: convert(right) };
}

/** Numbers of other types become float8, as PostgreSQL's operators between floats and them do. */
function asFloat(side: TypedOperand, location: number | null): Operand | null {
	return side.type === "float4" || side.type === "float8" ? side.operand : convertedSide(side, "float8", location);
}

export function isScalarLiteral(literal: LiteralOperand): literal is ScalarLiteral {
	return isScalar(literal.type);
}
