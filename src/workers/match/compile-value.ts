/**
 * An operand into a function that computes its value for a row. Owns the order of evaluation (strict calls stop at
 * the first NULL, COALESCE and CASE evaluate no more than they need); must agree with PostgreSQL on every operand
 * that the where room makes, or throw UNEVALUABLE. Called by compile.ts and operands.ts.
 */

import { must, unreachable } from "../../shared/assert.ts";
import { castOf } from "../../shared/sql/casts.ts";
import { type Evaluator, evaluatorOf, lenientEvaluatorOf } from "../../shared/sql/evaluators.ts";
import { readerOf } from "../../shared/sql/text-form.ts";
import { type SqlValue, UNEVALUABLE } from "../../shared/sql/value.ts";
import { LENGTH_NULL, type Tuple } from "../../shared/tuple.ts";
import { LENIENT_FUNCTIONS } from "../../shared/where-functions.ts";
import {
	type CallOperand,
	type CaseOperand,
	type ColumnOperand,
	type ExtremeOperand,
	type Operand,
	typeOfOperand,
	type ValueType,
} from "../../shared/where-tree.ts";
import { comparatorOf } from "./comparators.ts";
import { compileArray, compileSubscript } from "./documents.ts";
import { type ColumnBinder, type CompileCondition, lengthAt, type SharedValue, TRUE, UNKNOWN } from "./truth.ts";

/** The value for a row, or null for NULL. @throws UNEVALUABLE */
export type ValueGetter = SharedValue;

/** Compiles an operand; `compile` compiles the conditions inside it. */
export function compileValue(operand: Operand, bind: ColumnBinder, compile: CompileCondition): ValueGetter {
	const make = (): ValueGetter => compileAlone(operand, bind, compile);
	return bind.share === undefined || isCheap(operand) ? make() : bind.share(operand, make);
}

/** What costs no more than remembering it. Documents and arrays are parsed, so that even a column of them is not cheap. */
function isCheap(operand: Operand): boolean {
	switch (operand.kind) {
		case "literal":
		case "null":
		case "condition":
			return true;
		case "column":
			return operand.type !== "json" && operand.type !== "jsonb" && !operand.type.endsWith("[]");
		default:
			return false;
	}
}

function compileAlone(operand: Operand, bind: ColumnBinder, compile: CompileCondition): ValueGetter {
	switch (operand.kind) {
		case "column":
			return compileColumn(operand, bind);
		case "literal": {
			const bytes = Buffer.from(operand.text, "utf8");
			const value = readerFor(operand.type)(bytes, 0, bytes.length);
			return () => value;
		}
		case "null":
			return () => null;
		case "condition": {
			const predicate = compile(operand.node, bind);
			return (tuple) => {
				const truth = predicate(tuple);
				return truth === UNKNOWN ? null : truth;
			};
		}
		case "call":
			return compileCall(operand, bind, compile);
		case "cast": {
			const inner = compileValue(operand.operand, bind, compile);
			return converted(inner, typeOfOperand(operand.operand), operand.type, operand.modifiers);
		}
		case "coalesce":
			return compileCoalesce(operand.arguments.map((argument) => compileValue(argument, bind, compile)));
		case "extreme":
			return compileExtreme(operand, bind, compile);
		case "case":
			return compileCase(operand, bind, compile);
		case "array":
			return compileArray(operand, (part) => compileValue(part, bind, compile));
		case "subscript":
			return compileSubscript(operand, (part) => compileValue(part, bind, compile));
		default:
			return unreachable(operand);
	}
}

function readerFor(type: ValueType) {
	return must(readerOf(type), "values of this type are not read here");
}

function compileColumn(operand: ColumnOperand, bind: ColumnBinder): ValueGetter {
	const position = bind(operand.name);
	const read = readerFor(operand.type);
	let getter: ValueGetter = (tuple) => {
		const length = lengthAt(tuple, position.index);
		return length === LENGTH_NULL ? null : read(tuple.buffer, tuple.start[position.index] ?? 0, length);
	};
	let type = operand.type;
	for (const cast of operand.casts) {
		getter = converted(getter, type, cast, []);
		type = cast;
	}
	return getter;
}

