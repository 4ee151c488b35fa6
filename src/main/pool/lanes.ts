/**
 * The lanes: a Piscina pool with one long-lived task a thread. Owns the pool and which thread is which lane;
 * must never process anything itself. Piscina's idle threads would sleep with their ports, therefore
 * `atomics: "disabled"`; a pool whose threads fail while loading is dead, therefore its `error` is fatal.
 * Called by the daemon.
 */

import type { MessagePort, Worker } from "node:worker_threads";
import { Piscina } from "piscina";
import { SluiceError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logging.ts";
import type { LaneResume, LaneTask, ThreadSample } from "../../shared/messages.ts";
import type { LaneState } from "../../shared/status.ts";
import { workerEntry } from "../../shared/thread-entry.ts";
import { Lane, type LaneBatch } from "./lane.ts";

/** See main/progress. */
export interface LaneProgress {
	readonly id: number;
	readonly state: LaneState;
	readonly waitingForMs: number;
	readonly retryCode: string | null;
}

export interface LanesOptions {
	readonly task: Pick<LaneTask, "config" | "instanceId" | "shapeTable" | "segments" | "faults">;
	readonly resume: (lane: number) => LaneResume;
	/** Sequence of the last batch that was handed out. */
	readonly lastSequence: () => number;
	readonly workingOn: (lane: number) => number | null;
	readonly batchesFrom: (sequence: number) => readonly LaneBatch[];
	readonly attachToRegistrar: (lane: number, ports: { control: MessagePort; events: MessagePort }) => Promise<void>;
	/** See LaneOptions. */
	readonly untilActive: (deadlineMs: number) => Promise<void>;
	readonly log: Logger;
	readonly events: {
		written(lane: number, sequence: number): void;
		durable(lane: number, lsn: bigint, streamEpoch: number): void;
		sample(lane: number, sample: ThreadSample): void;
		/** Some lane's state changed. */
		states(states: readonly LaneState[]): void;
		fatal(error: SluiceError): void;
	};
}

export class Lanes {
	readonly #pool: Piscina<LaneTask, void>;
	readonly #lanes: readonly Lane[];
	readonly #options: LanesOptions;

	constructor(options: LanesOptions) {
		this.#options = options;
		const count = options.task.config.workers;
		this.#pool = new Piscina<LaneTask, void>({
			filename: workerEntry("lane"),
			name: "default",
			minThreads: count,
			maxThreads: count,
			concurrentTasksPerWorker: 1,
			atomics: "disabled",
			idleTimeout: Number.POSITIVE_INFINITY,
			recordTiming: false,
			workerHistogram: false,
		});
		this.#pool.on("error", (cause: unknown) => {
			options.events.fatal(new SluiceError("SLUICE_INTERNAL", { part: "lane pool", cause }));
		});
		this.#lanes = Array.from(
			{ length: count },
			(_, id) =>
				new Lane({
					id,
					run: (task, transfer) => this.#pool.run(task, { transferList: [...transfer] }),
					task: options.task,
					resume: () => options.resume(id),
					batchesFrom: options.batchesFrom,
					terminate: (threadId) => {
						void this.#pool.threads.find((worker) => worker.threadId === threadId)?.terminate();
					},
					workingOn: () => options.workingOn(id),
					attachToRegistrar: (ports) => options.attachToRegistrar(id, ports),
					untilActive: options.untilActive,
					log: options.log,
					events: {
						written: (sequence) => options.events.written(id, sequence),
						durable: (lsn, streamEpoch) => options.events.durable(id, lsn, streamEpoch),
						sample: (sample) => options.events.sample(id, sample),
						state: () => options.events.states(this.#lanes.map((lane) => lane.state)),
						fatal: options.events.fatal,
					},
				}),
		);
	}

	/** What each lane has done with its work, and for how long it has not. */
	progress(): readonly LaneProgress[] {
		const nowMs = performance.now();
		return this.#lanes.map((lane) => ({
			id: lane.id,
			state: lane.state,
			waitingForMs: lane.waitingForMs(nowMs, this.#options.lastSequence()),
			retryCode: lane.retryCode,
		}));
	}

	/**
	 * Ends running lanes that have had work for longer than `patienceMs` and written nothing: a thread that hangs
	 * is like one that died.
	 */
	endStuck(progress: readonly LaneProgress[], patienceMs: number): void {
		for (const { id, state, waitingForMs } of progress) {
			if (state === "running" && waitingForMs > patienceMs) {
				this.#options.log.error(
					{ lane: id, waitingForMs: Math.round(waitingForMs) },
					"lane is stuck, ending its thread",
				);
				this.#lanes[id]?.terminate();
			}
		}
	}

	get all(): readonly Lane[] {
		return this.#lanes;
	}

	/** Resolves when every lane has restored its shapes. */
	async start(): Promise<void> {
		await Promise.all(this.#lanes.map((lane) => lane.start()));
	}

	dispatch(batch: LaneBatch): void {
		for (const lane of this.#lanes) {
			lane.send(batch);
		}
	}

	/** Every shape was dropped: what earlier epochs hold must not reach new ones. */
	purge(beforeEpoch: number): void {
		for (const lane of this.#lanes) {
			lane.purge(beforeEpoch);
		}
	}

	/** Every lane when `lane` is null. @throws SluiceError SLUICE_REQUEST_INVALID for a lane that is not there */
	async suspend(lane: number | null): Promise<void> {
		await Promise.all(this.#select(lane).map((each) => each.suspend()));
	}

	async resume(lane: number | null): Promise<void> {
		await Promise.all(this.#select(lane).map((each) => each.resume()));
	}

	/** The thread of a lane, to measure it from outside. Null while it restarts. */
	thread(lane: number): Worker | null {
		const threadId = this.#select(lane)[0]?.threadId ?? null;
		return threadId === null ? null : (this.#pool.threads.find((worker) => worker.threadId === threadId) ?? null);
	}

	/** Ends all lanes in order, or, past the deadline, at once. */
	async stop(deadlineMs: number): Promise<void> {
		const timeout = new AbortController();
		const timer = setTimeout(() => timeout.abort(), deadlineMs);
		await new Promise<void>((resolve) => {
			timeout.signal.addEventListener("abort", () => resolve(), { once: true });
			Promise.all(this.#lanes.map((lane) => lane.stop())).then(() => resolve());
		});
		clearTimeout(timer);
		await this.#pool.destroy();
	}

	#select(lane: number | null): readonly Lane[] {
		if (lane === null) {
			return this.#lanes;
		}
		const found = this.#lanes[lane];
		if (found === undefined) {
			throw new SluiceError("SLUICE_REQUEST_INVALID", {
				errors: { id: [`must be a lane from 0 to ${this.#lanes.length - 1}`] },
			});
		}
		return [found];
	}
}
