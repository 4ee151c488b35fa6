/**
 * What losing the stream's lock means: nothing for a moment, since the connection that held it is usually back at
 * once; then that somebody else has it. Owns that time. Called by the daemon.
 */

/** A lock that is not regained in this time counts as somebody else's. */
const LOCK_GRACE_MS = 10_000;

export class LockGrace {
	readonly #onLost: () => void;
	#timer: NodeJS.Timeout | undefined;

	/** @param onLost the lock was lost and not regained */
	constructor(onLost: () => void) {
		this.#onLost = onLost;
	}

	held(): void {
		this.stop();
	}

	lost(): void {
		this.stop();
		this.#timer = setTimeout(this.#onLost, LOCK_GRACE_MS);
	}

	stop(): void {
		clearTimeout(this.#timer);
	}
}
