/**
 * The shapes of a lane and their lives: restored, added, opened, published, invalidated, removed. Owns the shape
 * records, the set of unsynced logs, and the lane's words of the shape table; must never read a row, nor touch
 * the words of a slot that has been given to another shape. Called by the batch processor, the shape control and
 * the checkpoint.
 */

import { must } from "../../shared/assert.ts";
import { SluiceError } from "../../shared/errors.ts";
import { LOG_OPEN_PATIENCE_MS } from "../../shared/limits.ts";
import type { LaneLog, LogStore, RecoveryRules } from "../../shared/log-store.ts";
import type { Logger } from "../../shared/logging.ts";
import type { Relation, ShapeMatcher } from "../../shared/matching.ts";
import type { LaneEvent } from "../../shared/messages.ts";
import type { ShapeAssignment } from "../../shared/shape-definition.ts";
import { INVALIDATED_CORRUPT, INVALIDATED_NO, type ShapeTable } from "../../shared/shape-table.ts";
import { EncoderGroups } from "./encoder-group.ts";
import { LaneShape, type PendingSplice } from "./lane-shape.ts";
import { SnapshotVisibility } from "./snapshot-visibility.ts";

export interface ShapeBookOptions {
	readonly lane: number;
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
	/** Slot and generation of shapes that were invalidated and whose removal the registrar has not confirmed. */
	readonly #ending = new Map<number, number>();
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

	/**
	 * Shapes that ended and are still in the catalogue: until the registrar has removed them there, a restart
	 * would bring them back without what ended them, so that this must not be reported as durable.
	 */
	get endingCount(): number {
		return this.#ending.size;
	}

	/** The thread works for this slot from now on, as far as anybody can see who finds it dead. */
	workOn(slot: number): void {
		this.#options.table.setLaneWorkingOn(this.#options.lane, slot);
	}

	/** Undefined when the lane has no such shape. */
	find(slot: number): LaneShape | undefined {
		return this.#bySlot[slot];
	}

	/**
	 * A complete shape of an earlier run or life; its log stays closed. Null when an earlier life of the lane has
	 * invalidated it, or its slot is another shape's by now.
	 */
	restore(assignment: ShapeAssignment): LaneShape | null {
		const { slot, generation } = assignment;
		if (this.#options.table.generation(slot) !== generation) {
			return null;
		}
		const reason = this.#options.table.invalidated(slot);
		if (reason !== INVALIDATED_NO) {
			this.#ending.set(slot, generation);
			this.#options.post({ kind: "invalidated", slot, generation, reason });
			return null;
		}
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
		let log: LaneLog;
		try {
			log = this.#options.store.open(shape.directory, this.#options.rules);
		} catch (error) {
			throw this.#openFailed(shape, error);
		}
		shape.log = log;
		shape.openFailsSinceMs = null;
		this.publish(shape);
		return log;
	}

	/** A disk that refuses one log for long has lost it; that must not stop the others. */
	#openFailed(shape: LaneShape, error: unknown): unknown {
		const isRefusal =
			error instanceof SluiceError &&
			error.code === "SLUICE_DISK_FAILED" &&
			!isFileLimitCode(error.context["systemCode"]);
		if (!isRefusal) {
			return error;
		}
		const nowMs = performance.now();
		shape.openFailsSinceMs ??= nowMs;
		return nowMs - shape.openFailsSinceMs < LOG_OPEN_PATIENCE_MS
			? error
			: new SluiceError("SLUICE_LOG_CORRUPT", { directory: shape.directory, cause: error });
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
		if (!this.#isOurs(shape)) {
			this.#leave(shape);
			return;
		}
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
			if (this.#isOurs(shape)) {
				this.#options.table.setDirty(shape.slot, true);
			}
		}
	}

	/** What was taken could not be synced now: the next checkpoint tries again. */
	stillDirty(shape: LaneShape): void {
		if (!shape.isGone) {
			this.#dirty.add(shape);
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
		if (!shape.isGone && !this.#dirty.has(shape) && this.#isOurs(shape)) {
			this.#options.table.setDirty(shape.slot, false);
		}
	}

	/** Ends the shape: readers see it at once, the registrar is told and removes it. */
	invalidate(shape: LaneShape, reason: number): void {
		if (shape.isGone) {
			return;
		}
		if (!this.#isOurs(shape)) {
			this.#leave(shape);
			return;
		}
		this.#ending.set(shape.slot, shape.generation);
		this.#options.table.invalidate(shape.slot, reason);
		this.#changed.push(shape.slot);
		this.#leave(shape);
		this.#options.post({ kind: "invalidated", slot: shape.slot, generation: shape.generation, reason });
		this.#options.log.warn({ slot: shape.slot, reason }, "shape invalidated");
	}

	/** The registrar has removed the shape. Idempotent. */
	remove(slot: number, generation: number): void {
		if (this.#ending.get(slot) === generation) {
			this.#ending.delete(slot);
		}
		const shape = this.#bySlot[slot];
		if (shape !== undefined && shape.generation === generation) {
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
		const former = this.#bySlot[assignment.slot];
		if (former !== undefined) {
			this.#leave(former);
		}
		// A slot is given anew only after the removal of its former shape is durable.
		this.#ending.delete(assignment.slot);
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

	#isOurs(shape: LaneShape): boolean {
		return this.#options.table.generation(shape.slot) === shape.generation;
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

function isFileLimitCode(code: unknown): boolean {
	return code === "EMFILE" || code === "ENFILE";
}

function tableKey(schema: string, name: string): string {
	return `${schema}\u0000${name}`;
}
