/**
 * PostgreSQL connections of a snapshot thread, kept for a few seconds between tasks. Owns the session's settings,
 * which decide the text form of every value (the replication link uses the same: replication.md 4.5 step 7).
 * Must never be used by two tasks at once. Called by the snapshot task.
 */

import pg from "pg";

const IDLE_MS = 5_000;
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Row security is off so that a policy fails the snapshot instead of hiding rows that the stream would show.
 * `lock_timeout` bounds the wait behind somebody's exclusive lock.
 */
const SESSION = `
	SET bytea_output = 'hex'; SET DateStyle = 'ISO, DMY'; SET TimeZone = 'UTC'; SET extra_float_digits = 1;
	SET IntervalStyle = 'iso_8601'; SET row_security = off; SET statement_timeout = 0; SET lock_timeout = '30s';
	SET idle_in_transaction_session_timeout = 0; SET client_min_messages = warning;
	SET search_path = pg_catalog;
	SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
	WHERE name IN ('transaction_timeout', 'idle_session_timeout')`;

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
	});
	client.on("error", () => forget(databaseUrl, client));
	client.on("end", () => forget(databaseUrl, client));
	try {
		await client.connect();
		await client.query(SESSION);
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

function forget(databaseUrl: string, client: pg.Client): void {
	const idle = idleConnections.get(databaseUrl) ?? [];
	const at = idle.findIndex((entry) => entry.client === client);
	const [removed] = at === -1 ? [] : idle.splice(at, 1);
	clearTimeout(removed?.timer);
}
