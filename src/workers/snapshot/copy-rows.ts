/**
 * The text format of COPY to tuples. Owns the remainder of a row that a chunk cut; must never build a string.
 * Escapes are undone in place: the chunk's bytes are ours. Called by the snapshot task.
 * Source: PostgreSQL `copyto.c` CopyAttributeOutText; documentation of COPY, "Text Format".
 */

import { invariant } from "../../shared/assert.ts";
import { LENGTH_NULL, Tuple } from "../../shared/tuple.ts";

const TAB = 0x09;
const NEWLINE = 0x0a;
const BACKSLASH = 0x5c;
const LETTER_N = 0x4e;

/** What `\x` stands for; every other escaped byte stands for itself. */
const UNESCAPED = Uint8Array.from({ length: 256 }, (_, byte) => byte);
UNESCAPED[0x62] = 0x08;
UNESCAPED[0x66] = 0x0c;
UNESCAPED[0x6e] = NEWLINE;
UNESCAPED[0x72] = 0x0d;
UNESCAPED[0x74] = TAB;
UNESCAPED[0x76] = 0x0b;

export class CopyRows {
	readonly #columnCount: number;
	readonly #onRow: (tuple: Tuple) => void;
	readonly #tuple: Tuple;
	/** Pieces of a row whose end has not come; joined once, when it does. */
	#pieces: Buffer[] = [];

	/** @param onRow gets a tuple that is valid during the call only */
	constructor(columnCount: number, onRow: (tuple: Tuple) => void) {
		this.#columnCount = columnCount;
		this.#onRow = onRow;
		this.#tuple = new Tuple(columnCount);
	}

	/** Takes bytes, cut anywhere. They may be changed, and are kept until their row is complete. */
	push(chunk: Buffer): void {
		let from = 0;
		let newline = chunk.indexOf(NEWLINE);
		// The server never sends a bare newline inside a value, so a newline always ends a row.
		while (newline !== -1) {
			if (this.#pieces.length === 0) {
				this.#row(chunk, from, newline);
			} else {
				this.#pieces.push(chunk.subarray(from, newline));
				const row = Buffer.concat(this.#pieces);
				this.#pieces = [];
				this.#row(row, 0, row.length);
			}
			from = newline + 1;
			newline = chunk.indexOf(NEWLINE, from);
		}
		if (from < chunk.length) {
			this.#pieces.push(chunk.subarray(from));
		}
	}

	/** The stream has ended. */
	end(): void {
		invariant(this.#pieces.length === 0, "COPY ended inside a row");
	}

	#row(buffer: Buffer, from: number, to: number): void {
		this.#tuple.reset(buffer, this.#columnCount);
		let column = 0;
		let start = from;
		let escaped = false;
		for (let at = from; at < to; at += 1) {
			const byte = buffer[at];
			if (byte === TAB) {
				this.#column(column, buffer, start, at, escaped);
				column += 1;
				start = at + 1;
				escaped = false;
			} else if (byte === BACKSLASH) {
				escaped = true;
				at += 1;
			}
		}
		this.#column(column, buffer, start, to, escaped);
		invariant(column + 1 === this.#columnCount, "COPY sent a row with another number of columns");
		this.#onRow(this.#tuple);
	}

	#column(column: number, buffer: Buffer, start: number, end: number, escaped: boolean): void {
		const tuple = this.#tuple;
		tuple.start[column] = start;
		if (!escaped) {
			tuple.length[column] = end - start;
		} else if (end - start === 2 && buffer[start + 1] === LETTER_N) {
			tuple.length[column] = LENGTH_NULL;
		} else {
			tuple.length[column] = undoEscapes(buffer, start, end) - start;
		}
	}
}

/** Undoes the escapes between `start` and `end` in place; answers the new end. */
function undoEscapes(buffer: Buffer, start: number, end: number): number {
	let to = start;
	for (let at = start; at < end; at += 1) {
		let byte = buffer[at] as number;
		if (byte === BACKSLASH) {
			at += 1;
			byte = UNESCAPED[buffer[at] as number] as number;
		}
		buffer[to] = byte;
		to += 1;
	}
	return to;
}
