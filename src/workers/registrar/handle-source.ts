/**
 * Makes handles: `<27-bit hash, decimal>-<unix microseconds>`. Owns the guarantee that none is given out twice,
 * also when the clock steps back or the process restarts: times are leased ahead, and the lease is stored
 * before it is used. Called by the catalogue. Source: shape-http-api.md 5.
 */

/** How far ahead a lease reaches: one small write per this much wall time in which shapes are created. */
const LEASE_US = 10_000_000;
const HASH_BITS = 27;

export class HandleSource {
	readonly #storeLease: (leaseUs: number) => void;
	#lastUs: number;
	#leaseUs: number;

	/**
	 * @param leaseUs the stored lease: handles up to it may have been given out
	 * @param storeLease must be durable when it returns
	 */
	constructor(leaseUs: number, storeLease: (leaseUs: number) => void) {
		this.#lastUs = leaseUs;
		this.#leaseUs = leaseUs;
		this.#storeLease = storeLease;
	}

	/** @param identity hexadecimal digest */
	next(identity: string, nowMs: number): string {
		const us = Math.max(this.#lastUs + 1, nowMs * 1_000);
		if (us > this.#leaseUs) {
			this.#storeLease(us + LEASE_US);
			this.#leaseUs = us + LEASE_US;
		}
		this.#lastUs = us;
		const hash = Number.parseInt(identity.slice(0, 8), 16) >>> (32 - HASH_BITS);
		return `${hash}-${us}`;
	}
}
