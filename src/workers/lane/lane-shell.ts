/**
 * A lane's ports, queue and timers around its batch processor. Owns when things happen; must hold no rule of the
 * stream. Batches are taken one by one and written in groups (flush-clock.ts says when); only then are they
 * reported. Between two batches the event loop gets a turn, so that control calls, checkpoints and samples happen
 * under load. Made by the lane's entry, once for each task.
 */

import { BroadcastChannel, threadId } from "node:worker_threads";
import { invariant, must, unreachable } from "../../shared/assert.ts";
import { readBatchHeader } from "../../shared/batch-layout.ts";
import { exposeControl } from "../../shared/control-call.ts";
import type { StreamDecoder } from "../../shared/decoding.ts";
import { diskError } from "../../shared/disk-error.ts";
import { SluiceError, toWire } from "../../shared/errors.ts";
import { FaultInjector } from "../../shared/fault-points.ts";
import { LANE_GROUP_WINDOW_FRACTION } from "../../shared/limits.ts";
import type { LogStore } from "../../shared/log-store.ts";
import { createLogger, type Logger } from "../../shared/logging.ts";
import type { ShapeMatcher } from "../../shared/matching.ts";
import {
	type LaneEvent,
	type LaneInbound,
	type LaneOperatorControl,
	type LaneOutbound,
	type LaneTask,
	type SlotsChanged,
	slotsChannelName,
} from "../../shared/messages.ts";
import { opOfChange } from "../../shared/offset.ts";
import { ShapeTable } from "../../shared/shape-table.ts";
import { startSampling } from "../../shared/thread-sample.ts";
import { BatchProcessor } from "./batch-processor.ts";
import { Checkpoint } from "./checkpoint.ts";
import { checkpointDelayMs } from "./checkpoint-pacing.ts";
import { FlushClock } from "./flush-clock.ts";
import { ShapeBook } from "./shape-book.ts";
import { ShapeControl } from "./shape-control.ts";

type InboundBatch = Extract<LaneInbound, { kind: "batch" }>;

/** The rooms that a lane is put together from. */
export interface LaneParts {
	readonly matcher: ShapeMatcher;
	readonly decoder: StreamDecoder;
	readonly createStore: (options: {
		readonly chunkBytes: number;
		readonly lanes: number;
		readonly beforeWrite: () => void;
	}) => LogStore;
}

interface Memory {
	readonly buffer: Buffer;
	readonly view: DataView;
}

export class LaneShell {
	readonly #task: LaneTask;
	readonly #log: Logger;
	readonly #faults: FaultInjector;
	readonly #table: ShapeTable;
	readonly #store: LogStore;
	readonly #book: ShapeBook;
	readonly #processor: BatchProcessor;
	readonly #checkpoint: Checkpoint;
	readonly #clock: FlushClock;
	readonly #channel: BroadcastChannel;
	readonly #segments: readonly Memory[];
	#queue: InboundBatch[] = [];
	#expectedSequence: number;
	/** First batch that was not reported: of the group, or the next one. */
	#unreportedSequence: number;
	/** Batches of earlier epochs are from before a gap in the stream. */
	#firstEpoch = 0;
	#isRestored = false;
	#isSuspended = false;
	#isStopping = false;
	#isScheduled = false;
	#checkpointTimer: NodeJS.Timeout | null = null;
	#stopSampling: (() => void) | null = null;
	#ended: { resolve(): void; reject(error: unknown): void } | null = null;

