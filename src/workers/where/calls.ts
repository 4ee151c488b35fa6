/**
 * Calls of functions and operators: finds the overload, converts the arguments, computes what is constant. Owns
 * what a call is refused for beyond its types: units, zones and lengths that must be known when the clause is
 * checked. Called by checker.ts.
 */

import { must } from "../../shared/assert.ts";
import { LIKE_PATTERN_CHARACTERS_MAX, WHERE_PADDING_CHARACTERS_MAX } from "../../shared/limits.ts";
import { evaluatorOf } from "../../shared/sql/evaluators.ts";
import { Interval } from "../../shared/sql/interval.ts";
import { isKnownZone } from "../../shared/sql/time-zones.ts";
import { type SqlValue, UNEVALUABLE } from "../../shared/sql/value.ts";
import { type FunctionName, LENIENT_FUNCTIONS } from "../../shared/where-functions.ts";
import {
	type CallOperand,
	type CaseFolding,
	type Operand,
	typeOfOperand,
	type ValueType,
} from "../../shared/where-tree.ts";
import { hasCollation } from "./column-types.ts";
import { converted } from "./conversion.ts";
import { type Expression, givenType, type ParameterTypes, typedOperand, typeLabel } from "./expression.ts";
import { literalOfValue, valueOfLiteral } from "./literal.ts";
import { shown, WhereRefusal } from "./refusal.ts";
import { resolve } from "./resolution.ts";
import { SIGNATURES, type Signature, type SignatureForm } from "./signatures.ts";

export interface CallInput {
	readonly caseFolding: CaseFolding;
	readonly parameters: ParameterTypes;
}

const byName = new Map<string, Signature[]>();
for (const signature of SIGNATURES) {
	const key = `${signature.form} ${signature.name}`;
	const known = byName.get(key);
	if (known === undefined) {
		byName.set(key, [signature]);
	} else {
		known.push(signature);
	}
}

/** Whether there is an operator or function of this name for so many arguments. */
export function isCallable(form: SignatureForm, name: string, count: number): boolean {
	return byName.get(`${form} ${name}`)?.some((signature) => signature.arguments.length === count) === true;
}

/** @throws WhereRefusal when no overload, or no unique one, takes the arguments, or a constant call fails */
export function call(
	form: SignatureForm,
	name: string,
	given: readonly Expression[],
	location: number | null,
	input: CallInput,
): Expression {
	const signature = resolve(byName.get(`${form} ${name}`) ?? [], given.map(givenType));
	if (signature === null) {
		throw new WhereRefusal(
			form === "function"
				? `Could not select a function overload for ${name}(${given.map(typeLabel).join(", ")})`
				: "Could not select an operator overload",
			location,
		);
	}
	const types = signature.arguments;
	const values = given.map((expression, index) => {
		const argument = converted(expression, present(types[index]), [], location, input.parameters);
		return typedOperand(typed(argument)).operand;
	});
	const result: CallOperand = {
		kind: "call",
		function: signature.function,
		type: signature.result,
		arguments: values.map((value, index) => value ?? { kind: "null", type: types[index] ?? "text" }),
		...foldingOf(signature.function, given, input.caseFolding),
	};
	// Strict: NULL in, NULL out.
	if (values.includes(null) && !LENIENT_FUNCTIONS.includes(signature.function)) {
		return { form: "literal", type: signature.result, literal: null, location };
	}
	checkConstants(result, name, location);
	return result.arguments.every((argument) => argument.kind === "literal")
		? computed(result, location)
		: { form: "value", type: signature.result, operand: result, location };
}

function typed(expression: Expression): Exclude<Expression, { form: "untyped" }> {
	if (expression.form === "untyped") {
		throw new WhereRefusal("the expression is not supported", expression.location);
	}
	return expression;
}

function present(type: ValueType | undefined): ValueType {
	return must(type, "a signature without a type for an argument");
}

const FOLDING: readonly FunctionName[] = ["text_lower", "text_upper", "text_ilike", "text_not_ilike"];

/** Columns of type name have the collation "C" whatever the database's, and so has what is made of them. */
function foldingOf(
	name: FunctionName,
	given: readonly Expression[],
	caseFolding: CaseFolding,
): { folding: CaseFolding } | undefined {
	if (!FOLDING.includes(name)) {
		return undefined;
	}
	const operands = given.map((expression) => (expression.form === "untyped" ? null : typedOperand(expression).operand));
	given.forEach(refuseNameConstant);
	return { folding: operands.some((operand) => operand !== null && isOfName(operand)) ? "ascii" : caseFolding };
}

