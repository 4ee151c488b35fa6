/**
 * The data directory's lock, within a process and across a killed one.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lockDataDirectory } from "../../../../src/workers/registrar/data-directory.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const MODULE = new URL("../../../../src/workers/registrar/data-directory.ts", import.meta.url).href;

describe("the data directory", () => {
	it("is made, locked once, and free after the release", async () => {
		await using directory = await temporaryDirectory();
		const path = join(directory.path, "a", "b");
		const lock = lockDataDirectory(path);
		expect(() => lockDataDirectory(path)).toThrowError(expect.objectContaining({ code: "SLUICE_DATA_DIR_LOCKED" }));
		lock.release();
		lock.release();
		lockDataDirectory(path).release();
	});

	it("is locked against another process, and free as soon as that is killed", async () => {
		await using directory = await temporaryDirectory();
		const script = `import(${JSON.stringify(MODULE)}).then((room) => { globalThis.lock = room.lockDataDirectory(${JSON.stringify(directory.path)}); process.stdout.write("locked"); setInterval(() => {}, 1000); })`;
		const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
			stdio: ["ignore", "pipe", "inherit"],
		});
		try {
			await once(child.stdout, "data");
			expect(() => lockDataDirectory(directory.path)).toThrowError(
				expect.objectContaining({ code: "SLUICE_DATA_DIR_LOCKED" }),
			);
		} finally {
			child.kill("SIGKILL");
			await once(child, "exit");
		}
		lockDataDirectory(directory.path).release();
	});

	it("is unusable below a file, and when the lock is no database", async () => {
		await using directory = await temporaryDirectory();
		await writeFile(join(directory.path, "file"), "");
		expect(() => lockDataDirectory(join(directory.path, "file", "data"))).toThrowError(
			expect.objectContaining({ code: "SLUICE_DATA_DIR_UNUSABLE" }),
		);
		await writeFile(
			join(directory.path, "lock.sqlite"),
			"this is no database, but long enough to be read as a header....".repeat(100),
		);
		expect(() => lockDataDirectory(directory.path)).toThrowError(
			expect.objectContaining({ code: "SLUICE_DATA_DIR_UNUSABLE" }),
		);
	});
});
