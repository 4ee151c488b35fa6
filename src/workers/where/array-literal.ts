/**
 * The text form of a one-dimensional array (`{a,"b c",NULL}`), as PostgreSQL's array_in reads it. Pure; null for
 * anything else, explicit bounds and more dimensions included. Called by the checker for `= ANY ('{…}')`.
 */

const SPACE = /[ \t\n\r\f\v]/;

/** The elements, NULL as null; or null when the text is not such an array. */
export function parseArrayLiteral(text: string): (string | null)[] | null {
	let position = skipSpace(text, 0);
	if (text[position] !== "{") {
		return null;
	}
	position = skipSpace(text, position + 1);
	const elements: (string | null)[] = [];
	if (text[position] === "}") {
		return skipSpace(text, position + 1) === text.length ? elements : null;
	}
	for (;;) {
		const element = text[position] === '"' ? quotedElement(text, position) : plainElement(text, position);
		if (element === null) {
			return null;
		}
		elements.push(element.value);
		position = skipSpace(text, element.end);
		if (text[position] === "}") {
			return skipSpace(text, position + 1) === text.length ? elements : null;
		}
		if (text[position] !== ",") {
			return null;
		}
		position = skipSpace(text, position + 1);
	}
}

interface Element {
	readonly value: string | null;
	readonly end: number;
}

function quotedElement(text: string, start: number): Element | null {
	let value = "";
	for (let position = start + 1; position < text.length; position += 1) {
		const character = text[position] ?? "";
		if (character === '"') {
			return { value, end: position + 1 };
		}
		if (character === "\\") {
			position += 1;
			value += text[position] ?? "";
		} else {
			value += character;
		}
	}
	return null;
}

function plainElement(text: string, start: number): Element | null {
	let value = "";
	/** Length of the value up to its last character that is not blank or was escaped. */
	let keptLength = 0;
	let hasEscape = false;
	let position = start;
	for (; position < text.length; position += 1) {
		const character = text[position] ?? "";
		if (character === "," || character === "}") {
			break;
		}
		if (character === "{" || character === '"') {
			return null;
		}
		if (character === "\\") {
			position += 1;
			if (position >= text.length) {
				return null;
			}
			hasEscape = true;
			value += text[position] ?? "";
			keptLength = value.length;
		} else {
			value += character;
			keptLength = SPACE.test(character) ? keptLength : value.length;
		}
	}
	value = value.slice(0, keptLength);
	if (position >= text.length || (value === "" && !hasEscape)) {
		return null;
	}
	return { value: !hasEscape && value.toUpperCase() === "NULL" ? null : value, end: position };
}

function skipSpace(text: string, start: number): number {
	let position = start;
	while (position < text.length && SPACE.test(text[position] ?? "")) {
		position += 1;
	}
	return position;
}
