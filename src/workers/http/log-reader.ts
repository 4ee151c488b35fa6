/**
 * From an offset to the bytes that answer it: a run inside one log segment, or a snapshot chunk. Owns a small memory
 * of where complete segments end, and reads that several waiters share. Must never answer with bytes that the shape
 * table does not show, nor with fewer than it promised: a file that is missing, short or inconsistent is an error.
 * Called by the shape request.
 */

import { type FileHandle, open } from "node:fs/promises";
import { SluiceError } from "../../shared/errors.ts";
import { HTTP_READ_BYTES, HTTP_SHARED_READ_BYTES_MAX, HTTP_SHARED_READ_TTL_MS } from "../../shared/limits.ts";
import { logIndexPath, logSegmentPath, snapshotChunkPath } from "../../shared/log-layout.ts";
import type { ResolvedShape } from "../../shared/messages.ts";
import { compareOffsets, formatOffset, type LogOffset } from "../../shared/offset.ts";
import type { LogState } from "../../shared/shape-table.ts";
import { LogIndex } from "./log-index.ts";
import { RecentFiles } from "./recent-files.ts";

export type ShapeFiles = Pick<ResolvedShape, "slot" | "generation" | "directory">;

/** JSON items joined by commas: `length` bytes at `position` of a file. */
export interface ByteRun {
	readonly path: string;
	readonly position: number;
	readonly length: number;
	/** The bytes when they are few; null: read them from the file in pieces. */
	readonly bytes: Buffer | null;
}

export interface LogAnswer extends ByteRun {
	/** Offset of the last entry of the run. */
	readonly end: LogOffset;
}

const REMEMBERED_SHAPES_MAX = 2_000;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;

interface SegmentEnds {
	readonly generation: number;
	/** Last offset of complete segments, by number. */
	readonly ends: Map<number, LogOffset>;
}

interface SharedRead {
	readonly answer: Promise<ByteRun>;
	readonly expiresMs: number;
	bytes: number;
}

export class LogReader {
	readonly #segmentEnds = new Map<number, SegmentEnds>();
	readonly #shared = new Map<string, SharedRead>();
	readonly #files = new RecentFiles();
	#sharedBytes = 0;
	#sweep: NodeJS.Timeout | null = null;
	#sharedHits = 0;
	#reads = 0;

