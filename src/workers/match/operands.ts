/**
 * Operands of a comparison: how a column, a constant or a condition becomes a value that can be ordered. Owns the
 * pairing of comparison and value form; must throw UNEVALUABLE for a text that has no such form. Called by
 * compile.ts, which owns the logic above.
 */

import { unreachable } from "../../shared/assert.ts";
import { readBoolean } from "../../shared/sql/text-form.ts";
import type { SqlValue } from "../../shared/sql/value.ts";
import { LENGTH_NULL, type Tuple } from "../../shared/tuple.ts";
import {
	type Comparison,
	type LiteralOperand,
	type Operand,
	typeOfOperand,
	type ValueType,
} from "../../shared/where-tree.ts";
import { comparatorOf } from "./comparators.ts";
import { compileValue, nullBeside } from "./compile-value.ts";
import { endWithoutBlanks, losesBlanks } from "./key-form.ts";
import { type ColumnBinder, type CompileCondition, FALSE, lengthAt, type Predicate, TRUE, UNKNOWN } from "./truth.ts";
import {
	compareExact,
	compareFloat,
	compareNumeric,
	type Exact,
	readDate,
	readFloat,
	readInteger,
	readNumeric,
	readTime,
	readTimestamp,
	timestampOf,
	UNEVALUABLE,
} from "./values.ts";

/** A value of the row, or null for NULL. */
export type Getter<T> = (tuple: Tuple) => T | null;

/** Below 0, 0, above 0; null when either side is NULL. */
export interface ValueOrder {
	(tuple: Tuple): number | null;
	/** Whether both sides are NULL: only then are they not distinct although they have no order. */
	readonly bothNull: Predicate;
}

type Reader<T> = (buffer: Buffer, start: number, length: number) => T;

/** How the operands of one comparison are read, and how what was read is ordered. */
interface ValueForm<T> {
	readonly getter: (operand: Operand) => Getter<T>;
	readonly compare: (left: T, right: T) => number;
}

/** What is done with a form, whatever its values are. */
type FormUse<R> = <T>(form: ValueForm<T>) => R;

/** The order of two operands under a comparison. Each operand is compiled once. */
export function orderOf(
	comparison: Comparison,
	left: Operand,
	right: Operand,
	bind: ColumnBinder,
	compile: CompileCondition,
): ValueOrder {
	return withFormOf(comparison, [left, right], bind, compile, ({ getter, compare }) =>
		makeOrder(getter(left), getter(right), compare),
	);
}

/** Whether the operand equals any of the constants; null when it is NULL. The operand is compiled, and read, once. */
export function equalityWithAny(
	comparison: Comparison,
	operand: Operand,
	literals: readonly LiteralOperand[],
	bind: ColumnBinder,
	compile: CompileCondition,
): (tuple: Tuple) => boolean | null {
	return withFormOf(comparison, [operand], bind, compile, ({ getter, compare }) => {
		const subject = getter(operand);
		const constants = literals.map(getter);
		return (tuple: Tuple) => {
			const value = subject(tuple);
			if (value === null) {
				return null;
			}
			return constants.some((constant) => {
				const other = constant(tuple);
				return other !== null && compare(value, other) === 0;
			});
		};
	});
}

/** Gives `use` the form in which all of the operands are read: where they lie in the row, or computed. */
export function withFormOf<R>(
	comparison: Comparison,
	operands: readonly Operand[],
	bind: ColumnBinder,
	compile: CompileCondition,
	use: FormUse<R>,
): R {
	return operands.some((operand) => isComputed(comparison, operand))
		? use(computedForm(comparison, bind, compile))
		: withForm(comparison, bind, compile, use);
}

/** Whether a comparison needs values that are computed, not read where they lie. */
function isComputed(comparison: Comparison, operand: Operand): boolean {
	switch (operand.kind) {
		case "column":
		case "literal":
		case "condition":
			return comparison === "interval" || comparison === "jsonb" || comparison === "array";
		default:
			return true;
	}
}

function computedForm(comparison: Comparison, bind: ColumnBinder, compile: CompileCondition): ValueForm<SqlValue> {
	return {
		getter: (operand) => {
			const get = compileValue(operand, bind, compile);
			// A date counts as its midnight.
			return comparison === "timestamp" && typeOfOperand(operand) === "date"
				? (tuple: Tuple) => {
						const value = get(tuple);
						return value === null ? null : timestampOf(Number(value), 0);
					}
				: get;
		},
		compare: comparatorOf(comparison),
	};
}

