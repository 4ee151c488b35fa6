/**
 * Random conditions and rows over the table of where-table.ts, with the values at which types go wrong: limits,
 * NaN, infinities, trailing blanks, letters that fold oddly, quotes. Every condition is valid in PostgreSQL.
 * Called by tests that ask PostgreSQL the same question.
 */

import type { Random } from "./random.ts";
import { COLUMNS_OF_TYPE, COMPUTED_TYPES, ExpressionGenerator } from "./where-expressions.ts";
import { quote } from "./where-quote.ts";
import { MOODS, WHERE_COLUMN_SPECS } from "./where-table.ts";
import { valuesOf } from "./where-values.ts";

export { quote };

/** A condition as a client would send it, and the same with its parameters written as untyped constants. */
export interface GeneratedCondition {
	readonly text: string;
	readonly params: Readonly<Record<string, string>>;
	readonly original: string;
}

/** Input texts of one row, in column order. */
export function generateRow(random: Random, id: number): (string | null)[] {
	return WHERE_COLUMN_SPECS.map(({ name }) =>
		name === "id" ? String(id) : random.chance(0.12) ? null : random.pick(valuesOf(name)),
	);
}

const COMPARISONS: readonly string[] = ["=", "=", "<>", "!=", "<", "<=", ">", ">="];
const EQUALITIES: readonly string[] = ["=", "<>", "!="];
const INTEGERS: readonly string[] = ["i2", "i4", "i8"];
const FLOATS: readonly string[] = ["f4", "f8"];
const TEXT_COLUMNS: readonly string[] = ["s", "v", "c", "nm"];
const BOOLEANS: readonly string[] = ["b", '"Odd ""name"""'];
const SCALARS: readonly string[] = [...INTEGERS, ...FLOATS, "n", ...TEXT_COLUMNS, "b", "u", "d", "t", "ts", "tz", "iv"];
const TYPE_NAMES: Readonly<Record<string, readonly string[]>> = {
	i2: ["int2", "smallint"],
	i4: ["int4", "integer"],
	i8: ["int8", "bigint"],
	f4: ["float4", "real"],
	f8: ["float8", "double precision"],
	n: ["numeric", "decimal"],
	s: ["text"],
	v: ["varchar", "character varying"],
	c: ["bpchar"],
	nm: ["name"],
	b: ["bool", "boolean"],
	u: ["uuid"],
	d: ["date"],
	t: ["time", "time without time zone"],
	ts: ["timestamp"],
	tz: ["timestamptz", "timestamp with time zone"],
	iv: ["interval"],
};
const CROSSED: readonly (readonly [string, string])[] = [
	["i2", "i4"],
	["i2", "i8"],
	["i4", "i2"],
	["i4", "i8"],
	["i8", "i4"],
	["i4", "n"],
	["i8", "n"],
	["n", "i8"],
	["n", "i2"],
	["f4", "f8"],
	["f8", "f4"],
	["f4", "i4"],
	["f8", "i8"],
	["f4", "n"],
	["f8", "n"],
	["i8", "f8"],
	["i4", "f4"],
	["d", "ts"],
	["ts", "d"],
	["c", "s"],
	["c", "v"],
	["s", "c"],
	["v", "c"],
	["s", "v"],
	["v", "s"],
	["nm", "s"],
	["s", "nm"],
	["c", "nm"],
];
const PATTERNS: readonly string[] = [
	"a%",
	"%b",
	"%",
	"_",
	"__",
	"___",
	"a\\%b",
	"a\\_b",
	"%a%b%",
	"É%",
	"é",
	"é_",
	"%\\_%",
	"\\\\%",
	"a\\\\b",
	"_%_",
	"",
	"%😀",
	"_x",
	"ΣΑΣ",
	"%σ%",
	"k",
	"i",
	"I%",
	"ß",
	"%\n%",
	"a_b",
	"a ",
	"a%_",
	"%%a",
	"\\a%",
	"ab%b",
	"%'%",
	"A%C",
	"日_",
];

/** A parameter in a generated text; no generated value holds these brackets. */
const MARK = /⟦([0-9]+)⟧/g;

/** Makes conditions; one object a condition, for the parameters are numbered through. */
class Generator {
	readonly #random: Random;
	readonly #computedShare: number;
	readonly params: Record<string, string> = {};
	#count = 0;

	constructor(random: Random, computedShare: number) {
		this.#random = random;
		this.#computedShare = computedShare;
	}

