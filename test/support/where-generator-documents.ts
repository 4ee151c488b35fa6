/**
 * Random conditions over the table of where-documents.ts: arrays, rows, jsonb and json, regular expressions. Every
 * condition is valid in PostgreSQL and raises no error on any row. Called by where-oracle-documents.pg.test.ts.
 */

import type { Random } from "./random.ts";
import { DOCUMENT_MOODS, DOCUMENTS, documentValues } from "./where-documents.ts";
import { type GeneratedCondition, quote } from "./where-generator.ts";

const COMPARISONS: readonly string[] = [
	"=",
	"=",
	"<>",
	"<",
	"<=",
	">",
	">=",
	"IS DISTINCT FROM",
	"IS NOT DISTINCT FROM",
];
const ARRAY_COLUMNS: readonly string[] = ["ia", "flat", "la", "ta", "va", "ca", "na", "fa", "ba", "ua", "da", "tza"];
/** Column of single values, and the arrays whose elements it is compared with. */
const MEMBERS: readonly (readonly [string, string])[] = [
	["i", "ia"],
	["i", "flat"],
	["i", "la"],
	["big", "la"],
	["s", "ta"],
	["s", "va"],
	["c", "ca"],
	["n", "na"],
	["i", "na"],
	["b", "ba"],
	["d", "da"],
	["s", "ca"],
	["c", "ta"],
	["c", "va"],
	["i", "fa"],
	["n", "fa"],
	["big", "fa"],
	["big", "ia"],
	["n", "la"],
];
const ELEMENTS: Readonly<Record<string, readonly string[]>> = {
	ia: ["1", "2", "3", "5", "100"],
	flat: ["1", "2", "3", "5", "100"],
	la: ["1", "2", "3000000000"],
	ta: ["a", "b", "", "NULL", "é", "a b"],
	va: ["a", "b"],
	ca: ["a", "ab", "b"],
	na: ["1", "1.00", "2.5", "NaN"],
	fa: ["0", "1", "1.5", "NaN"],
	ba: ["t", "f"],
	ua: ["f47ac10b-58cc-4372-a567-0e02b2c3d479", "00000000-0000-0000-0000-000000000000"],
	da: ["2024-01-01", "infinity", "0044-03-15 BC"],
	tza: ["2024-01-01 08:00:00Z", "2024-01-01T11:00:00+03"],
};
const TYPES: Readonly<Record<string, string>> = {
	ia: "int4",
	flat: "int4",
	la: "int8",
	ta: "text",
	va: "varchar",
	ca: "bpchar",
	na: "numeric",
	fa: "float8",
	ba: "bool",
	ua: "uuid",
	da: "date",
	tza: "timestamptz",
};
const PATHS: readonly string[] = [
	"{}",
	"{a}",
	"{a,b}",
	"{b,c,d}",
	"{a,0}",
	"{bb,-1,c}",
	"{0}",
	"{-1}",
	"{1,0}",
	"{a,NULL}",
	"{a,x}",
	"{b,c,d,1}",
];
const KEYS: readonly string[] = ["a", "b", "bb", "n", "", "é", "c", "1"];
const REGEXES: readonly string[] = [
	"^a",
	"b$",
	"a.b",
	"[a-c]",
	"[^a]",
	"^(a|b)+$",
	"a{1,2}",
	"^.$",
	"",
	"a?b*",
	"x[0-9]y",
	"^\\S*$",
	"\\.",
	"(?:a|b)c?",
	"K",
	"^[A-Z]$",
	"\\n",
];

const MARK = /⟦([0-9]+)⟧/g;

class Generator {
	readonly #random: Random;
	readonly params: Record<string, string> = {};
	#count = 0;

	constructor(random: Random) {
		this.#random = random;
	}

