/**
 * Slot creation waits for every transaction that was open before, and for a record that an idle server writes rarely.
 * Owns when that has lasted long enough to say so and to ask the server for the record. Pure but for what it
 * remembers. Called by the daemon, once a second.
 */

/** Slot creation that waits this long is helped along, again and again. */
const NUDGE_AFTER_MS = 10_000;

export class SlotCreationPatience {
	#sinceMs: number | null = null;

	/** @param step of the link's handshake */
	isDue(step: string, nowMs: number): boolean {
		if (step !== "slot-create") {
			this.#sinceMs = null;
			return false;
		}
		this.#sinceMs ??= nowMs;
		if (nowMs - this.#sinceMs < NUDGE_AFTER_MS) {
			return false;
		}
		this.#sinceMs = nowMs;
		return true;
	}
}
