/**
 * Snapshot chunks on disk: `snapshot-<i>.json` as docs/LOG-FORMAT.md draws them. Owns the open file and the
 * rule where a chunk ends; must never hold more than the bytes since the last flush. Called by the snapshot task.
 */

import { type FileHandle, open } from "node:fs/promises";
import { invariant } from "../../shared/assert.ts";
import { ByteWriter } from "../../shared/byte-writer.ts";
import { writeError } from "../../shared/disk-error.ts";
import { snapshotChunkPath } from "../../shared/log-layout.ts";

const COMMA = 0x2c;
/** Flush when this much has gathered: few writes, flat memory. */
const FLUSH_BYTES = 256 * 1024;
/** A buffer that one giant row made larger is given back. */
const KEEP_BYTES = 4 * FLUSH_BYTES;

export class ChunkWriter {
	/** Items are appended here, between {@link beginItem} and {@link endItem}. */
	readonly out = new ByteWriter(FLUSH_BYTES);
	readonly #directory: string;
	readonly #chunkBytes: number;
	readonly #onChunk: (chunks: number) => void;
	/** Positions in `out` where a chunk ends. */
	readonly #cuts: number[] = [];
	#file: FileHandle | null = null;
	#chunks = 0;
	/** Sum of (item bytes + 1) of the chunk that items are appended to. */
	#chunkFill = 0;
	#itemStart = 0;

	/** @param onChunk called with the number of complete chunks after each but the last */
	constructor(directory: string, chunkBytes: number, onChunk: (chunks: number) => void) {
		this.#directory = directory;
		this.#chunkBytes = chunkBytes;
		this.#onChunk = onChunk;
	}

	get needsFlush(): boolean {
		return this.out.length >= FLUSH_BYTES;
	}

	beginItem(): void {
		if (this.#chunkFill > 0) {
			this.out.byte(COMMA);
		}
		this.#itemStart = this.out.length;
	}

	endItem(): void {
		this.#chunkFill += this.out.length - this.#itemStart + 1;
		if (this.#chunkFill >= this.#chunkBytes) {
			this.#cuts.push(this.out.length);
			this.#chunkFill = 0;
		}
	}

	/**
	 * Writes what has gathered.
	 * @throws SluiceError `SLUICE_DISK_FULL`, `SLUICE_DISK_FAILED`
	 */
	async flush(): Promise<void> {
		let from = 0;
		for (const cut of this.#cuts) {
			await this.#write(from, cut);
			await this.#closeChunk();
			this.#onChunk(this.#chunks);
			from = cut;
		}
		this.#cuts.length = 0;
		if (from < this.out.length) {
			await this.#write(from, this.out.length);
		}
		this.out.shrink(KEEP_BYTES);
	}

	/**
	 * Appends the end marker, closes the last chunk and syncs the directory. Answers the number of chunks.
	 * @throws SluiceError `SLUICE_DISK_FULL`, `SLUICE_DISK_FAILED`
	 */
	async finish(marker: string): Promise<number> {
		this.beginItem();
		this.out.bytes(Buffer.from(marker));
		// No endItem: the marker ends the last chunk whatever its size.
		await this.flush();
		await this.#closeChunk();
		await disk(async () => {
			const directory = await open(this.#directory, "r");
			try {
				await directory.sync();
			} finally {
				await directory.close();
			}
		});
		return this.#chunks;
	}

	/** After a failure; the files are removed with the shape. */
	async abandon(): Promise<void> {
		const file = this.#file;
		this.#file = null;
		await file?.close().catch(() => {});
	}

	async #write(from: number, to: number): Promise<void> {
		await disk(async () => {
			this.#file ??= await open(snapshotChunkPath(this.#directory, this.#chunks), "w");
			let position = from;
			while (position < to) {
				const { bytesWritten } = await this.#file.write(this.out.buffer, position, to - position);
				position += bytesWritten;
			}
		});
	}

	async #closeChunk(): Promise<void> {
		const file = this.#file;
		invariant(file !== null, "a chunk is never empty");
		await disk(async () => {
			await file.datasync();
			await file.close();
		});
		this.#file = null;
		this.#chunks += 1;
	}
}

async function disk(work: () => Promise<void>): Promise<void> {
	try {
		await work();
	} catch (error) {
		throw writeError(error, "snapshot");
	}
}
