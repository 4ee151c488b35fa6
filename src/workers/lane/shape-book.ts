/**
 * The shapes of a lane and their lives: restored, added, opened, published, invalidated, removed. Owns the shape
 * records, the set of unsynced logs, and the lane's words of the shape table; must never read a row. Called by
 * the batch processor, the shape control and the checkpoint.
 */

import { must } from "../../shared/assert.ts";
import { SluiceError } from "../../shared/errors.ts";
import type { LaneLog, LogStore, RecoveryRules } from "../../shared/log-store.ts";
import type { Logger } from "../../shared/logging.ts";
import type { Relation, ShapeMatcher } from "../../shared/matching.ts";
import type { LaneEvent } from "../../shared/messages.ts";
import type { ShapeAssignment } from "../../shared/shape-definition.ts";
import { INVALIDATED_CORRUPT, type ShapeTable } from "../../shared/shape-table.ts";
import { EncoderGroups } from "./encoder-group.ts";
import { LaneShape, type PendingSplice } from "./lane-shape.ts";
import { SnapshotVisibility } from "./snapshot-visibility.ts";

export interface ShapeBookOptions {
	readonly table: ShapeTable;
	readonly matcher: ShapeMatcher;
	readonly store: LogStore;
	readonly rules: RecoveryRules;
	readonly post: (event: LaneEvent) => void;
	readonly log: Logger;
}

export class ShapeBook {
	readonly #options: ShapeBookOptions;
	readonly #bySlot: (LaneShape | undefined)[] = [];
	readonly #byTable = new Map<string, Set<LaneShape>>();
	readonly #groups = new EncoderGroups();
	readonly #dirty = new Set<LaneShape>();
	#changed: number[] = [];
	#count = 0;

	constructor(options: ShapeBookOptions) {
		this.#options = options;
	}

	get count(): number {
		return this.#count;
	}

	get dirtyCount(): number {
		return this.#dirty.size;
	}

	/** Undefined when the lane has no such shape. */
	find(slot: number): LaneShape | undefined {
		return this.#bySlot[slot];
	}

	/** A complete shape of an earlier run or life; its log stays closed. */
	restore(assignment: ShapeAssignment): LaneShape {
		const snapshot = assignment.snapshot === null ? null : new SnapshotVisibility(assignment.snapshot);
		const shape = this.#enter(assignment, snapshot, null);
		if (this.#options.table.isDirty(shape.slot)) {
			this.#dirty.add(shape);
		}
		return shape;
	}

	/**
	 * A new shape; its log is empty, and open. Until its snapshot is spliced nothing of it is published.
	 * @throws SluiceError `SLUICE_DISK_FULL`, `SLUICE_DISK_FAILED`
	 */
	add(assignment: ShapeAssignment, pending: PendingSplice): LaneShape {
		const log = this.#options.store.create(assignment.directory);
		const shape = this.#enter(assignment, null, pending);
		shape.log = log;
		this.publish(shape);
		return shape;
	}

	/** Opens the shape's log and shows readers what it holds. @throws SluiceError `SLUICE_LOG_CORRUPT`, `SLUICE_DISK_FAILED` */
	recover(shape: LaneShape): LaneLog {
		shape.log = this.#options.store.open(shape.directory, this.#options.rules);
		this.publish(shape);
		return shape.log;
	}

	/**
	 * The shape's log, recovered if need be. Null when it is damaged: then the shape is invalidated.
	 * @throws SluiceError `SLUICE_DISK_FAILED`
	 */
	openLog(shape: LaneShape): LaneLog | null {
		if (shape.log !== null || shape.isGone) {
			return shape.log;
		}
		try {
			return this.recover(shape);
		} catch (error) {
			if (!(error instanceof SluiceError) || error.code !== "SLUICE_LOG_CORRUPT") {
				throw error;
			}
			this.#options.log.error({ err: error, slot: shape.slot }, "shape log is damaged, dropping the shape");
			this.invalidate(shape, INVALIDATED_CORRUPT);
			return null;
		}
	}

