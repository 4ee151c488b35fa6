/**
 * The seam between the lane and the match room: what a matcher is asked per row and what it answers.
 * Plain types; no state. Implemented by workers/match, called by the lane.
 */

import type { ShapeDefinition } from "./shape-definition.ts";
import type { Tuple } from "./tuple.ts";

/** One column as the stream's Relation message names it. */
export interface RelationColumn {
	readonly name: string;
	readonly typeOid: number;
	readonly typmod: number;
	readonly partOfKey: boolean;
}

/** A relation as the stream describes it, on this connection, from here on. */
export interface Relation {
	readonly oid: number;
	readonly schema: string;
	readonly name: string;
	/** pg_class.relreplident: d, n, f, i. */
	readonly replicaIdentity: string;
	readonly columns: readonly RelationColumn[];
}

/**
 * Called once for each shape that a row change may concern and whose old or new row is inside it.
 * `inOld` / `inNew`: the condition is true for that row.
 */
export type MatchSink = (slot: number, inOld: boolean, inNew: boolean) => void;

export interface ShapeMatcher {
	/** Adds a shape; cost independent of the number of shapes. Partition roots match their leaves. */
	addShape(slot: number, definition: ShapeDefinition): void;
	/** Removes it; as cheap as adding. */
	removeShape(slot: number): void;
	/** Whether any shape watches the relation: O(1), asked for every row. */
	watches(relationOid: number): boolean;
	/** Slots of all shapes that watch the relation (Truncate, schema changes). */
	shapesOn(relationOid: number): readonly number[];
	/** Binds column positions; called at each new or changed Relation, before its rows. */
	bindRelation(relation: Relation): void;
	/**
	 * Evaluates a row change. Insert: old null. Delete: new null. Both tuples are complete (unchanged values
	 * filled in). A value that cannot be evaluated counts as "not inside", as PostgreSQL would have refused it.
	 */
	match(relationOid: number, oldTuple: Tuple | null, newTuple: Tuple | null, sink: MatchSink): void;
}
