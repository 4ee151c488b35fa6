/**
 * Counts what a replication stream holds: rows, commits, positions. Owns the bytes of a message that was cut at
 * the end of a read; must never build objects per message, since it stands for a reader that does nothing with
 * what it reads. Called by replication-client.ts.
 * Source: PostgreSQL, "Message Formats" (CopyData), "Streaming Replication Protocol" (XLogData, keepalive) and
 * "Logical Replication Message Formats".
 */

import type { Lsn } from "../../src/shared/lsn.ts";

const COPY_DATA = 0x64;
const ERROR_RESPONSE = 0x45;
const XLOG_DATA = 0x77;
const KEEPALIVE = 0x6b;
const INSERT = 0x49;
const UPDATE = 0x55;
const DELETE = 0x44;
const COMMIT = 0x43;

/** CopyData's type byte and length, XLogData's type byte and three Int64. */
const PAYLOAD_AT = 5 + 25;
/** Commit: type byte, Int8 flags, Int64 commit LSN, then Int64 end LSN. */
const COMMIT_END_LSN_AT = PAYLOAD_AT + 1 + 1 + 8;

export class StreamCounter {
	rows = 0;
	transactions = 0;
	messages = 0;
	bytes = 0;
	reads = 0;
	/** End LSN of the newest commit seen; zero before the first. */
	commitEndLsn: Lsn = 0n;
	/** WAL end of the newest keepalive seen. */
	keepaliveLsn: Lsn = 0n;
	/** A keepalive since the last reset asked for an answer. */
	replyRequested = false;
	/** Text of the server's ErrorResponse, if there was one. */
	error: string | null = null;
	#rest: Buffer | null = null;

	/** Takes one read. The bytes are not kept beyond the call, except for a copy of a message cut at the end. */
	push(read: Buffer): void {
		this.reads += 1;
		this.bytes += read.length;
		const chunk = this.#rest === null ? read : Buffer.concat([this.#rest, read]);
		let at = 0;
		let commitAt = -1;
		while (at + 5 <= chunk.length) {
			const end = at + 1 + chunk.readInt32BE(at + 1);
			if (end > chunk.length) {
				break;
			}
			this.messages += 1;
			if (chunk[at] === COPY_DATA) {
				if (chunk[at + 5] === XLOG_DATA) {
					const tag = chunk[at + PAYLOAD_AT];
					if (tag === INSERT || tag === UPDATE || tag === DELETE) {
						this.rows += 1;
					} else if (tag === COMMIT) {
						this.transactions += 1;
						commitAt = at + COMMIT_END_LSN_AT;
					}
				} else if (chunk[at + 5] === KEEPALIVE) {
					this.keepaliveLsn = chunk.readBigUInt64BE(at + 6);
					this.replyRequested ||= chunk[at + 22] === 1;
				}
			} else if (chunk[at] === ERROR_RESPONSE) {
				this.error = chunk.toString("utf8", at + 5, end).replaceAll("\0", " ");
			}
			at = end;
		}
		if (commitAt >= 0) {
			this.commitEndLsn = chunk.readBigUInt64BE(commitAt);
		}
		this.#rest = at === chunk.length ? null : Buffer.from(chunk.subarray(at));
	}
}
