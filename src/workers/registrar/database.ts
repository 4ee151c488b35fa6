/**
 * The registrar's SQL connections: a small pool for looking things up and preparing tables. Owns the pool and
 * the judgement whether an error means "the database cannot be reached". Must never carry user text other than
 * as a parameter, and never a row of a user's table. Called by the inspector, the publication and the reconciler.
 */

import pg from "pg";
import { InvariantError } from "../../shared/assert.ts";
import { SluiceError } from "../../shared/errors.ts";

const POOL_SIZE = 6;
const CONNECT_TIMEOUT_MS = 5_000;
const IDLE_TIMEOUT_MS = 30_000;
const STATEMENT_TIMEOUT_MS = 10_000;
/** Above the server's own limit: it ends a wait on a connection whose other end is gone. */
const QUERY_TIMEOUT_MS = STATEMENT_TIMEOUT_MS + 5_000;

/** SQLSTATEs that a later attempt may not meet: replication.md 4.6. Classes by their first two characters. */
const UNAVAILABLE_CLASSES = new Set(["08", "28"]);
const UNAVAILABLE_STATES = new Set(["57P01", "57P02", "57P03", "57014", "53300", "3D000"]);

export interface SqlSession {
	query<T extends object>(text: string, values?: readonly unknown[]): Promise<T[]>;
}

/** The SQLSTATE of an error that the server sent, else null. */
export function sqlStateOf(error: unknown): string | null {
	return error instanceof pg.DatabaseError && error.code !== undefined ? error.code : null;
}

/** Whether the error says nothing about the statement, only that the database could not be asked. */
export function isUnavailable(error: unknown): boolean {
	const state = sqlStateOf(error);
	if (state === null) {
		const ours = error instanceof SluiceError || error instanceof InvariantError || error instanceof TypeError;
		return error instanceof Error && !ours;
	}
	return UNAVAILABLE_CLASSES.has(state.slice(0, 2)) || UNAVAILABLE_STATES.has(state);
}

export class Database implements SqlSession {
	readonly #connectionString: () => string;
	readonly #applicationName: string;
	#current: { readonly connectionString: string; readonly pool: pg.Pool } | null = null;

	/** @param connectionString may answer another one later, when the server is reached in another way */
	constructor(connectionString: () => string, applicationName: string) {
		this.#connectionString = connectionString;
		this.#applicationName = applicationName;
	}

	get #pool(): pg.Pool {
		const connectionString = this.#connectionString();
		if (this.#current?.connectionString !== connectionString) {
			// What still runs there ends by itself.
			void this.#current?.pool.end();
			this.#current = { connectionString, pool: makePool(connectionString, this.#applicationName) };
		}
		return this.#current.pool;
	}

	/** @throws SluiceError `SLUICE_DATABASE_UNAVAILABLE`; the server's own errors pass as they are */
	async query<T extends object>(text: string, values: readonly unknown[] = []): Promise<T[]> {
		try {
			const result = await this.#pool.query<T>(text, [...values]);
			return result.rows;
		} catch (cause) {
			throw isUnavailable(cause) ? new SluiceError("SLUICE_DATABASE_UNAVAILABLE", { cause }) : cause;
		}
	}

	/** Runs `work` in one transaction; rolls back when it throws. */
	async transaction<T>(work: (session: SqlSession) => Promise<T>): Promise<T> {
		let client: pg.PoolClient;
		try {
			client = await this.#pool.connect();
		} catch (cause) {
			throw new SluiceError("SLUICE_DATABASE_UNAVAILABLE", { cause });
		}
		// Without a listener an error on a client that is checked out would end the thread.
		const ignore = (): void => {};
		client.on("error", ignore);
		let broken: Error | undefined;
		try {
			await client.query("BEGIN");
			const result = await work({
				query: async (text, values = []) => (await client.query(text, [...values])).rows,
			});
			await client.query("COMMIT");
			return result;
		} catch (cause) {
			await client.query("ROLLBACK").catch((error: unknown) => {
				broken = error instanceof Error ? error : new Error("rollback failed");
			});
			throw isUnavailable(cause) ? new SluiceError("SLUICE_DATABASE_UNAVAILABLE", { cause }) : cause;
		} finally {
			client.off("error", ignore);
			client.release(broken);
		}
	}

	async close(): Promise<void> {
		await this.#current?.pool.end();
		this.#current = null;
	}
}

function makePool(connectionString: string, applicationName: string): pg.Pool {
	const pool = new pg.Pool({
		connectionString,
		application_name: applicationName,
		max: POOL_SIZE,
		connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
		idleTimeoutMillis: IDLE_TIMEOUT_MS,
		statement_timeout: STATEMENT_TIMEOUT_MS,
		query_timeout: QUERY_TIMEOUT_MS,
		keepAlive: true,
		allowExitOnIdle: true,
	});
	// An idle connection that the server closed: the pool has dropped it, the next query makes another.
	pool.on("error", () => {});
	return pool;
}
