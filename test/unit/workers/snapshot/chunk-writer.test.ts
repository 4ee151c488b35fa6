/**
 * Snapshot chunks on disk: where they end and what they hold (docs/LOG-FORMAT.md).
 */

import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ChunkWriter } from "../../../../src/workers/snapshot/chunk-writer.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

async function write(path: string, chunkBytes: number, items: readonly string[], flushEach: boolean) {
	const progress: number[] = [];
	const writer = new ChunkWriter(path, chunkBytes, (chunks) => progress.push(chunks));
	for (const item of items) {
		writer.beginItem();
		writer.out.ascii(item);
		writer.endItem();
		if (flushEach || writer.needsFlush) {
			await writer.flush();
		}
	}
	const chunks = await writer.finish("{end}");
	const files = await Promise.all(
		Array.from({ length: chunks }, (_, chunk) => readFile(join(path, `snapshot-${chunk}.json`), "utf8")),
	);
	expect((await readdir(path)).length).toBe(chunks);
	return { files, progress };
}

describe("snapshot chunks", () => {
	it.each([true, false])("end after the item that reaches the size (flushed each time: %s)", async (flushEach) => {
		await using directory = await temporaryDirectory();
		// (3 + 1) + (3 + 1) = 8 reaches 8; a larger item ends its chunk alone.
		const { files, progress } = await write(directory.path, 8, ["aaa", "bbb", "cccccccccc", "dd", "ee"], flushEach);
		expect(files).toEqual(["aaa,bbb", "cccccccccc", "dd,ee,{end}"]);
		expect(progress).toEqual([1, 2]);
	});

	it("hold the marker alone when the last item closed a chunk, and when there is no item", async () => {
		await using one = await temporaryDirectory();
		expect((await write(one.path, 4, ["aaa"], false)).files).toEqual(["aaa", "{end}"]);
		await using none = await temporaryDirectory();
		expect((await write(none.path, 4, [], false)).files).toEqual(["{end}"]);
	});

	it("are written with flat memory", async () => {
		await using directory = await temporaryDirectory();
		const writer = new ChunkWriter(directory.path, 1_000_000, () => {});
		const item = Buffer.alloc(2_000_000, "x");
		for (let count = 0; count < 5; count += 1) {
			writer.beginItem();
			writer.out.bytes(item);
			writer.endItem();
			expect(writer.needsFlush).toBe(true);
			await writer.flush();
			expect(writer.out.buffer.length).toBeLessThanOrEqual(1024 * 1024);
		}
		expect(await writer.finish("{end}")).toBe(6);
	});

	it("fail with the disk's error when their directory is gone", async () => {
		const directory = await temporaryDirectory();
		const writer = new ChunkWriter(directory.path, 100, () => {});
		await rm(directory.path, { recursive: true });
		await expect(writer.finish("{end}")).rejects.toMatchObject({
			code: "SLUICE_DISK_FAILED",
			context: { systemCode: "ENOENT" },
		});
		await writer.abandon();
	});
});
