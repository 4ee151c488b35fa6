/**
 * Ends the sessions of daemons that are gone and still hold the stream's advisory lock: their host died, and the
 * server has not noticed. Owns the judgement and a timer that asks while we wait; must never end a session whose slot
 * is in use, nor one of a daemon that lives. Made by the registrar. Source: replication.md 4.5, D10.
 */

import { LOCK_CHECK_INTERVAL_MS, LOCK_HOLDER_SILENCE_MS } from "../../shared/limits.ts";
import type { Logger } from "../../shared/logging.ts";
import type { SqlSession } from "./database.ts";

/** `application_name` of the session that holds the lock in every Sluice daemon. */
export const LOCK_APPLICATION_NAME = "sluice-lock";

export interface LockHolder {
	readonly pid: number;
	readonly applicationName: string;
	/** Since its session last did anything; null when we may not see that. */
	readonly silentMs: number | null;
	/** The slot has a walsender, or is being made. */
	readonly slotActive: boolean;
}

export type LockVerdict = "break" | "slot-active" | "holder-alive";

/**
 * A daemon of ours asks its lock session something every ten seconds, whatever state its link is in: one that does is
 * alive (a paused link gives its slot up, not its lock) and has the veto. Other holders promise nothing.
 */
export function judgeHolder(holder: LockHolder): LockVerdict {
	if (holder.slotActive) {
		return "slot-active";
	}
	const isOurs = holder.applicationName === LOCK_APPLICATION_NAME;
	const isSilent = holder.silentMs !== null && holder.silentMs >= LOCK_HOLDER_SILENCE_MS;
	return isOurs && !isSilent ? "holder-alive" : "break";
}

/** A bigint key is shown as two halves; `hashtext` may be negative. Source: pg_locks, "advisory". */
const HOLDERS = `
	SELECT l.pid, coalesce(a.application_name, '') AS application_name,
		(extract(epoch FROM clock_timestamp() - a.state_change) * 1000)::float8 AS silent_ms,
		coalesce((SELECT s.active FROM pg_catalog.pg_replication_slots s WHERE s.slot_name::text = $1::text), false) AS slot_active
	FROM (SELECT pg_catalog.hashtext($1)::int8 AS key) AS ours
	JOIN pg_catalog.pg_locks l ON l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
		AND l.classid::int8 = ((ours.key >> 32) & 4294967295) AND l.objid::int8 = (ours.key & 4294967295)
		AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
	LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid`;

interface HolderRow {
	readonly pid: number;
	readonly application_name: string;
	readonly silent_ms: number | null;
	readonly slot_active: boolean;
}

export interface LockBreakerOptions {
	readonly session: SqlSession;
	readonly slotName: string;
	/** We are connected and wait for the lock. */
	readonly waiting: () => boolean;
	readonly logger: Logger;
	readonly intervalMs?: number;
}

export class LockBreaker {
	readonly #options: LockBreakerOptions;
	#timer: NodeJS.Timeout | null = null;
	#checking: Promise<void> = Promise.resolve();
	#told: string | null = null;

	constructor(options: LockBreakerOptions) {
		this.#options = options;
	}

	/** Looks every ten seconds whether we wait. Idempotent. */
	start(): void {
		this.#timer ??= setInterval(() => {
			if (this.#options.waiting()) {
				this.#checking = this.check();
			} else {
				this.#told = null;
			}
		}, this.#options.intervalMs ?? LOCK_CHECK_INTERVAL_MS);
	}

	async close(): Promise<void> {
		if (this.#timer !== null) {
			clearInterval(this.#timer);
			this.#timer = null;
		}
		await this.#checking;
	}

	/** One look; never rejects. */
	async check(): Promise<void> {
		const { session, slotName, logger } = this.#options;
		try {
			const rows = await session.query<HolderRow>(HOLDERS, [slotName]);
			for (const row of rows) {
				const holder: LockHolder = {
					pid: row.pid,
					applicationName: row.application_name,
					silentMs: row.silent_ms,
					slotActive: row.slot_active,
				};
				const verdict = judgeHolder(holder);
				const telling = `${holder.pid} ${verdict}`;
				if (verdict === "break") {
					logger.warn(
						{ ...holder, slotName },
						"ending a session that holds the stream's lock and does nothing with it",
					);
					await session.query("SELECT pg_catalog.pg_terminate_backend($1)", [holder.pid]);
				} else if (this.#told !== telling) {
					this.#told = telling;
					logger.info({ ...holder, slotName, verdict }, "another daemon holds the stream's lock, waiting");
				}
			}
		} catch (err) {
			// Without the right to end other sessions, or without a connection: the lock is waited for all the same.
			logger.warn({ err, slotName }, "the holder of the stream's lock could not be looked at");
		}
	}
}
