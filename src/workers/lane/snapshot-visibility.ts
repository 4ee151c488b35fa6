/**
 * Which transactions an initial snapshot holds. Pure; owns the extension of 32-bit transaction ids, which must
 * never be compared as they come from the stream. Called by the lane at the splice and at replays.
 * Source: PostgreSQL `pg_visible_in_snapshot`, `XidInMVCCSnapshot`; replication.md 5.4 and 5.5.
 */

import type { SnapshotInfo } from "../../shared/shape-definition.ts";

const EPOCH = 1n << 32n;
const HALF = 1n << 31n;

/** The 64-bit id, epoch included, that is nearest to `near`. */
export function extendXid(xid: number, near: bigint): bigint {
	const candidate = near - (near % EPOCH) + BigInt(xid);
	if (candidate - near > HALF && candidate >= EPOCH) {
		return candidate - EPOCH;
	}
	return near - candidate > HALF ? candidate + EPOCH : candidate;
}

export class SnapshotVisibility {
	/** Commits that the snapshot holds lie below; from here on nothing is filtered. As halves, too. */
	readonly insertLsn: bigint;
	readonly insertLsnHigh: number;
	readonly insertLsnLow: number;
	readonly #xmin: bigint;
	readonly #xmax: bigint;
	readonly #inProgress: ReadonlySet<bigint>;

	constructor(info: SnapshotInfo) {
		this.insertLsn = BigInt(info.insertLsn);
		this.insertLsnHigh = Number(this.insertLsn >> 32n);
		this.insertLsnLow = Number(this.insertLsn & 0xffff_ffffn);
		this.#xmin = BigInt(info.xmin);
		this.#xmax = BigInt(info.xmax);
		this.#inProgress = new Set(info.xipList.map((xid) => BigInt(xid)));
	}

	/** The snapshot sees the (committed) transaction. `xid` as in Begin: 32 bits. */
	isVisible(xid: number): boolean {
		const full = extendXid(xid, this.#xmax);
		if (full < this.#xmin) {
			return true;
		}
		return full < this.#xmax && !this.#inProgress.has(full);
	}

	/** The commit lies below the insert position: only then visibility decides. */
	decides(lsnHigh: number, lsnLow: number): boolean {
		return lsnHigh !== this.insertLsnHigh ? lsnHigh < this.insertLsnHigh : lsnLow < this.insertLsnLow;
	}

	/** The snapshot holds the transaction: the log must not. */
	holds(lsnHigh: number, lsnLow: number, xid: number): boolean {
		return this.decides(lsnHigh, lsnLow) && this.isVisible(xid);
	}
}
