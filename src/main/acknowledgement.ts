/**
 * Between "may be acknowledged" and "is acknowledged": the position is stored durably by the registrar first,
 * then the link may send it. Owns the order and the pace; must never let a position overtake its storing, and
 * never wait for the registrar anywhere else. Called by replication.ts.
 */

import type { Logger } from "../shared/logging.ts";
import type { Lsn } from "../shared/lsn.ts";

/** Stores are spaced by this much: each is one synced write. */
const STORE_SPACING_MS = 100;

export class Acknowledgement {
	readonly #store: (lsn: Lsn) => Promise<void>;
	readonly #onAcknowledged: () => void;
	readonly #log: Logger;
	#acknowledged: Lsn = 0n;
	#wanted: Lsn = 0n;
	#running: Promise<void> | null = null;
	#held = false;

	constructor(options: {
		readonly store: (lsn: Lsn) => Promise<void>;
		readonly onAcknowledged: () => void;
		readonly log: Logger;
	}) {
		this.#store = options.store;
		this.#onAcknowledged = options.onAcknowledged;
		this.#log = options.log;
	}

	/** The flush position that status updates carry. */
	get acknowledged(): Lsn {
		return this.#acknowledged;
	}

	/** The registrar has stored `lsn` itself (where streaming starts). May move back, after a purge. */
	begin(lsn: Lsn): void {
		this.#acknowledged = lsn;
		this.#wanted = lsn;
		this.#held = false;
	}

	/** `lsn` may be acknowledged. Returns at once. */
	want(lsn: Lsn): void {
		if (lsn > this.#wanted) {
			this.#wanted = lsn;
		}
		if (!this.#held && this.#running === null && this.#wanted > this.#acknowledged) {
			this.#running = this.#run().finally(() => {
				this.#running = null;
			});
		}
	}

	/** Waits for a store under way and begins no other until `begin`: between two connections. */
	async hold(): Promise<void> {
		this.#held = true;
		await this.#running;
	}

	/**
	 * Tries to store what is wanted now, for the last status update before the end. Gives up at the deadline:
	 * not to acknowledge is always safe.
	 */
	async settle(deadlineMs: number): Promise<void> {
		await new Promise<void>((resolve) => {
			const timer = setTimeout(resolve, deadlineMs);
			const settled = async (): Promise<void> => {
				await this.#running;
				this.want(this.#wanted);
				await this.#running;
			};
			settled().then(() => {
				clearTimeout(timer);
				resolve();
			});
		});
		this.#held = true;
	}

	async #run(): Promise<void> {
		while (!this.#held && this.#wanted > this.#acknowledged) {
			const lsn = this.#wanted;
			try {
				await this.#store(lsn);
			} catch (error) {
				this.#log.warn({ err: error }, "acknowledged position could not be stored, trying again");
				await new Promise((resolve) => setTimeout(resolve, 10 * STORE_SPACING_MS));
				continue;
			}
			this.#acknowledged = lsn;
			this.#onAcknowledged();
			if (this.#wanted > lsn) {
				await new Promise((resolve) => setTimeout(resolve, STORE_SPACING_MS));
			}
		}
	}
}
