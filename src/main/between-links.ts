/**
 * The time between two replication connections: how long it is after a failure, how long after the link was given up
 * on purpose, and the wait itself, which can be ended early. Owns that wait's timer; must never make a link or look
 * at one. Called by replication.ts.
 */

/** The first delay after a failure, and the first after a link was given up. */
export const RETRY_DELAY_FIRST_MS = 500;
/** The longest delay after a failure; whoever stays away looks this often whether it may come back. */
const RETRY_DELAY_MAX_MS = 10_000;

/** Pure: the delay before the next attempt, with a fifth of jitter. `random` is in [0, 1). */
export function retryDelayMs(attempt: number, operatorNeeded: boolean, random: number): number {
	const base = operatorNeeded ? RETRY_DELAY_MAX_MS : Math.min(RETRY_DELAY_MAX_MS, RETRY_DELAY_FIRST_MS * 2 ** attempt);
	return Math.round(base * (0.8 + 0.4 * random));
}

export interface DetachedSituation {
	/** Nothing may be followed now, room or not. */
	readonly isForbidden: boolean;
	/** There is no room for what a link would bring. */
	readonly isPaused: boolean;
	/** Until the slot should be used for a moment, or the server may invalidate it; infinite where none does that. */
	readonly idleLeftMs: number;
}

/** Pure: how long to stay away before the next look; null when a link may be made. */
export function stayAwayMs(situation: DetachedSituation): number | null {
	if (situation.isPaused && situation.idleLeftMs > 0) {
		return Math.min(RETRY_DELAY_MAX_MS, situation.idleLeftMs);
	}
	return situation.isForbidden ? RETRY_DELAY_MAX_MS : null;
}

/** One wait at a time, which somebody else may end. */
export class Wait {
	#end: () => void = () => undefined;

	/** Resolves after that time, or at `end`. */
	for(delayMs: number): Promise<void> {
		return new Promise((resolve) => {
			const timer = setTimeout(resolve, delayMs);
			this.#end = () => {
				clearTimeout(timer);
				resolve();
			};
		});
	}

	/** Ends the wait under way; nothing where there is none. */
	end(): void {
		this.#end();
	}
}
