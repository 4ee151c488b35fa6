/**
 * The end of a log: where the next entry goes and what the last one is. Plain numbers, copied rather than
 * shared: a batch keeps one from before it, to go back to. LSNs are two 32-bit halves, so that nothing is
 * allocated per row. Held by ShapeLog; filled by the recovery.
 */

export class LogTail {
	/** Number of the segment that holds the last entry; the next one goes there too unless it is full. */
	segment = 0;
	/** Bytes and entries of that segment. */
	segmentBytes = 0;
	segmentEntries = 0;
	/** Entries in the whole log: the ordinal of the next one. */
	entries = 0;
	/** Offset of the last entry; all zero when there is none. */
	lsnHigh = 0;
	lsnLow = 0;
	op = 0;
	/** Where the last entry lies in its segment, and its length. */
	lastPosition = 0;
	lastLength = 0;
	/** CRC-32 of the last entry without its closing `}}`; only meaningful while it is not sealed. */
	lastPrefixCrc = 0;
	/** The last entry is the last of a complete transaction, or there is none. */
	sealed = true;

	copyFrom(other: LogTail): void {
		this.segment = other.segment;
		this.segmentBytes = other.segmentBytes;
		this.segmentEntries = other.segmentEntries;
		this.entries = other.entries;
		this.lsnHigh = other.lsnHigh;
		this.lsnLow = other.lsnLow;
		this.op = other.op;
		this.lastPosition = other.lastPosition;
		this.lastLength = other.lastLength;
		this.lastPrefixCrc = other.lastPrefixCrc;
		this.sealed = other.sealed;
	}
}

/** Negative, zero or positive, as for a sort: the order of (LSN, op) given as halves. */
export function compareHalves(
	leftHigh: number,
	leftLow: number,
	leftOp: number,
	rightHigh: number,
	rightLow: number,
	rightOp: number,
): number {
	if (leftHigh !== rightHigh) {
		return leftHigh - rightHigh;
	}
	if (leftLow !== rightLow) {
		return leftLow - rightLow;
	}
	return leftOp - rightOp;
}
