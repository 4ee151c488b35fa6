/**
 * Shapes that nobody reads: which are dropped because there are too many or because they were idle for too long. Owns
 * the decision, its timer, and writing down when shapes were last read, so that a restart does not make all of them look
 * new; must never drop a shape that is being made or read. HTTP threads only store a word at a read (shape-table.ts).
 * Made and started by the registrar. Source: shape-http-api.md 15.
 */

import {
	SHAPE_EXPIRY_LOOK_MS,
	SHAPE_IN_USE_SECONDS,
	SHAPE_READS_STORED_SECONDS,
	SHAPE_RETURN_SECONDS,
} from "../../shared/limits.ts";
import type { Logger } from "../../shared/logging.ts";
import { readClockSeconds, type ShapeTable } from "../../shared/shape-table.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Shape } from "./shape-registry.ts";
import type { Shapes } from "./shapes.ts";

/** Rows written in one turn of the event loop. */
const STORED_AT_A_TIME = 1_000;
/** Of a slot that was assigned and not read since. */
const NEVER_HERE = 0;
const SURPLUS_LINE_INTERVAL_SECONDS = 60;

export interface ExpiryRules {
	/** 0: no limit. */
	readonly maxShapes: number;
	/** 0: never. */
	readonly idleSeconds: number;
	/** When this process began to serve, by the clock of `lastRead`. */
	readonly startedSeconds: number;
}

export interface ExpiryVerdict {
	/** Positions in the given list; those read least recently first. */
	readonly idle: readonly number[];
	readonly surplus: readonly number[];
	/** Shapes beyond the limit that are in use and therefore stay. */
	readonly unexpirable: number;
}

/**
 * What expires now. @param shapes every shape that counts; `lastRead` null for one that may not go because it is being made
 */
export function decideExpiry(
	shapes: readonly { readonly lastRead: number | null }[],
	rules: ExpiryRules,
	nowSeconds: number,
): ExpiryVerdict {
	const { maxShapes, idleSeconds, startedSeconds } = rules;
	const returning = nowSeconds - startedSeconds < SHAPE_RETURN_SECONDS;
	const unused: { readonly position: number; readonly lastRead: number }[] = [];
	for (const [position, { lastRead }] of shapes.entries()) {
		const inUse =
			lastRead === null || nowSeconds - lastRead < SHAPE_IN_USE_SECONDS || (returning && lastRead < startedSeconds);
		if (!inUse) {
			unused.push({ position, lastRead });
		}
	}
	unused.sort((left, right) => left.lastRead - right.lastRead);
	const idle: number[] = [];
	const others: number[] = [];
	for (const { position, lastRead } of unused) {
		// Nobody could read while the service was down.
		const idleFor = nowSeconds - Math.max(lastRead, startedSeconds);
		(idleSeconds > 0 && idleFor >= idleSeconds ? idle : others).push(position);
	}
	const beyond = maxShapes === 0 ? 0 : Math.max(0, shapes.length - idle.length - maxShapes);
	const surplus = others.slice(0, beyond);
	return { idle, surplus, unexpirable: beyond - surplus.length };
}

export interface ExpiryRooms {
	readonly table: ShapeTable;
	readonly shapes: Pick<Shapes, "all" | "remove">;
	readonly catalogue: Pick<Catalogue, "lastReads" | "storeReads">;
	readonly logger: Logger;
	readonly maxShapes: number;
	readonly idleSeconds: number;
	/** Looks only when this is so: the lock is held. */
	readonly enabled: () => boolean;
	/** For tests. */
	readonly clockSeconds?: () => number;
	readonly unixSeconds?: () => number;
}

export class ShapeExpiry {
	readonly #rooms: ExpiryRooms;
	readonly #clock: () => number;
	readonly #unix: () => number;
	#startedSeconds: number;
	/** As the catalogue holds them, by handle and in this process's clock. */
	readonly #stored = new Map<string, number>();
	#timer: NodeJS.Timeout | null = null;
	#storedAtSeconds: number;
	#surplusLineAtSeconds = Number.NEGATIVE_INFINITY;
	#storing: Promise<void> = Promise.resolve();

	constructor(rooms: ExpiryRooms) {
		this.#rooms = rooms;
		this.#clock = rooms.clockSeconds ?? readClockSeconds;
		this.#unix = rooms.unixSeconds ?? (() => Math.floor(Date.now() / 1_000));
		this.#startedSeconds = this.#clock();
		this.#storedAtSeconds = this.#startedSeconds;
	}

