/**
 * The smallest replication client that can be measured: a socket, a counter, acknowledgements. It knows two ways
 * of reading: whenever the socket is readable (as pg_recvlogical does), or about once a millisecond while behind.
 * Owns its socket and timers; must never do anything with a row, so that it marks the upper bound of a reader.
 * Talks to a server with trust authentication on loopback only. Called by reader-process.ts.
 * Source: PostgreSQL, "Frontend/Backend Protocol" and "Streaming Replication Protocol".
 */

import { connect, type Socket } from "node:net";
import { type Lsn, maxLsn } from "../../src/shared/lsn.ts";
import { StreamCounter } from "./stream-counter.ts";

const READ_BUFFER_BYTES = 256 * 1024;
const POSTGRES_EPOCH_MICROSECONDS = 946_684_800_000_000n;

export interface ReplicationClientOptions {
	readonly host: string;
	readonly port: number;
	readonly user: string;
	readonly database: string;
	readonly slot: string;
	readonly publication: string;
	/** Pause after each read; null reads whenever the socket is readable. */
	readonly coalesceMs: number | null;
	/** Between unsolicited status updates. */
	readonly statusIntervalMs: number;
}

export interface ReplicationMeasurement {
	readonly rows: number;
	readonly transactions: number;
	readonly bytes: number;
	readonly reads: number;
	/** Milliseconds of performance.now(). */
	readonly startedAtMs: number;
	readonly firstDataAtMs: number | null;
	readonly lastCommitAtMs: number | null;
	readonly walsenderPid: number;
	readonly endLsn: Lsn;
}

export class ReplicationClient {
	readonly #options: ReplicationClientOptions;
	readonly #counter = new StreamCounter();
	readonly #socket: Socket;
	readonly #finished = Promise.withResolvers<void>();
	readonly #streaming = Promise.withResolvers<void>();
	#handshake: Buffer | null = Buffer.alloc(0);
	#startSent = false;
	#walsenderPid = 0;
	#targetLsn: Lsn = 0xffff_ffff_ffff_ffffn;
	#startedAtMs = 0;
	#firstDataAtMs: number | null = null;
	#lastCommitAtMs: number | null = null;
	#statusTimer: NodeJS.Timeout | null = null;
	#done = false;

