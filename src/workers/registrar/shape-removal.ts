/**
 * The end of a shape: readers are told, the snapshot is stopped, the lane lets go, the catalogue forgets, the
 * files go, the slot rests. Owns this order, which lets a crash leave orphaned files at worst, never a stored
 * shape without them; must never decide that a shape ends. Called by shapes.
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

const STORAGE_BACKOFF = { firstMs: 100, maxMs: 10_000 };

/** Why a shape is removed; for the log line. */
export type RemovalReason = "deleted" | "failed" | "purged" | "invalidated" | "lane-died" | "table-changed";

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
	 * Readers are told at once. Resolves when the removal is durable; the files go afterwards, and the slot
	 * rests after them.
	 */
	async remove(shape: Shape, reason: RemovalReason): Promise<void> {
		if (shape.state === "removed") {
			return;
		}
		const removal = this.#remove(shape, reason).finally(() => this.#removing.delete(removal));
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
		await this.#detach(shape);
		await this.#untilStored(() => catalogue.removeShape(shape.handle));
		const cleared = this.#clear(shape).finally(() => this.#clearing.delete(cleared));
		this.#clearing.add(cleared);
	}

	/** Waits until removed shapes and their files are gone. */
	async settled(): Promise<void> {
		await Promise.all(this.#removing);
		await Promise.all(this.#clearing);
	}

	removeSoon(shape: Shape, reason: RemovalReason): void {
		this.remove(shape, reason).catch((err: unknown) => {
			this.#rooms.logger.error({ err, handle: shape.handle }, "a shape could not be removed");
		});
	}

	async #detach(shape: Shape): Promise<void> {
		const { lanes, logger } = this.#rooms;
		try {
			const connection = await lanes.present(shape.lane);
			await connection?.control.removeShape(shape.slot);
		} catch (err) {
			// The lane has died: its next life is not given this shape.
			logger.debug({ err, handle: shape.handle }, "the lane did not confirm the removal of a shape");
		}
	}

	/** Repeats until the disk takes it: as long as the catalogue names a shape its files must stay. */
	async #untilStored(change: () => Promise<void>): Promise<void> {
		const { signal, logger } = this.#rooms;
		for (let attempt = 0; !signal.aborted; attempt += 1) {
			try {
				await change();
				return;
			} catch (err) {
				logger.warn({ err, attempt }, "the catalogue cannot be written, trying again");
				await waitMs(backoffMs(attempt, STORAGE_BACKOFF, Math.random()), signal);
			}
		}
	}

	async #clear(shape: Shape): Promise<void> {
		const { slots, logger } = this.#rooms;
		try {
			await rm(shape.directory, { recursive: true, force: true });
		} catch (err) {
			// The next start removes directories that the catalogue does not name.
			logger.warn({ err, handle: shape.handle }, "the files of a removed shape cannot be deleted now");
		}
		slots.giveBack(shape.slot);
	}
}
