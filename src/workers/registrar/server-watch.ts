/**
 * Looks at our slot and walsender from the side, on a connection of its own, every few seconds: a paused
 * replication socket cannot tell us that the server wants to go away (replication.md 1.4). Owns that connection
 * and its timer; must decide nothing. Made by the registrar once the stream's lock is held.
 */

import pg from "pg";
import { breakConnection } from "../../shared/break-connection.ts";
import type { Logger } from "../../shared/logging.ts";
import { parseLsn } from "../../shared/lsn.ts";
import type { ServerObservation } from "../../shared/messages.ts";
import { backoffMs, waitMs } from "./backoff.ts";
import type { ConnectionTarget } from "./connection-target.ts";

const POLL_INTERVAL_MS = 2_000;
const QUERY_TIMEOUT_MS = 10_000;
const BACKOFF = { firstMs: 500, maxMs: 10_000 };
/** ERRCODE_ADMIN_SHUTDOWN. */
const ADMIN_SHUTDOWN = "57P01";

const OBSERVE = `
	SELECT s.wal_status, s.safe_wal_size::text, a.wait_event, r.sync_state,
		pg_catalog.pg_current_wal_lsn()::text AS wal_lsn,
		pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn)::text AS retained
	FROM (SELECT $1::text AS slot_name) AS ours
	LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name::text = ours.slot_name
	LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid
	LEFT JOIN pg_catalog.pg_stat_replication r ON r.pid = s.active_pid`;

interface ObservedRow {
	readonly wal_status: string | null;
	readonly safe_wal_size: string | null;
	readonly wait_event: string | null;
	readonly sync_state: string | null;
	readonly wal_lsn: string;
	readonly retained: string | null;
}

export interface ServerWatchOptions {
	readonly target: ConnectionTarget;
	readonly slotName: string;
	readonly onObservation: (observation: ServerObservation) => void;
	/** The server ends sessions on purpose. */
	readonly onLeaving: () => void;
	readonly logger: Logger;
}

export class ServerWatch {
	readonly #options: ServerWatchOptions;
	readonly #stop = new AbortController();
	#client: pg.Client | null = null;
	#running: Promise<void> | null = null;

	constructor(options: ServerWatchOptions) {
		this.#options = options;
	}

	/** Begins to watch; idempotent. */
	start(): void {
		this.#running ??= this.#run();
	}

	async close(): Promise<void> {
		this.#stop.abort();
		// An orderly end would wait for ever when the connection is still being made.
		if (this.#client !== null) {
			breakConnection(this.#client);
		}
		await this.#running;
	}

	async #run(): Promise<void> {
		const { signal } = this.#stop;
		for (let attempt = 0; !signal.aborted; attempt += 1) {
			try {
				await this.#watch(() => {
					attempt = 0;
				});
			} catch (err) {
				if (isAdminShutdown(err)) {
					this.#options.onLeaving();
				}
				if (!signal.aborted) {
					this.#options.logger.debug({ err, attempt }, "the side connection failed, connecting again");
				}
			}
			await waitMs(backoffMs(attempt, BACKOFF, Math.random()), signal);
		}
	}

	async #watch(onAnswer: () => void): Promise<void> {
		const { target, slotName, onObservation } = this.#options;
		const { signal } = this.#stop;
		const client = await target.connect(
			{
				application_name: "sluice-watch",
				connectionTimeoutMillis: QUERY_TIMEOUT_MS,
				query_timeout: QUERY_TIMEOUT_MS,
			},
			(next) => {
				signal.throwIfAborted();
				this.#client = next;
			},
		);
		let failure: Error | null = null;
		const waiting = new AbortController();
		// Between two questions nobody awaits the connection: what the server says then must still be heard at once.
		client.on("error", (error: Error) => {
			// The server's farewell comes first; what follows only says that the socket closed.
			failure ??= error;
			waiting.abort();
		});
		client.on("end", () => {
			failure ??= new Error("the side connection was closed");
			waiting.abort();
		});
		try {
			while (!signal.aborted && failure === null) {
				const { rows } = await client.query<ObservedRow>(OBSERVE, [slotName]);
				const [row] = rows;
				if (row !== undefined) {
					onObservation(observationOf(row));
				}
				onAnswer();
				await waitMs(POLL_INTERVAL_MS, AbortSignal.any([signal, waiting.signal]));
			}
			if (failure !== null) {
				throw failure;
			}
		} finally {
			this.#client = null;
			breakConnection(client);
		}
	}
}

function observationOf(row: ObservedRow): ServerObservation {
	return {
		walStatus: row.wal_status,
		safeWalBytes: row.safe_wal_size === null ? null : Number(row.safe_wal_size),
		retainedWalBytes: row.retained === null ? 0 : Number(row.retained),
		walsenderWaitEvent: row.wait_event,
		syncState: row.sync_state,
		walLsn: parseLsn(row.wal_lsn),
	};
}

function isAdminShutdown(error: unknown): boolean {
	return error instanceof pg.DatabaseError && error.code === ADMIN_SHUTDOWN;
}
