/**
 * Waiting for the service to become active, bounded. The level is a word in shared memory that nobody announces;
 * one timer looks at it while somebody waits. Called by requests that need a new shape.
 */

import { LEVEL_ACTIVE, type ShapeTable } from "../../shared/shape-table.ts";

const LOOK_INTERVAL_MS = 20;

interface Waiting {
	readonly deadlineMs: number;
	readonly resolve: (active: boolean) => void;
}

export class LevelWatch {
	readonly #table: Pick<ShapeTable, "statusLevel">;
	readonly #waiting = new Set<Waiting>();
	#timer: NodeJS.Timeout | null = null;

	constructor(table: Pick<ShapeTable, "statusLevel">) {
		this.#table = table;
	}

	get active(): boolean {
		return this.#table.statusLevel() === LEVEL_ACTIVE;
	}

	/** True once the level is active, false when `timeoutMs` have passed without that. */
	whenActive(timeoutMs: number): Promise<boolean> {
		if (this.active || timeoutMs <= 0) {
			return Promise.resolve(this.active);
		}
		return new Promise((resolve) => {
			this.#waiting.add({ deadlineMs: performance.now() + timeoutMs, resolve });
			this.#timer ??= setInterval(() => this.#look(), LOOK_INTERVAL_MS);
		});
	}

	#look(): void {
		const now = performance.now();
		for (const waiting of this.#waiting) {
			if (this.active || now >= waiting.deadlineMs) {
				this.#waiting.delete(waiting);
				waiting.resolve(this.active);
			}
		}
		if (this.#waiting.size === 0 && this.#timer !== null) {
			clearInterval(this.#timer);
			this.#timer = null;
		}
	}
}
