/**
 * What may be acknowledged: the minimum over lanes of what is durable, and, only when nothing is outstanding,
 * what keepalives said. Plain data in, one LSN out; must never read a clock, round, or add one to an LSN
 * (replication.md 3: exclusive ends, exactly as received). Called by the flow.
 */

import { invariant } from "../../shared/assert.ts";
import { type Lsn, maxLsn, minLsn } from "../../shared/lsn.ts";

export class AckTracker {
	/** max of Commit.end_lsn and keepalive wal_end, in stream order. */
	#received: Lsn = 0n;
	/** end_lsn of the newest commit that was handed out to lanes. */
	#handedOut: Lsn = 0n;
	/** Between Begin and Commit. */
	#insideTransaction = false;
	readonly #durable: Lsn[];
	/** Reports of earlier epochs do not count: their positions belong to another life of the slot. */
	#validFromEpoch = 0;
	#flush: Lsn = 0n;

	constructor(lanes: number) {
		invariant(lanes > 0, "at least one lane");
		this.#durable = new Array<Lsn>(lanes).fill(0n);
	}

	/**
	 * Streaming begins (again) at `startLsn`: everything below is durable. After a purge (`fresh`) nothing that
	 * was reported before `epoch` counts.
	 */
	begin(startLsn: Lsn, epoch: number, fresh: boolean): void {
		this.#insideTransaction = false;
		if (fresh) {
			this.#validFromEpoch = epoch;
			this.#durable.fill(startLsn);
			this.#received = startLsn;
			this.#handedOut = 0n;
			this.#flush = startLsn;
			return;
		}
		for (const [lane, durable] of this.#durable.entries()) {
			this.#durable[lane] = maxLsn(durable, startLsn);
		}
		this.#received = maxLsn(this.#received, startLsn);
		this.#flush = maxLsn(this.#flush, startLsn);
	}

	transactionBegins(): void {
		this.#insideTransaction = true;
	}

	/** @param endLsn Commit.end_lsn */
	transactionEnds(endLsn: Lsn): void {
		this.#insideTransaction = false;
		this.#received = maxLsn(this.#received, endLsn);
		this.#handedOut = maxLsn(this.#handedOut, endLsn);
	}

	/** A transaction was cut by a disconnect; it will be sent again. */
	transactionCut(): void {
		this.#insideTransaction = false;
	}

	keepalive(walEnd: Lsn): void {
		if (!this.#insideTransaction) {
			this.#received = maxLsn(this.#received, walEnd);
		}
	}

	durable(lane: number, lsn: Lsn, epoch: number): void {
		const known = this.#durable[lane];
		invariant(known !== undefined, "a known lane");
		if (epoch >= this.#validFromEpoch) {
			this.#durable[lane] = maxLsn(known, lsn);
		}
	}

	get received(): Lsn {
		return this.#received;
	}

	/** end_lsn of the newest transaction that lanes were given. */
	get handedOut(): Lsn {
		return this.#handedOut;
	}

	/** Minimum over the lanes. */
	get durableLsn(): Lsn {
		return this.#durable.reduce(minLsn);
	}

	laneDurable(lane: number): Lsn {
		return this.#durable[lane] ?? 0n;
	}

	/** Nothing was handed out that some lane has not made durable, and no transaction is open. */
	get settled(): boolean {
		return !this.#insideTransaction && this.durableLsn >= this.#handedOut;
	}

	/** The position that may be acknowledged now. Never moves back, never beyond what was received. */
	flushLsn(): Lsn {
		const candidate = this.settled ? this.#received : minLsn(this.durableLsn, this.#received);
		this.#flush = maxLsn(this.#flush, candidate);
		return this.#flush;
	}
}
