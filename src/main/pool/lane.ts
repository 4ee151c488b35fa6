/**
 * One lane as main sees it: its thread's life (start, crash, restart), what it has been sent, and what to send
 * again. Owns the lane's ports and retry budget; must never look into a batch, nor touch the link. Used by
 * lanes.ts.
 */

import { MessageChannel, type MessagePort } from "node:worker_threads";
import { unreachable } from "../../shared/assert.ts";
import { type ControlClient, controlClient } from "../../shared/control-call.ts";
import { fromWire, SluiceError } from "../../shared/errors.ts";
import {
	BATCH_RETRY_BUDGET_MS,
	BATCH_RETRY_DELAY_MS,
	BATCH_RETRY_SELDOM_AFTER_MS,
	BATCH_RETRY_SELDOM_DELAY_MS,
} from "../../shared/limits.ts";
import type { Logger } from "../../shared/logging.ts";
import type {
	LaneInbound,
	LaneOperatorControl,
	LaneOutbound,
	LaneResume,
	LaneTask,
	ThreadSample,
} from "../../shared/messages.ts";
import type { LaneState } from "../../shared/status.ts";

/** A batch as it is handed over; the bytes stay where they are. */
export type LaneBatch = Extract<LaneInbound, { kind: "batch" }>;

export interface LaneOptions {
	readonly id: number;
	/** Runs the lane's task on a thread of the pool; settles when the thread ends. */
	readonly run: (task: LaneTask, transfer: readonly MessagePort[]) => Promise<void>;
	/** Everything of the task that main's composition knows. */
	readonly task: Pick<LaneTask, "config" | "instanceId" | "shapeTable" | "segments" | "faults">;
	/** Where the next thread of this lane begins. */
	readonly resume: () => LaneResume;
	/** The batches from `sequence` on that the window still holds. */
	readonly batchesFrom: (sequence: number) => readonly LaneBatch[];
	/** Ends the thread at once, whatever it does. */
	readonly terminate: (threadId: number) => void;
	/** The shape slot that the lane was working on when its thread ended, or null. */
	readonly workingOn: () => number | null;
	readonly attachToRegistrar: (ports: { control: MessagePort; events: MessagePort }) => Promise<void>;
	/** Resolves when the service is active, or at the deadline. */
	readonly untilActive: (deadlineMs: number) => Promise<void>;
	readonly events: LaneEvents;
	readonly log: Logger;
}

export interface LaneEvents {
	written(sequence: number): void;
	durable(lsn: bigint, streamEpoch: number): void;
	sample(sample: ThreadSample): void;
	/** The state changed; `retrying` and `restarting` are reasons to pause. */
	state(state: LaneState): void;
	/** The lane cannot go on: the daemon has to stop. */
	fatal(error: SluiceError): void;
}

const RESTART_DELAY_FIRST_MS = 50;
const RESTART_DELAY_MAX_MS = 2_000;
/** A shape whose row ends the thread this often in a row is dropped. */
const CRASHES_UNTIL_QUARANTINE = 2;
/** Causes that pass, however late. */
const WAITED_FOR: ReadonlySet<string> = new Set(["SLUICE_LANE_NOT_READY", "SLUICE_DISK_FULL"]);
/** Crashes at one batch that no shape explains: somebody has to look. */
const CRASHES_MAX = 12;

export class Lane {
	readonly id: number;
	readonly #options: LaneOptions;
	#state: LaneState = "starting";
	#port: MessagePort | null = null;
	#operator: ControlClient<LaneOperatorControl> | null = null;
	#threadId: number | null = null;
	#restarts = 0;
	/** Since the last batch that was written. */
	#crashesInRow = 0;
	readonly #suspects = new Map<number, number>();
	#lastProgressMs = 0;
	#suspended = false;
	#stopping = false;
	/** Resolves when the thread has ended after `stop`. */
	#ended: Promise<void> = Promise.resolve();
	#retryingSequence = 0;
	#retryCode: string | null = null;
	#retryDeadlineMs = 0;
	/** The batch at hand failed first. */
	#retryingSinceMs = 0;
	#writtenSequence = 0;

	constructor(options: LaneOptions) {
		this.id = options.id;
		this.#options = options;
	}

	get state(): LaneState {
		return this.#suspended && this.#state === "running" ? "suspended" : this.#state;
	}

	get restarts(): number {
		return this.#restarts;
	}

