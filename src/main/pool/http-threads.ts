/**
 * The HTTP threads as main sees them: started one after the other on one port, and started again when one dies.
 * Owns the threads; must not let the end of one touch the link. A thread that dies again and again has a cause
 * that a restart does not mend: then the service stops. Called by the daemon.
 */

import { MessageChannel, type MessagePort, type Worker } from "node:worker_threads";
import type { Config } from "../../shared/config.ts";
import { exposeControl } from "../../shared/control-call.ts";
import type { SluiceError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logging.ts";
import type { HttpControl, HttpInit, MainControl, ThreadSample } from "../../shared/messages.ts";
import { ServiceThread } from "./service-thread.ts";

export interface HttpThreadsOptions {
	readonly config: Config;
	readonly instanceId: string;
	readonly shapeTable: SharedArrayBuffer;
	readonly mainControl: MainControl;
	/** Hands a thread's port to the registrar. */
	readonly attachToRegistrar: (port: MessagePort) => Promise<void>;
	readonly onSample: (thread: string, sample: ThreadSample) => void;
	readonly onFatal: (error: SluiceError) => void;
	readonly log: Logger;
}

type HttpThread = ServiceThread<HttpInit, HttpControl, ThreadSample>;

const RESTART_DELAY_MS = 200;
/** Deaths within the period that are taken as bad luck. */
const DEATHS_MAX = 5;
const DEATHS_PERIOD_MS = 60_000;

export class HttpThreads {
	readonly #options: HttpThreadsOptions;
	readonly #threads: HttpThread[] = [];
	#ports: { readonly port: number; readonly adminPort: number };
	#deathsAtMs: number[] = [];
	#stopping = false;

	constructor(options: HttpThreadsOptions) {
		this.#options = options;
		this.#ports = { port: options.config.port, adminPort: options.config.adminPort };
	}

	/** By name, to measure them. */
	get workers(): readonly (readonly [name: string, worker: Worker])[] {
		return this.#threads.map((thread, index) => [`http-${index}`, thread.worker] as const);
	}

	/** Resolves when all of them listen. @throws SluiceError SLUICE_PORT_IN_USE */
	async start(): Promise<{ readonly port: number; readonly adminPort: number }> {
		// The first one finds the ports when they are left open; the others, and later ones, take the same.
		for (let index = 0; index < this.#options.config.httpThreads; index += 1) {
			await this.#startThread(index);
		}
		return this.#ports;
	}

	async stop(deadlineMs: number): Promise<void> {
		this.#stopping = true;
		await Promise.all(this.#threads.map((thread) => thread.stop(() => thread.control.stop(), deadlineMs)));
	}

	async #startThread(index: number): Promise<void> {
		const { config, instanceId, shapeTable, mainControl, attachToRegistrar, onSample } = this.#options;
		const toRegistrar = new MessageChannel();
		const toMain = new MessageChannel();
		exposeControl(mainControl, toMain.port1);
		const thread: HttpThread = new ServiceThread<HttpInit, HttpControl, ThreadSample>({
			entry: "http",
			init: {
				httpThread: index,
				config: { ...config, adminPort: this.#ports.adminPort },
				instanceId,
				shapeTable,
				registrarPort: toRegistrar.port2,
				mainPort: toMain.port2,
				servesAdmin: index === 0,
				port: this.#ports.port,
			},
			transfer: [toRegistrar.port2, toMain.port2],
			onEvent: (sample) => onSample(`http-${index}`, sample),
			onDied: (error) => this.#died(index, error),
		});
		this.#threads[index] = thread;
		await attachToRegistrar(toRegistrar.port1);
		const { port, adminPort } = await thread.control.listen();
		this.#ports = { port, adminPort: adminPort ?? this.#ports.adminPort };
	}

	#died(index: number, error: SluiceError): void {
		if (this.#stopping) {
			return;
		}
		const nowMs = performance.now();
		this.#deathsAtMs = [...this.#deathsAtMs.filter((atMs) => nowMs - atMs < DEATHS_PERIOD_MS), nowMs];
		if (this.#deathsAtMs.length > DEATHS_MAX) {
			this.#options.onFatal(error);
			return;
		}
		this.#options.log.error({ err: error, httpThread: index }, "http thread died, restarting");
		setTimeout(() => {
			if (!this.#stopping) {
				this.#startThread(index).catch((err: unknown) => {
					// Its end is counted where the thread ends; a port that is still taken is tried again from there.
					this.#options.log.warn({ err, httpThread: index }, "http thread does not listen yet");
					void this.#threads[index]?.worker.terminate();
				});
			}
		}, RESTART_DELAY_MS);
	}
}