	constructor(task: LaneTask, parts: LaneParts) {
		this.#task = task;
		const { lane, config, resume } = task;
		this.#log = createLogger(config.logLevel, `lane-${lane}`);
		this.#faults = new FaultInjector(task.faults, lane);
		this.#table = new ShapeTable(task.shapeTable);
		this.#store = parts.createStore({
			chunkBytes: config.chunkBytes,
			lanes: config.workers,
			beforeWrite: () => this.#faults.pass("lane.log.write", this.#table.laneWorkingOn(lane)),
		});
		const { openTransaction } = resume;
		const post = (event: LaneEvent): void => task.registrarEventPort.postMessage(event);
		this.#book = new ShapeBook({
			lane,
			table: this.#table,
			matcher: parts.matcher,
			store: this.#store,
			rules: {
				acknowledgedLsn: resume.acknowledgedLsn,
				keep:
					openTransaction === null
						? null
						: { finalLsn: openTransaction.finalLsn, belowOp: opOfChange(openTransaction.changeCount) },
			},
			post,
			log: this.#log,
		});
		this.#processor = new BatchProcessor({
			book: this.#book,
			matcher: parts.matcher,
			decoder: parts.decoder,
			store: this.#store,
			faults: this.#faults,
			openTransaction,
			post,
			log: this.#log,
		});
		this.#checkpoint = new Checkpoint({
			book: this.#book,
			store: this.#store,
			faults: this.#faults,
			report: ({ endLsn, streamEpoch }) => this.#post({ kind: "durable", lsn: endLsn, streamEpoch }),
			log: this.#log,
		});
		this.#clock = new FlushClock({
			windowBytesMax: config.windowBytes * LANE_GROUP_WINDOW_FRACTION,
			due: () => this.#guarded(() => this.#flushWhenDue()),
		});
		this.#channel = new BroadcastChannel(slotsChannelName(task.instanceId));
		this.#segments = task.segments.map(memoryOf);
		this.#expectedSequence = resume.expectedSequence;
		this.#unreportedSequence = resume.expectedSequence;
	}

	/** Runs until `stop`; rejects when something is broken that a new lane may not be. */
	async run(): Promise<void> {
		const { dataPort, controlPort, registrarPort } = this.#task;
		const ended = new Promise<void>((resolve, reject) => {
			this.#ended = { resolve, reject };
		});
		const operator: LaneOperatorControl = {
			suspend: async () => {
				this.#isSuspended = true;
				this.#guarded(() => this.#flush());
			},
			resume: async () => {
				this.#isSuspended = false;
				this.#schedule();
			},
		};
		exposeControl(operator, controlPort);
		exposeControl(
			new ShapeControl({
				book: this.#book,
				processor: this.#processor,
				store: this.#store,
				openTransaction: this.#task.resume.openTransaction,
				quarantine: this.#task.resume.quarantine ?? [],
				settle: () => this.#flush(),
				restored: () => {
					this.#isRestored = true;
					this.#post({ kind: "ready", threadId });
				},
				announce: () => this.#announce(),
				removed: () => this.#checkpoint.reportIfClean(),
				log: this.#log,
			}),
			registrarPort,
		);
		this.#stopSampling = startSampling(
			(sample) => this.#post(sample),
			() => this.#gauges(),
		);
		this.#planCheckpoint();
		dataPort.on("message", (message: LaneInbound) => this.#receive(message));
		try {
			await ended;
		} finally {
			this.#close();
		}
	}

	#receive(message: LaneInbound): void {
		switch (message.kind) {
			case "stop":
				this.#isStopping = true;
				this.#queue = [];
				this.#stop().catch((error: unknown) => this.#ended?.reject(error));
				return;
			case "purge":
				this.#guarded(() => this.#purge(message.beforeEpoch));
				return;
			case "batch":
				if (!this.#isStopping) {
					this.#queue.push(message);
					this.#schedule();
				}
				return;
			default:
				unreachable(message);
		}
	}

	#schedule(): void {
		if (this.#isScheduled || this.#isSuspended || this.#queue.length === 0) {
			return;
		}
		this.#isScheduled = true;
		setImmediate(() => {
			this.#isScheduled = false;
			if (this.#isSuspended || this.#isStopping) {
				return;
			}
			const batch = this.#queue.shift();
			this.#guarded(() => {
				if (batch !== undefined && batch.sequence === this.#expectedSequence) {
					this.#take(batch);
				}
				this.#flushWhenDue();
				this.#schedule();
			});
		});
	}

	/** A bug of ours ends this thread. */
	#guarded(work: () => void): void {
		try {
			work();
		} catch (error) {
			this.#ended?.reject(error);
		}
	}

	#take(batch: InboundBatch): void {
		this.#orFail(() => {
			this.#faults.pass("lane.batch.before");
			if (!this.#isRestored) {
				throw new SluiceError("SLUICE_LANE_NOT_READY", { lane: this.#task.lane });
			}
			const memory =
				batch.dedicated === null
					? must(this.#segments[batch.segment], "a batch in a segment that does not exist")
					: memoryOf(batch.dedicated);
			const header = readBatchHeader(memory.view, batch.byteOffset);
			if (header.streamEpoch < this.#firstEpoch) {
				this.#skip(batch);
				return;
			}
			if (this.#processor.isHolding && this.#processor.startsAnew(header)) {
				this.#write();
			}
			this.#processor.take(header, memory.buffer, memory.view, batch.byteOffset);
			this.#clock.joined(batch.byteLength);
			this.#expectedSequence = batch.sequence + 1;
		});
	}

	/** From before a gap in the stream: as good as written. */
	#skip(batch: InboundBatch): void {
		invariant(!this.#processor.isHolding, "a group that is held over a gap in the stream");
		this.#expectedSequence = batch.sequence + 1;
		this.#reported(batch.sequence);
	}

	#purge(beforeEpoch: number): void {
		this.#firstEpoch = Math.max(this.#firstEpoch, beforeEpoch);
		const wasHolding = this.#processor.isHolding;
		this.#processor.forget();
		this.#checkpoint.forget();
		this.#table.setLaneProcessedLsn(this.#task.lane, 0n);
		if (wasHolding) {
			this.#reported(this.#expectedSequence - 1);
		}
		this.#announce();
	}

	#flushWhenDue(): void {
		const processor = this.#processor;
		if (!processor.isHolding) {
			return;
		}
		if (this.#clock.isDue(processor.hasWork, processor.heldBytes, this.#queue.length > 0)) {
			this.#flush();
		}
	}

	/** Writes and reports the group, if there is one; a failure is reported, too. */
	#flush(): void {
		if (this.#processor.isHolding) {
			this.#orFail(() => this.#write());
		}
	}

	#write(): void {
		const startedMs = performance.now();
		const { sequence, streamEpoch, committedLsn, committedEndLsn } = this.#processor.flush();
		if (committedLsn !== null) {
			this.#table.setLaneProcessedLsn(this.#task.lane, committedLsn);
		}
		this.#announce();
		this.#faults.pass("lane.batch.written");
		this.#reported(sequence);
		if (committedEndLsn !== null) {
			this.#checkpoint.processed({ streamEpoch, endLsn: committedEndLsn });
		}
		this.#clock.flushed(startedMs);
	}

	#reported(sequence: number): void {
		this.#unreportedSequence = sequence + 1;
		this.#clock.ended();
		this.#post({ kind: "written", sequence });
	}

	/** A group may be sent again, from its first batch; anything but a SluiceError ends the thread. */
	#orFail(work: () => void): void {
		try {
			work();
		} catch (error) {
			const mapped = diskError(error, "batch");
			if (!(mapped instanceof SluiceError)) {
				throw error;
			}
			if (this.#processor.isHolding) {
				this.#processor.abandon();
			}
			const sequence = this.#unreportedSequence;
			this.#expectedSequence = sequence;
			this.#clock.ended();
			this.#announce();
			this.#post({ kind: "failed", sequence, error: toWire(mapped) });
		}
	}

	/** The next one begins a while after the last has ended. */
	#planCheckpoint(): void {
		this.#checkpointTimer = setTimeout(() => {
			this.#checkpoint.run().then(
				() => {
					this.#announce();
					this.#planCheckpoint();
				},
				(error: unknown) => this.#ended?.reject(error),
			);
		}, checkpointDelayMs(this.#checkpoint.lastMs));
	}

	async #stop(): Promise<void> {
		this.#flush();
		// One may be under way that began before the last batch.
		await this.#checkpoint.run();
		await this.#checkpoint.run();
		this.#announce();
		this.#post({ kind: "stopped" });
		this.#ended?.resolve();
	}

	#announce(): void {
		const slots = this.#book.takeChanged();
		if (slots !== null) {
			this.#channel.postMessage({ slots } satisfies SlotsChanged);
		}
	}

	#post(message: LaneOutbound): void {
		this.#task.dataPort.postMessage(message);
	}

	#gauges(): Readonly<Record<string, number>> {
		return {
			rows: this.#processor.rows,
			entries: this.#processor.entries,
			appendedBytes: this.#store.appendedBytes,
			dirtyShapes: this.#book.dirtyCount,
			endingShapes: this.#book.endingCount,
			flushMs: Math.round(this.#clock.lastMs),
			openFiles: this.#store.openFiles,
			shapes: this.#book.count,
			checkpointMs: this.#checkpoint.lastMs,
		};
	}

	#close(): void {
		if (this.#checkpointTimer !== null) {
			clearTimeout(this.#checkpointTimer);
		}
		this.#clock.close();
		this.#stopSampling?.();
		this.#store.releaseAll();
		this.#channel.close();
		const { dataPort, controlPort, registrarPort, registrarEventPort } = this.#task;
		for (const port of [dataPort, controlPort, registrarPort, registrarEventPort]) {
			port.close();
		}
	}
}

function memoryOf(shared: SharedArrayBuffer): Memory {
	return { buffer: Buffer.from(shared), view: new DataView(shared) };
}
