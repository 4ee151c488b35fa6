#!/usr/bin/env node
/**
 * The command line: `sluice start`, `sluice profile`, `sluice sql`. Owns arguments, signals and exit codes;
 * must never do the service's work. The entry of the process.
 */

import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Config, configurationNotes, parseConfig } from "../shared/config.ts";
import { databaseUrlSource, URL_FILE_VARIABLE } from "../shared/database-url.ts";
import { SluiceError } from "../shared/errors.ts";
import { createLogger, type Logger } from "../shared/logging.ts";
import { VERSION } from "../shared/version.ts";
import { Daemon } from "./daemon.ts";
import type { LocalPostgres } from "./local-postgres/local-postgres.ts";
import { createSampleTable, runStatement, welcome } from "./trial/trial.ts";

const USAGE = `sluice ${VERSION}: PostgreSQL changes as Electric shapes

  sluice start                             run the service (configured by environment variables, see README)
  sluice profile --lane N --seconds S      write a .cpuprofile of a busy lane of the running service
  sluice sql "STATEMENT"                   run a statement in the database that sluice follows
  sluice --version | --help
`;

/** Where the embedded PostgreSQL keeps its data, from the folder that the command runs in. */
const LOCAL_POSTGRES_DIRECTORY = ".sluice/postgres";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
/** Two signals closer than this are one that arrived twice. */
const SAME_SIGNAL_MS = 250;
/** 128 + SIGTERM: ended at once by a second signal. */
const EXIT_FORCED = 143;

const [command, ...rest] = process.argv.slice(2);
process.exitCode = await run(command, rest);
if (command === "start") {
	// A thread that failed to end must not keep a service alive that says it has stopped.
	process.exit();
}

async function run(name: string | undefined, args: readonly string[]): Promise<number> {
	switch (name) {
		case "start":
			return start();
		case "profile":
			return profile(args);
		case "sql":
			return sql(args);
		case "--version":
			process.stdout.write(`${VERSION}\n`);
			return 0;
		case "--help":
		case "help":
			process.stdout.write(USAGE);
			return 0;
		default:
			process.stderr.write(USAGE);
			return EXIT_USAGE;
	}
}

async function start(): Promise<number> {
	let config: Config;
	const early = createLogger("info", "main");
	for (const { level, message, variables } of configurationNotes(process.env)) {
		early[level]({ variables }, message);
	}
	try {
		config = parseConfig(process.env);
	} catch (error) {
		early.fatal({ err: error }, "sluice cannot start");
		return EXIT_FAILED;
	}
	const log = createLogger(config.logLevel, "main");
	if (config.secret === undefined) {
		log.warn("no SLUICE_SECRET is set: whoever reaches the port can read every table");
	}
	// From here on a signal must not end us before what we started is stopped.
	let local: LocalPostgres | null = null;
	const signals = listenForSignals(log, () => local?.signal("fast"));
	local = config.databaseUrl === undefined ? await startLocal(log) : null;
	const databaseUrl = config.databaseUrl ?? local?.url;
	if (databaseUrl === undefined) {
		return EXIT_FAILED;
	}
	const daemon = new Daemon({ config: { ...config, databaseUrl }, exclusive: local !== null });
	let signalled = false;
	let started = false;
	/** What the daemon ended with, which it has logged itself. */
	let toldError: unknown = null;
	daemon.finished.catch((error: unknown) => {
		toldError = error;
	});
	signals
		.then(() => {
			signalled = true;
			return daemon.stop();
		})
		.catch(() => undefined);
	try {
		await daemon.start();
		started = true;
		if (local !== null && !signalled) {
			process.stdout.write(
				welcome({
					postgresPort: local.port,
					postgresVersion: local.version,
					dataDirectory: LOCAL_POSTGRES_DIRECTORY,
					...daemon.ports,
					secretRequired: config.secret !== undefined,
				}),
			);
		}
		await daemon.finished;
		return 0;
	} catch (error) {
		if (signalled) {
			return 0;
		}
		if (error !== toldError) {
			log.fatal({ err: error }, "sluice has stopped with an error");
		}
		return EXIT_FAILED;
	} finally {
		// The consumer first: a fast shutdown of the server would wait for a walsender that is not read.
		await daemon.stop();
		// A server that another daemon in this folder uses is not ours to stop.
		if (started || local?.isAdopted === false) {
			await local?.stop("fast");
		}
	}
}

