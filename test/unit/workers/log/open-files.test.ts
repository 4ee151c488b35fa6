/**
 * The bound on open files: least recently used goes first, never under a sync.
 */

import { fstatSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { OpenFiles } from "../../../../src/workers/log/open-files.ts";
import { ShapeLog } from "../../../../src/workers/log/shape-log.ts";
import { useTemporaryDirectory } from "../../../support/temporary-directory.ts";

const directory = useTemporaryDirectory("open-files");

function isOpen(fd: number): boolean {
	try {
		fstatSync(fd);
		return true;
	} catch {
		return false;
	}
}

describe("open files", () => {
	const logs = (count: number): ShapeLog[] => Array.from({ length: count }, () => new ShapeLog(directory.path()));

	it("closes the least recently used when the limit is reached", () => {
		const files = new OpenFiles(2);
		const [first, second, third] = logs(3) as [ShapeLog, ShapeLog, ShapeLog];
		const oldest = files.acquire(first, 0);
		const used = files.acquire(second, 1);
		files.acquire(first, 0);
		files.acquire(third, 2);
		expect(isOpen(oldest.data)).toBe(true);
		expect(files.peek(second, 1)).toBeNull();
		expect(files.count).toBe(4);
		expect(used.isReleased).toBe(true);
		files.releaseAll();
		expect(files.count).toBe(0);
	});

	it("answers other files for another segment of the same log", () => {
		const files = new OpenFiles(2);
		const [log] = logs(1) as [ShapeLog];
		const first = files.acquire(log, 0);
		expect(files.acquire(log, 0)).toBe(first);
		const second = files.acquire(log, 1);
		expect(second.segment).toBe(1);
		expect(files.count).toBe(2);
		files.releaseAll();
	});

	it("keeps pinned files open until they are unpinned", () => {
		const files = new OpenFiles(1);
		const [first, second] = logs(2) as [ShapeLog, ShapeLog];
		const pair = files.acquire(first, 0);
		files.pin(pair);
		files.acquire(second, 1);
		expect(isOpen(pair.data)).toBe(true);
		expect(files.count).toBe(4);
		files.unpin(pair);
		expect(files.count).toBe(2);
		files.releaseAll();
	});
});