	/** Answers given from another request's read, and reads made. */
	get counters(): { readonly sharedHits: number; readonly reads: number } {
		return { sharedHits: this.#sharedHits, reads: this.#reads };
	}

	/**
	 * The entries after `after` in the segment that holds the first of them. There must be one in `state`.
	 * @throws SluiceError SLUICE_LOG_CORRUPT; a system error of the file system
	 */
	async readLog(shape: ShapeFiles, state: LogState, after: LogOffset): Promise<LogAnswer> {
		const key = `${shape.slot}:${shape.generation}:${formatOffset(after)}:${state.segment}:${state.segmentBytes}`;
		return this.#share(key, () => this.#locate(shape, state, after));
	}

	/** @throws SluiceError SLUICE_LOG_CORRUPT; a system error of the file system */
	async readSnapshotChunk(shape: ShapeFiles, chunk: number): Promise<ByteRun> {
		return this.#share(`${shape.slot}:${shape.generation}:snapshot:${chunk}`, async () => {
			const path = snapshotChunkPath(shape.directory, chunk);
			return withFile(path, async (file) => {
				const { size } = await file.stat();
				if (size === 0) {
					throw new SluiceError("SLUICE_LOG_CORRUPT", { path, problem: "empty chunk" });
				}
				return readRun(file, path, 0, size);
			});
		});
	}

	async #locate(shape: ShapeFiles, state: LogState, after: LogOffset): Promise<LogAnswer> {
		const segment = await this.#segmentAfter(shape, state, after);
		const isLast = segment === state.segment;
		const indexPath = logIndexPath(shape.directory, segment);
		const run = await this.#files.with(indexPath, async (file) => {
			const entries = isLast ? state.segmentEntries : await LogIndex.countEntries(file, indexPath);
			return new LogIndex(file, indexPath, entries).runAfter(after);
		});
		const agrees =
			run !== null &&
			(!isLast || (run.end === state.segmentBytes && compareOffsets(run.lastOffset, state.lastOffset) === 0));
		if (!agrees) {
			throw new SluiceError("SLUICE_LOG_CORRUPT", {
				path: indexPath,
				problem: "the index does not end where the shape table says",
				after: formatOffset(after),
				visibleBytes: state.segmentBytes,
				visibleEntries: state.segmentEntries,
			});
		}
		const path = logSegmentPath(shape.directory, segment);
		const bytes = await this.#files.with(path, (file) => readRun(file, path, run.position, run.end - run.position));
		return { ...bytes, end: run.lastOffset };
	}

	/** Number of the segment that holds the first entry after `after`. */
	async #segmentAfter(shape: ShapeFiles, state: LogState, after: LogOffset): Promise<number> {
		if (after.tx === 0n || state.segment === 0) {
			return 0;
		}
		if (compareOffsets(await this.#segmentEnd(shape, state.segment - 1), after) <= 0) {
			return state.segment;
		}
		let low = 0;
		let high = state.segment - 1;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if (compareOffsets(await this.#segmentEnd(shape, middle), after) > 0) {
				high = middle;
			} else {
				low = middle + 1;
			}
		}
		return low;
	}

	async #segmentEnd(shape: ShapeFiles, segment: number): Promise<LogOffset> {
		const ends = this.#endsOf(shape);
		const known = ends.get(segment);
		if (known !== undefined) {
			return known;
		}
		const path = logIndexPath(shape.directory, segment);
		const end = await this.#files.with(path, async (file) => {
			const { tx, op } = await new LogIndex(file, path, await LogIndex.countEntries(file, path)).lastRecord();
			return { tx, op };
		});
		ends.set(segment, end);
		return end;
	}

	#endsOf(shape: ShapeFiles): Map<number, LogOffset> {
		const present = this.#segmentEnds.get(shape.slot);
		if (present?.generation === shape.generation) {
			return present.ends;
		}
		if (this.#segmentEnds.size >= REMEMBERED_SHAPES_MAX) {
			this.#segmentEnds.clear();
		}
		const ends = new Map<number, LogOffset>();
		this.#segmentEnds.set(shape.slot, { generation: shape.generation, ends });
		return ends;
	}

	/** One read for all who ask for the same within a moment. The files below a visible end never change. */
	async #share<T extends ByteRun>(key: string, read: () => Promise<T>): Promise<T> {
		const now = performance.now();
		const present = this.#shared.get(key);
		if (present !== undefined && present.expiresMs > now) {
			this.#sharedHits += 1;
			// The key names the kind of answer.
			return present.answer as Promise<T>;
		}
		this.#reads += 1;
		this.#expire(now);
		const answer = read();
		const entry: SharedRead = { answer, expiresMs: now + HTTP_SHARED_READ_TTL_MS, bytes: 0 };
		this.#shared.set(key, entry);
		this.#sweepLater();
		try {
			const result = await answer;
			if (this.#shared.get(key) === entry) {
				entry.bytes = result.bytes?.length ?? 0;
				this.#sharedBytes += entry.bytes;
			}
			return result;
		} catch (error) {
			this.#forget(key, entry);
			throw error;
		}
	}

	/** Nothing stays when requests stop coming. */
	#sweepLater(): void {
		if (this.#sweep === null && this.#shared.size > 0) {
			this.#sweep = setTimeout(() => {
				this.#sweep = null;
				this.#expire(performance.now());
				this.#sweepLater();
			}, HTTP_SHARED_READ_TTL_MS);
			this.#sweep.unref();
		}
	}

	/** Entries are in order of age; what is too old goes, and the oldest while there are too many bytes. */
	#expire(now: number): void {
		for (const [key, entry] of this.#shared) {
			if (entry.expiresMs > now && this.#sharedBytes <= HTTP_SHARED_READ_BYTES_MAX) {
				return;
			}
			this.#forget(key, entry);
		}
	}

	#forget(key: string, entry: SharedRead): void {
		if (this.#shared.get(key) === entry) {
			this.#shared.delete(key);
			this.#sharedBytes -= entry.bytes;
		}
	}
}

async function withFile<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
	const file = await open(path, "r");
	try {
		return await use(file);
	} finally {
		await file.close();
	}
}

/** Reads a short run whole; of a long one it checks that the file holds both ends. */
async function readRun(file: FileHandle, path: string, position: number, length: number): Promise<ByteRun> {
	const whole = length <= HTTP_READ_BYTES;
	const head = Buffer.allocUnsafeSlow(whole ? length : 1);
	const tail = whole ? head : Buffer.allocUnsafeSlow(1);
	const { bytesRead } = await file.read(head, 0, head.length, position);
	const tailRead = whole ? 1 : (await file.read(tail, 0, 1, position + length - 1)).bytesRead;
	const isJson = head[0] === OPENING_BRACE && tail[tail.length - 1] === CLOSING_BRACE;
	if (bytesRead !== head.length || tailRead !== 1 || !isJson) {
		throw new SluiceError("SLUICE_LOG_CORRUPT", {
			path,
			problem: bytesRead !== head.length || tailRead !== 1 ? "file too short" : "not at an entry's border",
			position,
			lengthBytes: length,
		});
	}
	return { path, position, length, bytes: whole ? head : null };
}
