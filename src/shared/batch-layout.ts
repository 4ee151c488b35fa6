/**
 * The bytes of a batch: what main writes into a shared segment and every lane reads. Owns the layout; must
 * stay self-contained, so that a batch can be replayed to a restarted lane, or later be carried by a spool
 * or a distributed log, without changing its bytes. Written by main/flow/batcher.ts, read by the lane.
 *
 * Little-endian header, then frames back to back:
 *
 * ```
 *  0 u32 magic "SLB1"          4 u32 layout version (1)
 *  8 u64 sequence              numbered from 1, without gaps, for the life of the process
 * 16 u32 stream epoch          grows by 1 at each START_REPLICATION: a new epoch discards an open transaction
 * 20 u32 flags                 1 = starts inside a transaction, 2 = ends inside one
 * 24 u64 last commit end LSN   end_lsn of the last Commit in this batch, 0 when it holds none
 * 32 u64 open final LSN        \
 * 40 u64 open commit time       | of the transaction that is open at the start of the batch
 * 48 u32 open xid               | (Begin.final_lsn, Begin.commit time, Begin.xid), 0 when none
 * 52 u32 open change count     /  row changes of it that earlier batches carried
 * 56 u32 frame count          60 u32 payload bytes (the frames with their length words)
 * 64 u64 first LSN             final_lsn of the first transaction that this batch touches, 0 when none
 * 72 u64 reserved
 * 80 frames: { u32 length, pgoutput message of that length }*
 * ```
 *
 * A pgoutput message is as in the PostgreSQL manual, "Logical Replication Message Formats" (protocol version
 * 1: no xid prefixes), without the 25-byte XLogData header. Before the first Insert, Update, Delete or
 * Truncate of a relation in a batch, the batch carries that relation's Relation message, repeated by main
 * when the server did not send it here.
 */

import { invariant } from "./assert.ts";

export const BATCH_HEADER_BYTES = 80;
export const BATCH_MAGIC = 0x31424c53;
export const BATCH_LAYOUT_VERSION = 1;
export const FRAME_LENGTH_BYTES = 4;

export const BATCH_STARTS_INSIDE = 1;
export const BATCH_ENDS_INSIDE = 2;

/** Tag bytes of pgoutput messages. */
export const TAG_BEGIN = 0x42;
export const TAG_COMMIT = 0x43;
export const TAG_ORIGIN = 0x4f;
export const TAG_RELATION = 0x52;
export const TAG_TYPE = 0x59;
export const TAG_INSERT = 0x49;
export const TAG_UPDATE = 0x55;
export const TAG_DELETE = 0x44;
export const TAG_TRUNCATE = 0x54;
export const TAG_MESSAGE = 0x4d;

export interface BatchHeader {
	readonly sequence: number;
	readonly streamEpoch: number;
	readonly startsInside: boolean;
	readonly endsInside: boolean;
	/** 0n when the batch holds no Commit. */
	readonly lastCommitEndLsn: bigint;
	readonly openFinalLsn: bigint;
	/** Microseconds since 2000-01-01T00:00Z. */
	readonly openCommitTime: bigint;
	readonly openXid: number;
	readonly openChangeCount: number;
	readonly frameCount: number;
	readonly payloadBytes: number;
	readonly firstLsn: bigint;
}

/** Writes the header at `byteOffset` of `view`. */
export function writeBatchHeader(view: DataView, byteOffset: number, header: BatchHeader): void {
	view.setUint32(byteOffset, BATCH_MAGIC, true);
	view.setUint32(byteOffset + 4, BATCH_LAYOUT_VERSION, true);
	view.setBigUint64(byteOffset + 8, BigInt(header.sequence), true);
	view.setUint32(byteOffset + 16, header.streamEpoch, true);
	const flags = (header.startsInside ? BATCH_STARTS_INSIDE : 0) | (header.endsInside ? BATCH_ENDS_INSIDE : 0);
	view.setUint32(byteOffset + 20, flags, true);
	view.setBigUint64(byteOffset + 24, header.lastCommitEndLsn, true);
	view.setBigUint64(byteOffset + 32, header.openFinalLsn, true);
	view.setBigUint64(byteOffset + 40, header.openCommitTime, true);
	view.setUint32(byteOffset + 48, header.openXid, true);
	view.setUint32(byteOffset + 52, header.openChangeCount, true);
	view.setUint32(byteOffset + 56, header.frameCount, true);
	view.setUint32(byteOffset + 60, header.payloadBytes, true);
	view.setBigUint64(byteOffset + 64, header.firstLsn, true);
	view.setBigUint64(byteOffset + 72, 0n, true);
}

/** Reads and checks the header at `byteOffset` of `view`. @throws InvariantError when it is not a batch */
export function readBatchHeader(view: DataView, byteOffset: number): BatchHeader {
	invariant(view.getUint32(byteOffset, true) === BATCH_MAGIC, "not a batch: wrong magic");
	invariant(view.getUint32(byteOffset + 4, true) === BATCH_LAYOUT_VERSION, "a batch of another layout version");
	const flags = view.getUint32(byteOffset + 20, true);
	return {
		sequence: Number(view.getBigUint64(byteOffset + 8, true)),
		streamEpoch: view.getUint32(byteOffset + 16, true),
		startsInside: (flags & BATCH_STARTS_INSIDE) !== 0,
		endsInside: (flags & BATCH_ENDS_INSIDE) !== 0,
		lastCommitEndLsn: view.getBigUint64(byteOffset + 24, true),
		openFinalLsn: view.getBigUint64(byteOffset + 32, true),
		openCommitTime: view.getBigUint64(byteOffset + 40, true),
		openXid: view.getUint32(byteOffset + 48, true),
		openChangeCount: view.getUint32(byteOffset + 52, true),
		frameCount: view.getUint32(byteOffset + 56, true),
		payloadBytes: view.getUint32(byteOffset + 60, true),
		firstLsn: view.getBigUint64(byteOffset + 64, true),
	};
}
