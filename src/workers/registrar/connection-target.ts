/**
 * How PostgreSQL is connected to: with TLS or without, as `sslmode` and the server have it. Owns the memory of
 * what worked last, which the pool and the snapshot tasks use too; must never put the URL into an error.
 * Called by the lock, which connects first.
 */

import pg from "pg";
import { type ConnectAttempt, connectAttempts } from "../../shared/tls-attempts.ts";
import { sqlStateOf } from "./database.ts";

/** A second line behind our own probes. */
const TCP_KEEPALIVE_IDLE_MS = 30_000;

/** Settings of a connection beside where it goes. */
export type ConnectionSettings = Pick<
	pg.ClientConfig,
	"application_name" | "connectionTimeoutMillis" | "query_timeout"
>;

export class ConnectionTarget {
	readonly #attempts: readonly [ConnectAttempt, ...ConnectAttempt[]];
	#current: ConnectAttempt;

	/** @throws SluiceError `SLUICE_CONFIG_INVALID` */
	constructor(databaseUrl: string) {
		this.#attempts = connectAttempts(databaseUrl);
		this.#current = this.#attempts[0];
	}

	/** What worked last, or what should be tried first. */
	get connectionString(): string {
		return this.#current.connectionString;
	}

	/**
	 * Connects, trying without TLS where `sslmode` allows it.
	 * @param prepare gets each client before it connects
	 */
	async connect(settings: ConnectionSettings, prepare: (client: pg.Client) => void): Promise<pg.Client> {
		const [first, second] = this.#attempts;
		try {
			return await this.#connect(first, settings, prepare);
		} catch (error) {
			if (second === undefined || !maySucceedWithoutTls(error)) {
				throw error;
			}
		}
		return await this.#connect(second, settings, prepare);
	}

	async #connect(
		attempt: ConnectAttempt,
		settings: ConnectionSettings,
		prepare: (client: pg.Client) => void,
	): Promise<pg.Client> {
		const client = new pg.Client({
			...settings,
			connectionString: attempt.connectionString,
			keepAlive: true,
			keepAliveInitialDelayMillis: TCP_KEEPALIVE_IDLE_MS,
		});
		// More than one error can come: the server's farewell, then the end of the socket.
		client.on("error", () => {});
		prepare(client);
		await client.connect();
		this.#current = attempt;
		return client;
	}
}

/** As libpq with sslmode=prefer: no TLS there, a handshake that breaks off, or a login refused because of TLS. */
function maySucceedWithoutTls(error: unknown): boolean {
	const state = sqlStateOf(error);
	if (state !== null) {
		return state === "28000";
	}
	const message = error instanceof Error ? error.message : "";
	const reset = error instanceof Error && "code" in error && error.code === "ECONNRESET";
	return reset || /does not support SSL|establishing an SSL|terminated unexpectedly/.test(message);
}