export function isOfName(operand: Operand): boolean {
	if (!hasCollation(typeOfOperand(operand))) {
		return false;
	}
	switch (operand.kind) {
		case "column":
		case "literal":
			return operand.type === "name";
		case "call":
		case "coalesce":
		case "extreme":
			return operand.arguments.some(isOfName);
		case "cast":
			return isOfName(operand.operand);
		case "case":
			return isOfName(operand.otherwise) || operand.branches.some(({ result }) => isOfName(result));
		default:
			return false;
	}
}

/** What a constant of type name does to the collation cannot be seen once it is computed. @throws WhereRefusal */
export function refuseNameConstant(expression: Expression): void {
	if (expression.form === "literal" && expression.type === "name") {
		throw new WhereRefusal(
			"letters are not folded beside a constant of type name: cast it to text",
			expression.location,
		);
	}
}

/** Computes a call of constants. @throws WhereRefusal when PostgreSQL would raise an error */
function computed(operand: CallOperand, location: number | null): Expression {
	const { type } = operand;
	const literals = operand.arguments.filter((argument) => argument.kind === "literal");
	const values = literals.map((literal) => valueOfLiteral(literal));
	try {
		const evaluate = evaluatorOf(operand.function, { type, folding: operand.folding ?? null });
		const [first = 0, second = 0, third = 0] = values;
		const value = evaluate(first, second, third);
		const literal = value === null ? null : literalOfValue(value, type);
		return { form: "literal", type, literal, location };
	} catch (error) {
		if (error === UNEVALUABLE) {
			throw new WhereRefusal("Failed to apply function to constant arguments", location);
		}
		throw error;
	}
}

/** A moment, and values of the other types that have units, to try a unit on. */
const SAMPLES: Readonly<Partial<Record<ValueType, SqlValue>>> = {
	date: 0,
	time: 0,
	timestamp: 0,
	timestamptz: 0,
	interval: new Interval(0, 0, 0),
};

/** Arguments that must be constants, because only then both halves surely agree. @throws WhereRefusal */
function checkConstants(operand: CallOperand, name: string, location: number | null): void {
	const [first, second] = operand.arguments;
	const called: string = operand.function;
	if (/^(?:extract|date_part|date_trunc)_/.test(called)) {
		const unit = constantText(first, `the unit of ${name}`, location);
		const sample = second === undefined ? undefined : SAMPLES[typeOfArgument(second)];
		if (sample === undefined || !isUnit(operand, unit, sample)) {
			throw new WhereRefusal(`unit ${JSON.stringify(shown(unit))} is not supported by ${name} here`, location);
		}
	} else if (called.startsWith("timezone_of_")) {
		const zone = constantText(first, "the time zone", location);
		if (!isKnownZone(zone)) {
			throw new WhereRefusal(
				`time zone ${JSON.stringify(shown(zone))} is not supported: use a name such as Europe/Paris, or UTC`,
				location,
			);
		}
	} else if (called === "text_repeat" || called === "text_lpad" || called === "text_rpad") {
		const count = Number(constantText(second, `the length of ${name}`, location));
		if (count > WHERE_PADDING_CHARACTERS_MAX) {
			throw new WhereRefusal(`${name} is limited to ${WHERE_PADDING_CHARACTERS_MAX} here`, location);
		}
	} else if (/like$/.test(called) && second?.kind === "literal" && second.text.length > LIKE_PATTERN_CHARACTERS_MAX) {
		throw new WhereRefusal(
			`the LIKE pattern is too long (the limit is ${LIKE_PATTERN_CHARACTERS_MAX} characters)`,
			location,
		);
	}
}

function constantText(operand: Operand | undefined, what: string, location: number | null): string {
	if (operand?.kind !== "literal") {
		throw new WhereRefusal(`${what} must be a constant`, location);
	}
	return operand.text;
}

function typeOfArgument(operand: Operand): ValueType {
	return operand.kind === "column"
		? (operand.casts.at(-1) ?? operand.type)
		: operand.kind === "condition"
			? "bool"
			: operand.type;
}

function isUnit(operand: CallOperand, unit: string, sample: SqlValue): boolean {
	try {
		evaluatorOf(operand.function, { type: operand.type, folding: null })(unit, sample, 0);
		return true;
	} catch (error) {
		if (error === UNEVALUABLE) {
			return false;
		}
		throw error;
	}
}
