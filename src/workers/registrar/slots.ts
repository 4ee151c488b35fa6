/**
 * Slots of the shared shape table: which are free, and telling readers that one changed. Owns the allocation
 * and the announcements on the BroadcastChannel; must not give a removed slot out again before readers had
 * time to notice. Called by shapes.
 */

import { BroadcastChannel } from "node:worker_threads";
import { SluiceError } from "../../shared/errors.ts";
import { SHAPES_MAX } from "../../shared/limits.ts";
import { type SlotsChanged, slotsChannelName } from "../../shared/messages.ts";

/** A removed slot rests this long; a long-poll lasts 40 s at most. */
const REST_MS = 60_000;

export class Slots {
	readonly #now: () => number;
	readonly #limit: number;
	/** Removed slots in the order of their removal. */
	readonly #resting: { readonly slot: number; readonly until: number }[] = [];
	#restingHead = 0;
	#next = 0;

	constructor(limit: number = SHAPES_MAX, now: () => number = () => performance.now()) {
		this.#limit = limit;
		this.#now = now;
	}

	/** @throws SluiceError `SLUICE_SHAPES_EXHAUSTED` */
	take(): number {
		const oldest = this.#resting[this.#restingHead];
		if (oldest !== undefined && oldest.until <= this.#now()) {
			this.#restingHead += 1;
			if (this.#restingHead > 1024 && this.#restingHead * 2 > this.#resting.length) {
				this.#resting.splice(0, this.#restingHead);
				this.#restingHead = 0;
			}
			return oldest.slot;
		}
		if (this.#next >= this.#limit) {
			throw new SluiceError("SLUICE_SHAPES_EXHAUSTED", { limit: this.#limit });
		}
		this.#next += 1;
		return this.#next - 1;
	}

	/** The slot's shape is gone, its files too. */
	giveBack(slot: number): void {
		this.#resting.push({ slot, until: this.#now() + REST_MS });
	}
}

/** Posts changed slots, those of one turn of the event loop together. The words are written before. */
export class SlotAnnouncer {
	readonly #channel: BroadcastChannel;
	readonly #changed = new Set<number>();
	#scheduled = false;
	#closed = false;

	constructor(instanceId: string) {
		this.#channel = new BroadcastChannel(slotsChannelName(instanceId));
		this.#channel.unref();
	}

	changed(slot: number): void {
		this.#changed.add(slot);
		if (!this.#scheduled) {
			this.#scheduled = true;
			setImmediate(() => this.#flush());
		}
	}

	close(): void {
		this.#flush();
		this.#closed = true;
		this.#channel.close();
	}

	#flush(): void {
		this.#scheduled = false;
		if (this.#closed || this.#changed.size === 0) {
			return;
		}
		const message: SlotsChanged = { slots: Uint32Array.from(this.#changed) };
		this.#changed.clear();
		this.#channel.postMessage(message);
	}
}
