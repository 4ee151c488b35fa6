/**
 * The bytes of a Standby status update: the one message that keeps a replication connection alive and that
 * acknowledges. Owns the layout; must never change a position (one byte more than received loses the next
 * transaction). Called by the stream.
 * Source: PostgreSQL manual, "Streaming Replication Protocol", Standby status update (F).
 */

/** CopyData header (1 + 4) and the message itself (34). */
export const STATUS_UPDATE_BYTES = 39;

const COPY_DATA = 0x64;
const STATUS_UPDATE = 0x72;
/** 2000-01-01T00:00Z in Unix milliseconds: PostgreSQL counts time from there. */
const POSTGRES_EPOCH_MS = 946_684_800_000;

export interface StatusUpdate {
	/** Exclusive end of what was received. */
	readonly write: bigint;
	/** Exclusive end of what is durable: the acknowledgement. Sent as apply too. */
	readonly flush: bigint;
	/** Wall clock, Unix milliseconds; the server only displays it. */
	readonly clientTimeMs: number;
	/** Asks the server to answer at once. */
	readonly replyRequested: boolean;
}

/** A complete CopyData frame, {@link STATUS_UPDATE_BYTES} long. */
export function encodeStatusUpdate(update: StatusUpdate): Buffer {
	const frame = Buffer.alloc(STATUS_UPDATE_BYTES);
	frame.writeUInt8(COPY_DATA, 0);
	frame.writeUInt32BE(STATUS_UPDATE_BYTES - 1, 1);
	frame.writeUInt8(STATUS_UPDATE, 5);
	frame.writeBigUInt64BE(update.write, 6);
	frame.writeBigUInt64BE(update.flush, 14);
	frame.writeBigUInt64BE(update.flush, 22);
	frame.writeBigInt64BE(BigInt(Math.trunc(update.clientTimeMs) - POSTGRES_EPOCH_MS) * 1000n, 30);
	frame.writeUInt8(update.replyRequested ? 1 : 0, 38);
	return frame;
}
