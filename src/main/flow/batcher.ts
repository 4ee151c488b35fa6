/**
 * Copies frames into batches (shared/batch-layout.ts). Owns the batch that is being written, the relations
 * seen on this connection, and the place in the open transaction; must never decode a row: it peeks at the
 * tag byte, at Begin, Commit and Relation, and at the relation oid of a change. Called by the flow for every
 * frame; what it closes goes to the window.
 */

import {
	BATCH_HEADER_BYTES,
	FRAME_LENGTH_BYTES,
	TAG_BEGIN,
	TAG_COMMIT,
	TAG_DELETE,
	TAG_INSERT,
	TAG_MESSAGE,
	TAG_ORIGIN,
	TAG_RELATION,
	TAG_TRUNCATE,
	TAG_TYPE,
	TAG_UPDATE,
	writeBatchHeader,
} from "../../shared/batch-layout.ts";
import { SluiceError } from "../../shared/errors.ts";
import { BATCH_BYTES_MAX, SEGMENT_BYTES } from "../../shared/limits.ts";
import type { OpenTransaction, Region, Window, WindowBatch } from "./window.ts";

/** What a frame meant for the acknowledgement. */
export interface BatcherEvents {
	transactionBegins(): void;
	transactionEnds(endLsn: bigint): void;
	/** A logical message between transactions: all that the server decoded below `lsn` has come. */
	streamAdvanced(lsn: bigint): void;
	/** Our own probe has come and is part of batch `sequence`. */
	probe(content: string, sequence: number): void;
}

interface KnownRelation {
	readonly frame: Buffer;
	/** The batch that last carried it. */
	carriedBy: number;
}

const BEGIN_BYTES = 21;
const COMMIT_BYTES = 26;
const CHANGE_HEADER_BYTES = 5;
const TRUNCATE_HEADER_BYTES = 6;
/** Tag, flags, LSN; then the prefix (ended by a zero byte), the length of the content, the content. */
const MESSAGE_HEADER_BYTES = 10;
const MESSAGE_BYTES_MIN = MESSAGE_HEADER_BYTES + 1 + 4;
const MESSAGE_TRANSACTIONAL = 1;

export class Batcher {
	readonly #window: Window;
	readonly #events: BatcherEvents;
	/** With its zero byte; null when nobody probes. */
	readonly #probePrefix: Buffer | null;
	readonly #relations = new Map<number, KnownRelation>();
	readonly #views: { readonly bytes: Buffer; readonly view: DataView }[];
	#sequence = 0;
	#epoch = 0;
	#region: Region | null = null;
	#bytes: Buffer = Buffer.alloc(0);
	#view: DataView = new DataView(new ArrayBuffer(0));
	#dedicated: SharedArrayBuffer | null = null;
	#start = 0;
	#end = 0;
	#position = 0;
	#frameCount = 0;
	#lastCommitEndLsn = 0n;
	#firstLsn = 0n;
	#open: OpenTransaction | null = null;
	#openAtStart: OpenTransaction | null = null;
	/** Row changes of the open transaction; kept apart so that a change allocates nothing. */
	#changeCount = 0;

	/** @param probePrefix of the logical messages that are ours, or null */
	constructor(window: Window, events: BatcherEvents, probePrefix: string | null = null) {
		this.#window = window;
		this.#events = events;
		this.#probePrefix = probePrefix === null ? null : Buffer.from(`${probePrefix}\0`);
		this.#views = window.segments.map((memory) => ({ bytes: Buffer.from(memory), view: new DataView(memory) }));
	}

	/** A new connection: relations are announced anew, an open transaction will come again from its Begin. */
	beginEpoch(epoch: number): void {
		this.discard();
		this.#epoch = epoch;
		this.#relations.clear();
		this.#open = null;
		this.#changeCount = 0;
	}

	/** Bytes of the batch that is being written. */
	get openBytes(): number {
		return this.#frameCount === 0 ? 0 : this.#position - this.#start;
	}

	/** No transaction is open behind the last frame. */
	get atCommitBoundary(): boolean {
		return this.#open === null;
	}

	/** Sequence of the last batch that was closed. */
	get lastSequence(): number {
		return this.#sequence;
	}

	/**
	 * Takes one pgoutput message (a view; it is copied). False when the window has no room: nothing was
	 * taken, offer it again later. A batch that is full is closed first: `closed` gets it.
	 * @throws SluiceError SLUICE_FRAME_MALFORMED
	 */
	append(frame: Buffer, closed: (batch: WindowBatch) => void): boolean {
		const tag = frame[0];
		switch (tag) {
			case TAG_INSERT:
			case TAG_UPDATE:
			case TAG_DELETE:
				return this.#appendChange(frame, closed);
			case TAG_BEGIN:
				return this.#appendBegin(frame, closed);
			case TAG_COMMIT:
				return this.#appendCommit(frame, closed);
			case TAG_RELATION:
				return this.#appendRelation(frame, closed);
			case TAG_TRUNCATE:
				return this.#appendTruncate(frame, closed);
			case TAG_TYPE:
			case TAG_ORIGIN:
				// Nothing that a lane needs: types are known from the catalogue, origins make no rows.
				return true;
			case TAG_MESSAGE:
				return this.#appendMessage(frame, closed);
			default:
				throw malformed(frame, "unknown pgoutput message");
		}
	}