	constructor(options: ReplicationClientOptions) {
		this.#options = options;
		this.#finished.promise.catch(() => {});
		this.#streaming.promise.catch(() => {});
		this.#socket = connect({
			host: options.host,
			port: options.port,
			noDelay: true,
			onread: {
				buffer: Buffer.alloc(READ_BUFFER_BYTES),
				callback: (byteCount, buffer) => this.#read(Buffer.from(buffer.buffer, buffer.byteOffset, byteCount)),
			},
		});
		this.#socket.on("error", (error) => this.#fail(error));
		this.#socket.on("close", () => this.#fail(new Error("the server closed the replication connection")));
		this.#socket.on("connect", () => this.#socket.write(startupMessage(options.user, options.database)));
	}

	/** Resolves once the stream has started. */
	async streaming(): Promise<void> {
		await this.#streaming.promise;
	}

	/** Reads until everything below `lsn` was received and acknowledged. */
	async readTo(lsn: Lsn): Promise<ReplicationMeasurement> {
		this.#targetLsn = lsn;
		this.#checkTarget();
		await this.#finished.promise;
		return {
			rows: this.#counter.rows,
			transactions: this.#counter.transactions,
			bytes: this.#counter.bytes,
			reads: this.#counter.reads,
			startedAtMs: this.#startedAtMs,
			firstDataAtMs: this.#firstDataAtMs,
			lastCommitAtMs: this.#lastCommitAtMs,
			walsenderPid: this.#walsenderPid,
			endLsn: this.#received(),
		};
	}

	/** Closes in order, so that the last acknowledgement is not lost. */
	async close(): Promise<void> {
		this.#done = true;
		if (this.#statusTimer !== null) {
			clearInterval(this.#statusTimer);
		}
		if (this.#socket.destroyed) {
			return;
		}
		const closed = new Promise<void>((resolve) => this.#socket.once("close", () => resolve()));
		this.#socket.end();
		this.#socket.resume();
		const timer = setTimeout(() => this.#socket.destroy(), 1_000);
		await closed;
		clearTimeout(timer);
	}

	#received(): Lsn {
		return maxLsn(this.#counter.commitEndLsn, this.#counter.keepaliveLsn);
	}

	#read(bytes: Buffer): boolean {
		if (this.#handshake !== null) {
			this.#shakeHands(bytes);
			return true;
		}
		const counter = this.#counter;
		const transactionsBefore = counter.transactions;
		counter.push(bytes);
		if (counter.error !== null) {
			this.#fail(new Error(`the server reported: ${counter.error}`));
			return true;
		}
		if (this.#firstDataAtMs === null && counter.rows > 0) {
			this.#firstDataAtMs = performance.now();
		}
		if (counter.transactions !== transactionsBefore) {
			this.#lastCommitAtMs = performance.now();
		}
		if (counter.replyRequested) {
			counter.replyRequested = false;
			this.#sendStatus();
		}
		this.#checkTarget();
		const { coalesceMs } = this.#options;
		if (coalesceMs === null || this.#done) {
			return true;
		}
		setTimeout(() => this.#socket.resume(), coalesceMs);
		return false;
	}

	/** AuthenticationOk … ReadyForQuery, then START_REPLICATION … CopyBothResponse. */
	#shakeHands(bytes: Buffer): void {
		let data = Buffer.concat([this.#handshake ?? Buffer.alloc(0), bytes]);
		while (data.length >= 5) {
			const end = 1 + data.readInt32BE(1);
			if (end > data.length) {
				break;
			}
			const kind = String.fromCharCode(data[0] ?? 0);
			if (kind === "E") {
				this.#fail(new Error(`the server reported: ${data.toString("utf8", 5, end).replaceAll("\0", " ")}`));
				return;
			}
			if (kind === "R" && data.readInt32BE(5) !== 0) {
				this.#fail(new Error("the benchmark's server must use trust authentication"));
				return;
			}
			if (kind === "K") {
				this.#walsenderPid = data.readInt32BE(5);
			}
			if (kind === "Z" && !this.#startSent) {
				this.#startSent = true;
				this.#startedAtMs = performance.now();
				const { slot, publication } = this.#options;
				this.#socket.write(
					queryMessage(
						`START_REPLICATION SLOT "${slot}" LOGICAL 0/0 (proto_version '1', publication_names '"${publication}"')`,
					),
				);
			}
			data = data.subarray(end);
			if (kind === "W") {
				this.#handshake = null;
				this.#statusTimer = setInterval(() => this.#sendStatus(), this.#options.statusIntervalMs);
				this.#streaming.resolve();
				if (data.length > 0) {
					this.#read(data);
				}
				return;
			}
		}
		this.#handshake = data;
	}

	#checkTarget(): void {
		if (!this.#done && this.#handshake === null && this.#received() >= this.#targetLsn) {
			this.#done = true;
			this.#sendStatus();
			this.#finished.resolve();
		}
	}

	#sendStatus(): void {
		this.#socket.write(statusUpdate(this.#received()));
	}

	#fail(error: Error): void {
		if (!this.#done) {
			this.#done = true;
			this.#finished.reject(error);
			this.#streaming.reject(error);
			this.#socket.destroy();
		}
	}
}

/** StartupMessage, protocol 3.0. */
function startupMessage(user: string, database: string): Buffer {
	const parameters = [
		"user",
		user,
		"database",
		database,
		"replication",
		"database",
		"application_name",
		"bench-reader",
	];
	const body = Buffer.from(`${parameters.join("\0")}\0\0`);
	const message = Buffer.alloc(8 + body.length);
	message.writeInt32BE(message.length, 0);
	message.writeInt32BE(196_608, 4);
	body.copy(message, 8);
	return message;
}

function queryMessage(sql: string): Buffer {
	const body = Buffer.from(`${sql}\0`);
	const message = Buffer.alloc(5 + body.length);
	message.write("Q", 0);
	message.writeInt32BE(4 + body.length, 1);
	body.copy(message, 5);
	return message;
}

/** CopyData with a Standby status update: everything received counts as written, flushed and applied. */
function statusUpdate(lsn: Lsn): Buffer {
	const message = Buffer.alloc(39);
	message.write("d", 0);
	message.writeInt32BE(38, 1);
	message.write("r", 5);
	message.writeBigUInt64BE(lsn, 6);
	message.writeBigUInt64BE(lsn, 14);
	message.writeBigUInt64BE(lsn, 22);
	message.writeBigInt64BE(BigInt(Date.now()) * 1_000n - POSTGRES_EPOCH_MICROSECONDS, 30);
	return message;
}