function withForm<R>(comparison: Comparison, bind: ColumnBinder, compile: CompileCondition, use: FormUse<R>): R {
	switch (comparison) {
		case "float":
			return use({ getter: (operand) => floatGetter(operand, bind), compare: compareFloat });
		case "numeric":
			return use({ getter: (operand) => valueGetter(operand, readNumeric, bind), compare: compareNumeric });
		case "text":
		case "bpchar":
		case "uuid":
			return use({
				getter: (operand) => bytesGetter(operand, comparison, bind),
				compare: (first: Buffer, second: Buffer) => first.compare(second),
			});
		case "boolean":
			return use({ getter: (operand) => booleanGetter(operand, bind, compile), compare: compareExact });
		case "integer":
		case "date":
		case "time":
		case "timestamp":
		case "timestamptz":
			return use({
				getter: (operand) => valueGetter(operand, exactReader(comparison, operand), bind),
				compare: compareExact,
			});
		case "interval":
		case "jsonb":
		case "array":
			throw UNEVALUABLE;
		default:
			return unreachable(comparison);
	}
}

function makeOrder<T>(left: Getter<T>, right: Getter<T>, compare: (left: T, right: T) => number): ValueOrder {
	const order = (tuple: Tuple): number | null => {
		let first: T | null;
		try {
			first = left(tuple);
		} catch (error) {
			return nullBeside(error, [right], tuple);
		}
		if (first === null) {
			return null;
		}
		const second = right(tuple);
		return second === null ? null : compare(first, second);
	};
	return Object.assign(order, {
		bothNull: (tuple: Tuple) => (left(tuple) === null && right(tuple) === null ? TRUE : FALSE),
	});
}

/** Reads a column where it lies, or a constant once. */
function valueGetter<T>(operand: Operand, read: Reader<T>, bind: ColumnBinder): Getter<T> {
	if (operand.kind === "literal") {
		const bytes = Buffer.from(operand.text, "utf8");
		const value = read(bytes, 0, bytes.length);
		return () => value;
	}
	if (operand.kind !== "column") {
		throw UNEVALUABLE;
	}
	const position = bind(operand.name);
	return (tuple) => {
		const length = lengthAt(tuple, position.index);
		return length === LENGTH_NULL ? null : read(tuple.buffer, tuple.start[position.index] ?? 0, length);
	};
}

function exactReader(
	comparison: "integer" | "date" | "time" | "timestamp" | "timestamptz",
	operand: Operand,
): Reader<Exact> {
	switch (comparison) {
		case "integer":
			return readInteger;
		case "date":
			return readDate;
		case "time":
			return readTime;
		case "timestamptz":
			return (buffer, start, length) => readTimestamp(buffer, start, length, true);
		case "timestamp":
			// A date counts as its midnight; the column's own type says in which form its text is.
			return operand.kind !== "condition" && operand.type === "date"
				? (buffer, start, length) => timestampOf(readDate(buffer, start, length), 0)
				: (buffer, start, length) => readTimestamp(buffer, start, length, false);
	}
}

function floatGetter(operand: Operand, bind: ColumnBinder): Getter<number> {
	const types: readonly ValueType[] =
		operand.kind === "column" ? [operand.type, ...operand.casts] : operand.kind === "literal" ? [operand.type] : [];
	const single = types.includes("float4");
	return valueGetter(operand, (buffer, start, length) => readFloat(buffer, start, length, single), bind);
}

function booleanGetter(operand: Operand, bind: ColumnBinder, compile: CompileCondition): Getter<Exact> {
	if (operand.kind !== "condition") {
		return valueGetter(operand, readBoolean, bind);
	}
	const predicate = compile(operand.node, bind);
	return (tuple) => {
		const truth = predicate(tuple);
		return truth === UNKNOWN ? null : truth;
	};
}

/** The bytes that count: for bpchar, and where a cast drops them, without trailing blanks. */
export function bytesGetter(
	operand: Operand,
	comparison: "text" | "bpchar" | "uuid",
	bind: ColumnBinder,
): Getter<Buffer> {
	const trims = comparison === "bpchar" || (operand.kind === "column" && losesBlanks(operand));
	return valueGetter(
		operand,
		(buffer, start, length) =>
			buffer.subarray(start, trims ? endWithoutBlanks(buffer, start, start + length) : start + length),
		bind,
	);
}
