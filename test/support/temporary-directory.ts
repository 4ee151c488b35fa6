/**
 * Directories that end with the test. They lie in the run's own directory (global-setup.ts), which is removed
 * as a whole when the run ends, so that a crashed test leaves nothing either. Called by tests.
 */

import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { RUN_DIRECTORY_VARIABLE } from "./run-directory.ts";

export interface TemporaryDirectory extends AsyncDisposable {
	readonly path: string;
	remove(): Promise<void>;
}

/** `await using directory = await temporaryDirectory()`. Others may enter it, as a database's user must. */
export async function temporaryDirectory(name = "directory"): Promise<TemporaryDirectory> {
	const parent = process.env[RUN_DIRECTORY_VARIABLE] ?? tmpdir();
	const path = await mkdtemp(join(parent, `sluice-${name}-`));
	await chmod(path, 0o711);
	const remove = (): Promise<void> => rm(path, { recursive: true, force: true, maxRetries: 3 });
	return { path, remove, [Symbol.asyncDispose]: remove };
}

/** One directory for all tests of a file or `describe`; `path()` is for use inside tests and hooks. */
export function useTemporaryDirectory(name?: string): { path(): string } {
	let directory: TemporaryDirectory | null = null;
	beforeAll(async () => {
		directory = await temporaryDirectory(name);
	});
	afterAll(() => directory?.remove());
	return {
		path: () => {
			if (directory === null) {
				throw new Error("the directory exists only inside tests and hooks");
			}
			return directory.path;
		},
	};
}