	/** An untyped constant: quoted, or a parameter (written `⟦n⟧` until both forms are made). */
	untyped(value: string): string {
		if (this.#random.chance(0.3)) {
			this.#count += 1;
			this.params[String(this.#count)] = value;
			return `⟦${this.#count}⟧`;
		}
		return quote(value);
	}

	constant(column: string, value = this.#random.pick(valuesOf(column))): string {
		const isBare = /^-?[0-9.e]+$/.test(value) && [...INTEGERS, ...FLOATS, "n"].includes(column);
		if (isBare && this.#random.chance(0.4)) {
			return value;
		}
		const types = TYPE_NAMES[column];
		if (types === undefined || this.#random.chance(0.6)) {
			return this.untyped(value);
		}
		const type = this.#random.pick(types);
		return this.#random.pick([`${this.untyped(value)}::${type}`, `cast(${this.untyped(value)} as ${type})`]);
	}

	column(name: string): string {
		const random = this.#random;
		if (name === "e") {
			return random.pick(["e::text", "e::varchar"]);
		}
		if (random.chance(0.85)) {
			return name;
		}
		switch (name) {
			case "i2":
				return random.pick(["i2::int4", "i2::int8", "i2::numeric", "cast(i2 as bigint)"]);
			case "i4":
				return random.pick(["i4::int8", "i4::numeric"]);
			case "c":
				return "c::text";
			case "v":
				return random.pick(["v::text", "v::bpchar"]);
			case "s":
				return random.pick(["s::varchar", "s::text"]);
			default:
				return name;
		}
	}

	condition(depth: number): string {
		const random = this.#random;
		if (depth > 0 && random.chance(0.55)) {
			switch (random.integer(0, 6)) {
				case 0:
				case 1:
					return `(${this.condition(depth - 1)}) AND (${this.condition(depth - 1)})`;
				case 2:
					return `(${this.condition(depth - 1)}) or (${this.condition(depth - 1)})`;
				case 3:
					return `${this.condition(0)} and ${this.condition(0)} or ${this.condition(0)}`;
				case 4:
					return `NOT (${this.condition(depth - 1)})`;
				case 5:
					return `(${this.condition(depth - 1)}) IS ${random.pick(["", "NOT "])}${random.pick(["TRUE", "FALSE", "UNKNOWN", "NULL"])}`;
				default:
					return `(${this.condition(depth - 1)}) ${random.pick(["=", "<>", "IS DISTINCT FROM"])} ${random.pick(["b", "true", "false", `(${this.condition(depth - 1)})`])}`;
			}
		}
		return this.leaf();
	}

	leaf(): string {
		const random = this.#random;
		if (random.chance(this.#computedShare)) {
			return this.computed();
		}
		switch (random.integer(0, 15)) {
			case 0:
				return random.pick([
					...BOOLEANS,
					"not b",
					"b = true",
					"b is not false",
					"b is unknown",
					"true",
					"null::bool",
					"b < true",
				]);
			case 1:
				return `${random.pick(WHERE_COLUMN_SPECS.map(({ name }) => `"${name.replaceAll('"', '""')}"`))} IS ${random.pick(["", "NOT "])}NULL`;
			case 2:
			case 3:
				return this.like();
			case 4:
				return this.columnPair();
			case 5:
				return this.enumeration();
			case 6:
			case 7:
				return this.list();
			case 8:
				return this.between();
			case 9:
				return this.crossed();
			case 10:
				return this.mixedNumbers();
			case 11: {
				const column = random.pick(SCALARS);
				return `${this.column(column)} IS ${random.pick(["", "NOT "])}DISTINCT FROM ${random.chance(0.1) ? "NULL" : this.constant(column)}`;
			}
			default: {
				const column = random.pick(SCALARS);
				const sides = [this.column(column), this.constant(column)];
				return random.chance(0.8)
					? `${sides[0]} ${random.pick(COMPARISONS)} ${sides[1]}`
					: `${sides[1]} ${random.pick(COMPARISONS)} ${sides[0]}`;
			}
		}
	}

	/** Something computed, compared with something of its type. */
	computed(): string {
		const random = this.#random;
		const expressions = new ExpressionGenerator(random, new Set());
		const type = random.pick(COMPUTED_TYPES);
		const value = (): string => expressions.value(type, random.integer(1, 2));
		const constant = (): string => `${this.untyped(random.pick(valuesOf(COLUMNS_OF_TYPE[type]?.[0] ?? "s")))}::${type}`;
		switch (random.integer(0, 7)) {
			case 0:
				return expressions.value("bool", 2);
			case 1:
				return `${value()} IS ${random.pick(["", "NOT "])}NULL`;
			case 2:
				return `${value()} ${random.pick(["IN", "NOT IN"])} (${constant()}, ${constant()}${random.pick(["", ", NULL"])})`;
			case 3:
				return `${value()} ${random.pick(["BETWEEN", "NOT BETWEEN", "BETWEEN SYMMETRIC"])} ${constant()} AND ${constant()}`;
			case 4:
				return `${value()} IS ${random.pick(["", "NOT "])}DISTINCT FROM ${random.pick([value(), constant()])}`;
			case 5:
				return `${expressions.value("text", 2)} ${random.pick(["LIKE", "NOT LIKE", "ILIKE"])} ${this.untyped(random.pick(PATTERNS))}`;
			default:
				return `${value()} ${random.pick(COMPARISONS)} ${random.pick([value(), constant()])}`;
		}
	}

	/** A column and a typed constant of another type that PostgreSQL compares it with. */
	crossed(): string {
		const random = this.#random;
		const [column, other] = random.pick(CROSSED);
		const type = random.pick(TYPE_NAMES[other] ?? ["text"]);
		const sides = [column, `${this.untyped(random.pick(valuesOf(other)))}::${type}`];
		const [left, right] = random.chance(0.7) ? sides : sides.reverse();
		return `${left} ${random.pick([...COMPARISONS, "IS DISTINCT FROM"])} ${right}`;
	}

	/** Bare numbers of mixed types have a common type, which decides what is equal. */
	mixedNumbers(): string {
		const random = this.#random;
		const column = random.pick([...INTEGERS, "n", ...FLOATS]);
		const pool = ["1", "5", "1.5", "0.1", "3000000000", "9007199254740993", "1e2", "-1", ".5", "16777217"];
		const items = Array.from({ length: random.integer(1, 4) }, () => random.pick(pool));
		return random.chance(0.5)
			? `${column} ${random.pick(["IN", "NOT IN"])} (${items.join(", ")})`
			: `${column} ${random.pick(["= ANY", "<> ALL", "< ALL"])} (ARRAY[${items.join(", ")}])`;
	}

	columnPair(): string {
		const random = this.#random;
		const group = random.pick([
			[...INTEGERS, "n", "id"],
			[...INTEGERS, ...FLOATS],
			TEXT_COLUMNS,
			["d", "ts"],
			["u"],
			["tz"],
			BOOLEANS,
		]);
		const [left, right] = [random.pick(group), random.pick(group)];
		return `${left} ${random.pick([...COMPARISONS, "IS DISTINCT FROM", "IS NOT DISTINCT FROM"])} ${right}`;
	}

	enumeration(): string {
		const random = this.#random;
		const label = () => this.untyped(random.pick(MOODS));
		switch (random.integer(0, 3)) {
			case 0:
				return `e ${random.pick(EQUALITIES)} ${label()}`;
			case 1:
				return `e ${random.pick(["", "NOT "])}IN (${label()}, ${label()}${random.pick(["", ", NULL"])})`;
			case 2:
				return `e::text ${random.pick(COMPARISONS)} ${label()}`;
			default:
				return `e IS ${random.pick(["", "NOT "])}DISTINCT FROM ${label()}`;
		}
	}

	like(): string {
		const random = this.#random;
		const subject = this.column(random.pick([...TEXT_COLUMNS, "s", "s", "e"]));
		const word = random.pick(["LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE"]);
		return `${subject} ${word} ${this.untyped(random.pick(PATTERNS))}`;
	}

	list(): string {
		const random = this.#random;
		const column = random.pick(SCALARS);
		const values = Array.from({ length: random.integer(1, 5) }, () => random.pick(valuesOf(column)));
		if (random.chance(0.6)) {
			const isMixable = INTEGERS.includes(column) || FLOATS.includes(column) || column === "n";
			const items = values.map((value) => (isMixable && /^-?[0-9.e]+$/.test(value) ? value : this.untyped(value)));
			return `${column} ${random.pick(["IN", "NOT IN"])} (${items.join(", ")}${random.chance(0.2) ? ", NULL" : ""})`;
		}
		const operator = random.pick(["= ANY", "= ANY", "<> ALL", "< ANY", ">= ALL"]);
		const elements = values.map((value) => `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`);
		const withNull = random.chance(0.2) ? [...elements, "NULL"] : elements;
		const none = random.chance(0.05);
		return `${column} ${operator} (${this.untyped(`{${none ? "" : withNull.join(", ")}}`)})`;
	}

	between(): string {
		const random = this.#random;
		const column = random.pick(SCALARS);
		const word = random.pick(["BETWEEN", "NOT BETWEEN", "BETWEEN SYMMETRIC", "NOT BETWEEN SYMMETRIC"]);
		return `${column} ${word} ${this.constant(column)} AND ${this.constant(column)}`;
	}
}

/**
 * @param computedShare of the conditions' leaves that compute something: these may be refused for their constants, and
 * may fail on a row
 */
export function generateCondition(random: Random, depth = 3, computedShare = 0): GeneratedCondition {
	const generator = new Generator(random, computedShare);
	const marked = generator.condition(depth);
	const { params } = generator;
	return {
		text: marked.replace(MARK, "$$$1"),
		params,
		original: marked.replace(MARK, (_, number: string) => quote(params[number] ?? "")),
	};
}
