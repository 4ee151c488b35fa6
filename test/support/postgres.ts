/**
 * PostgreSQL for tests. Three sources: the embedded binaries (default: one server a test file, of each major
 * version), a server given by `SLUICE_TEST_DATABASE_URL`, or containers when `SLUICE_TEST_DOCKER=true`. Owns
 * start and end of each server and database, tied to the hooks of the file that uses them. Called by *.pg.test.ts.
 *
 * ```ts
 * describe.each(testServers())("$name", (kind) => {
 *   const server = useServer(kind);
 *   it("…", async () => {
 *     await using database = await server.createDatabase();
 *     await database.sql("create table …");
 *   });
 * });
 * ```
 */

import { randomBytes } from "node:crypto";
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { Client, type QueryResultRow } from "pg";
import { afterAll, beforeAll } from "vitest";
import {
	type LocalPostgres,
	type PostgresVersion,
	startLocalPostgres,
} from "../../src/main/local-postgres/local-postgres.ts";
import { startContainer } from "./postgres-container.ts";
import { type TemporaryDirectory, temporaryDirectory } from "./temporary-directory.ts";
import { waitFor } from "./wait-for.ts";

/** Where a server comes from. Stringifies as its name, for `describe.each`. */
export type TestServerKind =
	| { readonly name: string; readonly source: "embedded" | "container"; readonly version: PostgresVersion }
	| { readonly name: string; readonly source: "given"; readonly url: string };

export interface ServerOptions {
	/** Settings beside those of logical replication. A given server keeps its own. */
	readonly settings?: Readonly<Record<string, string>>;
	/** Embedded servers only, see LocalPostgresOptions. Must leave a way in for superuser `postgres` over 127.0.0.1. */
	readonly access?: readonly string[];
	readonly files?: Readonly<Record<string, string>>;
}

const SETUP_TIMEOUT_MS = 120_000;
const VERSIONS: readonly PostgresVersion[] = [15, 18];
const INSTALLED: readonly PostgresVersion[] = [15, 16, 17, 18];

/** The servers to test against: the oldest and the newest version, or those that `SLUICE_TEST_POSTGRES=16,17` names. */
export function testServers(): readonly TestServerKind[] {
	const url = process.env["SLUICE_TEST_DATABASE_URL"];
	if (url !== undefined && url !== "") {
		return [{ name: "the given PostgreSQL", source: "given", url }];
	}
	const wanted = process.env["SLUICE_TEST_POSTGRES"]?.split(",").map(Number);
	const source = process.env["SLUICE_TEST_DOCKER"] === "true" ? "container" : "embedded";
	const versions = wanted === undefined ? VERSIONS : INSTALLED.filter((version) => wanted.includes(version));
	return versions.map((version) => ({ name: `PostgreSQL ${version}`, source, version }));
}

/** One server, for tests whose outcome does not depend on the version: the newest. */
export function oneTestServer(): TestServerKind {
	const kind = testServers().at(-1);
	if (kind === undefined) {
		throw new Error("SLUICE_TEST_POSTGRES names no version that is available");
	}
	return kind;
}

/**
 * Servers that a test may stop and restart: the embedded ones, whatever the rest of the run uses. Name versions
 * where 16 or 17 behave unlike 15 and 18.
 */
export function embeddedServers(versions: readonly PostgresVersion[] = VERSIONS): readonly TestServerKind[] {
	return versions.map((version) => ({ name: `PostgreSQL ${version}`, source: "embedded", version }));
}

/** A server for all tests of the file or `describe` that calls it. Usable inside tests and hooks. */
export function useServer(kind: TestServerKind, options: ServerOptions = {}): TestServer {
	const server = new TestServer();
	beforeAll(() => server.start(kind, options), SETUP_TIMEOUT_MS);
	afterAll(() => server.stop(), SETUP_TIMEOUT_MS);
	return server;
}

/** A server and one database of its own for all tests of the file or `describe` that calls it. */
export function useDatabase(kind: TestServerKind, options: ServerOptions = {}): TestDatabase {
	const server = useServer(kind, options);
	const database = new TestDatabase(server, uniqueName("test"));
	beforeAll(() => database.create(), SETUP_TIMEOUT_MS);
	afterAll(() => database.drop(), SETUP_TIMEOUT_MS);
	return database;
}

/** For names that are one for the whole server: slots, roles, `SLUICE_STREAM_ID`. Lower case, at most 40 bytes. */
export function uniqueName(prefix: string): string {
	return `${prefix}_${randomBytes(6).toString("hex")}`;
}

export class TestServer {
	#url = "";
	#local: LocalPostgres | null = null;
	#directory: TemporaryDirectory | null = null;
	#stop: () => Promise<unknown> = async () => undefined;

	/** Superuser's URL of the database `postgres` (or of the given one). */
	get url(): string {
		if (this.#url === "") {
			throw new Error("the server runs only inside tests and hooks");
		}
		return this.#url;
	}

