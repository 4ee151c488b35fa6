/**
 * The flow between the link and the lanes: frames become batches, batches wait in the window, reports free it
 * and move the acknowledgement. Owns the backlog and the age timer; must never wait for anything. Every event
 * (frame, end of a read, report, timer) ends in `pump`, which looks at the whole state. Made by the
 * daemon, driven by replication.ts.
 */

import { BATCH_AGE_MAX_MS } from "../../shared/limits.ts";
import type { Lsn } from "../../shared/lsn.ts";
import type { LaneResume } from "../../shared/messages.ts";
import type { PauseReason } from "../../shared/status.ts";
import { AckTracker } from "./ack-tracker.ts";
import { Batcher } from "./batcher.ts";
import { PauseGate } from "./pause-gate.ts";
import { decide } from "./pump.ts";
import { type OpenTransaction, Window, type WindowBatch } from "./window.ts";

export interface FlowEvents {
	/** Hand a closed batch to every lane. */
	dispatch(batch: WindowBatch): void;
	/** Stop and start reading the socket. */
	pause(): void;
	resume(): void;
	/** The position that may be acknowledged grew (it still has to be stored). */
	acknowledgeable(lsn: Lsn): void;
	/** Our own logical message has come, as part of batch `sequence`. */
	probe?(content: string, sequence: number): void;
}

export class Flow {
	readonly window: Window;
	readonly gate: PauseGate;
	readonly ack: AckTracker;
	readonly #batcher: Batcher;
	readonly #events: FlowEvents;
	/** sequence written, by lane */
	readonly #written: number[];
	/** The transaction that was open at the end of the last batch each lane has written. */
	readonly #openAfterWritten: (OpenTransaction | null)[];
	/** Frames that were read before the pause took hold and found no room. Drained first, in order. */
	#backlog: Buffer[] = [];
	#backlogBytes = 0;
	#openSinceMs = 0;
	#ageTimer: NodeJS.Timeout | null = null;
	#lastAcknowledgeable: Lsn = 0n;
	#frameCount = 0;

	constructor(options: {
		readonly windowBytes: number;
		readonly lanes: number;
		readonly events: FlowEvents;
		/** See Batcher. */
		readonly probePrefix?: string;
	}) {
		this.#events = options.events;
		this.window = new Window(options.windowBytes);
		this.gate = new PauseGate(options.events.pause, options.events.resume);
		this.ack = new AckTracker(options.lanes);
		const batcherEvents = {
			transactionBegins: () => this.ack.transactionBegins(),
			transactionEnds: (endLsn: Lsn) => this.ack.transactionEnds(endLsn),
			streamAdvanced: (lsn: Lsn) => this.ack.keepalive(lsn),
			probe: (content: string, sequence: number) => options.events.probe?.(content, sequence),
		};
		this.#batcher = new Batcher(this.window, batcherEvents, options.probePrefix ?? null);
		this.#written = new Array<number>(options.lanes).fill(0);
		this.#openAfterWritten = new Array<OpenTransaction | null>(options.lanes).fill(null);
	}

	/** A connection begins to stream. */
	begin(startLsn: Lsn, epoch: number, fresh: boolean): void {
		this.#batcher.beginEpoch(epoch);
		this.ack.begin(startLsn, epoch, fresh);
		this.#lastAcknowledgeable = fresh ? startLsn : this.#lastAcknowledgeable;
		this.pump();
	}

	/** The connection is gone: what was read completely is still worth processing; the cut transaction is not. */
	disconnected(): void {
		this.#backlog = [];
		this.#backlogBytes = 0;
		this.#closeBatch();
		this.ack.transactionCut();
		this.pump();
	}

	/** Frames that came, for the life of the process: whether the stream moves at all. */
	get frameCount(): number {
		return this.#frameCount;
	}

