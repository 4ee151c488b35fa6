/**
 * Looks at our slot and walsender, and writes probes, from the side, on a connection of its own, every few seconds: a paused
 * replication socket cannot tell us that the server wants to go away (replication.md 1.4). Owns that connection
 * and its timer; must decide nothing. Made by the registrar once the stream's lock is held.
 */

import pg from "pg";
import { breakConnection } from "../../shared/break-connection.ts";
import type { Logger } from "../../shared/logging.ts";
import { parseLsn } from "../../shared/lsn.ts";
import type { ProbeEmission, ServerObservation } from "../../shared/messages.ts";
import { backoffMs, waitMs } from "./backoff.ts";
import type { ConnectionTarget } from "./connection-target.ts";

const POLL_INTERVAL_MS = 2_000;
const QUERY_TIMEOUT_MS = 10_000;
const BACKOFF = { firstMs: 500, maxMs: 10_000 };
/** ERRCODE_ADMIN_SHUTDOWN. */
const ADMIN_SHUTDOWN = "57P01";

/** ERRCODE_INSUFFICIENT_PRIVILEGE, ERRCODE_READ_ONLY_SQL_TRANSACTION, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE. */
const REFUSALS: ReadonlySet<string> = new Set(["42501", "25006", "55000"]);

const OBSERVE = `
	SELECT s.wal_status, s.safe_wal_size::text, s.active, a.wait_event, r.sync_state,
		now.lsn::text AS wal_lsn,
		pg_catalog.pg_wal_lsn_diff(now.lsn, s.restart_lsn)::text AS retained,
		pg_catalog.pg_wal_lsn_diff(now.lsn, s.confirmed_flush_lsn)::text AS unacknowledged,
		pg_catalog.age(s.catalog_xmin) AS catalog_age,
		oldest.pid AS oldest_pid, oldest.age_ms::text AS oldest_age_ms,
		(SELECT setting FROM pg_catalog.pg_settings WHERE name = 'idle_replication_slot_timeout') AS idle_timeout
	FROM (SELECT $1::text AS slot_name) AS ours
	CROSS JOIN (SELECT pg_catalog.pg_current_wal_lsn() AS lsn) AS now
	LEFT JOIN (
		SELECT pid, pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - since) * 1000 AS age_ms
		FROM (
			SELECT pid, xact_start AS since FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL
			UNION ALL SELECT NULL, prepared FROM pg_catalog.pg_prepared_xacts
		) AS transactions
		WHERE since IS NOT NULL ORDER BY since LIMIT 1
	) AS oldest ON true
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
	readonly active: boolean | null;
	readonly unacknowledged: string | null;
	readonly catalog_age: number | null;
	readonly oldest_pid: number | null;
	readonly oldest_age_ms: string | null;
	/** Seconds. */
	readonly idle_timeout: string | null;
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
	#turn: Promise<unknown> = Promise.resolve();

	constructor(options: ServerWatchOptions) {
		this.#options = options;
	}

	/** Begins to watch; idempotent. */
	start(): void {
		this.#running ??= this.#run();
	}

	/** Writes `content` as a logical message of no transaction. Never rejects. */
	async emitProbe(prefix: string, content: string): Promise<ProbeEmission> {
		try {
			return await this.#inTurn(async () => {
				if (this.#client === null) {
					return { kind: "unavailable" };
				}
				await this.#client.query("SELECT pg_catalog.pg_logical_emit_message(false, $1, $2)", [prefix, content]);
				return { kind: "written" };
			});
		} catch (err) {
			this.#options.logger.debug({ err }, "no probe could be written");
			const sqlState = err instanceof pg.DatabaseError ? err.code : undefined;
			return sqlState !== undefined && REFUSALS.has(sqlState) ? { kind: "refused", sqlState } : { kind: "unavailable" };
		}
	}

	async close(): Promise<void> {
		this.#stop.abort();
		// An orderly end would wait for ever when the connection is still being made.
		if (this.#client !== null) {
			breakConnection(this.#client);
		}
		await this.#running;
	}

	/** One question at a time on the one connection. */
	#inTurn<T>(ask: () => Promise<T>): Promise<T> {
		const turn = this.#turn.then(ask);
		this.#turn = turn.catch(() => undefined);
		return turn;
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
				const { rows } = await this.#inTurn(() => client.query<ObservedRow>(OBSERVE, [slotName]));
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
		retainedWalBytes: row.retained === null ? 0 : Math.max(0, Number(row.retained)),
		unacknowledgedWalBytes: row.unacknowledged === null ? null : Math.max(0, Number(row.unacknowledged)),
		catalogXminAge: row.catalog_age,
		oldestTransaction:
			row.oldest_age_ms === null ? null : { pid: row.oldest_pid, ageMs: Math.round(Number(row.oldest_age_ms)) },
		idleSlotTimeoutMs: Number(row.idle_timeout ?? 0) > 0 ? Number(row.idle_timeout) * 1_000 : null,
		walsenderActive: row.active === true,
		walsenderWaitEvent: row.wait_event,
		syncState: row.sync_state,
		walLsn: parseLsn(row.wal_lsn),
	};
}

function isAdminShutdown(error: unknown): boolean {
	return error instanceof pg.DatabaseError && error.code === ADMIN_SHUTDOWN;
}