	/** To stop, restart, kill it. @throws Error when the server is not an embedded one (see embeddedServers) */
	get local(): LocalPostgres {
		if (this.#local === null) {
			throw new Error("not an embedded server: use embeddedServers()");
		}
		return this.#local;
	}

	async start(kind: TestServerKind, options: ServerOptions = {}): Promise<void> {
		switch (kind.source) {
			case "given":
				this.#url = kind.url;
				return;
			case "container": {
				const container = await startContainer(kind.version, options.settings ?? {});
				this.#url = container.url;
				this.#stop = container.stop;
				return;
			}
			case "embedded":
				await this.#startEmbedded(kind.version, options);
				return;
		}
	}

	async #startEmbedded(version: PostgresVersion, options: ServerOptions): Promise<void> {
		const directory = await temporaryDirectory(`postgres-${version}`);
		this.#directory = directory;
		await chmod(directory.path, 0o711);
		const local = await startLocalPostgres({
			dataDirectory: join(directory.path, "data"),
			logFile: join(directory.path, "server.log"),
			version,
			sync: false,
			dieWithParent: true,
			settings: { max_connections: "200", ...options.settings },
			access: options.access ?? ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"],
			...(options.files === undefined ? {} : { files: options.files }),
		});
		this.#local = local;
		this.#url = local.url;
		this.#stop = () => local.stop("immediate");
	}

	async stop(): Promise<void> {
		await this.#stop();
		await this.#directory?.remove();
	}

	/** A fresh database; `await using` drops it, with its slots. */
	async createDatabase(): Promise<TestDatabase> {
		const database = new TestDatabase(this, uniqueName("test"));
		await database.create();
		return database;
	}

	/** Runs one statement in the database `postgres`, on a connection of its own. */
	sql<R extends QueryResultRow = Record<string, unknown>>(text: string, values: readonly unknown[] = []): Promise<R[]> {
		return runSql<R>(this.url, text, values);
	}
}

export class TestDatabase implements AsyncDisposable {
	readonly server: TestServer;
	readonly name: string;
	readonly #clients = new Set<Client>();

	constructor(server: TestServer, name: string) {
		this.server = server;
		this.name = name;
	}

	/** Superuser's URL of this database. */
	get url(): string {
		return this.urlAs({});
	}

	/** The URL with another user, or with further parameters such as `sslmode`. */
	urlAs(change: {
		readonly user?: string;
		readonly password?: string;
		readonly parameters?: Readonly<Record<string, string>>;
	}): string {
		const url = new URL(this.server.url);
		url.pathname = `/${this.name}`;
		if (change.user !== undefined) {
			url.username = change.user;
			url.password = change.password ?? "";
		}
		for (const [name, value] of Object.entries(change.parameters ?? {})) {
			url.searchParams.set(name, value);
		}
		return url.href;
	}

	async create(): Promise<void> {
		await this.server.sql(`create database ${this.name}`);
	}

	/** Runs one statement, or several without values, on a connection of its own; answers the last one's rows. */
	sql<R extends QueryResultRow = Record<string, unknown>>(text: string, values: readonly unknown[] = []): Promise<R[]> {
		return runSql<R>(this.url, text, values);
	}

	/** A connection that stays open (a transaction, a lock); ended with the database. */
	async connect(): Promise<Client> {
		const client = new Client({ connectionString: this.url });
		// A server that a test stops takes its sessions along: that is no failure of the test.
		client.on("error", () => this.#clients.delete(client));
		await client.connect();
		this.#clients.add(client);
		return client;
	}

	/** Drops the database with everything that holds on to it: walsenders, slots, sessions. */
	async drop(): Promise<void> {
		await Promise.all(Array.from(this.#clients, (client) => client.end().catch(() => undefined)));
		this.#clients.clear();
		await waitFor(`the slots of ${this.name} to be dropped`, async () => {
			await this.server.sql(
				`select pg_terminate_backend(active_pid) from pg_replication_slots
				where database = $1 and active_pid is not null`,
				[this.name],
			);
			await this.server.sql(
				"select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1 and not active",
				[this.name],
			);
			const left = await this.server.sql("select from pg_replication_slots where database = $1", [this.name]);
			return left.length === 0;
		});
		await this.server.sql(`drop database if exists ${this.name} with (force)`);
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.drop();
	}
}

async function runSql<R extends QueryResultRow>(url: string, text: string, values: readonly unknown[]): Promise<R[]> {
	const client = new Client({ connectionString: url });
	client.on("error", () => undefined);
	await client.connect();
	try {
		const result: unknown = values.length === 0 ? await client.query(text) : await client.query(text, [...values]);
		const last: unknown = Array.isArray(result) ? result.at(-1) : result;
		return (last as { readonly rows: R[] }).rows;
	} finally {
		await client.end();
	}
}
