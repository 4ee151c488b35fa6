/**
 * The stream's advisory lock: one daemon follows one slot. Owns the control connection that holds it, for as
 * long as the process lives: when the connection is lost it connects again and takes the lock again. Must never
 * be used for anything else, as a statement that fails or blocks would put the lock at risk. Called by the
 * registrar. Source: replication.md 4.5 and 8.6.
 */

import pg from "pg";
import { breakConnection } from "../../shared/break-connection.ts";
import { errorFromThrown } from "../../shared/connection-error.ts";
import { SluiceError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logging.ts";
import { backoffMs, waitMs } from "./backoff.ts";
import type { ConnectionTarget } from "./connection-target.ts";
import { LOCK_APPLICATION_NAME } from "./lock-breaker.ts";

const CONNECT_TIMEOUT_MS = 10_000;
const BACKOFF = { firstMs: 250, maxMs: 10_000 };
/** A connection whose other end is gone says nothing by itself: it is asked this often, and given this long. */
const PROBE_INTERVAL_MS = 10_000;
const ANSWER_TIMEOUT_MS = 10_000;
/**
 * The lock is asked for again and again instead of waited for in one statement: a wait of hours on a connection that has
 * gone deaf would be given the lock and never hear of it.
 */
const ASK_INTERVAL_MS = 500;

/** Of the session, which waits in no statement: the server notices at once when our process dies, within 25 s when our host does. */
const SETTINGS = [
	"SET statement_timeout = 0",
	"SET idle_session_timeout = 0",
	"SET client_min_messages = warning",
	"SET tcp_keepalives_idle = 10",
	"SET tcp_keepalives_interval = 5",
	"SET tcp_keepalives_count = 3",
	"SET tcp_user_timeout = '25s'",
] as const;

export interface StreamLockOptions {
	readonly target: ConnectionTarget;
	readonly slotName: string;
	readonly logger: Logger;
	/** Called when the server begins or ceases to answer. */
	readonly onReachable: (reachable: boolean, problem: SluiceError | null) => void;
	/** Called when the lock was taken, and when it was lost with its connection. */
	readonly onHeld: (held: boolean) => void;
	/** For tests. */
	readonly answerTimeoutMs?: number;
}

interface LockSession {
	readonly pid: number;
	/** backend_start: a pid is used again. */
	readonly since: string;
}

export class StreamLock {
	readonly #options: StreamLockOptions;
	readonly #stop = new AbortController();
	readonly #waiting = new Set<{ readonly resolve: () => void; readonly reject: (error: Error) => void }>();
	#running: Promise<void> | null = null;
	#client: pg.Client | null = null;
	/** The session that is, or was, meant to hold the lock. */
	#session: LockSession | null = null;
	#held = false;
	#reachable: boolean | null = null;

	constructor(options: StreamLockOptions) {
		this.#options = options;
	}

	get held(): boolean {
		return this.#held;
	}

	/** Whether the server answered the last time it was asked. */
	get reachable(): boolean {
		return this.#reachable === true;
	}

	/** Resolves as soon as the lock is held, however long that takes. @throws SluiceError `SLUICE_NOT_ACTIVE` after close */
	acquire(): Promise<void> {
		if (this.#stop.signal.aborted) {
			return Promise.reject(new SluiceError("SLUICE_NOT_ACTIVE"));
		}
		this.#running ??= this.#run();
		if (this.#held) {
			return Promise.resolve();
		}
		return new Promise((resolve, reject) => {
			this.#waiting.add({ resolve, reject });
		});
	}

	/** Gives the lock up with its connection. */
	async close(): Promise<void> {
		this.#stop.abort();
		this.#break();
		await this.#running;
		for (const waiter of this.#waiting) {
			waiter.reject(new SluiceError("SLUICE_NOT_ACTIVE"));
		}
		this.#waiting.clear();
	}

	async #run(): Promise<void> {
		const { signal } = this.#stop;
		for (let attempt = 0; !signal.aborted; attempt += 1) {
			let problem = new SluiceError("SLUICE_LINK_CLOSED", { connection: "control" });
			try {
				await this.#holdOnce(() => {
					attempt = 0;
				});
			} catch (error) {
				problem = controlConnectionError(error);
				if (!signal.aborted) {
					this.#options.logger.warn({ err: problem, attempt }, "the control connection failed, connecting again");
				}
			}
			if (!signal.aborted) {
				this.#report(false, problem);
				await waitMs(backoffMs(attempt, BACKOFF, Math.random()), signal);
			}
		}
	}

	/** Connects, waits for the lock, holds it until the connection is lost. */
	async #holdOnce(onHeld: () => void): Promise<void> {
		const { target, slotName, logger } = this.#options;
		try {
			const client = await target.connect(
				{ application_name: LOCK_APPLICATION_NAME, connectionTimeoutMillis: CONNECT_TIMEOUT_MS },
				(next) => {
					this.#stop.signal.throwIfAborted();
					this.#client = next;
				},
			);
			const lost = new Promise<void>((resolve) => {
				client.once("end", resolve);
				client.once("error", () => resolve());
			});
			this.#report(true, null);
			for (const setting of SETTINGS) {
				// Not every platform has tcp_user_timeout, not every version idle_session_timeout.
				await this.#ask(client, setting).catch((err: unknown) => {
					if (!(err instanceof pg.DatabaseError)) {
						throw err;
					}
					logger.debug({ err, setting }, "the server does not know a session setting");
				});
			}
			await this.#confirmDirect(client);
			await this.#endFormerSession(client);
			await this.#take(client);
			this.#setHeld(true);
			onHeld();
			logger.info({ slotName }, "holding the stream's lock");
			for (const waiter of this.#waiting) {
				waiter.resolve();
			}
			this.#waiting.clear();
			await this.#watch(client, lost);
		} finally {
			this.#setHeld(false);
			this.#break();
			this.#client = null;
		}
	}

	async #take(client: pg.Client): Promise<void> {
		const { signal } = this.#stop;
		for (;;) {
			const [row] = await this.#ask<{ held: boolean }>(
				client,
				"SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtext($1)) AS held",
				[this.#options.slotName],
			);
			if (row?.held === true) {
				return;
			}
			await waitMs(ASK_INTERVAL_MS, signal);
			signal.throwIfAborted();
		}
	}

	/** Breaks the connection when there is no answer in time. */
	async #ask<T extends object>(client: pg.Client, text: string, values: readonly unknown[] = []): Promise<T[]> {
		const deadline = setTimeout(() => breakConnection(client), this.#options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS);
		try {
			return (await client.query<T>(text, [...values])).rows;
		} finally {
			clearTimeout(deadline);
		}
	}

	/**
	 * A session that answers under another pid than the one that greeted us is lent by something in between. A pooler that
	 * refuses replication would also keep the lock, in a session that is nobody's, long after we are gone.
	 */
	async #confirmDirect(client: pg.Client): Promise<void> {
		const [row] = await this.#ask<{ pid: number }>(client, "SELECT pg_catalog.pg_backend_pid() AS pid");
		const greeted = "processID" in client ? client.processID : null;
		if (row?.pid !== greeted) {
			await this.#options.target.confirmReplication();
		}
	}

	/**
	 * A session that we lost without the server noticing keeps the lock from us. It is ours to end: the server says that
	 * it is the one that we had.
	 */
	async #endFormerSession(client: pg.Client): Promise<void> {
		const former = this.#session;
		const [own] = await this.#ask<LockSession>(
			client,
			`SELECT pid, backend_start::text AS since FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()`,
		);
		if (former !== null) {
			await this.#ask(
				client,
				`SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
				WHERE pid = $1 AND backend_start::text = $2 AND application_name = $3`,
				[former.pid, former.since, LOCK_APPLICATION_NAME],
			);
		}
		this.#session = own ?? null;
	}

	async #watch(client: pg.Client, lost: Promise<void>): Promise<void> {
		const timer = setInterval(() => {
			this.#ask(client, "SELECT 1").catch(() => breakConnection(client));
		}, PROBE_INTERVAL_MS);
		try {
			await lost;
		} finally {
			clearInterval(timer);
		}
	}

	#break(): void {
		if (this.#client !== null) {
			breakConnection(this.#client);
		}
	}

	#setHeld(held: boolean): void {
		if (this.#held !== held) {
			this.#held = held;
			this.#options.onHeld(held);
		}
	}

	#report(reachable: boolean, problem: SluiceError | null): void {
		if (this.#reachable !== reachable) {
			this.#reachable = reachable;
			this.#options.onReachable(reachable, problem);
		}
	}
}

/** What an operator should read: PostgreSQL's own words when it answered, otherwise that it did not. */
function controlConnectionError(error: unknown): SluiceError {
	return errorFromThrown(error, { phase: "stream", step: "lock" });
}
