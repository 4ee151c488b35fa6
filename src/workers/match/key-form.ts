/**
 * When equality of values is equality of bytes: which part of a column's text is its key, and the key of a
 * constant. Owns that rule for the index and for the compiled comparison alike; must say null wherever one value
 * has two texts. Pure.
 */

import type { ColumnOperand, Comparison, Operand, ValueType } from "../../shared/where-tree.ts";
import { endWithoutZeros } from "./values.ts";

/** "blanks": without trailing blanks. "zeros": without zeros that do not count after the decimal point. */
export type KeyForm = "plain" | "blanks" | "zeros";

/** The form of the column's key under this comparison with constants of `literalType`, or null. */
export function keyForm(operand: Operand, comparison: Comparison, literalType: ValueType): KeyForm | null {
	if (operand.kind !== "column") {
		return null;
	}
	switch (comparison) {
		case "boolean":
		case "integer":
		case "uuid":
		case "date":
		case "time":
		case "timestamptz":
			return "plain";
		case "numeric":
			return "zeros";
		case "text":
		case "bpchar":
			return comparison === "bpchar" || losesBlanks(operand) ? "blanks" : "plain";
		case "timestamp":
			return operand.type === "timestamp" && literalType === "timestamp" ? "plain" : null;
		case "float":
		case "interval":
		case "jsonb":
		case "array":
			// -0 equals 0; a day equals 24 hours; 1.0 equals 1.
			return null;
	}
}

/** Casts of bpchar to text or varchar drop trailing blanks. */
export function losesBlanks(operand: ColumnOperand): boolean {
	let type: ValueType = operand.type;
	for (const cast of operand.casts) {
		if (type === "bpchar" && cast !== "bpchar") {
			return true;
		}
		type = cast;
	}
	return false;
}

/** The key of a constant that is compared with a column of this form. */
export function keyBytes(text: string, comparison: Comparison): Uint8Array {
	const bytes = Buffer.from(text, "utf8");
	return Uint8Array.from(comparison === "bpchar" ? bytes.subarray(0, endWithoutBlanks(bytes, 0, bytes.length)) : bytes);
}

/** The end of the key in a column's text. */
export function keyEnd(form: KeyForm, buffer: Buffer, start: number, end: number): number {
	switch (form) {
		case "plain":
			return end;
		case "blanks":
			return endWithoutBlanks(buffer, start, end);
		case "zeros":
			return endWithoutZeros(buffer, start, end);
	}
}

export function endWithoutBlanks(buffer: Buffer, start: number, end: number): number {
	let last = end;
	while (last > start && buffer[last - 1] === 0x20) {
		last -= 1;
	}
	return last;
}
