/**
 * The embedded server's data directory: made by initdb once, given to the server's user, its configuration
 * written at each start. Owns `postgresql.conf`, `pg_hba.conf` and our own files in there; must never touch
 * rows or WAL. What an operator sets with ALTER SYSTEM (postgresql.auto.conf) wins. Called by local-postgres.ts.
 */

import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chown, lstat, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { SluiceError } from "../../shared/errors.ts";
import type { PostgresBinaries, PostgresVersion } from "./binaries.ts";
import type { Launch } from "./server-user.ts";

const run = promisify(execFile);

const PASSWORD_FILE = "sluice-password";
const CONFIGURATION_FILE = "postgresql.conf";
const INITDB_TIMEOUT_MS = 120_000;

export interface ServerConfiguration {
	readonly port: number;
	/** False: rows may be lost with the machine. For tests. */
	readonly sync: boolean;
	readonly settings: Readonly<Record<string, string>>;
	/** Lines of pg_hba.conf. */
	readonly access: readonly string[];
	/** Further files, by name, readable by the server alone (a TLS key). */
	readonly files: Readonly<Record<string, string>>;
}

/** What a child process of ours gets to see of our environment: no PG* variable may steer the server. */
export function serverEnvironment(): NodeJS.ProcessEnv {
	return { PATH: process.env["PATH"] ?? "/usr/bin:/bin", TZ: "UTC", LC_MESSAGES: "C" };
}

/**
 * The major version that a data directory was made by; null when it holds no cluster.
 * @throws SluiceError `SLUICE_LOCAL_POSTGRES_FAILED` when it cannot be read
 */
export async function existingVersion(dataDirectory: string): Promise<number | null> {
	try {
		return Number((await readFile(join(dataDirectory, "PG_VERSION"), "utf8")).trim());
	} catch (cause) {
		if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") {
			return null;
		}
		throw new SluiceError("SLUICE_LOCAL_POSTGRES_FAILED", {
			reason: "the data directory cannot be read: another user may have made it",
			dataDirectory,
			cause,
		});
	}
}

/**
 * Runs initdb: UTF-8, code-point order, superuser `postgres` with a random password. It works beside the data
 * directory and renames at the end, so an interrupted try leaves nothing that looks complete.
 * @throws SluiceError `SLUICE_LOCAL_POSTGRES_FAILED`
 */
export async function initialize(
	dataDirectory: string,
	version: PostgresVersion,
	binaries: PostgresBinaries,
	launch: Launch,
	sync: boolean,
): Promise<void> {
	const content = await readdir(dataDirectory).catch(() => []);
	if (content.length > 0) {
		throw new SluiceError("SLUICE_LOCAL_POSTGRES_FAILED", {
			reason: "the directory is not empty and holds no PostgreSQL data",
			dataDirectory,
		});
	}
	const unfinished = `${dataDirectory}.unfinished`;
	const passwordFile = `${dataDirectory}.password`;
	try {
		await rm(unfinished, { recursive: true, force: true });
		await mkdir(unfinished, { mode: 0o700 });
		if (launch.owner !== null) {
			await chown(unfinished, launch.owner.uid, launch.owner.gid);
		}
		// initdb insists on an empty directory, so the password waits beside it.
		const password = randomBytes(24).toString("base64url");
		await writeOwned(passwordFile, `${password}\n`, launch);
		const options = ["-D", unfinished, "--username=postgres", "--encoding=UTF8", "--auth=scram-sha-256"];
		options.push(`--pwfile=${passwordFile}`, "--no-instructions", ...localeOptions(version));
		if (!sync) {
			options.push("--no-sync");
		}
		const [program = binaries.initdb, ...rest] = [...launch.prefix, binaries.initdb, ...options];
		await run(program, rest, {
			...(launch.credentials ?? {}),
			cwd: "/",
			env: serverEnvironment(),
			timeout: INITDB_TIMEOUT_MS,
		});
		await writeOwned(join(unfinished, PASSWORD_FILE), password, launch);
		await rename(unfinished, dataDirectory);
	} catch (cause) {
		const output = cause instanceof Error && "stderr" in cause ? String(cause.stderr) : "";
		await rm(unfinished, { recursive: true, force: true });
		throw new SluiceError("SLUICE_LOCAL_POSTGRES_FAILED", {
			reason: "initdb failed",
			dataDirectory,
			lastLines: lastLines(output),
			cause,
		});
	} finally {
		await rm(passwordFile, { force: true });
	}
}

