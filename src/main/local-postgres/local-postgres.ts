/**
 * The embedded PostgreSQL of `npm start` and of the tests: makes a data directory, starts `postgres` in it,
 * stops it. Owns the server process from spawn to exit, without exit hooks: when we are killed the server goes
 * on, and the next start adopts it. Listens on loopback only. Imported lazily by the command line (a published
 * install has no such binaries) and by test/support.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { type FileHandle, mkdir, open, readFile, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { SluiceError } from "../../shared/errors.ts";
import { findBinaries, type PostgresBinaries, type PostgresVersion } from "./binaries.ts";
import {
	configure,
	existingVersion,
	initialize,
	lastLines,
	rememberedPort,
	serverEnvironment,
	superuserUrl,
	takeOwnership,
} from "./data-directory.ts";
import { bindablePort } from "./free-port.ts";
import { answersAsPostgres, livenessOf, readPostmasterFile } from "./postmaster-file.ts";
import { type Launch, launchFor } from "./server-user.ts";

export type { PostgresVersion } from "./binaries.ts";

/**
 * How PostgreSQL shuts down (manual, "Shutting Down the Server"). fast: ends sessions, then waits for
 * walsenders to send everything, so a paused consumer holds it up. immediate: as a crash. smart: waits for
 * sessions to end.
 */
export type StopMode = "smart" | "fast" | "immediate";

export interface LocalPostgresOptions {
	/** Made by initdb when it does not exist; reused with its rows when it does. */
	readonly dataDirectory: string;
	/** Default: the version of the existing data, else 18. */
	readonly version?: PostgresVersion;
	/** 0 or absent: the port of the last start if it is free, else any free one. */
	readonly port?: number;
	/** Server settings beside ours. */
	readonly settings?: Readonly<Record<string, string>>;
	/** Lines of pg_hba.conf instead of ours, which let everybody in who comes over loopback. */
	readonly access?: readonly string[];
	/** Further files in the data directory, by name (a TLS certificate and its key). */
	readonly files?: Readonly<Record<string, string>>;
	/** Default: `server.log` in the data directory. */
	readonly logFile?: string;
	/** Default true. False: no fsync, for tests. */
	readonly sync?: boolean;
	/** Default false. True: asks the kernel (Linux) to end the server when our process ends. For tests. */
	readonly dieWithParent?: boolean;
}

const START_TIMEOUT_MS = 30_000;
const POLL_INTERVAL_MS = 20;
const PORT_ATTEMPTS_MAX = 5;
const STOP_TIMEOUT_MS = 60_000;

const SIGNALS: Readonly<Record<StopMode, NodeJS.Signals>> = {
	smart: "SIGTERM",
	fast: "SIGINT",
	immediate: "SIGQUIT",
};

/** A port that somebody took between our look and the server's bind. */
const PORT_TAKEN = /could not bind|Address already in use/;

/**
 * Starts the server, or adopts the one that an earlier, killed run left running on this data directory (then
 * its settings and port stay as they are). Resolves when it accepts connections.
 * @throws SluiceError `SLUICE_LOCAL_POSTGRES_FAILED` with `reason` and the last lines of its log
 */
export async function startLocalPostgres(options: LocalPostgresOptions): Promise<LocalPostgres> {
	const dataDirectory = resolve(options.dataDirectory);
	const existing = await existingVersion(dataDirectory);
	const version = options.version ?? (existing === 15 ? 15 : 18);
	if (existing !== null && existing !== version) {
		throw new SluiceError("SLUICE_LOCAL_POSTGRES_FAILED", {
			reason: "the data directory belongs to another major version",
			dataDirectory,
			existing,
			version,
		});
	}
	const binaries = await findBinaries(version);
	// Before the look at who may enter which directory: the ones that are made here count too.
	await mkdir(dirname(dataDirectory), { recursive: true });
	const launch = await launchFor(binaries.directory, dataDirectory, options.dieWithParent ?? false);
	if (existing === null) {
		await initialize(dataDirectory, version, binaries, launch, options.sync ?? true);
	}
	await takeOwnership(dataDirectory, launch);
	const server = new LocalPostgres({ ...options, dataDirectory, version }, binaries, launch);
	await server.start();
	return server;
}