	/** Shows readers everything that is complete. The change is announced with the next batch or by the caller. */
	publish(shape: LaneShape): void {
		const log = must(shape.log, "publishing a log that is not open");
		this.#options.table.publishLog(shape.slot, log.visibleState());
		shape.publishedEntries = log.completedEntries;
		this.#changed.push(shape.slot);
	}

	/** The log was written, or found written by a replay: the next checkpoint syncs it. */
	markDirty(shape: LaneShape): void {
		const log = must(shape.log, "marking a log that is not open");
		if (!log.dirty) {
			log.dirty = true;
			this.#dirty.add(shape);
			this.#options.table.setDirty(shape.slot, true);
		}
	}

	/** All unsynced shapes; the set begins anew. */
	takeDirty(): readonly LaneShape[] {
		const taken = [...this.#dirty];
		this.#dirty.clear();
		return taken;
	}

	/** Everything that was taken is synced. The mark in shared memory goes unless the log was written meanwhile. */
	synced(shape: LaneShape): void {
		if (!shape.isGone && !this.#dirty.has(shape)) {
			this.#options.table.setDirty(shape.slot, false);
		}
	}

	/** Ends the shape: readers see it at once, the registrar is told and removes it. */
	invalidate(shape: LaneShape, reason: number): void {
		if (shape.isGone) {
			return;
		}
		this.#options.table.invalidate(shape.slot, reason);
		this.#changed.push(shape.slot);
		this.#leave(shape);
		this.#options.post({ kind: "invalidated", slot: shape.slot, generation: shape.generation, reason });
		this.#options.log.warn({ slot: shape.slot, reason }, "shape invalidated");
	}

	/** The registrar removes the shape. Idempotent. */
	remove(slot: number): void {
		const shape = this.#bySlot[slot];
		if (shape !== undefined) {
			this.#leave(shape);
		}
	}

	/** Shapes that a Relation message may concern: by oid, partitions included, and by name. */
	concernedBy(relation: Relation): readonly LaneShape[] {
		const found = new Set(this.on(relation.oid));
		for (const shape of this.#byTable.get(tableKey(relation.schema, relation.name)) ?? []) {
			found.add(shape);
		}
		return [...found];
	}

	/** Shapes that watch a relation. */
	on(oid: number): readonly LaneShape[] {
		return this.#options.matcher
			.shapesOn(oid)
			.map((slot) => this.#bySlot[slot])
			.filter((shape) => shape !== undefined);
	}

	all(): readonly LaneShape[] {
		return this.#bySlot.filter((shape) => shape !== undefined);
	}

	/** Slots whose log or state changed since the last call. */
	takeChanged(): Uint32Array | null {
		if (this.#changed.length === 0) {
			return null;
		}
		const slots = Uint32Array.from(new Set(this.#changed));
		this.#changed = [];
		return slots;
	}

	#enter(assignment: ShapeAssignment, snapshot: SnapshotVisibility | null, pending: PendingSplice | null): LaneShape {
		this.remove(assignment.slot);
		const { definition } = assignment;
		const shape = new LaneShape(assignment, this.#groups.join(definition), snapshot, pending);
		this.#bySlot[shape.slot] = shape;
		const key = tableKey(definition.table.schema, definition.table.name);
		const sameTable = this.#byTable.get(key);
		if (sameTable === undefined) {
			this.#byTable.set(key, new Set([shape]));
		} else {
			sameTable.add(shape);
		}
		this.#options.matcher.addShape(shape.slot, definition);
		this.#count += 1;
		return shape;
	}

	#leave(shape: LaneShape): void {
		if (shape.isGone) {
			return;
		}
		shape.isGone = true;
		const { table } = shape.definition;
		const key = tableKey(table.schema, table.name);
		const sameTable = this.#byTable.get(key);
		sameTable?.delete(shape);
		if (sameTable?.size === 0) {
			this.#byTable.delete(key);
		}
		this.#options.matcher.removeShape(shape.slot);
		this.#groups.leave(shape.definition);
		this.#dirty.delete(shape);
		this.#bySlot[shape.slot] = undefined;
		this.#count -= 1;
		if (shape.log !== null) {
			this.#options.store.release(shape.log);
		}
	}
}

function tableKey(schema: string, name: string): string {
	return `${schema}\u0000${name}`;
}