/**
 * Code-point order and Unicode classification everywhere: from 17 on PostgreSQL brings it itself, before that
 * the C library of Linux has it. Elsewhere plain C.
 */
function localeOptions(version: PostgresVersion): readonly string[] {
	if (version >= 17) {
		return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"];
	}
	return process.platform === "linux" ? ["--locale=C.UTF-8"] : ["--locale=C"];
}

/**
 * The superuser's URL: with the password that initdb was given when the server trusts nobody. Holds a secret
 * then: not for logs.
 */
export async function superuserUrl(dataDirectory: string, port: number): Promise<string> {
	const read = (name: string): Promise<string> => readFile(join(dataDirectory, name), "utf8").catch(() => "");
	const trusts = /\btrust\s*$/m.test(await read("pg_hba.conf"));
	const password = trusts ? "" : (await read(PASSWORD_FILE)).trim();
	const credentials = password === "" ? "postgres" : `postgres:${password}`;
	return `postgresql://${credentials}@127.0.0.1:${port}/postgres`;
}

/** The port of the last start, so that a URL that somebody noted goes on working; null when there was none. */
export async function rememberedPort(dataDirectory: string): Promise<number | null> {
	try {
		const text = await readFile(join(dataDirectory, CONFIGURATION_FILE), "utf8");
		const port = Number(/^port = '(\d+)'$/m.exec(text)?.[1]);
		return Number.isInteger(port) && port > 0 ? port : null;
	} catch {
		return null;
	}
}

/** Writes both configuration files. A running server reads them at its next start or reload. */
export async function configure(
	dataDirectory: string,
	configuration: ServerConfiguration,
	launch: Launch,
): Promise<void> {
	const settings: Record<string, string> = {
		listen_addresses: "127.0.0.1",
		port: String(configuration.port),
		// No socket file: nothing to collide with, and no path that may be too long.
		unix_socket_directories: "",
		wal_level: "logical",
		max_wal_senders: "24",
		max_replication_slots: "24",
		shared_buffers: "64MB",
		timezone: "UTC",
		log_timezone: "UTC",
		log_line_prefix: "%m [%p] ",
		...(configuration.sync ? {} : { fsync: "off", full_page_writes: "off" }),
		...configuration.settings,
	};
	const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`);
	const header = "# Written by Sluice at each start. ALTER SYSTEM overrides it.";
	await writeOwned(join(dataDirectory, CONFIGURATION_FILE), [header, ...lines, ""].join("\n"), launch);
	await writeOwned(join(dataDirectory, "pg_hba.conf"), [...configuration.access, ""].join("\n"), launch);
	for (const [name, content] of Object.entries(configuration.files)) {
		await writeOwned(join(dataDirectory, name), content, launch);
	}
}

/** Gives a cluster that belongs to root (somebody copied it) to the server's user. */
export async function takeOwnership(dataDirectory: string, launch: Launch): Promise<void> {
	const { owner } = launch;
	if (owner === null || (await stat(dataDirectory)).uid === owner.uid) {
		return;
	}
	const chownTree = async (path: string): Promise<void> => {
		const facts = await lstat(path);
		if (facts.isSymbolicLink()) {
			return;
		}
		await chown(path, owner.uid, owner.gid);
		if (facts.isDirectory()) {
			for (const name of await readdir(path)) {
				await chownTree(join(path, name));
			}
		}
	};
	await chownTree(dataDirectory);
}

async function writeOwned(path: string, content: string, launch: Launch): Promise<void> {
	await writeFile(path, content, { mode: 0o600 });
	if (launch.owner !== null) {
		await chown(path, launch.owner.uid, launch.owner.gid);
	}
}

const LAST_LINES = 12;

/** The end of a log, for an error's context. */
export function lastLines(text: string): readonly string[] {
	return text
		.trimEnd()
		.split("\n")
		.slice(-LAST_LINES)
		.map((line) => line.slice(0, 400));
}
