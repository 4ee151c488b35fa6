/**
 * A running Sluice for tests: a child process, so that it can be killed, stopped and started again on the same
 * data directory. Owns the process. Called by test/faults and test/e2e.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach } from "vitest";
import type { Fault } from "../../src/shared/fault-points.ts";
import type { Status } from "../../src/shared/status.ts";
import type { ChildPlan } from "./daemon-child.ts";
import { uniqueName } from "./postgres.ts";
import { type TemporaryDirectory, temporaryDirectory } from "./temporary-directory.ts";
import { waitFor } from "./wait-for.ts";

export interface TestDaemonOptions {
	readonly databaseUrl: string;
	readonly environment?: Readonly<Record<string, string>>;
	readonly faults?: readonly Fault[];
	readonly disableKeepalive?: boolean;
	/** Wait until the service is active. Default true. */
	readonly waitUntilActive?: boolean;
	/** Same stream and same data directory as this one, which may run. */
	readonly beside?: TestDaemon;
}

const START_TIMEOUT_MS = 30_000;
const LOG_BYTES_KEPT = 200_000;

export class TestDaemon {
	readonly streamId: string;
	readonly #options: TestDaemonOptions;
	readonly #directory: TemporaryDirectory;
	#child: ChildProcess | null = null;
	#exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }> | null = null;
	#ports = { port: 0, adminPort: 0 };
	#log = "";

	constructor(options: TestDaemonOptions, directory: TemporaryDirectory) {
		this.#options = options;
		this.#directory = directory;
		this.streamId = options.beside?.streamId ?? uniqueName("s");
	}

	static async start(options: TestDaemonOptions): Promise<TestDaemon> {
		const daemon = new TestDaemon(options, await temporaryDirectory("daemon"));
		await daemon.start();
		return daemon;
	}

	get slotName(): string {
		return `sluice_slot_${this.streamId}`;
	}

	get dataDirectory(): string {
		return this.#options.beside?.dataDirectory ?? join(this.#directory.path, "data");
	}

	/** Of the shape API: what the official client takes as `url`. */
	get shapeUrl(): string {
		return `http://127.0.0.1:${this.#ports.port}/v1/shape`;
	}

	get url(): string {
		return `http://127.0.0.1:${this.#ports.port}`;
	}

	get adminUrl(): string {
		return `http://127.0.0.1:${this.#ports.adminPort}`;
	}

	get pid(): number {
		return this.#child?.pid ?? 0;
	}

	/** Everything it wrote, newest last, bounded. */
	get log(): string {
		return this.#log;
	}

	/** Starts it (again) on the same data directory and, after the first time, on the same ports. */
	async start(faults: readonly Fault[] = this.#options.faults ?? []): Promise<void> {
		const plan: ChildPlan = {
			faults,
			disableKeepalive: this.#options.disableKeepalive ?? false,
		};
		const child = spawn(
			process.execPath,
			[fileURLToPath(new URL("./daemon-child.ts", import.meta.url)), JSON.stringify(plan)],
			{
				stdio: ["ignore", "pipe", "pipe", "ipc"],
				env: {
					PATH: process.env["PATH"],
					DATABASE_URL: this.#options.databaseUrl,
					SLUICE_STREAM_ID: this.streamId,
					SLUICE_DATA_DIR: this.dataDirectory,
					SLUICE_PORT: String(this.#ports.port),
					SLUICE_ADMIN_PORT: String(this.#ports.adminPort),
					SLUICE_ENABLE_SHAPE_DELETION: "true",
					...this.#options.environment,
				},
			},
		);
		this.#child = child;
		const keep = (chunk: Buffer): void => {
			this.#log = (this.#log + chunk.toString("utf8")).slice(-LOG_BYTES_KEPT);
		};
		child.stdout?.on("data", keep);
		child.stderr?.on("data", keep);
		const exited = once(child, "exit").then(([code, signal]) => ({ code, signal }));
		this.#exited = exited;
		const listening = once(child, "message").then(([ports]) => {
			this.#ports = ports as { port: number; adminPort: number };
		});
		await Promise.race([
			listening,
			exited.then(({ code }) => {
				throw new Error(`the daemon ended with ${code} before it listened:\n${this.#log.slice(-4_000)}`);
			}),
		]);
		if (this.#options.waitUntilActive !== false) {
			await this.untilActive();
		}
	}

	async untilActive(): Promise<void> {
		await waitFor("the daemon to be active", async () => (await this.status()).level === "active", {
			timeoutMs: START_TIMEOUT_MS,
		}).catch((cause: unknown) => {
			throw new Error(`the daemon does not become active:\n${this.#log.slice(-4_000)}`, { cause });
		});
	}

	async status(): Promise<Status> {
		const response = await fetch(`${this.adminUrl}/v1/status`);
		return (await response.json()) as Status;
	}

	async admin(method: "GET" | "POST", path: string): Promise<Response> {
		return fetch(`${this.adminUrl}${path}`, { method });
	}

	/** SIGTERM; answers the exit code. */
	async stop(): Promise<number | null> {
		this.#child?.kill("SIGTERM");
		return this.exited();
	}

	/** The exit code, once it has ended. */
	async exited(): Promise<number | null> {
		return (await this.#exited)?.code ?? null;
	}

	/** SIGKILL; resolves when it is gone. */
	async kill(): Promise<void> {
		this.#child?.kill("SIGKILL");
		await this.#exited;
	}

	signal(signal: NodeJS.Signals): void {
		this.#child?.kill(signal);
	}

	async end(): Promise<void> {
		await this.kill();
		await this.#directory.remove();
	}
}

/** `start` a daemon in a test; it ends with the test. */
export function useDaemons(): { start(options: TestDaemonOptions): Promise<TestDaemon> } {
	const daemons: TestDaemon[] = [];
	afterEach(async () => {
		await Promise.all(daemons.splice(0).map((daemon) => daemon.end()));
	});
	return {
		start: async (options) => {
			const daemon = new TestDaemon(options, await temporaryDirectory("daemon"));
			daemons.push(daemon);
			await daemon.start();
			return daemon;
		},
	};
}
