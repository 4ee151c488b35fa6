/**
 * The daemon under measurement, as a child process: start, status, shapes, stop. Owns that process and its log file;
 * must never use anything of it but its environment variables and its two ports, as any operator would.
 * Called by readers/sluice-reader.ts.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { Status } from "../src/shared/status.ts";
import { TABLE } from "./load.ts";
import { freePort } from "./postgres.ts";

const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;
const REQUEST_TIMEOUT_MS = 60_000;
const SHAPE_ATTEMPTS_MAX = 20;
const SHAPE_RETRY_MS = 250;
const LOG_TAIL_CHARACTERS = 4_000;

export interface SluiceSettings {
	readonly databaseUrl: string;
	readonly dataDirectory: string;
	readonly streamId: string;
	readonly workers: number;
	readonly logFile: string;
}

/** One life of the daemon. */
export class SluiceProcess {
	readonly pid: number;
	readonly spawnedAtMs: number;
	readonly #child: ChildProcess;
	readonly #exited: Promise<number | null>;
	readonly #base: string;
	readonly #adminBase: string;
	readonly #logFile: string;

	private constructor(child: ChildProcess, pid: number, port: number, adminPort: number, logFile: string) {
		this.#child = child;
		this.pid = pid;
		this.spawnedAtMs = performance.now();
		this.#exited = new Promise((resolve) => child.once("exit", resolve));
		this.#base = `http://127.0.0.1:${port}`;
		this.#adminBase = `http://127.0.0.1:${adminPort}`;
		this.#logFile = logFile;
	}

	static async spawn(settings: SluiceSettings): Promise<SluiceProcess> {
		const [port, adminPort] = [await freePort(), await freePort()];
		const entry = new URL("../src/main/index.ts", import.meta.url).pathname;
		const log = openSync(settings.logFile, "a");
		const child = spawn(process.execPath, [entry, "start"], {
			env: {
				...foreignEnvironment(),
				DATABASE_URL: settings.databaseUrl,
				SLUICE_PORT: String(port),
				SLUICE_ADMIN_PORT: String(adminPort),
				SLUICE_DATA_DIR: settings.dataDirectory,
				SLUICE_STREAM_ID: settings.streamId,
				SLUICE_WORKERS: String(settings.workers),
				SLUICE_LOG_LEVEL: "info",
			},
			stdio: ["ignore", log, log],
		});
		closeSync(log);
		if (child.pid === undefined) {
			throw new Error("the daemon could not be spawned");
		}
		return new SluiceProcess(child, child.pid, port, adminPort, settings.logFile);
	}

	/** Waits until health answers 200. @throws Error with the end of the daemon's log */
	async untilHealthy(): Promise<void> {
		const deadline = Date.now() + READY_TIMEOUT_MS;
		while (Date.now() < deadline) {
			await this.#assertAlive();
			const response = await fetch(`${this.#base}/v1/health`).catch(() => null);
			await response?.arrayBuffer();
			if (response?.status === 200) {
				return;
			}
			await delay(20);
		}
		throw new Error(`the daemon is not healthy after ${READY_TIMEOUT_MS} ms\n${await this.logTail()}`);
	}

	/** The admin port's status, or null while it does not listen yet. */
	async status(): Promise<Status | null> {
		await this.#assertAlive();
		const response = await fetch(`${this.#adminBase}/v1/status`).catch(() => null);
		return response?.status === 200 ? ((await response.json()) as Status) : null;
	}

	/** Registers `user_id = 1` … `user_id = count`, `parallel` requests at once. */
	async registerShapes(count: number, parallel: number): Promise<void> {
		let next = 1;
		const register = async (): Promise<void> => {
			while (next <= count) {
				const user = next;
				next += 1;
				await this.#get(shapeQuery(user, "-1", null));
			}
		};
		await Promise.all(Array.from({ length: Math.min(parallel, count) }, register));
	}

	/** Reads a shape from its beginning to its present end and counts its insert operations. */
	async countRows(user: number): Promise<number> {
		let rows = 0;
		let offset = "-1";
		let handle: string | null = null;
		for (;;) {
			const response = await this.#get(shapeQuery(user, offset, handle));
			const entries = JSON.parse(response.body) as readonly { readonly headers: Record<string, unknown> }[];
			rows += entries.filter((entry) => entry.headers["operation"] === "insert").length;
			if (response.upToDate) {
				return rows;
			}
			offset = response.offset;
			handle = response.handle;
		}
	}

	/** SIGTERM; SIGKILL when that takes too long. @throws Error when the exit code is not 0 */
	async stop(): Promise<void> {
		if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
			return;
		}
		this.#child.kill("SIGTERM");
		const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_TIMEOUT_MS);
		const code = await this.#exited;
		clearTimeout(timer);
		if (code !== 0) {
			throw new Error(`the daemon ended with ${code ?? "a signal"}\n${await this.logTail()}`);
		}
	}

	kill(): void {
		this.#child.kill("SIGKILL");
	}

	async logTail(): Promise<string> {
		const text = await readFile(this.#logFile, "utf8").catch(() => "");
		return text.slice(-LOG_TAIL_CHARACTERS);
	}

	async #assertAlive(): Promise<void> {
		if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
			throw new Error(`the daemon ended (${this.#child.exitCode ?? this.#child.signalCode})\n${await this.logTail()}`);
		}
	}

	async #get(query: URLSearchParams): Promise<ShapeResponse> {
		let problem = "";
		for (let attempt = 0; attempt < SHAPE_ATTEMPTS_MAX; attempt += 1) {
			await this.#assertAlive();
			const response = await fetch(`${this.#base}/v1/shape?${query}`, {
				signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
			});
			const body = await response.text();
			if (response.status === 200) {
				return {
					body,
					offset: response.headers.get("electric-offset") ?? "",
					handle: response.headers.get("electric-handle"),
					upToDate: response.headers.has("electric-up-to-date"),
				};
			}
			problem = `${response.status} ${body.slice(0, 500)}`;
			if (response.status !== 429 && response.status !== 503) {
				break;
			}
			await delay(SHAPE_RETRY_MS);
		}
		throw new Error(`GET /v1/shape?${query} answered ${problem}\n${await this.logTail()}`);
	}
}

/** Our environment without what would configure Sluice or reach PostgreSQL's client library. */
function foreignEnvironment(): NodeJS.ProcessEnv {
	return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(SLUICE_|PG|DATABASE_URL)/.test(name)));
}

interface ShapeResponse {
	readonly body: string;
	readonly offset: string;
	readonly handle: string | null;
	readonly upToDate: boolean;
}

function shapeQuery(user: number, offset: string, handle: string | null): URLSearchParams {
	const query = new URLSearchParams({ table: TABLE, where: `user_id = ${user}`, offset });
	if (handle !== null) {
		query.set("handle", handle);
	}
	return query;
}
