/**
 * Entries of threads are found where the source runs.
 */

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { workerEntry } from "../../../src/shared/thread-entry.ts";

describe("the entry of a thread", () => {
	it.each(["lane", "registrar", "snapshot", "http"] as const)("%s exists beside its room", (name) => {
		expect(workerEntry(name)).toMatch(/\/src\/workers\/[a-z]+\.ts$/);
		expect(existsSync(fileURLToPath(workerEntry(name)))).toBe(true);
	});
});
