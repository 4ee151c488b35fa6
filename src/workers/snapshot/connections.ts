/**
 * PostgreSQL connections of a snapshot thread, kept for a few seconds between tasks. Owns the settings
 * that decide the text form of every value (the replication link uses the same: replication.md 4.5 step 7). Must never
 * be used by two tasks at once, nor leave anything behind in a session. Called by the snapshot task.
 */

import pg from "pg";

const IDLE_MS = 5_000;
const CONNECT_TIMEOUT_MS = 10_000;

/** Finds a vanished peer while a COPY brings nothing, which it may rightly do for long. */
const TCP_KEEPALIVE_IDLE_MS = 30_000;

/**
 * Begins a transaction of a snapshot, without fixing the snapshot. All settings are of the transaction: with a pooler
 * in between the next one may run in another session. Row security is off so that a policy fails the snapshot instead
 * of hiding rows that the stream would show. `lock_timeout` bounds the wait behind somebody's exclusive lock.
 */
export const BEGIN_SNAPSHOT = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
	SET LOCAL bytea_output = 'hex'; SET LOCAL DateStyle = 'ISO, DMY'; SET LOCAL TimeZone = 'UTC';
	SET LOCAL extra_float_digits = 1; SET LOCAL IntervalStyle = 'iso_8601'; SET LOCAL row_security = off;
	SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '30s'; SET LOCAL client_min_messages = warning;
	SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL search_path = pg_catalog`;

/** In the statement that fixes the snapshot: 17 and later may limit a transaction as a whole. */
export const NO_TRANSACTION_TIMEOUT = `(SELECT pg_catalog.set_config(name, '0', true) FROM pg_catalog.pg_settings
	WHERE name = 'transaction_timeout') AS transaction_timeout`;

/** Above `lock_timeout`: a statement that has not answered by then never will, the other end is gone. */
const ANSWER_TIMEOUT_MS = 45_000;

/** A statement that answers soon: pg gives it up when it does not. */
export function withinTime(text: string): pg.QueryConfig {
	const config = { text, query_timeout: ANSWER_TIMEOUT_MS };
	return config;
}

interface Idle {
	readonly client: pg.Client;
	readonly timer: NodeJS.Timeout;
}

const idleConnections = new Map<string, Idle[]>();

/** An idle connection, or a new one. Give it back with {@link releaseConnection} or end it. */
export async function takeConnection(databaseUrl: string): Promise<pg.Client> {
	const idle = idleConnections.get(databaseUrl)?.pop();
	if (idle !== undefined) {
		clearTimeout(idle.timer);
		return idle.client;
	}
	const client = new pg.Client({
		connectionString: databaseUrl,
		application_name: "sluice-snapshot",
		connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
		keepAlive: true,
		keepAliveInitialDelayMillis: TCP_KEEPALIVE_IDLE_MS,
	});
	client.on("error", () => forget(databaseUrl, client));
	client.on("end", () => forget(databaseUrl, client));
	try {
		await client.connect();
	} catch (error) {
		void client.end().catch(() => {});
		throw error;
	}
	return client;
}

/** Keeps a connection that is outside any transaction. */
export function releaseConnection(databaseUrl: string, client: pg.Client): void {
	const timer = setTimeout(() => {
		forget(databaseUrl, client);
		void client.end().catch(() => {});
	}, IDLE_MS);
	timer.unref();
	const idle = idleConnections.get(databaseUrl) ?? [];
	idle.push({ client, timer });
	idleConnections.set(databaseUrl, idle);
}

/** Null when the URL does not say. */
export function roleOf(databaseUrl: string): string | null {
	try {
		return decodeURIComponent(new URL(databaseUrl).username) || null;
	} catch {
		return null;
	}
}

function forget(databaseUrl: string, client: pg.Client): void {
	const idle = idleConnections.get(databaseUrl) ?? [];
	const at = idle.findIndex((entry) => entry.client === client);
	const [removed] = at === -1 ? [] : idle.splice(at, 1);
	clearTimeout(removed?.timer);
}
