/**
 * The snapshot pool as the registrar sees it: starts a task, passes its reports on, and hands it the verdict of
 * the splice. Owns the Piscina pool; must hold nothing of a table. Called by shape-creation.
 */

import { MessageChannel, type MessagePort } from "node:worker_threads";
import { Piscina } from "piscina";
import type { DatabaseUrl } from "../../shared/database-url.ts";
import { fromWire, SluiceError } from "../../shared/errors.ts";
import type { ShapeDefinition, SnapshotInfo } from "../../shared/shape-definition.ts";
import type { SnapshotInbound, SnapshotOutbound, SnapshotOutcome, SnapshotTask } from "../../shared/snapshot-task.ts";
import { SUBSET_TASK_NAME, type SubsetOutcome, type SubsetTask } from "../../shared/subset-task.ts";
import { workerEntry } from "../../shared/thread-entry.ts";

/** COPY and encoding of small shapes wait for the disk and the server; two threads keep two cores busy. */
const THREADS_MAX = 2;
/** Each task has a connection of its own: the pool uses eight at most. */
const TASKS_PER_THREAD = 4;

export interface SnapshotRequest {
	readonly directory: string;
	readonly definition: ShapeDefinition;
	/** Aborted when the shape is removed. */
	readonly signal: AbortSignal;
	/** The snapshot exists; whether the stream can be joined to it. */
	readonly splice: (snapshot: SnapshotInfo) => Promise<"spliced" | "retake">;
	/** The query works so far. Not called before the splice, nor necessarily at all. */
	readonly onReading: () => void;
	readonly onProgress: (chunks: number) => void;
}

export type SnapshotResult = { readonly kind: "finished"; readonly chunks: number } | { readonly kind: "retake" };

export interface Snapshots {
	/**
	 * Takes one snapshot.
	 * @throws SluiceError `SLUICE_SNAPSHOT_FAILED`, `SLUICE_DISK_FULL`, `SLUICE_DISK_FAILED`, `SLUICE_SHAPE_GONE` when aborted
	 */
	take(request: SnapshotRequest): Promise<SnapshotResult>;
	close(): Promise<void>;
}

/** Runs subset queries. */
export interface SubsetSource {
	/**
	 * The response's body.
	 * @throws SluiceError as RegistrarShapeControl.querySubset; `SLUICE_SUBSET_ABANDONED` when the signal is aborted
	 */
	subset(
		task: Omit<SubsetTask, "databaseUrl" | "cancelPort"> & { readonly signal: AbortSignal },
	): Promise<SharedArrayBuffer>;
}

export class SnapshotPool implements Snapshots, SubsetSource {
	readonly #databaseUrl: DatabaseUrl;
	readonly #chunkBytes: number;
	readonly #pool: Piscina<SnapshotTask | SubsetTask, SnapshotOutcome | SubsetOutcome>;

	/** @param onFatal a thread cannot be loaded: the pool is dead */
	constructor(databaseUrl: DatabaseUrl, chunkBytes: number, onFatal: (error: unknown) => void) {
		this.#databaseUrl = databaseUrl;
		this.#chunkBytes = chunkBytes;
		this.#pool = new Piscina<SnapshotTask | SubsetTask, SnapshotOutcome | SubsetOutcome>({
			filename: workerEntry("snapshot"),
			atomics: "disabled",
			// From the start and for good: a thread that cannot begin, as when files have run out, is the end of the pool.
			minThreads: THREADS_MAX,
			maxThreads: THREADS_MAX,
			concurrentTasksPerWorker: TASKS_PER_THREAD,
			recordTiming: false,
		});
		this.#pool.on("error", onFatal);
	}

	async take(request: SnapshotRequest): Promise<SnapshotResult> {
		const { port1: port, port2: taskPort } = new MessageChannel();
		const order = (message: SnapshotInbound): void => port.postMessage(message);
		let spliceFailure: unknown = null;
		const splice = async (snapshot: SnapshotInfo): Promise<void> => {
			try {
				const verdict = await request.splice(snapshot);
				order({ kind: verdict === "spliced" ? "go" : "retake" });
			} catch (error) {
				spliceFailure = error;
				order({ kind: "abort" });
			}
		};
		port.on("message", (message: SnapshotOutbound) => {
			switch (message.kind) {
				case "started":
					void splice(message.snapshot);
					return;
				case "reading":
					request.onReading();
					return;
				case "progress":
					request.onProgress(message.chunks);
			}
		});
		const abort = (): void => order({ kind: "abort" });
		request.signal.addEventListener("abort", abort);
		try {
			if (request.signal.aborted) {
				throw new SluiceError("SLUICE_SHAPE_GONE");
			}
			const task = {
				databaseUrl: await this.#databaseUrl(),
				chunkBytes: this.#chunkBytes,
				directory: request.directory,
				definition: request.definition,
				port: taskPort,
			};
			// The pool's default function answers for its own kind of task.
			const outcome = (await this.#run(task, { transferList: [taskPort] })) as SnapshotOutcome;
			if (spliceFailure !== null) {
				throw spliceFailure;
			}
			switch (outcome.kind) {
				case "finished":
				case "retake":
					return outcome;
				case "aborted":
					throw new SluiceError("SLUICE_SHAPE_GONE");
				case "failed":
					throw fromWire(outcome.error);
			}
		} finally {
			request.signal.removeEventListener("abort", abort);
			port.close();
		}
	}

	async subset(
		request: Omit<SubsetTask, "databaseUrl" | "cancelPort"> & { readonly signal: AbortSignal },
	): Promise<SharedArrayBuffer> {
		const { signal, ...task } = request;
		signal.throwIfAborted();
		const { port1: port, port2: cancelPort } = new MessageChannel();
		const cancel = (): void => port.postMessage(null);
		signal.addEventListener("abort", cancel);
		try {
			const outcome = (await this.#run(
				{ ...task, databaseUrl: await this.#databaseUrl(), cancelPort },
				{ name: SUBSET_TASK_NAME, transferList: [cancelPort] },
			)) as SubsetOutcome;
			signal.throwIfAborted();
			if (outcome.kind === "failed") {
				throw fromWire(outcome.error);
			}
			return outcome.body;
		} finally {
			signal.removeEventListener("abort", cancel);
			port.close();
		}
	}

	async close(): Promise<void> {
		await this.#pool.destroy();
	}

	async #run(
		task: SnapshotTask | SubsetTask,
		options: { readonly name?: string; readonly transferList?: readonly [MessagePort] },
	): Promise<SnapshotOutcome | SubsetOutcome> {
		try {
			return await this.#pool.run(task, { ...options, transferList: [...(options.transferList ?? [])] });
		} catch (cause) {
			throw new SluiceError("SLUICE_SNAPSHOT_FAILED", {
				sqlState: null,
				serverMessage: "The snapshot's thread ended unexpectedly",
				cause,
			});
		}
	}
}