/**
 * Resolves at the first SIGTERM or SIGINT; a second one ends the process at once. A signal to a process group (a
 * terminal's Ctrl-C) arrives twice when npm hands its own copy on: a repeat within moments is the same signal.
 */
function listenForSignals(log: Logger, beforeForcedExit: () => void): Promise<NodeJS.Signals> {
	return new Promise((resolveSignal) => {
		let firstAtMs: number | null = null;
		const listener = (signal: NodeJS.Signals): void => {
			const nowMs = performance.now();
			if (firstAtMs === null) {
				firstAtMs = nowMs;
				log.info({ signal }, "signal received, stopping in order");
				resolveSignal(signal);
			} else if (nowMs - firstAtMs > SAME_SIGNAL_MS) {
				log.warn({ signal }, "second signal, ending at once");
				beforeForcedExit();
				process.exit(EXIT_FORCED);
			}
		};
		process.on("SIGTERM", listener);
		process.on("SIGINT", listener);
	});
}

async function startLocal(log: Logger): Promise<LocalPostgres | null> {
	try {
		const { startLocalPostgres } = await import("./local-postgres/local-postgres.ts");
		const local = await startLocalPostgres({ dataDirectory: resolve(LOCAL_POSTGRES_DIRECTORY) });
		await createSampleTable(local.url);
		log.info({ port: local.port, dataDirectory: LOCAL_POSTGRES_DIRECTORY }, "embedded postgresql is running");
		return local;
	} catch (error) {
		log.fatal({ err: error }, "no DATABASE_URL is set and the embedded postgresql did not start");
		return null;
	}
}

/** The options of `sluice profile`; null when one is unknown or lacks its value. */
function profileOptions(args: readonly string[]): { lane: string; seconds: string; url?: string | undefined } | null {
	try {
		return parseArgs({
			args: [...args],
			options: {
				lane: { type: "string", default: "0" },
				seconds: { type: "string", default: "5" },
				url: { type: "string" },
			},
		}).values;
	} catch {
		return null;
	}
}

async function profile(args: readonly string[]): Promise<number> {
	const values = profileOptions(args);
	if (values === null) {
		process.stderr.write(USAGE);
		return EXIT_USAGE;
	}
	const adminPort = process.env["SLUICE_ADMIN_PORT"] ?? process.env["ELECTRIC_PROMETHEUS_PORT"] ?? "3001";
	const base = values.url ?? `http://127.0.0.1:${adminPort}`;
	const target = new URL(`/v1/profile?lane=${values.lane}&seconds=${values.seconds}`, base);
	try {
		const response = await fetch(target, { method: "POST" });
		const body = await response.text();
		(response.ok ? process.stdout : process.stderr).write(`${body}\n`);
		return response.ok ? 0 : EXIT_FAILED;
	} catch (error) {
		const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
		process.stderr.write(
			`sluice does not answer on ${base} (${cause}). Is it running? Set SLUICE_ADMIN_PORT or --url.\n`,
		);
		return EXIT_FAILED;
	}
}

async function sql(args: readonly string[]): Promise<number> {
	const statement = args.join(" ").trim();
	if (statement === "") {
		process.stderr.write(USAGE);
		return EXIT_USAGE;
	}
	try {
		for (const line of await runStatement(await statementUrl(), statement)) {
			process.stdout.write(`${line}\n`);
		}
		return 0;
	} catch (error) {
		process.stderr.write(`${statementFailure(error)}\n`);
		return EXIT_FAILED;
	}
}

function statementFailure(error: unknown): string {
	if (error instanceof SluiceError) {
		const problem = error.context["problem"];
		return typeof problem === "string" ? problem : `${error.message} (${error.remedy})`;
	}
	return error instanceof Error ? error.message : String(error);
}

/** The database that `start` with the same variables follows. */
async function statementUrl(): Promise<string> {
	const url = process.env["DATABASE_URL"];
	const file = process.env[URL_FILE_VARIABLE];
	if (url !== undefined) {
		return url;
	}
	return file === undefined ? runningLocalUrl() : databaseUrlSource("", file)();
}

async function runningLocalUrl(): Promise<string> {
	const { runningLocalPostgresUrl } = await import("./local-postgres/running.ts");
	return runningLocalPostgresUrl(resolve(LOCAL_POSTGRES_DIRECTORY));
}