	/** Null while the thread is starting. */
	get threadId(): number | null {
		return this.#threadId;
	}

	/** Starts the thread. Resolves when it has restored its shapes. */
	start(): Promise<void> {
		const data = new MessageChannel();
		const operator = new MessageChannel();
		const registrar = new MessageChannel();
		const registrarEvents = new MessageChannel();
		const ready = new Promise<void>((resolve) => {
			data.port1.on("message", (message: LaneOutbound) => {
				if (message.kind === "ready") {
					this.#ready(data.port1, message.threadId);
					resolve();
				} else {
					this.#receive(message);
				}
			});
		});
		this.#operator = controlClient<LaneOperatorControl>(operator.port1);
		const task: LaneTask = {
			...this.#options.task,
			lane: this.id,
			resume: { ...this.#options.resume(), quarantine: this.quarantine },
			dataPort: data.port2,
			controlPort: operator.port2,
			registrarPort: registrar.port2,
			registrarEventPort: registrarEvents.port2,
		};
		const ended = this.#options
			.run(task, [data.port2, operator.port2, registrar.port2, registrarEvents.port2])
			.then(
				() => this.#threadEnded(null),
				(error: unknown) => this.#threadEnded(error),
			)
			.finally(() => {
				data.port1.close();
				operator.port1.close();
			});
		this.#ended = ended;
		const attached = this.#options.attachToRegistrar({ control: registrar.port1, events: registrarEvents.port1 });
		attached.catch((error: unknown) => {
			// Without its shapes the lane is of no use: it ends, and the next one is attached anew.
			this.#options.log.warn({ err: error, lane: this.id }, "lane was not attached to the registrar");
			data.port1.postMessage({ kind: "stop" } satisfies LaneInbound);
		});
		return Promise.race([ready, ended]);
	}

	/** Hands a batch over. While the lane is starting or retrying, the window keeps it for later. */
	send(batch: LaneBatch): void {
		if (this.#port !== null && this.#state === "running") {
			this.#port.postMessage(batch);
		}
	}

	purge(beforeEpoch: number): void {
		this.#port?.postMessage({ kind: "purge", beforeEpoch } satisfies LaneInbound);
	}

	async suspend(): Promise<void> {
		this.#suspended = true;
		await this.#operator?.suspend();
	}

	async resume(): Promise<void> {
		this.#suspended = false;
		// The time as suspended is not held against it.
		this.#lastProgressMs = performance.now();
		await this.#operator?.resume();
	}

	/** For how long the lane has had work and written nothing; 0 when it has none. `lastSequence`: handed out last. */
	waitingForMs(nowMs: number, lastSequence: number): number {
		if (this.#writtenSequence >= lastSequence) {
			this.#lastProgressMs = nowMs;
		}
		return nowMs - this.#lastProgressMs;
	}

	/** Code of the error for which it retries, or null. */
	get retryCode(): string | null {
		return this.#state === "retrying" ? this.#retryCode : null;
	}

	/** Ends a thread that is stuck; another one takes over. */
	terminate(): void {
		if (this.#threadId !== null) {
			this.#options.terminate(this.#threadId);
		}
	}

	/** Shapes that the next thread drops before it begins. */
	get quarantine(): readonly number[] {
		return [...this.#suspects].filter(([, crashes]) => crashes >= CRASHES_UNTIL_QUARANTINE).map(([slot]) => slot);
	}

	/** Asks the lane to finish the batch at hand, to sync and to end; resolves when its thread has ended. */
	async stop(): Promise<void> {
		this.#stopping = true;
		this.#setState("stopped");
		this.#port?.postMessage({ kind: "stop" } satisfies LaneInbound);
		await this.#ended;
	}

	#ready(port: MessagePort, threadId: number): void {
		this.#port = port;
		this.#threadId = threadId;
		if (this.#stopping) {
			port.postMessage({ kind: "stop" } satisfies LaneInbound);
			return;
		}
		if (this.#suspended) {
			this.#operator?.suspend().catch(() => undefined);
		}
		this.#lastProgressMs = performance.now();
		this.#setState("running");
		this.#sendFrom(this.#options.resume().expectedSequence);
	}

	#receive(message: Exclude<LaneOutbound, { kind: "ready" }>): void {
		switch (message.kind) {
			case "written":
				this.#crashesInRow = 0;
				this.#suspects.clear();
				this.#lastProgressMs = performance.now();
				this.#writtenSequence = message.sequence;
				this.#options.events.written(message.sequence);
				return;
			case "durable":
				this.#options.events.durable(message.lsn, message.streamEpoch);
				return;
			case "failed":
				this.#failed(message.sequence, fromWire(message.error));
				return;
			case "sample":
				this.#options.events.sample(message);
				return;
			case "stopped":
				return;
			default:
				unreachable(message);
		}
	}