	/** Closes the batch that is being written, if it holds a frame. */
	close(closed: (batch: WindowBatch) => void): void {
		if (this.#frameCount === 0) {
			return;
		}
		this.#sequence += 1;
		const openAfter = this.#openTransaction();
		const atStart = this.#openAtStart;
		writeBatchHeader(this.#view, this.#start, {
			sequence: this.#sequence,
			streamEpoch: this.#epoch,
			startsInside: atStart !== null,
			endsInside: openAfter !== null,
			lastCommitEndLsn: this.#lastCommitEndLsn,
			openFinalLsn: atStart?.finalLsn ?? 0n,
			openCommitTime: atStart?.commitTime ?? 0n,
			openXid: atStart?.xid ?? 0,
			openChangeCount: atStart?.changeCount ?? 0,
			frameCount: this.#frameCount,
			payloadBytes: this.#position - this.#start - BATCH_HEADER_BYTES,
			firstLsn: this.#firstLsn,
		});
		const batch: WindowBatch = {
			sequence: this.#sequence,
			segment: this.#dedicated === null ? (this.#region?.segment ?? -1) : -1,
			dedicated: this.#dedicated,
			byteOffset: this.#start,
			byteLength: this.#position - this.#start,
			lastCommitEndLsn: this.#lastCommitEndLsn,
			openAfter,
		};
		this.#window.push(batch);
		this.#forgetRegion();
		closed(batch);
	}

	/** Throws away the batch that is being written (the connection is gone, it comes again). */
	discard(): void {
		if (this.#region !== null) {
			this.#window.abandonRegion();
		}
		this.#forgetRegion();
	}

	#appendChange(frame: Buffer, closed: (batch: WindowBatch) => void): boolean {
		if (frame.length < CHANGE_HEADER_BYTES || this.#open === null) {
			throw malformed(frame, "a row change that is too short or outside a transaction");
		}
		const relation = this.#relations.get(frame.readUInt32BE(1));
		// Room for both first: making room may begin a new batch, which then has to carry the relation.
		const relationBytes = relation === undefined ? 0 : relation.frame.length + FRAME_LENGTH_BYTES;
		if (!this.#makeRoom(frame.length + FRAME_LENGTH_BYTES + relationBytes, closed)) {
			return false;
		}
		if (relation !== undefined && relation.carriedBy !== this.#sequence + 1) {
			this.#carry(relation);
		}
		this.#put(frame);
		this.#changeCount += 1;
		return true;
	}

	#appendBegin(frame: Buffer, closed: (batch: WindowBatch) => void): boolean {
		if (frame.length < BEGIN_BYTES || this.#open !== null) {
			throw malformed(frame, "a Begin that is too short or inside a transaction");
		}
		if (!this.#write(frame, closed)) {
			return false;
		}
		const finalLsn = frame.readBigUInt64BE(1);
		this.#open = { finalLsn, commitTime: frame.readBigUInt64BE(9), xid: frame.readUInt32BE(17), changeCount: 0 };
		this.#changeCount = 0;
		if (this.#firstLsn === 0n) {
			this.#firstLsn = finalLsn;
		}
		this.#events.transactionBegins();
		return true;
	}

	#appendCommit(frame: Buffer, closed: (batch: WindowBatch) => void): boolean {
		if (frame.length < COMMIT_BYTES || this.#open === null) {
			throw malformed(frame, "a Commit that is too short or outside a transaction");
		}
		if (!this.#write(frame, closed)) {
			return false;
		}
		const endLsn = frame.readBigUInt64BE(10);
		this.#lastCommitEndLsn = endLsn;
		this.#open = null;
		this.#changeCount = 0;
		this.#events.transactionEnds(endLsn);
		return true;
	}

	#appendRelation(frame: Buffer, closed: (batch: WindowBatch) => void): boolean {
		if (frame.length < CHANGE_HEADER_BYTES) {
			throw malformed(frame, "a Relation that is too short");
		}
		if (!this.#write(frame, closed)) {
			return false;
		}
		this.#relations.set(frame.readUInt32BE(1), { frame: Buffer.from(frame), carriedBy: this.#sequence + 1 });
		return true;
	}

	#appendTruncate(frame: Buffer, closed: (batch: WindowBatch) => void): boolean {
		const count = frame.length < TRUNCATE_HEADER_BYTES ? -1 : frame.readUInt32BE(1);
		if (count < 0 || frame.length !== TRUNCATE_HEADER_BYTES + 4 * count || this.#open === null) {
			throw malformed(frame, "a Truncate of the wrong length or outside a transaction");
		}
		const relations: KnownRelation[] = [];
		for (let index = 0; index < count; index += 1) {
			const relation = this.#relations.get(frame.readUInt32BE(TRUNCATE_HEADER_BYTES + 4 * index));
			if (relation !== undefined) {
				relations.push(relation);
			}
		}
		const bytes = relations.reduce((sum, relation) => sum + relation.frame.length + FRAME_LENGTH_BYTES, 0);
		if (!this.#makeRoom(bytes + frame.length + FRAME_LENGTH_BYTES, closed)) {
			return false;
		}
		for (const relation of relations) {
			if (relation.carriedBy !== this.#sequence + 1) {
				this.#carry(relation);
			}
		}
		this.#put(frame);
		this.#changeCount += count;
		return true;
	}

	/**
	 * Messages make no rows. Ours travels on to the lanes, so that its way is that of a row; of others only the
	 * position counts. Inside a transaction neither does: the commit's will. Source: `logicalrep_write_message`.
	 */
	#appendMessage(frame: Buffer, closed: (batch: WindowBatch) => void): boolean {
		if (frame.length < MESSAGE_BYTES_MIN) {
			throw malformed(frame, "a logical message that is too short");
		}
		if (this.#open !== null || ((frame[1] ?? 0) & MESSAGE_TRANSACTIONAL) !== 0) {
			return true;
		}
		const prefix = this.#probePrefix;
		const contentStart = MESSAGE_HEADER_BYTES + (prefix?.length ?? 0);
		if (prefix !== null && frame.subarray(MESSAGE_HEADER_BYTES, contentStart).equals(prefix)) {
			if (!this.#write(frame, closed)) {
				return false;
			}
			this.#events.probe(frame.toString("latin1", contentStart + FRAME_LENGTH_BYTES), this.#sequence + 1);
		}
		this.#events.streamAdvanced(frame.readBigUInt64BE(2));
		return true;
	}

	/** Writes a relation again, so that the batch is self-contained. Room was made before. */
	#carry(relation: KnownRelation): void {
		this.#put(relation.frame);
		relation.carriedBy = this.#sequence + 1;
	}

	#write(frame: Buffer, closed: (batch: WindowBatch) => void): boolean {
		if (!this.#makeRoom(frame.length + FRAME_LENGTH_BYTES, closed)) {
			return false;
		}
		this.#put(frame);
		return true;
	}

	#put(frame: Buffer): void {
		this.#view.setUint32(this.#position, frame.length, true);
		this.#bytes.set(frame, this.#position + FRAME_LENGTH_BYTES);
		this.#position += FRAME_LENGTH_BYTES + frame.length;
		this.#frameCount += 1;
	}

	/** Makes sure that `bytes` more fit into the open batch, closing it and opening another if they do not. */
	#makeRoom(bytes: number, closed: (batch: WindowBatch) => void): boolean {
		if (this.#region !== null || this.#dedicated !== null) {
			const fits = this.#position + bytes <= this.#end;
			const full = this.#frameCount > 0 && this.#position - this.#start + bytes > BATCH_BYTES_MAX;
			if (fits && !full) {
				return true;
			}
			if (this.#frameCount === 0) {
				this.discard();
			} else {
				this.close(closed);
			}
		}
		return this.#openBatch(bytes + BATCH_HEADER_BYTES);
	}

	#openBatch(minimumBytes: number): boolean {
		if (minimumBytes > SEGMENT_BYTES) {
			// Alone in its own memory. The pump pauses while such batches exceed the window's limit.
			this.#dedicated = new SharedArrayBuffer(minimumBytes);
			this.#bytes = Buffer.from(this.#dedicated);
			this.#view = new DataView(this.#dedicated);
			this.#begin(0, minimumBytes);
			return true;
		}
		const region = this.#window.openRegion(minimumBytes);
		const views = region === null ? undefined : this.#views[region.segment];
		if (region === null || views === undefined) {
			return false;
		}
		this.#region = region;
		this.#bytes = views.bytes;
		this.#view = views.view;
		this.#begin(region.byteOffset, region.byteOffset + region.byteCapacity);
		return true;
	}

	#begin(start: number, end: number): void {
		this.#start = start;
		this.#end = end;
		this.#position = start + BATCH_HEADER_BYTES;
		this.#frameCount = 0;
		this.#lastCommitEndLsn = 0n;
		this.#openAtStart = this.#openTransaction();
		this.#firstLsn = this.#openAtStart?.finalLsn ?? 0n;
	}

	#forgetRegion(): void {
		this.#region = null;
		this.#dedicated = null;
		this.#frameCount = 0;
		this.#start = 0;
		this.#end = 0;
		this.#position = 0;
	}

	#openTransaction(): OpenTransaction | null {
		return this.#open === null ? null : { ...this.#open, changeCount: this.#changeCount };
	}
}

function malformed(frame: Buffer, problem: string): SluiceError {
	return new SluiceError("SLUICE_FRAME_MALFORMED", {
		problem,
		byteLength: frame.length,
		hexPrefix: frame.subarray(0, 64).toString("hex"),
	});
}
