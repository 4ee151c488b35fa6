/**
 * What the disk refuses, in the words of the error table.
 */

import { describe, expect, it } from "vitest";
import { diskError, writeError } from "../../../src/shared/disk-error.ts";
import { SluiceError } from "../../../src/shared/errors.ts";

const systemError = (code: string): Error => Object.assign(new Error(code), { code });

describe("a refusal of the disk", () => {
	it.each([
		["ENOSPC", "SLUICE_DISK_FULL", "SLUICE_DISK_FULL"],
		["EDQUOT", "SLUICE_DISK_FULL", "SLUICE_DISK_FULL"],
		["EIO", "SLUICE_DISK_FAILED", "SLUICE_DISK_FAILED"],
		["EMFILE", "SLUICE_DISK_FAILED", "SLUICE_DISK_FAILED"],
		["ENOENT", "SLUICE_DISK_FAILED", "SLUICE_LOG_CORRUPT"],
		["ENOTDIR", "SLUICE_DISK_FAILED", "SLUICE_LOG_CORRUPT"],
	])("%s is %s for a file that is made, %s for a log that should be there", (code, making, log) => {
		expect(writeError(systemError(code), "x")).toMatchObject({ code: making, context: { systemCode: code } });
		expect(diskError(systemError(code), "x")).toMatchObject({ code: log, context: { systemCode: code } });
	});

	it("is told from everything else", () => {
		const others = [new SluiceError("SLUICE_SHAPE_GONE"), new TypeError("a bug"), systemError("ERR_INVALID_ARG_TYPE")];
		for (const error of others) {
			expect(diskError(error, "x")).toBe(error);
		}
	});
});
