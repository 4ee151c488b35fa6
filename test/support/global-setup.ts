/**
 * Before and after a whole test run: the run's directory is made, and at the end whatever still runs or lies
 * in it goes away, also after a test process crashed. Ends no process but servers of this run. Called by vitest.
 */

import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { livenessOf, readPostmasterFile } from "../../src/main/local-postgres/postmaster-file.ts";
import { RUN_DIRECTORY_VARIABLE } from "./run-directory.ts";
import { waitFor } from "./wait-for.ts";

export default async function setup(): Promise<() => Promise<void>> {
	const directory = await mkdtemp(join(tmpdir(), "sluice-run-"));
	await chmod(directory, 0o711);
	process.env[RUN_DIRECTORY_VARIABLE] = directory;
	return async () => {
		for (const name of await readdir(directory)) {
			await endServer(join(directory, name, "data"));
		}
		await rm(directory, { recursive: true, force: true, maxRetries: 5 });
	};
}

async function endServer(dataDirectory: string): Promise<void> {
	const facts = await readPostmasterFile(dataDirectory);
	if (facts === null || (await livenessOf(facts.pid)) !== "alive") {
		return;
	}
	process.kill(facts.pid, "SIGQUIT");
	await waitFor("a left-over server to end", async () => (await livenessOf(facts.pid)) !== "alive");
}
