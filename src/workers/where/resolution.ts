/**
 * Which overload PostgreSQL would choose. Owns its algorithm for operators and functions, the implicit casts, the
 * type categories and the common type of a list; pure. Must find what PostgreSQL finds, or nothing. Called by
 * calls.ts and special-forms.ts. Source: PostgreSQL documentation "Type Conversion", `parse_func.c`,
 * `parse_oper.c`, `parse_coerce.c`.
 */

import type { ScalarType, ValueType } from "../../shared/where-tree.ts";
import type { Signature } from "./signatures.ts";

/** Null: a constant that has no type yet. */
export type GivenType = ValueType | null;

type Category = "N" | "S" | "B" | "D" | "T" | "U" | "E" | "A";

const CATEGORY: Readonly<Record<ScalarType, Category>> = {
	bool: "B",
	int2: "N",
	int4: "N",
	int8: "N",
	float4: "N",
	float8: "N",
	numeric: "N",
	text: "S",
	varchar: "S",
	bpchar: "S",
	name: "S",
	uuid: "U",
	date: "D",
	time: "D",
	timestamp: "D",
	timestamptz: "D",
	interval: "T",
	json: "U",
	jsonb: "U",
	enum: "E",
};

const PREFERRED: readonly ValueType[] = ["bool", "float8", "text", "timestamptz", "interval"];

const IMPLICIT: Readonly<Partial<Record<ValueType, readonly ValueType[]>>> = {
	int2: ["int4", "int8", "numeric", "float4", "float8"],
	int4: ["int8", "numeric", "float4", "float8"],
	int8: ["numeric", "float4", "float8"],
	numeric: ["float4", "float8"],
	float4: ["float8"],
	text: ["varchar", "bpchar", "name"],
	varchar: ["text", "bpchar", "name"],
	bpchar: ["text", "varchar", "name"],
	name: ["text"],
	date: ["timestamp", "timestamptz"],
	timestamp: ["timestamptz"],
	time: ["interval"],
};

function categoryOf(type: ValueType): Category {
	return type.endsWith("[]") ? "A" : CATEGORY[type as ScalarType];
}

function isImplicit(from: ValueType, to: ValueType): boolean {
	return from === to || IMPLICIT[from]?.includes(to) === true;
}

/** varchar has no operators of its own: it is text to all of them. */
function baseOf(type: GivenType): GivenType {
	return type === "varchar" ? "text" : type;
}

/** The operator or function for these types, or null when there is none or no unique one. */
export function resolve(candidates: readonly Signature[], given: readonly GivenType[]): Signature | null {
	const types = given.map(baseOf);
	const fitting = candidates.filter((candidate) => candidate.arguments.length === types.length);
	const exactly = fitting.find((candidate) => candidate.arguments.every((type, index) => type === types[index]));
	if (exactly !== undefined) {
		return exactly;
	}
	const same = sameTypeOperator(fitting, types);
	if (same !== undefined) {
		return same;
	}
	const possible = fitting.filter((candidate) =>
		candidate.arguments.every((type, index) => {
			const from = types[index] ?? null;
			return from === null ? !isPolymorphic(candidate, type) : isImplicit(from, type);
		}),
	);
	return only(possible) ?? narrowed(possible, types);
}

/**
 * The array beside an element in `||`: PostgreSQL has one polymorphic operator there, and reads an untyped constant as
 * text rather than as that array.
 */
function isPolymorphic({ form, name }: Signature, type: ValueType): boolean {
	return form === "binary" && name === "||" && type.endsWith("[]");
}

/** A binary operator with one untyped side is first looked for with both sides of one type. */
function sameTypeOperator(candidates: readonly Signature[], types: readonly GivenType[]): Signature | undefined {
	const [left = null, right = null] = types;
	const known = left ?? right;
	if (types.length !== 2 || candidates[0]?.form !== "binary" || known === null || (left !== null && right !== null)) {
		return undefined;
	}
	return candidates.find((candidate) => candidate.arguments.every((type) => type === known));
}

function only(candidates: readonly Signature[]): Signature | null {
	const [first] = candidates;
	return candidates.length === 1 && first !== undefined ? first : null;
}

function best(candidates: readonly Signature[], score: (candidate: Signature) => number): readonly Signature[] {
	const highest = Math.max(0, ...candidates.map(score));
	return highest === 0 ? candidates : candidates.filter((candidate) => score(candidate) === highest);
}

function countArguments(candidate: Signature, counts: (type: ValueType, index: number) => boolean): number {
	return candidate.arguments.filter(counts).length;
}

/** func_select_candidate, from where more than one candidate takes the arguments. */
function narrowed(possible: readonly Signature[], types: readonly GivenType[]): Signature | null {
	const byExact = best(possible, (candidate) => countArguments(candidate, (type, index) => type === types[index]));
	const byPreferred = best(byExact, (candidate) =>
		countArguments(candidate, (type, index) => {
			const from = types[index] ?? null;
			return from !== null && (type === from || (categoryOf(type) === categoryOf(from) && PREFERRED.includes(type)));
		}),
	);
	const known = types.filter((type) => type !== null);
	if (byPreferred.length === 1 || known.length === types.length) {
		return only(byPreferred);
	}
	const byCategory = narrowedByCategory(byPreferred, types);
	return only(byCategory) ?? narrowedByKnown(byCategory, known);
}

/** For each untyped argument: string if some candidate takes one, else the category they all take. */
function narrowedByCategory(candidates: readonly Signature[], types: readonly GivenType[]): readonly Signature[] {
	let left = candidates;
	for (const [index, type] of types.entries()) {
		if (type !== null) {
			continue;
		}
		const categories = new Set(candidates.map((candidate) => categoryOf(candidate.arguments[index] ?? "text")));
		const [first] = categories;
		const category = categories.has("S") ? "S" : categories.size === 1 ? first : undefined;
		if (category === undefined) {
			return candidates;
		}
		const isOf = (candidate: Signature): boolean => categoryOf(candidate.arguments[index] ?? "text") === category;
		const isPreferred = (candidate: Signature): boolean => PREFERRED.includes(candidate.arguments[index] ?? "text");
		const hasPreferred = candidates.some((candidate) => isOf(candidate) && isPreferred(candidate));
		left = left.filter((candidate) => isOf(candidate) && (!hasPreferred || isPreferred(candidate)));
	}
	return left.length === 0 ? candidates : left;
}

/** If all known arguments have one type, untyped ones are taken for that type too. */
function narrowedByKnown(candidates: readonly Signature[], known: readonly ValueType[]): Signature | null {
	const [first] = known;
	if (first === undefined || !known.every((type) => type === first)) {
		return null;
	}
	return only(candidates.filter((candidate) => candidate.arguments.every((type) => isImplicit(first, type))));
}

/** select_common_type; null when there is none. `given` in the order in which PostgreSQL looks at them. */
export function commonType(given: readonly GivenType[]): ValueType | null {
	let common: GivenType = null;
	for (const type of given) {
		if (type === null || type === common) {
			continue;
		}
		if (common === null) {
			common = type;
		} else if (categoryOf(type) !== categoryOf(common)) {
			return null;
		} else if (!PREFERRED.includes(common) && isImplicit(common, type) && !isImplicit(type, common)) {
			common = type;
		}
	}
	const result = common ?? "text";
	return given.every((type) => type === null || isImplicit(type, result)) ? result : null;
}
