/**
 * Writes a shape's files by hand, as docs/LOG-FORMAT.md draws them, and publishes them in a shape table: the lane,
 * the registrar and the snapshot task of these tests. Called by the tests of the HTTP room.
 */

import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import { FLAG_LAST, logIndexPath, logSegmentPath, snapshotChunkPath } from "../../../../../src/shared/log-layout.ts";
import type { LogOffset } from "../../../../../src/shared/offset.ts";
import { type ShapeTable, SLOT_ACTIVE, SLOT_SNAPSHOTTING } from "../../../../../src/shared/shape-table.ts";
import { indexRecord } from "../../../../support/index-records.ts";

export interface Change {
	readonly op: number;
	readonly id: string;
	/** Extra text in the value, to make an entry large. */
	readonly padding?: string;
}

export const SNAPSHOT_END = '{"headers":{"control":"snapshot-end","xmin":"731","xmax":"731","xip_list":[]}}';

export function snapshotRow(id: string): string {
	return `{"key":"\\"public\\".\\"items\\"/\\"${id}\\"","value":{"id":"${id}"},"headers":{"operation":"insert","relation":["public","items"]}}`;
}

export function logEntry(tx: bigint, change: Change, last: boolean): string {
	const value = change.padding === undefined ? { id: change.id } : { id: change.id, padding: change.padding };
	return JSON.stringify({
		key: `"public"."items"/"${change.id}"`,
		value,
		headers: {
			operation: "update",
			relation: ["public", "items"],
			txids: [732],
			lsn: String(tx),
			op_position: change.op,
			...(last ? { last: true } : {}),
		},
	});
}

export class ShapeFiles {
	readonly table: ShapeTable;
	readonly slot: number;
	readonly directory: string;
	readonly generation: number;
	readonly #chunkBytes: number;
	#segment = 0;
	#bytes = 0;
	#entries = 0;
	#last: LogOffset = { tx: 0n, op: 0 };

	constructor(options: {
		readonly table: ShapeTable;
		readonly slot: number;
		readonly directory: string;
		readonly chunkBytes: number;
	}) {
		this.table = options.table;
		this.slot = options.slot;
		this.directory = options.directory;
		this.#chunkBytes = options.chunkBytes;
		mkdirSync(this.directory, { recursive: true });
		this.generation = this.table.assign(this.slot, 0, SLOT_SNAPSHOTTING);
	}

	get last(): LogOffset {
		return this.#last;
	}

	/** Chunk after chunk, then the end of the snapshot and an empty, opened log. */
	snapshot(chunks: readonly (readonly string[])[]): void {
		for (const [number, items] of chunks.entries()) {
			this.snapshotChunk(number, items);
		}
		this.finishSnapshot(chunks.length);
	}

	snapshotChunk(number: number, items: readonly string[]): void {
		writeFileSync(snapshotChunkPath(this.directory, number), items.join(","));
		this.table.setSnapshotProgress(this.slot, number + 1, false);
	}

	finishSnapshot(chunks: number): void {
		this.publish();
		this.table.setSnapshotProgress(this.slot, chunks, true);
		this.table.setState(this.slot, SLOT_ACTIVE);
	}

	/** Appends a transaction and makes it visible. */
	commit(tx: bigint, changes: readonly Change[]): void {
		this.append(tx, changes);
		this.publish();
	}

	append(tx: bigint, changes: readonly Change[]): void {
		for (const [index, change] of changes.entries()) {
			const last = index === changes.length - 1;
			this.#appendEntry({ tx, op: change.op }, Buffer.from(logEntry(tx, change, last)), last);
		}
	}

	publish(): void {
		this.table.publishLog(this.slot, {
			opened: true,
			lastOffset: this.#last,
			segment: this.#segment,
			segmentBytes: this.#bytes,
			segmentEntries: this.#entries,
		});
	}

	#appendEntry(offset: LogOffset, entry: Buffer, last: boolean): void {
		if (this.#bytes >= this.#chunkBytes) {
			this.#segment += 1;
			this.#bytes = 0;
			this.#entries = 0;
		}
		const position = this.#bytes === 0 ? 0 : this.#bytes + 1;
		appendFileSync(logSegmentPath(this.directory, this.#segment), this.#bytes === 0 ? entry : `,${entry}`);
		const record = indexRecord({
			...offset,
			flags: last ? FLAG_LAST : 0,
			position,
			length: entry.length,
			crc: crc32(entry),
		});
		appendFileSync(logIndexPath(this.directory, this.#segment), record);
		this.#bytes = position + entry.length;
		this.#entries += 1;
		this.#last = offset;
	}
}
