/**
 * Cuts the byte stream of the replication socket into messages. Walks the headers first, so that a declared
 * length is checked before it is believed, then hands whole messages to pg-protocol's parser, which therefore
 * never keeps a part of a caller's buffer. Must never look into a row. Called by the stream with each read.
 * Source: PostgreSQL manual, "Message Formats" and "Streaming Replication Protocol".
 */

import { type BackendMessage, CopyDataMessage, DatabaseError, NoticeMessage } from "pg-protocol/dist/messages";
import { Parser } from "pg-protocol/dist/parser";
import type { ServerReport } from "../../shared/database-errors.ts";
import { SluiceError } from "../../shared/errors.ts";
import { FRAME_BYTES_MAX } from "../../shared/limits.ts";

/** Type byte and Int32 length. */
const HEADER_BYTES = 5;
const HEX_PREFIX_BYTES = 64;
/** PostgreSQL refuses to build a message larger than this (MaxAllocSize); more is no length at all. */
const SERVER_MESSAGE_BYTES_MAX = 0x3fff_ffff;

const TYPE_ERROR = 0x45;
const TYPE_NOTICE = 0x4e;
const TYPE_COPY_DATA = 0x64;

/** The least declared length of each message that may come after START_REPLICATION; 0 = none such may come. */
const LEAST_LENGTH_BY_TYPE = new Uint8Array(256);
LEAST_LENGTH_BY_TYPE[0x41 /* A NotificationResponse */] = 10;
LEAST_LENGTH_BY_TYPE[0x43 /* C CommandComplete */] = 5;
LEAST_LENGTH_BY_TYPE[TYPE_ERROR] = 5;
LEAST_LENGTH_BY_TYPE[TYPE_NOTICE] = 5;
LEAST_LENGTH_BY_TYPE[0x53 /* S ParameterStatus */] = 6;
LEAST_LENGTH_BY_TYPE[0x57 /* W CopyBothResponse */] = 7;
LEAST_LENGTH_BY_TYPE[0x5a /* Z ReadyForQuery */] = 5;
LEAST_LENGTH_BY_TYPE[0x63 /* c CopyDone */] = 4;
LEAST_LENGTH_BY_TYPE[TYPE_COPY_DATA] = 5;

const XLOG_DATA = 0x77;
const KEEPALIVE = 0x6b;
/** Tag, dataStart, walEnd, sendTime. */
const XLOG_DATA_HEADER_BYTES = 25;
/** What is kept of a message beyond the limit: its header, XLogData's, and of the content the tag and the relation. */
const OVERSIZE_HEAD_BYTES = HEADER_BYTES + XLOG_DATA_HEADER_BYTES + 5;
const TAG_INSERT = 0x49;
const TAG_UPDATE = 0x55;
const TAG_DELETE = 0x44;
const TAG_MESSAGE = 0x4d;
/** Tag, walEnd, sendTime, replyRequested. */
const KEEPALIVE_BYTES = 18;

const CARRY_BYTES_MIN = 4096;
const CARRY_KEPT_BYTES_MAX = 1024 * 1024;

/** What the stream hears, in stream order. Buffers are views that are valid only during the call. */
export interface FrameSink {
	/** The payload of an XLogData message: one pgoutput message. */
	xlogData(message: Buffer): void;
	/** In the place of a row change beyond FRAME_BYTES_MAX, whose bytes are dropped as they come. */
	oversizeChange(relationOid: number, declaredBytes: number): void;
	keepalive(walEnd: bigint, replyRequested: boolean): void;
	copyBothStarted(): void;
	serverError(report: ServerReport): void;
	serverNotice(report: ServerReport): void;
	/** CopyDone, CommandComplete or ReadyForQuery: the server has ended the stream. */
	streamEnded(message: string): void;
}

export class FrameReader {
	readonly #parser = new Parser();
	readonly #sink: FrameSink;
	/** The beginning of a message whose rest has not arrived. */
	#carry = Buffer.alloc(0);
	#carried = 0;
	/** Bytes of an oversize message that are still to be dropped. */
	#dropping = 0;
	#failure: SluiceError | null = null;
	/** A delivered message was malformed: what the parser still hands over of this read is not trusted. */
	#refused = false;

