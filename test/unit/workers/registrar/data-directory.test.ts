/**
 * The data directory's lock, within a process and across a killed one.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { DataDirectory } from "../../../../src/workers/registrar/data-directory.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const MODULE = new URL("../../../../src/workers/registrar/data-directory.ts", import.meta.url).href;

/** Takes the lock and gives it up. */
function isFree(path: string): boolean {
	const directory = DataDirectory.open(path);
	try {
		return directory.tryLock();
	} finally {
		directory.close();
	}
}

describe("the data directory", () => {
	it("is made, locked once, and free after the release", async () => {
		await using directory = await temporaryDirectory();
		const path = join(directory.path, "a", "b");
		const first = DataDirectory.open(path);
		const second = DataDirectory.open(path);
		expect(first.tryLock()).toBe(true);
		expect(second.tryLock()).toBe(false);
		first.close();
		first.close();
		expect(second.tryLock()).toBe(true);
		second.close();
		expect(isFree(path)).toBe(true);
	});

	it("is locked against another process, and free as soon as that is killed", async () => {
		await using directory = await temporaryDirectory();
		const script = `import(${JSON.stringify(MODULE)}).then((room) => { globalThis.directory = room.DataDirectory.open(${JSON.stringify(directory.path)}); process.stdout.write(String(globalThis.directory.tryLock())); setInterval(() => {}, 1000); })`;
		const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
			stdio: ["ignore", "pipe", "inherit"],
		});
		const waiting = DataDirectory.open(directory.path);
		try {
			const [answer] = await once(child.stdout, "data");
			expect(String(answer)).toBe("true");
			expect(waiting.tryLock()).toBe(false);
		} finally {
			child.kill("SIGKILL");
			await once(child, "exit");
		}
		expect(waiting.tryLock()).toBe(true);
		waiting.close();
	});

	it("is unusable below a file, and when the lock is no database", async () => {
		await using directory = await temporaryDirectory();
		await writeFile(join(directory.path, "file"), "");
		expect(() => isFree(join(directory.path, "file", "data"))).toThrowError(
			expect.objectContaining({ code: "SLUICE_DATA_DIR_UNUSABLE" }),
		);
		await writeFile(
			join(directory.path, "lock.sqlite"),
			"this is no database, but long enough to be read as a header....".repeat(100),
		);
		expect(() => isFree(directory.path)).toThrowError(expect.objectContaining({ code: "SLUICE_DATA_DIR_UNUSABLE" }));
	});
});
