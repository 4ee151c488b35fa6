/**
 * Names and records of a shape's files: docs/LOG-FORMAT.md in code. Owns the byte layout; must do no I/O.
 * The one writer of records is workers/log/index-record.ts, without objects. Called by the lane's log room, the
 * snapshot task and the HTTP reader.
 */

import { join } from "node:path";
import { crc32 } from "node:zlib";

export const INDEX_RECORD_BYTES = 32;
/** The record's entry is the last of its transaction in this shape. */
export const FLAG_LAST = 1;
/** Ordinals are kept modulo 2^24: enough to see that something is missing. */
export const ORDINAL_MODULUS = 0x100_0000;

export interface IndexRecord {
	readonly tx: bigint;
	readonly op: number;
	readonly flags: number;
	/** Of the entry's first byte in the segment. */
	readonly position: number;
	/** Bytes, without the comma. */
	readonly length: number;
	readonly crc: number;
	/** Number of the entry in the whole log, from 0, modulo ORDINAL_MODULUS. */
	readonly ordinal: number;
}

/** Null when the record's own check does not hold. */
export function readIndexRecord(source: Buffer, byteOffset: number): IndexRecord | null {
	if (source.readUInt32LE(byteOffset + 28) !== crc32(source.subarray(byteOffset, byteOffset + 28))) {
		return null;
	}
	return {
		tx: source.readBigUInt64LE(byteOffset),
		op: source.readUInt32LE(byteOffset + 8),
		flags: source.readUInt8(byteOffset + 12),
		position: source.readUInt32LE(byteOffset + 16),
		length: source.readUInt32LE(byteOffset + 20),
		crc: source.readUInt32LE(byteOffset + 24),
		ordinal: source.readUInt32LE(byteOffset + 12) >>> 8,
	};
}

export function shapesDirectory(dataDir: string): string {
	return join(dataDir, "shapes");
}

export function shapeDirectory(dataDir: string, handle: string): string {
	return join(dataDir, "shapes", handle);
}

export function snapshotChunkPath(shapeDirectoryPath: string, chunk: number): string {
	return join(shapeDirectoryPath, `snapshot-${chunk}.json`);
}

export function logSegmentPath(shapeDirectoryPath: string, segment: number): string {
	return join(shapeDirectoryPath, `log-${segment}.json`);
}

export function logIndexPath(shapeDirectoryPath: string, segment: number): string {
	return join(shapeDirectoryPath, `log-${segment}.idx`);
}
