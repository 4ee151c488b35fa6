/**
 * One row as byte ranges: where each column's text lies in a buffer, without making a string of it. Owns
 * nothing but the ranges; must be consumed before the buffer behind it is reused. Filled by decode (from a
 * TupleData) and by snapshot (from a COPY line); read by match and by the entry encoder.
 */

/** The column is NULL. */
export const LENGTH_NULL = -1;
/** The column is an unchanged TOASTed value that the stream did not repeat. */
export const LENGTH_UNCHANGED = -2;

export class Tuple {
	/** The bytes that `start` and `length` point into: UTF-8 text values. */
	buffer: Buffer;
	columnCount = 0;
	/** Byte position of each column's text in `buffer`. */
	start: Int32Array;
	/** Its length in bytes, or LENGTH_NULL, or LENGTH_UNCHANGED. */
	length: Int32Array;

	constructor(columnCapacity = 64) {
		this.buffer = Buffer.alloc(0);
		this.start = new Int32Array(columnCapacity);
		this.length = new Int32Array(columnCapacity);
	}

	/** Makes room for `columnCount` columns and sets the count; earlier ranges are void. */
	reset(buffer: Buffer, columnCount: number): void {
		if (columnCount > this.start.length) {
			const capacity = Math.max(columnCount, this.start.length * 2);
			this.start = new Int32Array(capacity);
			this.length = new Int32Array(capacity);
		}
		this.buffer = buffer;
		this.columnCount = columnCount;
	}

	isNull(column: number): boolean {
		return this.length[column] === LENGTH_NULL;
	}

	/** The column's text, or null for NULL. Unchanged values must have been filled from the old tuple before. */
	text(column: number): string | null {
		const length = this.length[column] ?? LENGTH_NULL;
		if (length < 0) {
			return null;
		}
		const start = this.start[column] ?? 0;
		return this.buffer.toString("utf8", start, start + length);
	}
}

/** Whether a column holds the same bytes in both tuples ("changed" is textual inequality). */
export function sameColumn(left: Tuple, right: Tuple, column: number): boolean {
	const leftLength = left.length[column] ?? LENGTH_NULL;
	const rightLength = right.length[column] ?? LENGTH_NULL;
	if (leftLength !== rightLength) {
		return false;
	}
	if (leftLength <= 0) {
		return true;
	}
	const leftStart = left.start[column] ?? 0;
	const rightStart = right.start[column] ?? 0;
	return (
		left.buffer.compare(right.buffer, rightStart, rightStart + rightLength, leftStart, leftStart + leftLength) === 0
	);
}
