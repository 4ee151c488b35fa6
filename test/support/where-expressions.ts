/**
 * Random values of every type that a `where` can compute with: columns, constants, and calls of everything in the
 * table of signatures, nested. Valid in PostgreSQL, though rows may make it fail. Records what was used, so that a
 * test can require that everything was. Called by where-generator.ts and by the oracle's tests.
 */

import { castOf } from "../../src/shared/sql/casts.ts";
import { NUMBER_FUNCTIONS, TEXT_FUNCTIONS, TIME_FUNCTIONS } from "../../src/shared/where-functions.ts";
import type { ScalarType, ValueType } from "../../src/shared/where-tree.ts";
import { SIGNATURES, type Signature } from "../../src/workers/where/signatures.ts";
import type { Random } from "./random.ts";
import { quote } from "./where-quote.ts";
import { valuesOf } from "./where-values.ts";

export const COLUMNS_OF_TYPE: Readonly<Record<string, readonly string[]>> = {
	bool: ["b"],
	int2: ["i2"],
	int4: ["i4", "id"],
	int8: ["i8"],
	float4: ["f4"],
	float8: ["f8"],
	numeric: ["n"],
	text: ["s"],
	varchar: ["v"],
	bpchar: ["c"],
	name: ["nm"],
	uuid: ["u"],
	date: ["d"],
	time: ["t"],
	timestamp: ["ts"],
	timestamptz: ["tz"],
	interval: ["iv"],
};

export const COMPUTED_TYPES: readonly ScalarType[] = [
	"bool",
	"int2",
	"int4",
	"int8",
	"float4",
	"float8",
	"numeric",
	"text",
	"varchar",
	"bpchar",
	"name",
	"uuid",
	"date",
	"time",
	"timestamp",
	"timestamptz",
	"interval",
];

const FUNCTIONS: readonly string[] = [...NUMBER_FUNCTIONS, ...TEXT_FUNCTIONS, ...TIME_FUNCTIONS];

/** What the generator takes from the table. PostgreSQL has no function `ilike`; its operator is there. */
export const GENERATED_SIGNATURES: readonly Signature[] = SIGNATURES.filter(
	(signature) => FUNCTIONS.includes(signature.function) && signature.name !== "ilike",
);

export function signatureLabel({ form, name, arguments: types }: Signature): string {
	return `${form} ${name}(${types.join(", ")})`;
}

/** Every cast between the types, as "from to". */
export const GENERATED_CASTS: readonly (readonly [from: ScalarType, to: ScalarType])[] = COMPUTED_TYPES.flatMap(
	(from) => COMPUTED_TYPES.filter((to) => from !== to && castOf(from, to) !== null).map((to) => [from, to] as const),
);

export const SPECIAL_FORMS = ["coalesce", "nullif", "greatest", "least", "case", "concat"] as const;

const MODIFIED: Readonly<Record<string, readonly string[]>> = {
	varchar: ["varchar(3)", "character varying(1)"],
	bpchar: ["char(4)", "character(1)", "bpchar"],
	numeric: ["numeric(12,3)", "numeric(20)", "decimal(30,10)"],
	time: ["time(0)", "time(3)"],
	timestamp: ["timestamp(0)", "timestamp(2)"],
	timestamptz: ["timestamptz(1)", "timestamptz(0)"],
};

const ZONES = [
	"UTC",
	"Europe/Berlin",
	"America/New_York",
	"Asia/Kolkata",
	"Australia/Lord_Howe",
	"Pacific/Apia",
	"America/Sao_Paulo",
	"Etc/GMT+5",
];
const DAY_UNITS = ["day", "week", "month", "quarter", "year", "decade", "century", "millennium"];
const CLOCK_UNITS = ["hour", "minute", "second", "milliseconds", "microseconds"];
const INTERVAL_UNITS = ["day", "month", "year", "decade", "century", "millennium"];
const EXTRACTED_DAYS = [...DAY_UNITS, "dow", "isodow", "doy", "isoyear", "epoch"];

/** Values that do not overflow at once. */
const SMALL: Readonly<Record<string, readonly string[]>> = {
	int2: ["0", "1", "2", "3", "-7"],
	int4: ["0", "1", "2", "3", "-7", "12", "100"],
	int8: ["0", "1", "2", "-3", "3000000000"],
	float4: ["0.5", "2", "-1.25"],
	float8: ["0.1", "2", "-1.5", "1e10", "3"],
	numeric: ["0.1", "2.50", "-3", "1000.000", "12.345", "0"],
};

export class ExpressionGenerator {
	readonly #random: Random;
	readonly #used: Set<string>;

	constructor(random: Random, used: Set<string>) {
		this.#random = random;
		this.#used = used;
	}

	/** An expression of exactly the type. */
	value(type: ScalarType, depth: number): string {
		const random = this.#random;
		if (depth <= 0 || random.chance(0.15)) {
			return this.#leaf(type);
		}
		const calls = GENERATED_SIGNATURES.filter(({ result }) => result === type);
		const roll = random.fraction();
		if (calls.length > 0 && roll < 0.66) {
			return this.call(random.pick(calls), depth);
		}
		return roll < 0.83 ? this.cast(type, depth) : this.form(type, depth);
	}

