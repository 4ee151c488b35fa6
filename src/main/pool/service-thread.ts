/**
 * A plain worker thread with a control port and an event port: the registrar and the HTTP threads. Owns the
 * thread; reports its unexpected end once. Called by the daemon.
 */

import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { type ControlClient, controlClient } from "../../shared/control-call.ts";
import { SluiceError } from "../../shared/errors.ts";
import { workerEntry } from "../../shared/thread-entry.ts";

export interface ServiceThreadOptions<Init extends object, Event> {
	readonly entry: "registrar" | "http";
	/** Everything of workerData but the two ports that are made here. */
	readonly init: Omit<Init, "controlPort" | "eventPort">;
	/** Ports inside `init`. */
	readonly transfer: readonly MessagePort[];
	readonly onEvent: (event: Event) => void;
	/** The thread ended and nobody asked for it. */
	readonly onDied: (error: SluiceError) => void;
}

export class ServiceThread<Init extends object, Control extends object, Event> {
	readonly control: ControlClient<Control>;
	readonly worker: Worker;
	readonly #ended: Promise<void>;
	#stopping = false;

	constructor(options: ServiceThreadOptions<Init, Event>) {
		const control = new MessageChannel();
		const events = new MessageChannel();
		this.control = controlClient<Control>(control.port1);
		events.port1.on("message", options.onEvent);
		this.worker = new Worker(new URL(workerEntry(options.entry)), {
			workerData: { ...options.init, controlPort: control.port2, eventPort: events.port2 },
			transferList: [...options.transfer, control.port2, events.port2],
		});
		let failure: unknown = null;
		this.worker.on("error", (error) => {
			failure = error;
		});
		this.#ended = new Promise((resolve) => {
			this.worker.once("exit", (exitCode) => {
				control.port1.close();
				events.port1.close();
				resolve();
				if (!this.#stopping) {
					options.onDied(new SluiceError("SLUICE_THREAD_GONE", { thread: options.entry, exitCode, cause: failure }));
				}
			});
		});
	}

	/** Lets `stop` end the thread in order; past the deadline it is terminated. */
	async stop(stop: () => Promise<void>, deadlineMs: number): Promise<void> {
		this.#stopping = true;
		await new Promise<void>((resolve) => {
			const timer = setTimeout(resolve, deadlineMs);
			stop()
				.catch(() => undefined)
				.then(() => {
					clearTimeout(timer);
					resolve();
				});
		});
		await this.worker.terminate();
		await this.#ended;
	}
}
