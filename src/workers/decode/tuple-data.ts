/**
 * TupleData to ranges: where each column's text lies in the message, without copying it. Owns nothing; must
 * never index beyond the message. Called by pgoutput.ts for Insert, Update and Delete; this is the loop that
 * runs for every row of the stream.
 * Source: PostgreSQL manual, "Logical Replication Message Formats", TupleData.
 */

import { LENGTH_NULL, LENGTH_UNCHANGED, type Tuple } from "../../shared/tuple.ts";
import { malformed } from "./malformed.ts";

const KIND_NULL = 0x6e;
const KIND_UNCHANGED = 0x75;
const KIND_TEXT = 0x74;

/**
 * Reads the TupleData at `at` into `tuple` and returns the position after it.
 * @param messageStart of the message's tag, for errors
 * @param columnCount of the relation; another count is malformed
 * @throws SluiceError `SLUICE_TUPLE_MALFORMED`
 */
export function readTupleData(
	buffer: Buffer,
	messageStart: number,
	at: number,
	end: number,
	columnCount: number,
	tuple: Tuple,
): number {
	if (at + 2 > end) {
		throw malformed(buffer[messageStart] ?? 0, at - messageStart, "the message ends before the column count");
	}
	const count = ((buffer[at] as number) << 8) | (buffer[at + 1] as number);
	if (count !== columnCount) {
		throw malformed(buffer[messageStart] ?? 0, at - messageStart, "another column count than the relation's");
	}
	tuple.reset(buffer, count);
	const starts = tuple.start;
	const lengths = tuple.length;
	let position = at + 2;
	for (let column = 0; column < count; column += 1) {
		if (position >= end) {
			throw malformed(buffer[messageStart] ?? 0, position - messageStart, "the message ends before a column");
		}
		const kind = buffer[position] as number;
		position += 1;
		if (kind === KIND_TEXT) {
			if (position + 4 > end) {
				throw malformed(buffer[messageStart] ?? 0, position - messageStart, "the message ends in a length");
			}
			const length =
				((buffer[position] as number) << 24) |
				((buffer[position + 1] as number) << 16) |
				((buffer[position + 2] as number) << 8) |
				(buffer[position + 3] as number);
			position += 4;
			if (length < 0 || length > end - position) {
				throw malformed(buffer[messageStart] ?? 0, position - messageStart, "a value longer than the message");
			}
			starts[column] = position;
			lengths[column] = length;
			position += length;
		} else if (kind === KIND_NULL) {
			starts[column] = position;
			lengths[column] = LENGTH_NULL;
		} else if (kind === KIND_UNCHANGED) {
			starts[column] = position;
			lengths[column] = LENGTH_UNCHANGED;
		} else {
			// Binary values ("b") come only when the subscriber asks for them, which the link does not.
			throw malformed(buffer[messageStart] ?? 0, position - 1 - messageStart, "an unknown kind of column");
		}
	}
	return position;
}

/** Whether any column is an unchanged value that was not repeated. */
export function hasUnchanged(tuple: Tuple): boolean {
	for (let column = 0; column < tuple.columnCount; column += 1) {
		if (tuple.length[column] === LENGTH_UNCHANGED) {
			return true;
		}
	}
	return false;
}

/** Takes unchanged values of the new row from the old one. Both lie in one message, so ranges suffice. */
export function fillUnchanged(newTuple: Tuple, oldTuple: Tuple): void {
	for (let column = 0; column < newTuple.columnCount; column += 1) {
		if (newTuple.length[column] === LENGTH_UNCHANGED) {
			newTuple.start[column] = oldTuple.start[column] as number;
			newTuple.length[column] = oldTuple.length[column] as number;
		}
	}
}