	call(signature: Signature, depth: number): string {
		this.#used.add(signatureLabel(signature));
		const args = this.#arguments(signature, depth);
		const { form, name } = signature;
		const [first = "", second = "", third = ""] = args;
		if (form === "binary") {
			return `(${first} ${name} ${second})`;
		}
		if (form === "prefix") {
			return `(${name} ${first})`;
		}
		const spelled = this.#random.chance(0.5);
		switch (name) {
			case "extract":
				return `extract(${first} from ${second})`;
			case "position":
				return `position((${second}) in (${first}))`;
			case "timezone":
				return spelled ? `(${second} AT TIME ZONE ${first})` : `timezone(${first}, ${second})`;
			case "substring":
				return spelled
					? `substring(${first} from ${second}${third === "" ? "" : ` for ${third}`})`
					: plainCall(name, args);
			case "btrim":
				return spelled && second !== "" ? `trim(both ${second} from ${first})` : plainCall(name, args);
			case "lpad":
			case "rpad":
				return spelled ? plainCall(name, args.slice(0, 2)) : plainCall(name, args);
			case "like":
				return plainCall('"like"', args);
			default:
				return plainCall(name, args);
		}
	}

	#arguments({ name, arguments: types, function: called }: Signature, depth: number): string[] {
		const random = this.#random;
		const values = types.map((type) => this.#argument(type, depth - 1));
		if (/^(?:extract|date_part|date_trunc)$/.test(name)) {
			const unit = random.pick(unitsOf(name, types[1] ?? "date"));
			return [name === "extract" ? unit : quote(unit), this.#argument(types[1] ?? "date", depth - 1)];
		}
		if (name === "timezone") {
			return [quote(random.pick(ZONES)), this.#argument(types[1] ?? "timestamp", depth - 1)];
		}
		if (["text_repeat", "text_lpad", "text_rpad"].includes(called)) {
			values[1] = String(random.pick([0, 1, 3, 7, -2]));
		} else if (/^text_(?:left|right|substring|substring_length|split_part)$/.test(called)) {
			for (let index = 1; index < types.length; index += 1) {
				if (types[index] === "int4") {
					values[index] = random.chance(0.9) ? String(random.integer(-3, 5)) : (values[index] ?? "1");
				}
			}
		} else if (/scale$/.test(called)) {
			values[1] = String(random.integer(-3, 6));
		}
		return values;
	}

	#argument(type: ValueType, depth: number): string {
		if (type === "text" && this.#random.chance(0.3)) {
			return this.value(this.#random.pick(["varchar", "bpchar", "name", "text"] as const), depth);
		}
		return this.value(type as ScalarType, depth);
	}

	cast(to: ScalarType, depth: number, given?: ScalarType): string {
		const random = this.#random;
		const sources = COMPUTED_TYPES.filter((from) => from !== to && castOf(from, to) !== null);
		const from = given ?? random.pick([...sources, to]);
		this.#used.add(`${from} ${to}`);
		// The collation of a constant that was cast to name is not followed.
		const [column = "s"] = COLUMNS_OF_TYPE[from] ?? [];
		const value = to === "name" ? column : this.value(from, depth - 1);
		const target = random.chance(0.4) ? random.pick(MODIFIED[to] ?? [to]) : to;
		return random.chance(0.5) ? `(${value})::${target}` : `cast(${value} as ${target})`;
	}

	/** A special form; one that gives the type unless it is named. */
	form(type: ScalarType, depth: number, given?: (typeof SPECIAL_FORMS)[number]): string {
		const random = this.#random;
		const form = given ?? random.pick(type === "text" ? SPECIAL_FORMS : SPECIAL_FORMS.slice(0, -1));
		this.#used.add(form);
		const some = (): string => this.value(type, depth - 1);
		const someOrNull = (): string => (random.chance(0.15) ? "null" : some());
		switch (form) {
			case "coalesce":
				return `coalesce(${someOrNull()}, ${some()}, ${someOrNull()})`;
			case "nullif":
				// Of varchar the result is text.
				return type === "varchar" ? `nullif(${some()}, ${some()})::varchar` : `nullif(${some()}, ${some()})`;
			case "greatest":
			case "least":
				return `${form}(${some()}, ${someOrNull()}, ${some()})`;
			case "concat":
				return `concat(${this.value(random.pick(["text", "varchar", "name"] as const), depth - 1)}, ${this.#leaf("int4")}, ${some()})`;
			case "case":
				return random.chance(0.5)
					? `case when ${this.value("bool", depth - 1)} then ${some()} when ${this.value("bool", 0)} then ${someOrNull()} else ${some()} end`
					: `case ${this.#leaf("int4")} when 1 then ${some()} when ${this.value("int4", 0)} then ${some()} end`;
		}
	}

	#leaf(type: ScalarType): string {
		const random = this.#random;
		const [column = "s", ...others] = COLUMNS_OF_TYPE[type] ?? [];
		if (random.chance(0.55)) {
			return random.pick([column, ...others]);
		}
		const small = SMALL[type];
		const value = random.pick(small !== undefined && random.chance(0.75) ? small : valuesOf(column));
		if (type === "int4" && /^[0-9]{1,9}$/.test(value) && random.chance(0.5)) {
			return value;
		}
		if (type === "numeric" && /^[0-9]+\.[0-9]+$/.test(value) && random.chance(0.5)) {
			return value;
		}
		if (type === "interval" && random.chance(0.3)) {
			return `interval ${quote(value)}`;
		}
		return `${quote(value)}::${type}`;
	}
}

function plainCall(name: string, args: readonly string[]): string {
	return `${name}(${args.join(", ")})`;
}

function unitsOf(name: string, type: ValueType): readonly string[] {
	if (name === "date_trunc") {
		return type === "interval" ? [...CLOCK_UNITS, "quarter", ...INTERVAL_UNITS] : [...CLOCK_UNITS, ...DAY_UNITS];
	}
	switch (type) {
		case "date":
			return EXTRACTED_DAYS;
		case "time":
			return [...CLOCK_UNITS, "epoch"];
		case "interval":
			return [...CLOCK_UNITS, ...INTERVAL_UNITS, "epoch"];
		default:
			return [...CLOCK_UNITS, ...EXTRACTED_DAYS];
	}
}
