/**
 * PostgreSQL's text form of an array (`{1,NULL,"a b"}`, `{{1,2},{3,4}}`, `[2:3]={1,2}`), both ways. Owns the
 * shape of an array (dimensions and lower bounds) and nothing of its elements, which stay texts. Pure; must refuse
 * what PostgreSQL 15 and 18 read differently. Called by the where room for constants and by the match room for
 * values of the stream.
 */

/** PostgreSQL's MAXDIM. */
export const ARRAY_DIMENSIONS_MAX = 6;

/** An array; the elements of all dimensions in row-major order. The empty array has no dimension. */
export interface ArrayValue<T> {
	readonly dimensions: readonly number[];
	readonly lowerBounds: readonly number[];
	readonly elements: readonly (T | null)[];
}

export const EMPTY_ARRAY: ArrayValue<never> = { dimensions: [], lowerBounds: [], elements: [] };

const INT4_MAX = 2_147_483_647;

/** What array_isspace takes. */
function isSpace(character: string | undefined): boolean {
	switch (character) {
		case " ":
		case "\t":
		case "\n":
		case "\r":
		case "\v":
		case "\f":
			return true;
		default:
			return false;
	}
}

/** array_in, element texts not yet read; null when the text is not an array that all versions read alike. */
export function parseArrayText(text: string): ArrayValue<string> | null {
	const reader = new Reader(text);
	return reader.read();
}

class Reader {
	readonly #text: string;
	#at = 0;
	readonly #elements: (string | null)[] = [];
	/** Length of each dimension, from the outermost; undefined until its first array has been closed. */
	readonly #dimensions: (number | undefined)[] = [];
	/** How many dimensions there are; known with the first element. */
	#depth: number | null = null;

	constructor(text: string) {
		this.#text = text;
	}

	read(): ArrayValue<string> | null {
		this.#skipSpace();
		const bounds = this.#readBounds();
		if (bounds === null || this.#text[this.#at] !== "{" || !this.#readArray(1)) {
			return null;
		}
		this.#skipSpace();
		if (this.#at !== this.#text.length) {
			return null;
		}
		const dimensions = this.#dimensions.map((length) => length ?? 0);
		if (this.#elements.length === 0) {
			// Nested empty arrays, and bounds of them, are read differently by different versions.
			return dimensions.length > 1 || bounds.length > 0 ? null : EMPTY_ARRAY;
		}
		if (bounds.length === 0) {
			return { dimensions, lowerBounds: dimensions.map(() => 1), elements: this.#elements };
		}
		const agrees =
			bounds.length === dimensions.length &&
			bounds.every(({ lower, upper }, index) => upper - lower + 1 === dimensions[index]);
		return agrees ? { dimensions, lowerBounds: bounds.map(({ lower }) => lower), elements: this.#elements } : null;
	}

	/** `[l:u][l:u]=`, or nothing. */
	#readBounds(): { lower: number; upper: number }[] | null {
		if (this.#text[this.#at] !== "[") {
			return [];
		}
		const match = /(?:\[-?[0-9]{1,10}:-?[0-9]{1,10}\]){1,6}=/y;
		match.lastIndex = this.#at;
		const prefix = match.exec(this.#text)?.[0];
		if (prefix === undefined) {
			return null;
		}
		this.#at += prefix.length;
		const bounds = [...prefix.matchAll(/\[(-?[0-9]+):(-?[0-9]+)\]/g)].map(([, lower, upper]) => ({
			lower: Number(lower),
			upper: Number(upper),
		}));
		return bounds.every(({ lower, upper }) => lower <= upper && lower >= -INT4_MAX && upper < INT4_MAX) ? bounds : null;
	}

	/** From `{` to its `}`. False when it is malformed. */
	#readArray(level: number): boolean {
		if (level > ARRAY_DIMENSIONS_MAX) {
			return false;
		}
		if (this.#dimensions.length < level) {
			if (this.#depth !== null) {
				return false;
			}
			this.#dimensions.push(undefined);
		}
		this.#at += 1;
		let count = 0;
		this.#skipSpace();
		if (this.#text[this.#at] === "}") {
			this.#at += 1;
			// Only the whole array may be empty.
			return level === 1;
		}
		for (;;) {
			if (this.#text[this.#at] === "{") {
				if (this.#depth === level || !this.#readArray(level + 1)) {
					return false;
				}
			} else {
				this.#depth ??= level;
				if (this.#depth !== level || !this.#readElement()) {
					return false;
				}
			}
			count += 1;
			this.#skipSpace();
			const next = this.#text[this.#at];
			this.#at += 1;
			if (next === "}") {
				const known = this.#dimensions[level - 1];
				this.#dimensions[level - 1] = count;
				return known === undefined || known === count;
			}
			if (next !== ",") {
				return false;
			}
			this.#skipSpace();
		}
	}

	#readElement(): boolean {
		return this.#text[this.#at] === '"' ? this.#readQuoted() : this.#readPlain();
	}

