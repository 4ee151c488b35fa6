/**
 * Directories that no shape owns: left by a crash during a creation or a removal. Owns the sweep at the start;
 * must only look at what existed before any shape could be made. Called by the registrar.
 */

import { readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { shapesDirectory } from "../../shared/log-layout.ts";
import type { Logger } from "../../shared/logging.ts";

/** Names of the directories under `shapes/`. */
export function existingDirectories(dataDir: string): ReadonlySet<string> {
	return new Set(readdirSync(shapesDirectory(dataDir)));
}

/** Removes `names`, one after the other, until `signal` is aborted. Failures wait for the next start. */
export async function removeOrphans(
	dataDir: string,
	names: readonly string[],
	signal: AbortSignal,
	logger: Logger,
): Promise<void> {
	for (const name of names) {
		if (signal.aborted) {
			return;
		}
		try {
			await rm(join(shapesDirectory(dataDir), name), { recursive: true, force: true });
		} catch (err) {
			logger.warn({ err, name }, "an orphaned directory cannot be removed");
		}
	}
}