function converted(inner: ValueGetter, from: ValueType, to: ValueType, modifiers: readonly number[]): ValueGetter {
	const cast = must(castOf(from, to, modifiers), "a cast that does not exist");
	return (tuple) => {
		const value = inner(tuple);
		return value === null ? null : cast(value);
	};
}

function compileCall(operand: CallOperand, bind: ColumnBinder, compile: CompileCondition): ValueGetter {
	const context = { type: operand.type, folding: operand.folding ?? null };
	const getters = operand.arguments.map((argument) => compileValue(argument, bind, compile));
	const [first, second, third] = getters;
	if (LENIENT_FUNCTIONS.includes(operand.function)) {
		const lenient = lenientEvaluatorOf(operand.function, context);
		return (tuple) => lenient(first?.(tuple) ?? null, second?.(tuple) ?? null);
	}
	const evaluate = evaluatorOf(operand.function, context);
	if (first !== undefined && second === undefined) {
		return (tuple) => {
			const a = first(tuple);
			return a === null ? null : evaluate(a, 0, 0);
		};
	}
	if (first !== undefined && second !== undefined && third === undefined) {
		return (tuple) => {
			let a: SqlValue | null;
			try {
				a = first(tuple);
			} catch (error) {
				return nullBeside(error, [second], tuple);
			}
			const b = a === null ? null : second(tuple);
			return a === null || b === null ? null : evaluate(a, b, 0);
		};
	}
	return strictCall(evaluate, getters);
}

function strictCall(evaluate: Evaluator, getters: readonly ValueGetter[]): ValueGetter {
	return (tuple) => {
		const values: SqlValue[] = [];
		try {
			for (const get of getters) {
				const value = get(tuple);
				if (value === null) {
					return null;
				}
				values.push(value);
			}
		} catch (error) {
			return nullBeside(error, getters.slice(values.length + 1), tuple);
		}
		return evaluate(values[0] ?? 0, values[1] ?? 0, values[2] ?? 0);
	};
}

/**
 * NULL makes a strict call NULL. PostgreSQL may find that before it computes the other arguments, so one that cannot
 * be computed does not matter then. @throws the error when none of the getters gives NULL
 */
export function nullBeside(error: unknown, getters: readonly ((tuple: Tuple) => unknown)[], tuple: Tuple): null {
	if (error !== UNEVALUABLE || !getters.some((get) => get(tuple) === null)) {
		throw error;
	}
	return null;
}

function compileCoalesce(getters: readonly ValueGetter[]): ValueGetter {
	return (tuple) => {
		for (const get of getters) {
			const value = get(tuple);
			if (value !== null) {
				return value;
			}
		}
		return null;
	};
}

function compileExtreme(operand: ExtremeOperand, bind: ColumnBinder, compile: CompileCondition): ValueGetter {
	const compare = comparatorOf(operand.comparison);
	const getters = operand.arguments.map((argument) => compileValue(argument, bind, compile));
	const sign = operand.greatest ? 1 : -1;
	return (tuple) => {
		let result: SqlValue | null = null;
		for (const get of getters) {
			const value = get(tuple);
			if (value !== null && (result === null || compare(value, result) * sign > 0)) {
				result = value;
			}
		}
		return result;
	};
}

function compileCase(operand: CaseOperand, bind: ColumnBinder, compile: CompileCondition): ValueGetter {
	const branches = operand.branches.map(({ when, result }) => ({
		when: compile(when, bind),
		result: compileValue(result, bind, compile),
	}));
	const otherwise = compileValue(operand.otherwise, bind, compile);
	return (tuple) => {
		for (const { when, result } of branches) {
			if (when(tuple) === TRUE) {
				return result(tuple);
			}
		}
		return otherwise(tuple);
	};
}
