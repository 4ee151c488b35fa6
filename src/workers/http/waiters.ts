/**
 * Requests that wait for news of a shape: by shape slot, woken by the slots that lanes and the registrar announce.
 * A wake-up says only "look again". Owns the records and their timers; must be subscribed to BEFORE the table is
 * looked at, so that no news can fall between looking and waiting. Called by the shape request.
 */

export type Wake = "changed" | "timeout" | "ended";

export class SlotWaiters {
	readonly #bySlot = new Map<number, Set<Waiter>>();
	#parked = 0;

	/** Requests that wait at this moment. */
	get parked(): number {
		return this.#parked;
	}

	/** Slots that somebody reads or waits for at this moment. */
	get slots(): Iterable<number> {
		return this.#bySlot.keys();
	}

	/** From now on news of the slot is not missed. Must be closed. */
	subscribe(slot: number): Waiter {
		const waiter: Waiter = new Waiter(
			(change) => {
				this.#parked += change;
			},
			() => {
				const set = this.#bySlot.get(slot);
				set?.delete(waiter);
				if (set?.size === 0) {
					this.#bySlot.delete(slot);
				}
			},
		);
		const present = this.#bySlot.get(slot);
		if (present === undefined) {
			this.#bySlot.set(slot, new Set([waiter]));
		} else {
			present.add(waiter);
		}
		return waiter;
	}

	wake(slots: Iterable<number>): void {
		for (const slot of slots) {
			for (const waiter of this.#bySlot.get(slot) ?? []) {
				waiter.notify("changed");
			}
		}
	}

	/** The thread stops: whoever waits answers as at its timeout. */
	endAll(): void {
		for (const set of this.#bySlot.values()) {
			for (const waiter of set) {
				waiter.notify("ended");
			}
		}
	}
}

/** One request's wait. News that comes while it is not waiting is kept for the next wait. */
export class Waiter {
	readonly #count: (change: 1 | -1) => void;
	readonly #unsubscribe: () => void;
	#kept: Wake | null = null;
	#resolve: ((wake: Wake) => void) | null = null;
	#timer: NodeJS.Timeout | null = null;

	constructor(count: (change: 1 | -1) => void, unsubscribe: () => void) {
		this.#count = count;
		this.#unsubscribe = unsubscribe;
	}

	/** Resolves with the news, with "timeout", or with "ended" when the request or the thread is over. */
	wait(timeoutMs: number): Promise<Wake> {
		const kept = this.#kept;
		if (kept !== null) {
			if (kept !== "ended") {
				this.#kept = null;
			}
			return Promise.resolve(kept);
		}
		if (timeoutMs <= 0) {
			return Promise.resolve("timeout");
		}
		return new Promise((resolve) => {
			this.#count(1);
			this.#resolve = resolve;
			this.#timer = setTimeout(() => this.#settle("timeout"), timeoutMs);
		});
	}

	notify(wake: "changed" | "ended"): void {
		if (wake === "ended" || this.#resolve === null) {
			this.#kept = this.#kept === "ended" ? "ended" : wake;
		}
		this.#settle(wake);
	}

	/** Idempotent. */
	close(): void {
		this.#unsubscribe();
		this.notify("ended");
	}

	#settle(wake: Wake): void {
		const resolve = this.#resolve;
		if (resolve === null) {
			return;
		}
		this.#resolve = null;
		if (this.#timer !== null) {
			clearTimeout(this.#timer);
			this.#timer = null;
		}
		this.#count(-1);
		resolve(wake);
	}
}