	/** Shapes expire at all. */
	get #isOn(): boolean {
		return this.#rooms.maxShapes > 0 || this.#rooms.idleSeconds > 0;
	}

	/**
	 * After the shapes of an earlier run, or of the daemon whose place this one takes, are in the table: gives them the
	 * times of their last reads. Those that were read here meanwhile have later ones.
	 */
	restore(): void {
		if (!this.#isOn) {
			return;
		}
		const { catalogue, shapes, table } = this.#rooms;
		const now = this.#clock();
		const toClock = now - this.#unix();
		this.#startedSeconds = now;
		this.#storedAtSeconds = now;
		const reads = catalogue.lastReads();
		for (const { handle, slot } of shapes.all()) {
			const lastRead = reads.get(handle);
			// Nothing is known of one from before there was a limit: it counts as read until the start, and its readers have
			// time to come back. A wall clock that was set back must not make a shape look read in the future.
			const stored = Math.min(lastRead === undefined ? now - 1 : lastRead + toClock, now);
			const here = table.lastRead(slot);
			table.markRead(slot, here === NEVER_HERE ? stored : Math.max(here, stored));
			if (lastRead !== undefined) {
				this.#stored.set(handle, stored);
			}
		}
	}

	start(): void {
		if (this.#isOn) {
			this.#timer = setInterval(() => this.look(), SHAPE_EXPIRY_LOOK_MS);
			this.#timer.unref();
		}
	}

	/** Stops looking; what was read is written down. */
	async stop(): Promise<void> {
		if (this.#timer !== null) {
			clearInterval(this.#timer);
			this.#timer = null;
			this.#storeReads(0);
		}
		await this.#storing;
	}

	/** One look. */
	look(): void {
		const { table, shapes, logger, maxShapes, idleSeconds, enabled } = this.#rooms;
		const now = this.#clock();
		if (now - this.#storedAtSeconds >= SHAPE_READS_STORED_SECONDS) {
			this.#storedAtSeconds = now;
			this.#storeReads(SHAPE_READS_STORED_SECONDS);
		}
		if (!enabled()) {
			return;
		}
		const all = shapes.all();
		const facts = all.map((shape) => ({ lastRead: shape.state === "active" ? table.lastRead(shape.slot) : null }));
		const rules = { maxShapes, idleSeconds, startedSeconds: this.#startedSeconds };
		const { idle, surplus, unexpirable } = decideExpiry(facts, rules, now);
		for (const position of [...idle, ...surplus]) {
			const shape = all[position];
			if (shape !== undefined) {
				this.#expire(shape);
			}
		}
		if (idle.length + surplus.length > 0) {
			const facts = { idle: idle.length, surplus: surplus.length, shapes: all.length, maxShapes, idleSeconds };
			logger.info(facts, "dropping shapes that nobody reads");
		}
		if (unexpirable > 0 && now - this.#surplusLineAtSeconds >= SURPLUS_LINE_INTERVAL_SECONDS) {
			this.#surplusLineAtSeconds = now;
			logger.warn({ shapes: all.length, maxShapes }, "more shapes than SLUICE_MAX_SHAPES are being read, keeping them");
		}
	}

	#expire(shape: Shape): void {
		this.#stored.delete(shape.handle);
		this.#rooms.shapes.remove(shape, "expired").catch((err: unknown) => {
			this.#rooms.logger.error({ err, handle: shape.handle }, "a shape that nobody reads could not be removed");
		});
	}

	/** Those whose stored time is older by so many seconds or more. Failures are told and wait for the next round. */
	#storeReads(olderBySeconds: number): void {
		const toUnix = this.#unix() - this.#clock();
		const changed: { readonly handle: string; readonly lastRead: number; readonly seconds: number }[] = [];
		const living = new Set<string>();
		for (const shape of this.#rooms.shapes.all()) {
			living.add(shape.handle);
			const seconds = this.#rooms.table.lastRead(shape.slot);
			const stored = this.#stored.get(shape.handle);
			if (shape.state === "active" && (stored === undefined || seconds - stored >= Math.max(1, olderBySeconds))) {
				changed.push({ handle: shape.handle, lastRead: seconds + toUnix, seconds });
			}
		}
		for (const handle of this.#stored.keys()) {
			if (!living.has(handle)) {
				this.#stored.delete(handle);
			}
		}
		this.#storing = this.#storing.then(() => this.#write(changed));
	}

	async #write(
		reads: readonly { readonly handle: string; readonly lastRead: number; readonly seconds: number }[],
	): Promise<void> {
		try {
			for (let from = 0; from < reads.length; from += STORED_AT_A_TIME) {
				const group = reads.slice(from, from + STORED_AT_A_TIME);
				await this.#rooms.catalogue.storeReads(group);
				for (const { handle, seconds } of group) {
					this.#stored.set(handle, seconds);
				}
			}
		} catch (err) {
			this.#rooms.logger.warn({ err }, "when shapes were read last could not be written down");
		}
	}
}
