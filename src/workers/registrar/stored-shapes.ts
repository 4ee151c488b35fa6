/**
 * From a row of the catalogue to a shape that readers can find: takes a slot and fills the registrar's words of it.
 * The log stays closed. Must never read a file. Called by shapes at the start, and by the shapes that are followed.
 */

import { shapeDirectory } from "../../shared/log-layout.ts";
import { type ShapeTable, SLOT_ACTIVE } from "../../shared/shape-table.ts";
import type { StoredShape } from "./catalogue-rows.ts";
import { laneOfShape } from "./shape-assigner.ts";
import type { Shape } from "./shape-registry.ts";
import type { Slots } from "./slots.ts";

export interface PlacementRooms {
	readonly slots: Slots;
	readonly table: ShapeTable;
	readonly dataDir: string;
	readonly laneCount: number;
}

/** @throws SluiceError `SLUICE_SHAPES_EXHAUSTED` */
export function placeStored(stored: StoredShape, { slots, table, dataDir, laneCount }: PlacementRooms): Shape {
	const slot = slots.take();
	const lane = laneOfShape(stored.identity, laneCount);
	const generation = table.assign(slot, lane, SLOT_ACTIVE);
	table.setSnapshotProgress(slot, stored.chunks, true);
	return {
		handle: stored.handle,
		identity: stored.identity,
		definition: stored.definition,
		schemaHeader: stored.schemaHeader,
		snapshot: stored.snapshot,
		slot,
		generation,
		lane,
		directory: shapeDirectory(dataDir, stored.handle),
		requests: new Set(stored.requests),
		abort: new AbortController(),
		ready: Promise.resolve(),
		built: Promise.resolve(),
		state: "active",
		connection: null,
		opening: null,
	};
}
