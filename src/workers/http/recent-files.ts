/**
 * Log files that were read a moment ago, kept open for the next reader: a tail read is then two calls to the file
 * system instead of six, and the process's few file threads are shared with the lanes' syncs. Owns the descriptors;
 * must not keep one that nobody has used for a while. Paths hold the shape's handle, so a path is never another
 * file. Called by the log reader.
 */

import { type FileHandle, open } from "node:fs/promises";
import { HTTP_OPEN_FILES_IDLE_MS, HTTP_OPEN_FILES_MAX } from "../../shared/limits.ts";

interface OpenFile {
	readonly handle: Promise<FileHandle>;
	users: number;
	lastUsedMs: number;
	/** No longer in the map: whoever uses it last closes it. */
	dropped: boolean;
}

export class RecentFiles {
	/** In order of last use. */
	readonly #files = new Map<string, OpenFile>();
	#sweep: NodeJS.Timeout | null = null;

	get size(): number {
		return this.#files.size;
	}

	/** Calls `use` with the open file. @throws what opening it throws, and what `use` throws */
	async with<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
		const file = this.#acquire(path);
		try {
			return await use(await file.handle);
		} catch (error) {
			// It may be the file: the next reader opens it anew.
			this.#drop(path, file);
			throw error;
		} finally {
			file.users -= 1;
			file.lastUsedMs = performance.now();
			closeUnused(file);
		}
	}

	#acquire(path: string): OpenFile {
		const present = this.#files.get(path);
		this.#files.delete(path);
		const file = present ?? { handle: open(path, "r"), users: 0, lastUsedMs: 0, dropped: false };
		file.users += 1;
		this.#files.set(path, file);
		if (this.#files.size > HTTP_OPEN_FILES_MAX) {
			for (const [oldestPath, oldest] of this.#files) {
				this.#drop(oldestPath, oldest);
				break;
			}
		}
		this.#sweepLater();
		return file;
	}

	#drop(path: string, file: OpenFile): void {
		if (this.#files.get(path) === file) {
			this.#files.delete(path);
		}
		file.dropped = true;
		closeUnused(file);
	}

	#sweepLater(): void {
		if (this.#sweep !== null || this.#files.size === 0) {
			return;
		}
		this.#sweep = setTimeout(() => {
			this.#sweep = null;
			const limitMs = performance.now() - HTTP_OPEN_FILES_IDLE_MS;
			for (const [path, file] of this.#files) {
				if (file.users === 0 && file.lastUsedMs < limitMs) {
					this.#drop(path, file);
				}
			}
			this.#sweepLater();
		}, HTTP_OPEN_FILES_IDLE_MS);
		this.#sweep.unref();
	}
}

function closeUnused(file: OpenFile): void {
	if (file.dropped && file.users === 0) {
		// Nothing can be done about a file that does not open or close; whoever uses it has the error.
		file.handle.then((handle) => handle.close()).catch(() => undefined);
	}
}
