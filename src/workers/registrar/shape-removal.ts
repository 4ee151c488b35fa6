/**
 * The end of a shape: readers are told, the snapshot is stopped, the catalogue forgets, the lane lets go, the
 * files go, the slot rests. Owns this order. A crash leaves orphaned files at worst, never a stored shape without
 * them; and a lane that invalidated a shape holds its durable position back until it is told to let go, so that
 * what ended the shape is not acknowledged while a restart would still bring the shape back. Must never decide that
 * a shape ends. Called by shapes.
 */

import { rm } from "node:fs/promises";
import { SluiceError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logging.ts";
import { type ShapeTable, SLOT_REMOVED } from "../../shared/shape-table.ts";
import { backoffMs, waitMs } from "./backoff.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Lanes } from "./lanes.ts";
import type { Shape, ShapeRegistry } from "./shape-registry.ts";
import type { SlotAnnouncer, Slots } from "./slots.ts";

/** Shorter than the pace at which main stores positions again: those wait for removals. */
const STORAGE_BACKOFF = { firstMs: 50, maxMs: 500 };

/** Why a shape is removed; for the log line. */
export type RemovalReason = "deleted" | "failed" | "purged" | "invalidated" | "lane-died" | "table-changed" | "expired";

export interface RemovalRooms {
	readonly table: ShapeTable;
	readonly announcer: SlotAnnouncer;
	readonly lanes: Lanes;
	readonly catalogue: Catalogue;
	readonly slots: Slots;
	readonly logger: Logger;
	readonly onCount: (count: number) => void;
	/** Aborted when the registrar stops. */
	readonly signal: AbortSignal;
}

export class ShapeRemoval {
	readonly #rooms: RemovalRooms;
	readonly #registry: ShapeRegistry;
	/** Removals that are not durable yet. */
	readonly #removing = new Set<Promise<void>>();
	/** Files on their way out. */
	readonly #clearing = new Set<Promise<void>>();

	constructor(rooms: RemovalRooms, registry: ShapeRegistry) {
		this.#rooms = rooms;
		this.#registry = registry;
	}

	/** Every shape: there is a gap in the stream. Resolves when the catalogue holds none of them. */
	async purge(): Promise<void> {
		for (const shape of this.#registry.all()) {
			this.removeSoon(shape, "purged");
		}
		await Promise.all(this.#removing);
	}

	/**
	 * Resolves once every removal that has begun is durable.
	 * @throws SluiceError `SLUICE_DISK_FAILED` when that takes longer than `deadlineMs`
	 */
	async durable(deadlineMs: number): Promise<void> {
		if (this.#removing.size === 0) {
			return;
		}
		let timer: NodeJS.Timeout | undefined;
		const late = new Promise<never>((_resolve, reject) => {
			timer = setTimeout(
				() =>
					reject(
						new SluiceError("SLUICE_DISK_FAILED", { operation: "catalogue-remove", waiting: this.#removing.size }),
					),
				deadlineMs,
			);
		});
		try {
			await Promise.race([Promise.all(this.#removing), late]);
		} finally {
			clearTimeout(timer);
		}
	}

	/**
	 * Readers are told at once. Resolves when the removal is durable; the files go afterwards, and the slot
	 * rests after them.
	 */
	async remove(shape: Shape, reason: RemovalReason): Promise<void> {
		if (shape.state === "removed") {
			return;
		}
		const removal = this.#remove(shape, reason).then(() => {
			this.#removing.delete(removal);
		});
		// One that failed stays: nothing may be acknowledged past it.
		this.#removing.add(removal);
		await removal;
	}

	async #remove(shape: Shape, reason: RemovalReason): Promise<void> {
		const { table, announcer, catalogue, logger, onCount } = this.#rooms;
		const wasStored = shape.state === "active";
		shape.state = "removed";
		this.#registry.delete(shape);
		table.setState(shape.slot, SLOT_REMOVED);
		announcer.changed(shape.slot);
		shape.abort.abort(new SluiceError("SLUICE_SHAPE_GONE"));
		onCount(this.#registry.size);
		logger.debug({ handle: shape.handle, reason, wasStored }, "removing a shape");
		await shape.built.catch(() => {});
		await this.#untilStored(() => catalogue.removeShape(shape.handle));
		const cleared = this.#clear(shape).finally(() => this.#clearing.delete(cleared));
		this.#clearing.add(cleared);
	}

	/** Waits until removed shapes and their files are gone. */
	async settled(): Promise<void> {
		await Promise.allSettled(this.#removing);
		await Promise.allSettled(this.#clearing);
	}

	removeSoon(shape: Shape, reason: RemovalReason): void {
		this.remove(shape, reason).catch((err: unknown) => {
			this.#rooms.logger.error({ err, handle: shape.handle }, "a shape could not be removed");
		});
	}

	async #detach(shape: Shape): Promise<void> {
		const { lanes, logger, signal } = this.#rooms;
		try {
			const connection = await lanes.present(shape.lane, signal);
			await connection?.control.removeShape(shape.slot, shape.generation);
		} catch (err) {
			// The lane has died: its next life is not given this shape.
			logger.debug({ err, handle: shape.handle }, "the lane did not confirm the removal of a shape");
		}
	}

	/**
	 * Repeats until the disk takes it: as long as the catalogue names a shape its files must stay.
	 * @throws what the last attempt met, when the registrar stops
	 */
	async #untilStored(change: () => Promise<void>): Promise<void> {
		const { signal, logger } = this.#rooms;
		for (let attempt = 0; ; attempt += 1) {
			try {
				await change();
				return;
			} catch (err) {
				if (signal.aborted) {
					throw err;
				}
				logger.warn({ err, attempt }, "the catalogue cannot be written, trying again");
				await waitMs(backoffMs(attempt, STORAGE_BACKOFF, Math.random()), signal);
			}
		}
	}

	async #clear(shape: Shape): Promise<void> {
		const { slots, logger } = this.#rooms;
		await this.#detach(shape);
		try {
			await rm(shape.directory, { recursive: true, force: true });
		} catch (err) {
			// The next start removes directories that the catalogue does not name.
			logger.warn({ err, handle: shape.handle }, "the files of a removed shape cannot be deleted now");
		}
		slots.giveBack(shape.slot);
	}
}
