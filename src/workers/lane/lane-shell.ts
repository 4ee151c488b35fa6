/**
 * A lane's ports, queue and timers around its batch processor. Owns when things happen; must hold no rule of the
 * stream. Between two batches the event loop gets a turn, so that control calls, checkpoints and samples happen
 * under load. Made by the lane's entry, once for each task.
 */

import { BroadcastChannel, threadId } from "node:worker_threads";
import { must } from "../../shared/assert.ts";
import { exposeControl } from "../../shared/control-call.ts";
import type { StreamDecoder } from "../../shared/decoding.ts";
import { diskError } from "../../shared/disk-error.ts";
import { SluiceError, toWire } from "../../shared/errors.ts";
import { FaultInjector } from "../../shared/fault-points.ts";
import { CHECKPOINT_INTERVAL_MS } from "../../shared/limits.ts";
import type { LogStore } from "../../shared/log-store.ts";
import { createLogger, type Logger } from "../../shared/logging.ts";
import type { ShapeMatcher } from "../../shared/matching.ts";
import {
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
	readonly #channel: BroadcastChannel;
	readonly #segments: readonly Memory[];
	#queue: InboundBatch[] = [];
	#expectedSequence: number;
	#isRestored = false;
	#isSuspended = false;
	#isStopping = false;
	#isScheduled = false;
	#timer: NodeJS.Timeout | null = null;
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
			beforeWrite: () => this.#faults.pass("lane.log.write"),
		});
		const { openTransaction } = resume;
		this.#book = new ShapeBook({
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
			post: (event) => task.registrarEventPort.postMessage(event),
			log: this.#log,
		});
		this.#processor = new BatchProcessor({
			book: this.#book,
			matcher: parts.matcher,
			decoder: parts.decoder,
			store: this.#store,
			faults: this.#faults,
			openTransaction,
			log: this.#log,
		});
		this.#checkpoint = new Checkpoint({
			book: this.#book,
			store: this.#store,
			faults: this.#faults,
			report: ({ endLsn, streamEpoch }) => this.#post({ kind: "durable", lsn: endLsn, streamEpoch }),
			log: this.#log,
		});
		this.#channel = new BroadcastChannel(slotsChannelName(task.instanceId));
		this.#segments = task.segments.map(memoryOf);
		this.#expectedSequence = resume.expectedSequence;
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
				restored: () => {
					this.#isRestored = true;
					this.#post({ kind: "ready", threadId });
				},
				announce: () => this.#announce(),
			}),
			registrarPort,
		);
		this.#stopSampling = startSampling(
			(sample) => this.#post(sample),
			() => this.#gauges(),
		);
		this.#timer = setInterval(() => this.#runCheckpoint(), CHECKPOINT_INTERVAL_MS);
		dataPort.on("message", (message: LaneInbound) => this.#receive(message));
		try {
			await ended;
		} finally {
			this.#close();
		}
	}

	#receive(message: LaneInbound): void {
		if (message.kind === "stop") {
			this.#isStopping = true;
			this.#queue = [];
			this.#stop().catch((error: unknown) => this.#ended?.reject(error));
			return;
		}
		if (!this.#isStopping) {
			this.#queue.push(message);
			this.#schedule();
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
			if (batch !== undefined) {
				try {
					this.#take(batch);
				} catch (error) {
					this.#ended?.reject(error);
					return;
				}
			}
			this.#schedule();
		});
	}

	#take(batch: InboundBatch): void {
		const { sequence } = batch;
		if (sequence !== this.#expectedSequence) {
			return;
		}
		try {
			this.#process(batch);
		} catch (error) {
			// A batch may be sent again; a bug of ours ends this thread.
			const mapped = diskError(error, "batch");
			if (!(mapped instanceof SluiceError)) {
				throw error;
			}
			this.#announce();
			this.#post({ kind: "failed", sequence, error: toWire(mapped) });
		}
	}

	#process(batch: InboundBatch): void {
		const { sequence } = batch;
		this.#faults.pass("lane.batch.before");
		if (!this.#isRestored) {
			throw new SluiceError("SLUICE_LANE_NOT_READY", { lane: this.#task.lane });
		}
		const memory =
			batch.dedicated === null
				? must(this.#segments[batch.segment], "a batch in a segment that does not exist")
				: memoryOf(batch.dedicated);
		const { committedLsn, committedEndLsn, streamEpoch } = this.#processor.process(
			memory.buffer,
			memory.view,
			batch.byteOffset,
		);
		if (committedLsn !== null) {
			this.#table.setLaneProcessedLsn(this.#task.lane, committedLsn);
		}
		this.#announce();
		this.#faults.pass("lane.batch.written");
		this.#expectedSequence = sequence + 1;
		this.#post({ kind: "written", sequence });
		if (committedEndLsn !== null) {
			this.#checkpoint.processed({ streamEpoch, endLsn: committedEndLsn });
		}
	}

	#runCheckpoint(): void {
		this.#checkpoint.run().then(
			() => this.#announce(),
			(error: unknown) => this.#ended?.reject(error),
		);
	}

	async #stop(): Promise<void> {
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
			openFiles: this.#store.openFiles,
			shapes: this.#book.count,
			checkpointMs: this.#checkpoint.lastMs,
		};
	}

	#close(): void {
		if (this.#timer !== null) {
			clearInterval(this.#timer);
		}
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
