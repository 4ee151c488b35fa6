/**
 * The match room's door: shapes by relation, the relation's index, and the union of what the old and the new row
 * find. Owns which relations are watched; must report each shape at most once a row. Called by the lane.
 */

import { invariant } from "../../shared/assert.ts";
import { SHAPES_MAX } from "../../shared/limits.ts";
import type { MatchSink, Relation, ShapeMatcher } from "../../shared/matching.ts";
import type { ShapeDefinition } from "../../shared/shape-definition.ts";
import type { Tuple } from "../../shared/tuple.ts";
import { FilterIndex } from "./filter-index.ts";

/** A matcher without shapes. */
export function createShapeMatcher(): ShapeMatcher {
	return new Matcher();
}

const STAMP_MAX = 0x7fff_ffff;

class Matcher implements ShapeMatcher {
	readonly #indexes = new Map<number, FilterIndex>();
	readonly #relations = new Map<number, Relation>();
	/** Relations that a slot is registered with. */
	readonly #relationsOfSlot = new Map<number, readonly number[]>();

	/** By slot: the number of the row change in which the old, or the new, row was last found inside. */
	#oldStamps = new Int32Array(1024);
	#newStamps = new Int32Array(1024);
	#stamp = 0;
	/** Slots found by the row change at hand. */
	#found = new Int32Array(64);
	#foundCount = 0;

	addShape(slot: number, definition: ShapeDefinition): void {
		invariant(slot >= 0 && slot < SHAPES_MAX, "a slot beyond the shape table");
		invariant(!this.#relationsOfSlot.has(slot), "a slot is added twice");
		const { table, where } = definition;
		// A root is listed too: its rows come under its own oid when the publication says so.
		const oids = [...new Set([table.oid, ...table.leafOids])];
		for (const oid of oids) {
			this.#indexFor(oid).add(slot, where === null ? null : where.tree, table.columns);
		}
		this.#relationsOfSlot.set(slot, oids);
		this.#reserve(slot);
	}

	removeShape(slot: number): void {
		for (const oid of this.#relationsOfSlot.get(slot) ?? []) {
			const index = this.#indexes.get(oid);
			index?.remove(slot);
			if (index?.size === 0) {
				this.#indexes.delete(oid);
			}
		}
		this.#relationsOfSlot.delete(slot);
	}

	watches(relationOid: number): boolean {
		return this.#indexes.has(relationOid);
	}

	shapesOn(relationOid: number): readonly number[] {
		return this.#indexes.get(relationOid)?.slots() ?? [];
	}

	bindRelation(relation: Relation): void {
		this.#relations.set(relation.oid, relation);
		this.#indexes.get(relation.oid)?.bind(relation.columns);
	}

	match(relationOid: number, oldTuple: Tuple | null, newTuple: Tuple | null, sink: MatchSink): void {
		const index = this.#indexes.get(relationOid);
		if (index === undefined) {
			return;
		}
		this.#nextStamp();
		if (oldTuple !== null) {
			index.find(oldTuple, this.#markOld);
		}
		if (newTuple !== null) {
			index.find(newTuple, this.#markNew);
		}
		const stamp = this.#stamp;
		for (let at = 0; at < this.#foundCount; at += 1) {
			const slot = this.#found[at] ?? 0;
			sink(slot, this.#oldStamps[slot] === stamp, this.#newStamps[slot] === stamp);
		}
	}

	#indexFor(oid: number): FilterIndex {
		const known = this.#indexes.get(oid);
		if (known !== undefined) {
			return known;
		}
		const index = new FilterIndex();
		const relation = this.#relations.get(oid);
		if (relation !== undefined) {
			index.bind(relation.columns);
		}
		this.#indexes.set(oid, index);
		return index;
	}

	readonly #markOld = (slot: number): void => {
		const stamp = this.#stamp;
		if (this.#oldStamps[slot] !== stamp) {
			this.#oldStamps[slot] = stamp;
			this.#push(slot);
		}
	};

	readonly #markNew = (slot: number): void => {
		const stamp = this.#stamp;
		if (this.#newStamps[slot] !== stamp) {
			this.#newStamps[slot] = stamp;
			if (this.#oldStamps[slot] !== stamp) {
				this.#push(slot);
			}
		}
	};

	#push(slot: number): void {
		if (this.#foundCount === this.#found.length) {
			this.#found = grown(this.#found, this.#foundCount * 2);
		}
		this.#found[this.#foundCount] = slot;
		this.#foundCount += 1;
	}

	#nextStamp(): void {
		this.#foundCount = 0;
		if (this.#stamp === STAMP_MAX) {
			this.#oldStamps.fill(0);
			this.#newStamps.fill(0);
			this.#stamp = 0;
		}
		this.#stamp += 1;
	}

	#reserve(slot: number): void {
		if (slot >= this.#oldStamps.length) {
			const capacity = Math.max(slot + 1, this.#oldStamps.length * 2);
			this.#oldStamps = grown(this.#oldStamps, capacity);
			this.#newStamps = grown(this.#newStamps, capacity);
		}
	}
}

function grown(array: Int32Array<ArrayBuffer>, capacity: number): Int32Array<ArrayBuffer> {
	const larger = new Int32Array(capacity);
	larger.set(array);
	return larger;
}