/** A running server. `port` stays the same over {@link restart}; `pid` does not. */
export class LocalPostgres {
	readonly version: PostgresVersion;
	readonly dataDirectory: string;
	readonly logFile: string;
	readonly #options: LocalPostgresOptions;
	readonly #binaries: PostgresBinaries;
	readonly #launch: Launch;
	#child: ChildProcess | null = null;
	#pid = 0;
	#port = 0;
	#url = "";

	/** Not started: see {@link startLocalPostgres}. */
	constructor(
		options: LocalPostgresOptions & { readonly version: PostgresVersion },
		binaries: PostgresBinaries,
		launch: Launch,
	) {
		this.version = options.version;
		this.dataDirectory = options.dataDirectory;
		this.logFile = options.logFile ?? join(options.dataDirectory, "server.log");
		this.#options = options;
		this.#binaries = binaries;
		this.#launch = launch;
	}

	/** Superuser `postgres`, database `postgres`. Holds a password when the server asks for one: not for logs. */
	get url(): string {
		return this.#url;
	}

	get port(): number {
		return this.#port;
	}

	/** It was running already: somebody else may be using it. */
	get isAdopted(): boolean {
		return this.#pid !== 0 && this.#child === null;
	}

	/** Of the postmaster. */
	get pid(): number {
		return this.#pid;
	}

