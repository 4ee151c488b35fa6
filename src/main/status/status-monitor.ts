/**
 * How ready the service is: conditions that others set, an ordered level that follows from them, and one
 * asynchronous wait ("tell me when at least this level"). Owns no timer but those of waits; must never poll
 * or block. Called by the daemon (conditions), the pool (waits before it retries) and status reports.
 */

import { SluiceError } from "../../shared/errors.ts";
import { LEVEL_ACTIVE, LEVEL_READ_ONLY, LEVEL_STARTING, type StatusLevel } from "../../shared/shape-table.ts";

/** What must hold; each is owned by one part and unset when that part fails. */
export type Condition =
	| "catalogue"
	| "http"
	/** Shapes' logs can be opened, because another daemon that writes them is followed. */
	| "following"
	| "lanes"
	| "lock"
	| "link";

const ACTIVE_NEEDS: readonly Condition[] = ["catalogue", "http", "lanes", "lock", "link"];

/**
 * Pure: the level that these conditions make. Who has the lock and does not stream yet is starting, whoever waits for
 * it and can serve what there is is read-only (replication.md 6.5).
 */
export function levelOf(held: ReadonlySet<Condition>): StatusLevel {
	if (ACTIVE_NEEDS.every((condition) => held.has(condition))) {
		return LEVEL_ACTIVE;
	}
	const canServe = held.has("catalogue") && held.has("http") && (held.has("lanes") || held.has("following"));
	return canServe && !held.has("lock") ? LEVEL_READ_ONLY : LEVEL_STARTING;
}

interface Waiter {
	readonly level: StatusLevel;
	readonly settle: (error: Error | null) => void;
}

export class StatusMonitor {
	readonly #held = new Set<Condition>();
	readonly #waiters = new Set<Waiter>();
	readonly #onLevel: (level: StatusLevel) => void;
	#level: StatusLevel = LEVEL_STARTING;

	constructor(onLevel: (level: StatusLevel) => void) {
		this.#onLevel = onLevel;
	}

	get level(): StatusLevel {
		return this.#level;
	}

	/** The first condition that active needs and that does not hold, or null. */
	get missing(): Condition | null {
		return ACTIVE_NEEDS.find((condition) => !this.#held.has(condition)) ?? null;
	}

	set(condition: Condition, holds: boolean): void {
		if (this.#held.has(condition) === holds) {
			return;
		}
		if (holds) {
			this.#held.add(condition);
		} else {
			this.#held.delete(condition);
		}
		const level = levelOf(this.#held);
		if (level === this.#level) {
			return;
		}
		this.#level = level;
		this.#onLevel(level);
		for (const waiter of [...this.#waiters]) {
			if (level >= waiter.level) {
				waiter.settle(null);
			}
		}
	}

	/**
	 * Resolves when the level is at least `level` (at once if it is). A waiter is told once; a cancelled one,
	 * never.
	 * @throws SluiceError SLUICE_NOT_ACTIVE at the deadline, naming the missing condition
	 * @throws the signal's reason when cancelled
	 */
	async waitFor(
		level: StatusLevel,
		options: { readonly deadlineMs: number; readonly signal?: AbortSignal },
	): Promise<void> {
		options.signal?.throwIfAborted();
		if (this.#level >= level) {
			return;
		}
		await new Promise<void>((resolve, reject) => {
			const settle = (error: Error | null): void => {
				this.#waiters.delete(waiter);
				clearTimeout(timer);
				options.signal?.removeEventListener("abort", cancel);
				if (error === null) {
					resolve();
				} else {
					reject(error);
				}
			};
			const waiter: Waiter = { level, settle };
			const cancel = (): void => settle(options.signal?.reason);
			const timer = setTimeout(
				() => settle(new SluiceError("SLUICE_NOT_ACTIVE", { missing: this.missing, waitedMs: options.deadlineMs })),
				options.deadlineMs,
			);
			options.signal?.addEventListener("abort", cancel, { once: true });
			this.#waiters.add(waiter);
		});
	}
}