	/** Every lane has written all up to and including this batch. */
	get writtenByAll(): number {
		return Math.min(...this.#written);
	}

	/** One pgoutput message, a view. */
	frame(message: Buffer): void {
		this.#frameCount += 1;
		if (this.#backlog.length > 0 || !this.#append(message)) {
			this.#backlog.push(Buffer.from(message));
			this.#backlogBytes += message.length;
		}
	}

	keepalive(walEnd: Lsn): void {
		// Behind frames that still wait in the backlog it says nothing yet: they were not handed out.
		if (this.#backlog.length === 0) {
			this.ack.keepalive(walEnd);
		}
	}

	/** All frames of one read were handed over. */
	readEnd(): void {
		this.pump();
	}

	written(lane: number, sequence: number): void {
		this.#written[lane] = Math.max(this.#written[lane] ?? 0, sequence);
		this.#openAfterWritten[lane] = this.window.find(sequence)?.openAfter ?? null;
		this.window.release(this.writtenByAll);
		this.pump();
	}

	durable(lane: number, lsn: Lsn, epoch: number): void {
		this.ack.durable(lane, lsn, epoch);
		this.pump();
	}

	/** Where a new thread of this lane begins: behind what the last one reported as written. */
	resumeOf(lane: number, acknowledgedLsn: Lsn): LaneResume {
		const open = this.#openAfterWritten[lane] ?? null;
		return {
			expectedSequence: this.writtenBy(lane) + 1,
			openTransaction: open === null ? null : { finalLsn: open.finalLsn, changeCount: open.changeCount },
			acknowledgedLsn,
		};
	}

	/** Of the last batch that was closed. */
	get lastSequence(): number {
		return this.#batcher.lastSequence;
	}

	writtenBy(lane: number): number {
		return this.#written[lane] ?? 0;
	}

	/** Bytes that are held: window, open batch, backlog. */
	get heldBytes(): number {
		return this.window.bytes + this.#batcher.openBytes + this.#backlogBytes;
	}

	setReason(reason: PauseReason, present: boolean): void {
		this.gate.set(reason, present);
	}

	/** Looks at everything, does what is due. */
	pump(): void {
		this.#drainBacklog();
		const decision = decide({
			openBytes: this.#batcher.openBytes,
			openAgeMs: this.#openSinceMs === 0 ? 0 : performance.now() - this.#openSinceMs,
			atCommitBoundary: this.#batcher.atCommitBoundary,
			someLaneIdle: Math.max(...this.#written) === this.#batcher.lastSequence,
			pressure: this.window.pressure(this.#batcher.openBytes, this.#backlogBytes),
			pausedForWindow: this.gate.has("window"),
		});
		if (decision.closeBatch) {
			this.#closeBatch();
		}
		this.gate.set("window", decision.pauseForWindow);
		this.#watchAge();
		const acknowledgeable = this.ack.flushLsn();
		if (acknowledgeable > this.#lastAcknowledgeable) {
			this.#lastAcknowledgeable = acknowledgeable;
			this.#events.acknowledgeable(acknowledgeable);
		}
	}

	/** No timer outlives this. */
	stop(): void {
		if (this.#ageTimer !== null) {
			clearTimeout(this.#ageTimer);
			this.#ageTimer = null;
		}
	}

	#append(message: Buffer): boolean {
		const taken = this.#batcher.append(message, (batch) => this.#closed(batch));
		if (this.#openSinceMs === 0 && this.#batcher.openBytes > 0) {
			this.#openSinceMs = performance.now();
		}
		return taken;
	}

	#drainBacklog(): void {
		let drained = 0;
		for (const message of this.#backlog) {
			if (!this.#append(message)) {
				break;
			}
			drained += 1;
			this.#backlogBytes -= message.length;
		}
		if (drained > 0) {
			this.#backlog = this.#backlog.slice(drained);
		}
	}

	#closeBatch(): void {
		this.#batcher.close((batch) => this.#closed(batch));
	}

	#closed(batch: WindowBatch): void {
		this.#openSinceMs = 0;
		this.#events.dispatch(batch);
	}

	/** A batch that nothing else closes is closed by its age. */
	#watchAge(): void {
		if (this.#batcher.openBytes > 0 && this.#ageTimer === null) {
			this.#ageTimer = setTimeout(() => {
				this.#ageTimer = null;
				this.pump();
			}, BATCH_AGE_MAX_MS);
		}
	}
}