	/** A quoted constant or a parameter. */
	untyped(value: string): string {
		if (this.#random.chance(0.25)) {
			this.#count += 1;
			this.params[String(this.#count)] = value;
			return `⟦${this.#count}⟧`;
		}
		return quote(value);
	}

	condition(depth: number): string {
		const random = this.#random;
		if (depth > 0 && random.chance(0.4)) {
			return random.pick([
				() => `(${this.condition(depth - 1)}) AND (${this.condition(depth - 1)})`,
				() => `(${this.condition(depth - 1)}) OR (${this.condition(depth - 1)})`,
				() => `NOT (${this.condition(depth - 1)})`,
				() => `(${this.condition(depth - 1)}) IS NOT TRUE`,
			])();
		}
		return random.pick([
			() => this.arrays(),
			() => this.arrays(),
			() => this.containment(),
			() => this.containment(),
			() => this.quantified(),
			() => this.quantified(),
			() => this.subscript(),
			() => this.arrayFunction(),
			() => this.arrayFunction(),
			() => this.constructed(),
			() => this.enumArray(),
			() => this.row(),
			() => this.row(),
			() => this.jsonb(),
			() => this.jsonb(),
			() => this.jsonb(),
			() => this.jsonParts(),
			() => this.jsonParts(),
			() => this.json(),
			() => this.regex(),
			() => this.regex(),
		])();
	}

	/** An array of the column's type: the column, a constant, or a constructor. */
	array(name: string): string {
		const random = this.#random;
		return random.pick([
			() => name,
			() => this.untyped(random.pick(documentValues(name))),
			() => this.untyped(random.pick(documentValues(name))),
			() => `${this.untyped(random.pick(documentValues(name)))}::${TYPES[name]}[]`,
			() => this.list(name),
		])();
	}

	list(name: string): string {
		const random = this.#random;
		const items = Array.from({ length: random.integer(1, 3) }, () =>
			random.chance(0.15) ? "NULL" : quote(random.pick(ELEMENTS[name] ?? [])),
		);
		return `ARRAY[${items.join(", ")}]::${TYPES[name]}[]`;
	}

	arrays(): string {
		const random = this.#random;
		const name = random.pick(ARRAY_COLUMNS);
		if (random.chance(0.15)) {
			const values = Array.from({ length: random.integer(1, 3) }, () =>
				this.untyped(random.pick(documentValues(name))),
			);
			return `${name} ${random.pick(["IN", "NOT IN"])} (${values.join(", ")}${random.pick(["", ", NULL"])})`;
		}
		if (random.chance(0.1)) {
			return `${name} ${random.pick(["BETWEEN", "NOT BETWEEN"])} ${this.array(name)} AND ${this.array(name)}`;
		}
		return `${name} ${random.pick(COMPARISONS)} ${this.array(name)}`;
	}

	containment(): string {
		const random = this.#random;
		const name = random.pick(ARRAY_COLUMNS.filter((column) => column !== "va"));
		const sides = [name, this.array(name)];
		const [left, right] = random.chance(0.8) ? sides : sides.reverse();
		return `${left} ${random.pick(["@>", "<@", "&&"])} ${right}`;
	}

	quantified(): string {
		const random = this.#random;
		const [single, name] = random.pick(MEMBERS);
		const quantifier = random.pick(["ANY", "ALL", "SOME"]);
		if (single === "s" && random.chance(0.25)) {
			return `s ${random.pick(["LIKE", "NOT LIKE", "ILIKE"])} ${quantifier} (${name})`;
		}
		const isColumn = random.chance(0.6);
		const left = isColumn ? single : this.untyped(random.pick(ELEMENTS[name] ?? []));
		const operator = random.pick(["=", "=", "=", "<>", "<", "<=", ">", ">="]);
		const right = random.chance(0.75)
			? name
			: isColumn && random.chance(0.6)
				? `ARRAY[${single}, ${single}]`
				: this.list(name);
		return `${left} ${operator} ${quantifier} (${right})`;
	}

	subscript(): string {
		const random = this.#random;
		const name = random.pick(ARRAY_COLUMNS);
		const index = () => random.pick(["1", "2", "0", "-1", "i", "id", "3"]);
		if (random.chance(0.4)) {
			const slice = random.pick([
				() => `[${index()}:${index()}]`,
				() => `[:${index()}]`,
				() => `[${index()}:]`,
				() => "[:]",
				() => `[1:2][${index()}:2]`,
				() => `[2:2][1]`,
			])();
			return `${name}${slice} ${random.pick(COMPARISONS)} ${this.array(name)}`;
		}
		const subscripts = random.chance(0.8) ? `[${index()}]` : `[${index()}][${index()}]`;
		return random.chance(0.2)
			? `${name}${subscripts} IS ${random.pick(["", "NOT "])}NULL`
			: `${name}${subscripts} ${random.pick(["=", "<>", "<", ">="])} ${this.untyped(random.pick(ELEMENTS[name] ?? []))}`;
	}

	/** Only on arrays of one dimension where PostgreSQL takes no other. */
	arrayFunction(): string {
		const random = this.#random;
		const name = random.pick(["flat", "la", "va", "ca", "na", "fa", "ba", "da"]);
		const element = () => (random.chance(0.15) ? "NULL" : this.untyped(random.pick(ELEMENTS[name] ?? [])));
		const typed = () => `${this.untyped(random.pick(ELEMENTS[name] ?? []))}::${TYPES[name]}`;
		const result = random.pick([
			() => `${name} || ${typed()}`,
			() => `${typed()} || ${name}`,
			() => `${name} || ${name}`,
			() => `${name} || ${this.list(name)}`,
			() => `${name} || ${this.untyped(random.pick(documentValues(name)))}`,
			() => `array_append(${name}, ${element()})`,
			() => `array_prepend(${element()}, ${name})`,
			() => `array_cat(${name}, ${this.list(name)})`,
			() => `array_remove(${name}, ${element()})`,
		])();
		const any = random.pick(["ia", "ta", "flat", "na"]);
		return random.pick([
			() => `(${result}) ${random.pick(COMPARISONS)} ${this.array(name)}`,
			() => `(${result}) ${random.pick(["@>", "<@", "&&"])} ${this.list(name)}`,
			() =>
				`array_length(${any}, ${random.pick(["1", "2", "0", "i"])}) ${random.pick(["=", ">", "<"])} ${random.pick(["1", "2", "i"])}`,
			() => `${random.pick(["array_lower", "array_upper"])}(${any}, 1) = ${random.pick(["0", "1", "2"])}`,
			() => `cardinality(${any}) ${random.pick(["=", ">"])} ${random.pick(["0", "2", "4"])}`,
			() => `array_ndims(${any}) ${random.pick(["= 1", "= 2", "IS NULL", "> 1"])}`,
			() => `array_position(${name}, ${element()}) ${random.pick(["= 1", "> 0", "IS NULL"])}`,
		])();
	}

	constructed(): string {
		const random = this.#random;
		return random.pick([
			() => `ARRAY[i, 1, id] ${random.pick(["@>", "<@", "&&", "=", "<"])} flat`,
			() => `ARRAY[s, 'a'] ${random.pick(["@>", "&&", "="])} ta`,
			() => `ARRAY[[i, 1], [2, 3]] ${random.pick(["@>", "=", "<>"])} ia`,
			() => `ia::int8[] ${random.pick(["=", "@>", "<"])} la`,
			() => `flat::text[] @> ARRAY['1']`,
			() =>
				`ia::text ${random.pick(["=", "LIKE"])} ${quote(random.pick(["{1,2}", "{%}", "[0:1]={1,2}", "{{1,2},{3,4}}"]))}`,
			() => `ta::varchar[] = va`,
			() => `flat::numeric[] = na`,
			() => `coalesce(flat, '{}') = '{}'`,
			() => `i = ANY (coalesce(flat, ARRAY[1]))`,
		])();
	}

	enumArray(): string {
		const random = this.#random;
		const mood = this.untyped(random.pick(DOCUMENT_MOODS));
		return random.pick([
			() => `${mood} = ANY (ea::text[])`,
			() => `ea::text[] @> ARRAY[${mood}]`,
			() => `(ea::text[])[1] = ${mood}`,
			() => "ea IS NOT NULL",
		])();
	}

	row(): string {
		const random = this.#random;
		const numbers = () => random.pick(["0", "1", "2", "3", "5", "NULL"]);
		const texts = () => (random.chance(0.1) ? "NULL" : this.untyped(random.pick(["a", "b", "A", "ab"])));
		return random.pick([
			() => `(i, s) ${random.pick(["=", "<>", "<", "<=", ">", ">="])} (${numbers()}, ${texts()})`,
			() => `(i, s, big) ${random.pick(["<", "<=", ">", ">="])} (${numbers()}, ${texts()}, ${random.pick(["1", "2"])})`,
			() => `ROW(i, id) ${random.pick(["=", "<", ">="])} ROW(${numbers()}, ${random.pick(["10", "40"])})`,
			() => `(i, s) ${random.pick(["IN", "NOT IN"])} ((${numbers()}, ${texts()}), (${numbers()}, ${texts()}))`,
			() => `(i, s) IS ${random.pick(["", "NOT "])}DISTINCT FROM (${numbers()}, ${texts()})`,
			() => `(i, s) IS ${random.pick(["", "NOT "])}NULL`,
			() => `(i, id) BETWEEN (0, 5) AND (2, 50)`,
		])();
	}

	/** A jsonb: a column or a part of one. */
	document(): string {
		const random = this.#random;
		const column = random.pick(["j", "j", "k"]);
		return random.pick([
			() => column,
			() => column,
			() => `${column}->${this.untyped(random.pick(KEYS))}`,
			() => `${column}->${random.pick(["0", "1", "-1", "5", "i"])}`,
			() => `${column}->s`,
			() => `${column}#>${this.untyped(random.pick(PATHS))}`,
			() => `${column}->'a'->'b'`,
			() => `${column}->'b'->'c'->'d'`,
		])();
	}

	jsonb(): string {
		const random = this.#random;
		const literal = () => {
			const text = random.pick(DOCUMENTS);
			return random.chance(0.3) ? `${this.untyped(text)}::jsonb` : this.untyped(text);
		};
		const other = () => (random.chance(0.2) ? "k" : literal());
		return random.pick([
			() => `(${this.document()}) ${random.pick(["@>", "<@"])} ${other()}`,
			() => `(${this.document()}) ${random.pick(["@>", "<@"])} ${other()}`,
			() => `(${this.document()}) ${random.pick(["=", "<>", "IS DISTINCT FROM"])} ${other()}`,
			() => `(${this.document()}) IN (${literal()}, ${literal()})`,
			() => `(${this.document()}) ? ${random.chance(0.2) ? "s" : this.untyped(random.pick(KEYS))}`,
			() =>
				`(${this.document()}) ${random.pick(["?|", "?&"])} ${random.pick(["ARRAY['a', 'b']", "'{a,n,NULL}'", "ta", "'{}'"])}`,
			() =>
				`jsonb_typeof(${this.document()}) = ${quote(random.pick(["null", "number", "string", "boolean", "array", "object"]))}`,
			() =>
				`CASE WHEN jsonb_typeof(j) = 'array' THEN jsonb_array_length(j) END ${random.pick(["= 2", "> 1", "IS NULL"])}`,
			() => `(${this.document()}) IS ${random.pick(["", "NOT "])}NULL`,
		])();
	}

	jsonParts(): string {
		const random = this.#random;
		const text = random.pick([
			() => `j->>${this.untyped(random.pick(KEYS))}`,
			() => `j->>${random.pick(["0", "1", "-1", "i"])}`,
			() => `j#>>${this.untyped(random.pick(PATHS))}`,
			() => `(${this.document()})::text`,
			() => `j->'a'->>'b'`,
			() => `k->'a'->>0`,
		])();
		return random.pick([
			() =>
				`${text} ${random.pick(["=", "<>", "<", "IS DISTINCT FROM"])} ${this.untyped(random.pick(["1", "a", "x", "1.0", "true", "[1, 2]", '{"a": 1}', "1000", "0.001"]))}`,
			() => `${text} LIKE ${quote(random.pick(["%1%", "%a%", "[%", "\\{%"]))}`,
			() => `(${text}) IS ${random.pick(["", "NOT "])}NULL`,
			() => `${text} = s`,
			() =>
				`(CASE WHEN ${text} ~ '^[0-9]{1,4}$' THEN ${text} END)::int ${random.pick(["=", ">"])} ${random.pick(["1", "i"])}`,
		])();
	}

	json(): string {
		const random = this.#random;
		const part = random.pick([
			() => `js->>${this.untyped(random.pick(KEYS))}`,
			() => `js->>${random.pick(["0", "1", "-1"])}`,
			() => `js#>>${this.untyped(random.pick(PATHS))}`,
			() => `js::text`,
			() => `(js->'a')::text`,
			() => `(js#>'{a}')::text`,
			() => `js::jsonb->>'a'`,
		])();
		return random.pick([
			() => `${part} = ${this.untyped(random.pick(["1", "1.0", "a", "x", "[1, 2]", "[ 1.0 , 2 ]", "true"]))}`,
			() => `(${part}) IS ${random.pick(["", "NOT "])}NULL`,
			() => `${part} LIKE ${quote(random.pick(["%1%", "%a%", " %"]))}`,
		])();
	}

	regex(): string {
		const random = this.#random;
		if (random.chance(0.2)) {
			return `s ${random.pick(["", "NOT "])}SIMILAR TO ${this.untyped(random.pick(["a%", "(a|b)_?", "%b", "[ab]+", "_", "%1%"]))}`;
		}
		const subject = random.pick(["s", "s", "s", "c", "c::text", "j->>'a'", "lower(s)", "(ea::text[])[1]"]);
		const pattern = random.pick(REGEXES);
		const operators = /[^ -~]|\\S/.test(pattern) ? ["~", "!~"] : ["~", "~*", "!~", "!~*"];
		return `${subject} ${random.pick(operators)} ${this.untyped(pattern.replace("\\S", "[^ ]"))}`;
	}
}

export function generateDocumentCondition(random: Random, depth = 2): GeneratedCondition {
	const generator = new Generator(random);
	const marked = generator.condition(depth);
	const { params } = generator;
	return {
		text: marked.replace(MARK, "$$$1"),
		params,
		original: marked.replace(MARK, (_, number: string) => quote(params[number] ?? "")),
	};
}