	/**
	 * The lane could not process a batch. If it may be retried: wait for readiness, then a little, then send it
	 * and its successors again. "Not ready" starts a fresh budget at each wait, and so does a full disk, which an operator
	 * may find late: readers are served meanwhile, and a restart would meet the same disk. Other causes share one a batch.
	 */
	#failed(sequence: number, error: Error): void {
		if (this.#stopping) {
			return;
		}
		const retryable = error instanceof SluiceError && error.retry === "retry";
		if (!retryable) {
			this.#options.events.fatal(new SluiceError("SLUICE_LANE_GAVE_UP", { lane: this.id, sequence, cause: error }));
			return;
		}
		const nowMs = performance.now();
		const fresh = WAITED_FOR.has(error.code) || this.#retryingSequence !== sequence;
		if (fresh) {
			this.#retryDeadlineMs = nowMs + BATCH_RETRY_BUDGET_MS;
		}
		if (this.#retryingSequence !== sequence) {
			this.#retryingSinceMs = nowMs;
			this.#options.log.warn({ err: error, lane: this.id, sequence }, "lane could not process a batch, retrying");
		}
		this.#retryingSequence = sequence;
		this.#retryCode = error.code;
		const leftMs = this.#retryDeadlineMs - nowMs;
		if (leftMs <= 0) {
			this.#options.events.fatal(
				new SluiceError("SLUICE_LANE_GAVE_UP", {
					lane: this.id,
					sequence,
					budgetMs: BATCH_RETRY_BUDGET_MS,
					cause: error,
				}),
			);
			return;
		}
		this.#setState("retrying");
		const isSeldom = nowMs - this.#retryingSinceMs >= BATCH_RETRY_SELDOM_AFTER_MS;
		const delayMs = isSeldom ? BATCH_RETRY_SELDOM_DELAY_MS : BATCH_RETRY_DELAY_MS;
		this.#options.untilActive(leftMs).then(() => {
			setTimeout(() => {
				if (this.#state === "retrying" && this.#retryingSequence === sequence) {
					this.#setState("running");
					this.#sendFrom(sequence);
				}
			}, delayMs);
		});
	}

	#sendFrom(sequence: number): void {
		for (const batch of this.#options.batchesFrom(sequence)) {
			this.#port?.postMessage(batch);
		}
	}

	/** The thread is gone. Unless that was asked for, another one takes over where the reports ended. */
	#threadEnded(error: unknown): void {
		this.#port = null;
		this.#threadId = null;
		this.#operator = null;
		if (this.#stopping) {
			this.#setState("stopped");
			return;
		}
		this.#restarts += 1;
		this.#crashesInRow += 1;
		const slot = this.#options.workingOn();
		if (slot !== null) {
			this.#suspects.set(slot, (this.#suspects.get(slot) ?? 0) + 1);
		}
		if (this.#crashesInRow > CRASHES_MAX) {
			this.#options.events.fatal(
				new SluiceError("SLUICE_LANE_GAVE_UP", {
					lane: this.id,
					afterBatch: this.#writtenSequence,
					crashes: this.#crashesInRow,
					cause: error,
				}),
			);
			return;
		}
		const delayMs = Math.min(RESTART_DELAY_MAX_MS, RESTART_DELAY_FIRST_MS * 2 ** (this.#crashesInRow - 1));
		const died = new SluiceError("SLUICE_LANE_DIED", {
			lane: this.id,
			afterBatch: this.#writtenSequence,
			cause: error,
		});
		this.#options.log.error({ err: died, lane: this.id, restarts: this.#restarts, delayMs }, "lane died, restarting");
		this.#setState("restarting");
		setTimeout(() => {
			if (!this.#stopping) {
				this.start().catch((cause: unknown) => {
					this.#options.events.fatal(new SluiceError("SLUICE_INTERNAL", { cause }));
				});
			}
		}, delayMs);
	}

	#setState(state: LaneState): void {
		if (this.#state !== state) {
			this.#state = state;
			this.#options.events.state(state);
		}
	}
}
