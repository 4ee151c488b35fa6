/**
 * How many bytes of request bodies this thread holds at a time: received and not yet done with. Owns the count; a
 * lease is given back exactly once, whatever the way out. Must never hold bytes itself. Called by the reader of
 * bodies and by the shape request.
 */

export class BodyBudget {
	readonly #bytesMax: number;
	#heldBytes = 0;

	/** @param bytesMax of this thread */
	constructor(bytesMax: number) {
		this.#bytesMax = bytesMax;
	}

	get heldBytes(): number {
		return this.#heldBytes;
	}

	/** A lease of nothing, for one body. */
	lease(): BodyLease {
		return new BodyLease((change) => {
			if (change > 0 && this.#heldBytes + change > this.#bytesMax) {
				return false;
			}
			this.#heldBytes += change;
			return true;
		});
	}
}

/** What one body holds of the budget. */
export class BodyLease {
	readonly #take: (change: number) => boolean;
	#bytes = 0;
	#released = false;

	constructor(take: (change: number) => boolean) {
		this.#take = take;
	}

	/** Changes what is held to `bytes`; false, and nothing changed, when that is beyond the budget. */
	resize(bytes: number): boolean {
		if (this.#released || !this.#take(bytes - this.#bytes)) {
			return false;
		}
		this.#bytes = bytes;
		return true;
	}

	/** Idempotent. */
	release(): void {
		this.resize(0);
		this.#released = true;
	}
}
