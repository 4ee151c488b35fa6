/**
 * What ends shapes: a relation that is not what they were defined on any more, TRUNCATE, changes without their
 * old row. Owns these rules; must not end a shape for something that its snapshot already holds (the stream may
 * be far behind the catalogue that the shape was defined on). Called by the batch processor.
 */

import type { ShapeMatcher } from "../../shared/matching.ts";
import type { LaneEvent } from "../../shared/messages.ts";
import { INVALIDATED_REPLICA_IDENTITY, INVALIDATED_SCHEMA, INVALIDATED_TRUNCATE } from "../../shared/shape-table.ts";
import { isExcused } from "./admission.ts";
import type { LaneShape } from "./lane-shape.ts";
import type { RelationBook, RelationEntry } from "./relation-book.ts";
import { fitsDefinition } from "./schema-check.ts";
import type { ShapeBook } from "./shape-book.ts";
import type { StreamPosition } from "./stream-position.ts";

export class StructuralChanges {
	readonly #book: ShapeBook;
	readonly #matcher: ShapeMatcher;
	readonly #relations: RelationBook;
	readonly #position: StreamPosition;
	readonly #post: (event: LaneEvent) => void;

	constructor(
		book: ShapeBook,
		matcher: ShapeMatcher,
		relations: RelationBook,
		position: StreamPosition,
		post: (event: LaneEvent) => void,
	) {
		this.#post = post;
		this.#book = book;
		this.#matcher = matcher;
		this.#relations = relations;
		this.#position = position;
	}

	/** A new or changed Relation message. Shapes that it does not fit end with its first row that counts for them. */
	relationChanged(entry: RelationEntry): void {
		this.#matcher.bindRelation(entry.relation);
		if (!this.#matcher.watches(entry.oid)) {
			this.#post({ kind: "relation-unknown", oid: entry.oid });
		}
		for (const shape of this.#book.concernedBy(entry.relation)) {
			this.#setAsideUnlessFits(shape, entry);
		}
		if (this.#position.isOpen && entry.stale !== null) {
			this.checkStale(entry);
		}
	}

	/** A shape was added or restored: what the stream said last of its relations may be older than its definition. */
	shapeAdded(shape: LaneShape): void {
		const { table } = shape.definition;
		const oids = new Set([table.oid, ...table.leafOids]);
		for (const entry of this.#relations.all()) {
			const { relation } = entry;
			if (oids.has(relation.oid) || (relation.schema === table.schema && relation.name === table.name)) {
				this.#setAsideUnlessFits(shape, entry);
			}
		}
	}

	/** Before a row of a relation that does not fit some shapes. */
	checkStale(entry: RelationEntry): void {
		for (const shape of entry.stale ?? []) {
			if (!shape.isGone && !isExcused(shape, this.#position, INVALIDATED_SCHEMA)) {
				this.#book.invalidate(shape, INVALIDATED_SCHEMA);
			}
			if (shape.isGone) {
				entry.stale?.delete(shape);
			}
		}
		if (entry.stale?.size === 0) {
			entry.stale = null;
		}
	}

	/** Each relation counts as one change of the transaction. */
	truncated(oids: readonly number[]): void {
		for (const oid of oids) {
			this.#position.changes += 1;
			const entry = this.#relations.find(oid);
			if (entry !== undefined && entry.recentSerial !== this.#position.serial) {
				this.#relations.noteTransaction(entry, this.#position);
			}
			this.#endUnlessExcused(oid, INVALIDATED_TRUNCATE);
		}
	}

	/** An Update or Delete came without its whole old row: the replica identity was not FULL. */
	oldRowMissing(oid: number): void {
		this.#endUnlessExcused(oid, INVALIDATED_REPLICA_IDENTITY);
	}

	#endUnlessExcused(oid: number, reason: number): void {
		for (const shape of this.#book.on(oid)) {
			if (!isExcused(shape, this.#position, reason)) {
				this.#book.invalidate(shape, reason);
			}
		}
	}

	#setAsideUnlessFits(shape: LaneShape, entry: RelationEntry): void {
		if (!fitsDefinition(entry.relation, shape.definition, shape.needed)) {
			entry.stale ??= new Set();
			entry.stale.add(shape);
		}
	}
}
