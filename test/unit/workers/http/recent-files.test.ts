/** Descriptors that are kept for the next reader. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { HTTP_OPEN_FILES_MAX } from "../../../../src/shared/limits.ts";
import { RecentFiles } from "../../../../src/workers/http/recent-files.ts";

const directory = mkdtempSync(join(tmpdir(), "sluice-recent-"));

function made(name: string): string {
	const path = join(directory, name);
	writeFileSync(path, name);
	return path;
}

async function isOpen(file: FileHandle): Promise<boolean> {
	return file.stat().then(
		() => true,
		() => false,
	);
}

test("one descriptor serves readers at the same time and one after the other", async () => {
	const files = new RecentFiles();
	const path = made("a");
	const used = new Set<FileHandle>();
	await Promise.all([1, 2, 3].map(() => files.with(path, async (file) => used.add(file))));
	await files.with(path, async (file) => used.add(file));
	expect(used.size).toBe(1);
});

test("a file that could not be opened or read is opened anew by the next reader", async () => {
	const files = new RecentFiles();
	const path = join(directory, "late");
	await expect(files.with(path, async () => 1)).rejects.toMatchObject({ code: "ENOENT" });
	made("late");
	let failed: FileHandle | null = null;
	await expect(
		files.with(path, async (file) => {
			failed = file;
			throw new Error("unreadable");
		}),
	).rejects.toThrow("unreadable");
	expect(await files.with(path, async (file) => file === failed)).toBe(false);
	expect(files.size).toBe(1);
});

test("there are never more than the limit, and one in use stays open until its reader is done", async () => {
	const files = new RecentFiles();
	const kept = await new Promise<FileHandle>((resolve, reject) => {
		files
			.with(made("kept"), async (file) => {
				for (let number = 0; number < HTTP_OPEN_FILES_MAX + 10; number += 1) {
					await files.with(made(`n${number}`), async () => undefined);
				}
				expect(files.size).toBe(HTTP_OPEN_FILES_MAX);
				expect(await isOpen(file)).toBe(true);
				resolve(file);
			})
			.catch(reject);
	});
	while (await isOpen(kept)) {
		await new Promise((resolve) => setImmediate(resolve));
	}
	rmSync(directory, { recursive: true });
});
