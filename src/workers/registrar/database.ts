/**
 * The registrar's SQL connections: a small pool for looking things up and preparing tables. Owns the pool and
 * the judgement whether an error means "the database cannot be reached". Must never carry user text other than
 * as a parameter, never a row of a user's table, and hold no state of a session: a transaction pooler may be in
 * between. Called by the inspector, the publication and the reconciler.
 */

import pg from "pg";
import { InvariantError } from "../../shared/assert.ts";
import { breakConnection } from "../../shared/break-connection.ts";
import { isServerReport } from "../../shared/connection-error.ts";
import { meansUnavailable } from "../../shared/database-errors.ts";
import { SluiceError } from "../../shared/errors.ts";
import { maySucceedWithoutTls } from "../../shared/tls-attempts.ts";

const POOL_SIZE = 6;
const CONNECT_TIMEOUT_MS = 5_000;
const IDLE_TIMEOUT_MS = 30_000;
const STATEMENT_TIMEOUT_MS = 10_000;
/** Above the server's own limit: it ends a wait on a connection whose other end is gone. */
const QUERY_TIMEOUT_MS = STATEMENT_TIMEOUT_MS + 5_000;
/** Finds a vanished peer of a connection that nobody uses. */
const TCP_KEEPALIVE_IDLE_MS = 30_000;

export interface SqlSession {
	query<T extends object>(text: string, values?: readonly unknown[]): Promise<T[]>;
}

/** Where to connect to; see connection-target.ts. */
export interface DatabaseTarget {
	/** Asked for each use: it may answer another one later. */
	connectionString(): Promise<string>;
	forgetTls(): void;
}

export interface DatabaseOptions {
	readonly target: DatabaseTarget;
	readonly applicationName: string;
	/** Through a pooler: no setting may come with the connection, each statement brings its own. */
	readonly pooled: boolean;
	readonly queryTimeoutMs?: number;
}

/** The SQLSTATE of an error that the server sent, else null. */
export function sqlStateOf(error: unknown): string | null {
	return error instanceof pg.DatabaseError && error.code !== undefined ? error.code : null;
}

/** Whether the error says nothing about the statement, only that the database could not be asked. */
function isUnavailable(error: unknown): boolean {
	if (isServerReport(error)) {
		return meansUnavailable(error);
	}
	const ours = error instanceof SluiceError || error instanceof InvariantError || error instanceof TypeError;
	return error instanceof Error && !ours;
}

export class Database implements SqlSession {
	readonly #options: DatabaseOptions;
	#current: { readonly connectionString: string; readonly pool: pg.Pool } | null = null;

	constructor(options: DatabaseOptions) {
		this.#options = options;
	}

	/** @throws SluiceError `SLUICE_DATABASE_UNAVAILABLE`; the server's own errors pass as they are */
	query<T extends object>(text: string, values: readonly unknown[] = []): Promise<T[]> {
		if (this.#options.pooled) {
			return this.transaction((session) => session.query<T>(text, values));
		}
		return this.#withClient(async (client) => (await client.query<T>(text, [...values])).rows);
	}

	/** Runs `work` in one transaction; rolls back when it throws. */
	transaction<T>(work: (session: SqlSession) => Promise<T>): Promise<T> {
		return this.#withClient(async (client) => {
			await client.query(
				this.#options.pooled ? `BEGIN; SET LOCAL statement_timeout = ${STATEMENT_TIMEOUT_MS}` : "BEGIN",
			);
			try {
				const result = await work({
					query: async (text, values = []) => (await client.query(text, [...values])).rows,
				});
				await client.query("COMMIT");
				return result;
			} catch (cause) {
				// What the server did not say comes from a connection that is broken: nothing to roll back there.
				if (isServerReport(cause) || !isUnavailable(cause)) {
					await client.query("ROLLBACK");
				}
				throw cause;
			}
		});
	}

	async close(): Promise<void> {
		const pool = this.#current?.pool;
		this.#current = null;
		await pool?.end();
	}

	async #withClient<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
		const client = await this.#connect();
		// Without a listener an error on a client that is checked out would end the thread.
		const ignore = (): void => {};
		client.on("error", ignore);
		let broken: Error | undefined;
		try {
			return await work(client);
		} catch (cause) {
			if (!isUnavailable(cause)) {
				throw cause;
			}
			if (!isServerReport(cause)) {
				// Nobody answers there, so nobody would hear an orderly farewell either.
				broken = cause instanceof Error ? cause : new Error("broken");
				breakConnection(client);
			}
			throw new SluiceError("SLUICE_DATABASE_UNAVAILABLE", { cause });
		} finally {
			client.off("error", ignore);
			client.release(broken);
			if (broken !== undefined) {
				// The idle ones took the same way.
				this.#startOver();
			}
		}
	}

	async #connect(): Promise<pg.PoolClient> {
		try {
			const connectionString = await this.#options.target.connectionString();
			if (this.#current?.connectionString !== connectionString) {
				this.#startOver();
				this.#current = { connectionString, pool: makePool(connectionString, this.#options) };
			}
			return await this.#current.pool.connect();
		} catch (cause) {
			if (maySucceedWithoutTls(cause)) {
				this.#options.target.forgetTls();
			}
			throw new SluiceError("SLUICE_DATABASE_UNAVAILABLE", { cause });
		}
	}

	/** What still runs there ends by itself. */
	#startOver(): void {
		const pool = this.#current?.pool;
		this.#current = null;
		void pool?.end();
	}
}

function makePool(connectionString: string, options: DatabaseOptions): pg.Pool {
	const pool = new pg.Pool({
		connectionString,
		application_name: options.applicationName,
		max: POOL_SIZE,
		connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
		idleTimeoutMillis: IDLE_TIMEOUT_MS,
		...(options.pooled ? {} : { statement_timeout: STATEMENT_TIMEOUT_MS }),
		query_timeout: options.queryTimeoutMs ?? QUERY_TIMEOUT_MS,
		keepAlive: true,
		keepAliveInitialDelayMillis: TCP_KEEPALIVE_IDLE_MS,
		allowExitOnIdle: true,
	});
	// An idle connection that the server closed: the pool has dropped it, the next query makes another.
	pool.on("error", () => {});
	return pool;
}
