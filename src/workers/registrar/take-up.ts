/**
 * What an earlier run, or another daemon, has left in the data directory: its complete shapes are taken up, and what
 * nobody owns is cleared away. Owns that order; must only run when the data directory is ours, before any shape is
 * made. Called by the registrar at the start, and when it takes over.
 */

import type { Logger } from "../../shared/logging.ts";
import type { Catalogue } from "./catalogue.ts";
import type { FollowedShapes } from "./followed-shapes.ts";
import type { Inspector } from "./inspector.ts";
import { existingDirectories, removeOrphans } from "./orphans.ts";
import type { Shapes } from "./shapes.ts";

export interface TakeUpRooms {
	readonly catalogue: Catalogue;
	readonly inspector: Inspector;
	readonly shapes: Shapes;
	readonly dataDir: string;
	readonly logger: Logger;
}

/**
 * Answers how many shapes there are.
 * @param followed the same shapes, when readers read them already: they stay where they are in the shape table
 * @param signal ends the clearing away
 */
export async function takeUpShapes(
	rooms: TakeUpRooms,
	followed: FollowedShapes | null,
	signal: AbortSignal,
): Promise<number> {
	const { catalogue, inspector, shapes, dataDir, logger } = rooms;
	const existing = existingDirectories(dataDir);
	const stored = catalogue.shapes();
	for (const { handle } of stored.filter((each) => !existing.has(each.handle))) {
		logger.warn({ handle }, "a shape's directory is missing, dropping the shape");
		followed?.withdraw(handle);
		await catalogue.removeShape(handle);
	}
	const kept = stored.filter((shape) => existing.has(shape.handle));
	for (const shape of kept) {
		inspector.intern(shape.definition.table);
	}
	if (followed === null) {
		shapes.restore(kept);
	} else {
		const definitions = new Map(kept.map(({ handle, definition }) => [handle, definition]));
		for (const shape of followed.all()) {
			// What the writer compared last: a reader was not told of what changes nothing for readers.
			shape.definition = definitions.get(shape.handle) ?? shape.definition;
		}
		shapes.adopt(followed.all());
	}
	const owned = new Set(kept.map((shape) => shape.handle));
	const orphans = [...existing].filter((name) => !owned.has(name));
	void removeOrphans(dataDir, orphans, signal, logger);
	logger.info({ shapes: kept.length, orphans: orphans.length }, "the catalogue is open");
	return kept.length;
}