	constructor(sink: FrameSink) {
		this.#sink = sink;
	}

	/** Bytes of a message that is not complete. */
	get pendingBytes(): number {
		return this.#carried;
	}

	/**
	 * Takes one read; nothing of `chunk` is kept. Messages before a malformed one are delivered.
	 * @returns SLUICE_FRAME_MALFORMED or SLUICE_FRAME_TOO_LARGE, the same at each later call; null when all is well
	 */
	feed(chunk: Buffer): SluiceError | null {
		let start = 0;
		while (this.#failure === null && start < chunk.length) {
			if (this.#dropping > 0) {
				const dropped = Math.min(this.#dropping, chunk.length - start);
				this.#dropping -= dropped;
				start += dropped;
			} else if (this.#carried > 0) {
				start += this.#fillCarry(chunk, start);
			} else {
				start += this.#takeFrames(chunk, start);
			}
		}
		return this.#failure;
	}

	/** Parses the whole messages at `start` and carries what is left, or up to an oversize one; answers what it took. */
	#takeFrames(chunk: Buffer, start: number): number {
		let end = start;
		let oversize = false;
		while (this.#failure === null && end + HEADER_BYTES <= chunk.length) {
			const bytes = this.#frameBytes(chunk, end);
			oversize = bytes > FRAME_BYTES_MAX + 1;
			if (oversize || bytes === 0 || end + bytes > chunk.length || !this.#bodyIsWhole(chunk, end, bytes)) {
				break;
			}
			end += bytes;
		}
		if (end > start) {
			// What the walk has refused lies behind these frames: what is wrong in them comes first, as at any other split.
			const later = this.#failure;
			this.#failure = null;
			this.#parse(start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end));
			this.#failure ??= later;
		}
		if (this.#failure === null && end < chunk.length) {
			const carried = Math.min(chunk.length - end, oversize ? HEADER_BYTES : chunk.length);
			this.#reserve(carried);
			chunk.copy(this.#carry, 0, end, end + carried);
			this.#carried = carried;
			end += carried;
		}
		return end - start;
	}

	/** Takes what the carried message lacks, first its header; parses it when it is whole. */
	#fillCarry(chunk: Buffer, start: number): number {
		const declared = this.#carried >= HEADER_BYTES ? this.#frameBytes(this.#carry, 0) : HEADER_BYTES;
		const known = declared > FRAME_BYTES_MAX + 1 ? OVERSIZE_HEAD_BYTES : declared;
		const taken = Math.min(known - this.#carried, chunk.length - start);
		this.#reserve(this.#carried + taken);
		chunk.copy(this.#carry, this.#carried, start, start + taken);
		this.#carried += taken;
		if (this.#carried < HEADER_BYTES) {
			return taken;
		}
		const bytes = this.#frameBytes(this.#carry, 0);
		if (bytes > FRAME_BYTES_MAX + 1 && this.#carried === OVERSIZE_HEAD_BYTES) {
			this.#carried = 0;
			this.#dropOversize(this.#carry, bytes);
		} else if (bytes === this.#carried && this.#bodyIsWhole(this.#carry, 0, bytes)) {
			this.#carried = 0;
			this.#parse(this.#carry.subarray(0, bytes));
			// A large message must not pin its memory for the life of the link.
			if (this.#carry.length > CARRY_KEPT_BYTES_MAX) {
				this.#carry = Buffer.alloc(0);
			}
		}
		return taken;
	}

	#reserve(bytes: number): void {
		if (this.#carry.length < bytes) {
			const larger = Buffer.allocUnsafeSlow(Math.max(bytes, 2 * this.#carry.length, CARRY_BYTES_MIN));
			this.#carry.copy(larger, 0, 0, this.#carried);
			this.#carry = larger;
		}
	}

	/** Whole size (of CopyData perhaps an oversize one) of the message at `offset`, or 0 after noting why it cannot be one. */
	#frameBytes(bytes: Buffer, offset: number): number {
		const least = LEAST_LENGTH_BY_TYPE[bytes.readUInt8(offset)] ?? 0;
		const length = bytes.readUInt32BE(offset + 1);
		if (least === 0 || length < least || length > SERVER_MESSAGE_BYTES_MAX) {
			this.#malformed(bytes.subarray(offset), "header");
			return 0;
		}
		if (length > FRAME_BYTES_MAX && bytes.readUInt8(offset) !== TYPE_COPY_DATA) {
			this.#failure ??= new SluiceError("SLUICE_FRAME_TOO_LARGE", {
				declaredBytes: length,
				limitBytes: FRAME_BYTES_MAX,
			});
			return 0;
		}
		return 1 + length;
	}

