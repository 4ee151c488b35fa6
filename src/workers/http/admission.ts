/**
 * Admission control: how many requests may be under way, in two classes. Owns the counters; a permit is given back
 * exactly once, whatever the way out. Called before any work is done for a request. Source: shape-http-api.md 16.
 */

export type AdmissionKind = "initial" | "existing";

export interface Permit {
	readonly kind: AdmissionKind;
	/** Moves to the other class when there is room; keeps its class otherwise. False when there was none. */
	become(kind: AdmissionKind): boolean;
	/** Idempotent. */
	release(): void;
}

export class Admission {
	readonly #limits: Readonly<Record<AdmissionKind, number>>;
	readonly #current: Record<AdmissionKind, number> = { initial: 0, existing: 0 };
	readonly #rejected: Record<AdmissionKind, number> = { initial: 0, existing: 0 };

	/** @param limits of this thread */
	constructor(limits: Readonly<Record<AdmissionKind, number>>) {
		this.#limits = limits;
	}

	get current(): Readonly<Record<AdmissionKind, number>> {
		return this.#current;
	}

	get rejected(): Readonly<Record<AdmissionKind, number>> {
		return this.#rejected;
	}

	limit(kind: AdmissionKind): number {
		return this.#limits[kind];
	}

	/** Null when the class is full. */
	tryAcquire(kind: AdmissionKind): Permit | null {
		if (!this.#take(kind)) {
			this.#rejected[kind] += 1;
			return null;
		}
		let held: AdmissionKind | null = kind;
		const acquired = { kind };
		return {
			get kind() {
				return acquired.kind;
			},
			become: (other) => {
				if (held === null || held === other) {
					return held === other;
				}
				if (!this.#take(other)) {
					return false;
				}
				this.#current[held] -= 1;
				held = other;
				acquired.kind = other;
				return true;
			},
			release: () => {
				if (held !== null) {
					this.#current[held] -= 1;
					held = null;
				}
			},
		};
	}

	/** Counts a rejection that was decided elsewhere (a permit that could not change its class). */
	countRejection(kind: AdmissionKind): void {
		this.#rejected[kind] += 1;
	}

	#take(kind: AdmissionKind): boolean {
		if (this.#current[kind] >= this.#limits[kind]) {
			return false;
		}
		this.#current[kind] += 1;
		return true;
	}
}

const RETRY_AFTER_SECONDS_MIN = 6;
const RETRY_AFTER_SECONDS_SPREAD = 5;

/** 6 to 10 seconds, so that rejected clients do not come back together. */
export function admissionRetryAfter(random: () => number = Math.random): number {
	return RETRY_AFTER_SECONDS_MIN + Math.floor(random() * RETRY_AFTER_SECONDS_SPREAD);
}
