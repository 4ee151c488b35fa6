/**
 * Reads along while another daemon writes the data directory: which shapes there are, and how far the logs of those
 * that somebody reads have come. Owns the timer, the catalogue's reader and the positions in the logs; writes the
 * shape table's words of logs as long as no lane runs. Must never change a file, and never show what is not complete.
 * Called by the registrar, from the start until it takes over.
 */

import { SluiceError } from "../../shared/errors.ts";
import { FOLLOW_INTERVAL_MS, FOLLOW_LOGS_PER_TURN } from "../../shared/limits.ts";
import type { FollowedLog, FollowLog } from "../../shared/log-store.ts";
import type { Logger } from "../../shared/logging.ts";
import type { ShapeTable } from "../../shared/shape-table.ts";
import type { CatalogueReader } from "./catalogue-reader.ts";
import type { Follow, FollowedShapes } from "./followed-shapes.ts";
import type { Shape } from "./shape-registry.ts";
import type { SlotAnnouncer } from "./slots.ts";

export interface FollowerOptions {
	readonly reader: CatalogueReader;
	readonly followLog: FollowLog;
	readonly table: ShapeTable;
	readonly announcer: Pick<SlotAnnouncer, "changed">;
	readonly shapes: () => Pick<FollowedShapes, "known" | "add" | "renew" | "withdraw">;
	readonly logger: Logger;
}

export class Follower implements Follow {
	readonly #options: FollowerOptions;
	readonly #logs = new Map<Shape, FollowedLog>();
	/** Problems that were told, so that each is told once. */
	readonly #told = new Set<string>();
	#timer: NodeJS.Timeout | null = null;
	#polling: Promise<void> = Promise.resolve();
	#stopped = false;
	/** The last look was taken: what changes from then on, this process does itself. */
	#finished = false;

	constructor(options: FollowerOptions) {
		this.#options = options;
	}

	/** Begins to look again and again. */
	start(): void {
		this.#later(FOLLOW_INTERVAL_MS);
	}

	/** Learns of shapes that came and went. @throws SluiceError `SLUICE_CATALOGUE_UNREADABLE` */
	refresh(): void {
		if (this.#finished) {
			return;
		}
		const shapes = this.#options.shapes();
		const { added, renewed, removed } = this.#options.reader.changes(() => shapes.known());
		// First: a new shape may have the definition of one that went.
		for (const handle of removed) {
			shapes.withdraw(handle);
		}
		if (added.length > 0) {
			shapes.add(added);
		}
		for (const shape of renewed) {
			shapes.renew(shape);
		}
	}

	/** The handle that a request leads to by now, or null. */
	handleOf(requestDigest: string): string | null {
		return this.#finished ? null : this.#options.reader.handleOf(requestDigest);
	}

	/** Shows readers what the shape's log holds, and reads along from there. @throws SluiceError `SLUICE_NOT_ACTIVE` */
	open(shape: Shape): void {
		if (this.#finished) {
			throw new SluiceError("SLUICE_NOT_ACTIVE", { handle: shape.handle });
		}
		const { reader, followLog, logger } = this.#options;
		try {
			const log = followLog(shape.directory, reader.position()?.acknowledgedLsn ?? 0n);
			this.#logs.set(shape, log);
			this.#told.delete(shape.handle);
			this.#publish(shape, log);
		} catch (cause) {
			// What to do about a damaged log is the writer's business, which meets it too.
			this.#tell(shape.handle, () =>
				logger.warn({ err: cause, handle: shape.handle }, "a shape's log cannot be read along"),
			);
			throw new SluiceError("SLUICE_NOT_ACTIVE", { handle: shape.handle, cause });
		}
	}

	/**
	 * Looks once at everything; nothing is looked at afterwards. The last look before lanes take over the logs.
	 * @throws SluiceError `SLUICE_CATALOGUE_UNREADABLE`
	 */
	async finish(): Promise<void> {
		await this.stop();
		try {
			this.refresh();
		} catch (err) {
			// A connection from before the writer's end may be of no use: the next one is new.
			this.#options.logger.debug({ err }, "the catalogue is read once more");
			this.refresh();
		}
		await this.#advanceAll();
		this.#over();
	}

	async stop(): Promise<void> {
		this.#stopped = true;
		if (this.#timer !== null) {
			clearTimeout(this.#timer);
			this.#timer = null;
		}
		await this.#polling;
	}

	/** Gives up what was followed: the registrar stops. */
	async close(): Promise<void> {
		await this.stop();
		this.#over();
	}

	/** A request that came before may still be under way: it must not look into files that are ours by then. */
	#over(): void {
		this.#finished = true;
		this.#logs.clear();
		this.#options.reader.close();
	}

	#later(delayMs: number): void {
		this.#timer = setTimeout(() => {
			const beganMs = performance.now();
			this.#polling = this.#poll().finally(() => {
				if (!this.#stopped) {
					this.#later(nextLookMs(performance.now() - beganMs));
				}
			});
		}, delayMs);
	}

	async #poll(): Promise<void> {
		try {
			this.refresh();
			this.#told.delete(CATALOGUE);
		} catch (err) {
			this.#tell(CATALOGUE, () => this.#options.logger.warn({ err }, "the catalogue cannot be read along"));
		}
		await this.#advanceAll();
	}

	async #advanceAll(): Promise<void> {
		let looked = 0;
		for (const [shape, log] of this.#logs) {
			this.#advance(shape, log);
			looked += 1;
			if (looked % FOLLOW_LOGS_PER_TURN === 0) {
				// Requests are answered in between.
				await new Promise((resolve) => setImmediate(resolve));
			}
		}
	}

	#advance(shape: Shape, log: FollowedLog): void {
		if (shape.state === "removed") {
			this.#logs.delete(shape);
			return;
		}
		try {
			const step = log.advance();
			if (step === "lost") {
				this.open(shape);
			} else if (step === "advanced") {
				this.#publish(shape, log);
			}
		} catch (err) {
			// Its files may be going; the catalogue says so at the next look, or it is opened anew.
			this.#tell(shape.handle, () =>
				this.#options.logger.warn({ err, handle: shape.handle }, "a shape's log cannot be read along now"),
			);
		}
	}

	#publish(shape: Shape, log: FollowedLog): void {
		this.#options.table.publishLog(shape.slot, log.state);
		this.#options.announcer.changed(shape.slot);
	}

	#tell(subject: string, tell: () => void): void {
		if (!this.#told.has(subject)) {
			this.#told.add(subject);
			tell();
		}
	}
}

const CATALOGUE = "catalogue";
/** Of the time that a look took: looking stays a small part of the thread's time. */
const REST_FACTOR = 4;

/** Pure: when to look next, after a look that took `lookedMs`. */
export function nextLookMs(lookedMs: number): number {
	return Math.max(FOLLOW_INTERVAL_MS, lookedMs * REST_FACTOR);
}