	/** A row change is told by its relation alone, a logical message (whoever's) is left out; nothing else is ever so large. */
	#dropOversize(head: Buffer, bytes: number): void {
		const tag = head[HEADER_BYTES] === XLOG_DATA ? head[HEADER_BYTES + XLOG_DATA_HEADER_BYTES] : undefined;
		if (tag === TAG_INSERT || tag === TAG_UPDATE || tag === TAG_DELETE) {
			this.#sink.oversizeChange(head.readUInt32BE(OVERSIZE_HEAD_BYTES - 4), bytes - 1);
		} else if (tag !== TAG_MESSAGE) {
			this.#failure ??= new SluiceError("SLUICE_FRAME_TOO_LARGE", {
				declaredBytes: bytes - 1,
				limitBytes: FRAME_BYTES_MAX,
			});
			return;
		}
		this.#dropping = bytes - OVERSIZE_HEAD_BYTES;
	}

	/** The parser would read on for ever in an error or notice without its final NUL. */
	#bodyIsWhole(bytes: Buffer, offset: number, frameBytes: number): boolean {
		const type = bytes[offset];
		if (type !== TYPE_ERROR && type !== TYPE_NOTICE) {
			return true;
		}
		const last = offset + frameBytes - 1;
		let position = offset + HEADER_BYTES;
		while (position < last && bytes[position] !== 0) {
			const terminator = bytes.indexOf(0, position + 1);
			position = terminator < 0 ? last + 1 : terminator + 1;
		}
		if (position !== last || bytes[last] !== 0) {
			this.#malformed(bytes.subarray(offset, offset + frameBytes), "report");
			return false;
		}
		return true;
	}

	#parse(frames: Buffer): void {
		this.#parser.parse(frames, this.#deliver);
	}

	readonly #deliver = (message: BackendMessage): void => {
		if (this.#refused) {
			return;
		}
		if (message instanceof CopyDataMessage) {
			this.#deliverCopyData(message.chunk);
			return;
		}
		if (message instanceof DatabaseError) {
			this.#sink.serverError(message);
			return;
		}
		if (message instanceof NoticeMessage) {
			this.#sink.serverNotice(message);
			return;
		}
		switch (message.name) {
			case "replicationStart":
				this.#sink.copyBothStarted();
				return;
			case "copyDone":
			case "commandComplete":
			case "readyForQuery":
				this.#sink.streamEnded(message.name);
				return;
			default:
				// A notification or a changed parameter: nothing that the stream depends on.
				return;
		}
	};

	#deliverCopyData(payload: Buffer): void {
		switch (payload[0]) {
			case XLOG_DATA:
				if (payload.length > XLOG_DATA_HEADER_BYTES) {
					this.#sink.xlogData(payload.subarray(XLOG_DATA_HEADER_BYTES));
					return;
				}
				break;
			case KEEPALIVE:
				if (payload.length === KEEPALIVE_BYTES) {
					this.#sink.keepalive(payload.readBigUInt64BE(1), payload[17] === 1);
					return;
				}
				break;
			default:
				break;
		}
		this.#refused = true;
		this.#malformed(payload, "copy-data");
	}

	#malformed(bytes: Buffer, part: "header" | "report" | "copy-data"): void {
		this.#failure ??= new SluiceError("SLUICE_FRAME_MALFORMED", {
			part,
			hexPrefix: bytes.toString("hex", 0, Math.min(bytes.length, HEX_PREFIX_BYTES)),
		});
	}
}
