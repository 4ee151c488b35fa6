/**
 * A logged error: one object that says what happened, what to run, and why underneath.
 */

import { describe, expect, it } from "vitest";
import { SluiceError } from "../../../src/shared/errors.ts";
import { serializeError } from "../../../src/shared/logging.ts";

describe("an error in the log", () => {
	it("has code, remedy, facts and the causes with their system codes", () => {
		const cause = Object.assign(new Error("no space"), { code: "ENOSPC" });
		expect(serializeError(new SluiceError("SLUICE_DISK_FULL", { path: "/x", cause }))).toMatchObject({
			type: "SluiceError",
			code: "SLUICE_DISK_FULL",
			message: "the disk under the data directory is full",
			remedy: expect.stringContaining("SLUICE_DATA_DIR"),
			path: "/x",
			cause: { type: "Error", message: "no space", code: "ENOSPC" },
		});
	});

	it("is readable too when something else was thrown", () => {
		expect(serializeError("text")).toEqual({ message: "text" });
	});
});