	/**
	 * Starts a stopped server.
	 * @throws SluiceError `SLUICE_LOCAL_POSTGRES_FAILED`
	 */
	async start(): Promise<void> {
		if (!(await this.#adopt())) {
			await this.#startAtSomePort();
		}
		this.#url = await superuserUrl(this.dataDirectory, this.#port);
	}

	/**
	 * Ends the server and waits for its end. "forced": it did not end in time (60 s unless given) and was ended
	 * as by a crash; the next start recovers. Answers "clean" when it was not running.
	 */
	async stop(mode: StopMode = "fast", timeoutMs = STOP_TIMEOUT_MS): Promise<"clean" | "forced"> {
		this.signal(mode);
		if (await this.#ended(timeoutMs)) {
			return "clean";
		}
		this.signal("immediate");
		if (!(await this.#ended(STOP_TIMEOUT_MS))) {
			throw new SluiceError("SLUICE_LOCAL_POSTGRES_FAILED", {
				reason: "the server does not end",
				pid: this.#pid,
				logFile: this.logFile,
			});
		}
		return "forced";
	}

	/** Asks the server to end and does not wait: {@link stop} waits. */
	signal(mode: StopMode): void {
		if (this.#pid === 0) {
			return;
		}
		try {
			process.kill(this.#pid, SIGNALS[mode]);
		} catch {
			// It has ended already.
		}
	}

	/** Stops and starts on the same port. */
	async restart(mode: StopMode = "fast"): Promise<void> {
		await this.stop(mode);
		await this.start();
	}

	async #adopt(): Promise<boolean> {
		const facts = await readPostmasterFile(this.dataDirectory);
		if (facts === null) {
			return false;
		}
		const liveness = await livenessOf(facts.pid);
		if (liveness === "other") {
			// PostgreSQL would refuse to start for a stranger that happens to have the pid.
			await rm(join(this.dataDirectory, "postmaster.pid"), { force: true });
		}
		if (liveness !== "alive" || facts.port === null) {
			return false;
		}
		const deadline = Date.now() + START_TIMEOUT_MS;
		while (Date.now() < deadline && (await livenessOf(facts.pid)) === "alive") {
			if (await answersAsPostgres(facts.port)) {
				this.#child = null;
				this.#pid = facts.pid;
				this.#port = facts.port;
				return true;
			}
			await delay(POLL_INTERVAL_MS);
		}
		return false;
	}

	async #startAtSomePort(): Promise<void> {
		const wanted = this.#options.port ?? 0;
		for (let attempt = 1; ; attempt += 1) {
			// After a stop the port is ours: it is kept, also when something holds it for a moment.
			const port = wanted !== 0 ? wanted : this.#port !== 0 ? this.#port : await this.#freePort();
			try {
				await this.#spawn(port);
				return;
			} catch (error) {
				const again = wanted === 0 && attempt < PORT_ATTEMPTS_MAX && PORT_TAKEN.test(await this.#log());
				if (!again) {
					throw error;
				}
			}
		}
	}

	async #freePort(): Promise<number> {
		const remembered = await rememberedPort(this.dataDirectory);
		const port = (remembered === null ? null : await bindablePort(remembered)) ?? (await bindablePort(0));
		if (port === null) {
			throw new SluiceError("SLUICE_LOCAL_POSTGRES_FAILED", { reason: "no port is free on 127.0.0.1" });
		}
		return port;
	}

	async #spawn(port: number): Promise<void> {
		const method = this.#launch.readsEverything ? "scram-sha-256" : "trust";
		await configure(
			this.dataDirectory,
			{
				port,
				sync: this.#options.sync ?? true,
				settings: this.#options.settings ?? {},
				access: this.#options.access ?? [
					`host all all 127.0.0.1/32 ${method}`,
					`host replication all 127.0.0.1/32 ${method}`,
				],
				files: this.#options.files ?? {},
			},
			this.#launch,
		);
		const log = await open(this.logFile, "a", 0o600);
		let child: ChildProcess;
		try {
			child = await this.#spawnInto(log);
		} finally {
			await log.close();
		}
		const pid = child.pid ?? 0;
		const deadline = Date.now() + START_TIMEOUT_MS;
		while (child.exitCode === null && child.signalCode === null && Date.now() < deadline) {
			const facts = await readPostmasterFile(this.dataDirectory);
			if (facts?.pid === pid && facts.ready && (await answersAsPostgres(port))) {
				this.#child = child;
				this.#pid = pid;
				this.#port = port;
				child.unref();
				return;
			}
			await delay(POLL_INTERVAL_MS);
		}
		const reason =
			child.exitCode === null && child.signalCode === null
				? "the server did not become ready in 30 seconds"
				: "the server ended while it started";
		child.kill("SIGQUIT");
		throw new SluiceError("SLUICE_LOCAL_POSTGRES_FAILED", {
			reason,
			logFile: this.logFile,
			lastLines: lastLines(await this.#log()),
		});
	}

	/** In a session of its own: Ctrl-C in a terminal is for us, we decide when the server ends. */
	async #spawnInto(log: FileHandle): Promise<ChildProcess> {
		const command = [...this.#launch.prefix, this.#binaries.postgres, "-D", this.dataDirectory];
		const [program = this.#binaries.postgres, ...rest] = command;
		const child = spawn(program, rest, {
			...(this.#launch.credentials ?? {}),
			cwd: "/",
			detached: true,
			env: serverEnvironment(),
			stdio: ["ignore", log.fd, log.fd],
		});
		await new Promise<void>((done, fail) => {
			child.once("spawn", done);
			child.once("error", (cause) =>
				fail(new SluiceError("SLUICE_LOCAL_POSTGRES_FAILED", { reason: "cannot be run", program, cause })),
			);
		});
		return child;
	}

	async #log(): Promise<string> {
		return readFile(this.logFile, "utf8").catch(() => "");
	}

	async #ended(timeoutMs: number): Promise<boolean> {
		const deadline = Date.now() + timeoutMs;
		for (;;) {
			const child = this.#child;
			const ended =
				this.#pid === 0 ||
				(child === null
					? (await livenessOf(this.#pid)) !== "alive"
					: child.exitCode !== null || child.signalCode !== null);
			if (ended) {
				this.#child = null;
				this.#pid = 0;
				return true;
			}
			if (Date.now() >= deadline) {
				return false;
			}
			await delay(POLL_INTERVAL_MS);
		}
	}
}
