/**
 * Where the lane stands in the stream: epoch, open transaction, and how many row changes of it went by. Plain
 * numbers; LSNs as halves, so that nothing is allocated per transaction. Moved by the batch processor only.
 */

import type { BatchHeader } from "../../shared/batch-layout.ts";

/** Before the first batch. */
export const NO_EPOCH = -1;

export class StreamPosition {
	epoch: number = NO_EPOCH;
	/** Grows whenever the stream goes back: in a new epoch, and when a batch comes again. Within an era LSNs only grow. */
	era = 0;
	isOpen = false;
	/** Commit LSN and id of the open transaction, or of the last one. */
	lsnHigh = 0;
	lsnLow = 0;
	xid = 0;
	/** Row changes and truncated relations of the open transaction so far, over all relations. */
	changes = 0;
	/** Grows with each transaction. */
	serial = 0;
	/** Commit LSN of the last complete transaction. */
	committedHigh = 0;
	committedLow = 0;

	begin(lsnHigh: number, lsnLow: number, xid: number): void {
		this.isOpen = true;
		this.lsnHigh = lsnHigh;
		this.lsnLow = lsnLow;
		this.xid = xid;
		this.changes = 0;
		this.serial += 1;
	}

	commit(): void {
		this.isOpen = false;
		this.committedHigh = this.lsnHigh;
		this.committedLow = this.lsnLow;
	}

	/** There is a gap in the stream: nothing is open, nothing was committed. */
	forget(): void {
		this.isOpen = false;
		this.lsnHigh = 0;
		this.lsnLow = 0;
		this.committedHigh = 0;
		this.committedLow = 0;
	}

	/** The start of a batch, which may lie inside a transaction: also after a batch that was given up. */
	enter(header: BatchHeader): void {
		this.epoch = header.streamEpoch;
		if (!header.startsInside) {
			this.isOpen = false;
			return;
		}
		const lsnHigh = Number(header.openFinalLsn >> 32n);
		const lsnLow = Number(header.openFinalLsn & 0xffff_ffffn);
		if (!this.isOpen || this.lsnHigh !== lsnHigh || this.lsnLow !== lsnLow) {
			this.begin(lsnHigh, lsnLow, header.openXid);
		}
		this.changes = header.openChangeCount;
	}
}