	#readQuoted(): boolean {
		const text = this.#text;
		let value = "";
		let from = this.#at + 1;
		for (let at = from; at < text.length; at += 1) {
			const character = text[at];
			if (character === '"') {
				this.#elements.push(value + text.slice(from, at));
				this.#at = at + 1;
				return true;
			}
			if (character === "\\") {
				value += text.slice(from, at);
				from = at + 1;
				at += 1;
			}
		}
		return false;
	}

	#readPlain(): boolean {
		const text = this.#text;
		let value = "";
		let from = this.#at;
		/** Where the last character ends that is not a blank, or was escaped. */
		let keptEnd = from;
		let hasEscape = false;
		let at = from;
		for (; at < text.length; at += 1) {
			const character = text[at];
			if (character === "," || character === "}") {
				break;
			}
			if (character === "{" || character === '"') {
				return false;
			}
			if (character === "\\") {
				value += text.slice(from, at);
				from = at + 1;
				at += 1;
				if (at >= text.length) {
					return false;
				}
				hasEscape = true;
				keptEnd = at + 1;
			} else if (!isSpace(character)) {
				keptEnd = at + 1;
			}
		}
		// An escaped blank counts; blanks between the last escape and the end do not.
		value += text.slice(from, Math.max(from, keptEnd));
		this.#at = at;
		if (value === "" && !hasEscape) {
			return false;
		}
		const isNull = !hasEscape && value.length === 4 && value.toUpperCase() === "NULL";
		this.#elements.push(isNull ? null : value);
		return at < text.length;
	}

	#skipSpace(): void {
		while (isSpace(this.#text[this.#at])) {
			this.#at += 1;
		}
	}
}

/** array_out: the one text that PostgreSQL prints for an array of these element texts. */
export function formatArrayText({ dimensions, lowerBounds, elements }: ArrayValue<string>): string {
	if (elements.length === 0) {
		return "{}";
	}
	let position = 0;
	const level = (depth: number): string => {
		const items: string[] = [];
		for (let index = 0; index < (dimensions[depth] ?? 0); index += 1) {
			if (depth + 1 < dimensions.length) {
				items.push(level(depth + 1));
			} else {
				items.push(formatElement(elements[position] ?? null));
				position += 1;
			}
		}
		return `{${items.join(",")}}`;
	};
	const bounds = lowerBounds.some((lower) => lower !== 1)
		? `${lowerBounds.map((lower, index) => `[${lower}:${lower + (dimensions[index] ?? 0) - 1}]`).join("")}=`
		: "";
	return bounds + level(0);
}

function formatElement(text: string | null): string {
	if (text === null) {
		return "NULL";
	}
	if (text !== "" && !/[{}",\\ \t\n\r\v\f]/.test(text) && text.toUpperCase() !== "NULL") {
		return text;
	}
	return `"${text.replace(/["\\]/g, "\\$&")}"`;
}
