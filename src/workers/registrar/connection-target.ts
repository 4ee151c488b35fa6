/**
 * How PostgreSQL is connected to: with which credentials now, with TLS or without, as `sslmode` and the server have
 * it. Owns the memory of what worked last, which the pool and the snapshot tasks use too; must never put the URL
 * into an error. Called by the lock, which connects first, by the watch, and for every connection of the pools.
 */

import pg from "pg";
import { errorFromThrown, unusableTarget } from "../../shared/connection-error.ts";
import { logFallback, tryEveryAddress } from "../../shared/database-socket.ts";
import type { DatabaseUrl } from "../../shared/database-url.ts";
import type { Logger } from "../../shared/logging.ts";
import { type ConnectAttempt, connectAttempts, firstOfTwo, maySucceedWithoutTls } from "../../shared/tls-attempts.ts";

/** A second line behind our own probes. */
const TCP_KEEPALIVE_IDLE_MS = 30_000;
const PROBE_TIMEOUT_MS = 5_000;

/** Settings of a connection beside where it goes. */
export type ConnectionSettings = Pick<
	pg.ClientConfig,
	"application_name" | "connectionTimeoutMillis" | "query_timeout"
> & {
	/** A walsender instead of an ordinary session. */
	readonly replication?: "database";
};

export class ConnectionTarget {
	readonly #databaseUrl: DatabaseUrl;
	readonly #logger: Logger;
	/** TLS was tried last with success, or not; null before. */
	#tls: boolean | null = null;
	#learning: Promise<void> | null = null;

	constructor(databaseUrl: DatabaseUrl, logger: Logger) {
		this.#databaseUrl = databaseUrl;
		this.#logger = logger;
	}

	/**
	 * As the credentials are now; with TLS or without as it worked last. Connects to find out when nobody has yet.
	 * @throws SluiceError as {@link connect}
	 */
	async connectionString(): Promise<string> {
		const attempts = connectAttempts(await this.#databaseUrl());
		if (attempts.length > 1 && this.#tls === null) {
			this.#learning ??= this.#learn().finally(() => {
				this.#learning = null;
			});
			await this.#learning;
		}
		return (attempts.find(({ tls }) => tls === this.#tls) ?? attempts[0]).connectionString;
	}

	/** The server may have begun or ceased to take TLS. */
	forgetTls(): void {
		this.#tls = null;
	}

	/**
	 * Whether a replication connection gets through: something between us and the server may be a pooler.
	 * @throws SluiceError as {@link connect}
	 */
	confirmReplication(): Promise<void> {
		return this.#probe({ replication: "database" });
	}

	#learn(): Promise<void> {
		return this.#probe({});
	}

	async #probe(more: ConnectionSettings): Promise<void> {
		const settings = { application_name: "sluice-probe", connectionTimeoutMillis: PROBE_TIMEOUT_MS, ...more };
		const client = await this.connect(settings, () => {});
		await client.end();
	}

	/**
	 * Connects, trying without TLS where `sslmode` allows it.
	 * @param prepare gets each client before it connects; what it throws ends the attempt
	 * @throws SluiceError as connection-error.ts classifies it
	 */
	async connect(settings: ConnectionSettings, prepare: (client: pg.Client) => void): Promise<pg.Client> {
		const [first, second] = connectAttempts(await this.#databaseUrl());
		const client = this.#client(first, settings);
		try {
			return await this.#connect(client, first, prepare);
		} catch (error) {
			if (second === undefined || !maySucceedWithoutTls(error)) {
				throw refused(error, client, settings);
			}
			const plain = this.#client(second, settings);
			try {
				return await this.#connect(plain, second, prepare);
			} catch (again) {
				throw refused(firstOfTwo(error, again), plain, settings);
			}
		}
	}

	/** @throws SluiceError `SLUICE_LINK_REFUSED` when a certificate file is gone since the start */
	#client(attempt: ConnectAttempt, settings: ConnectionSettings): pg.Client {
		let client: pg.Client;
		try {
			client = new pg.Client({
				...settings,
				connectionString: attempt.connectionString,
				keepAlive: true,
				keepAliveInitialDelayMillis: TCP_KEEPALIVE_IDLE_MS,
			});
		} catch (error) {
			throw unusableTarget(error);
		}
		// More than one error can come: the server's farewell, then the end of the socket.
		client.on("error", () => {});
		tryEveryAddress(client.connection.stream, logFallback(this.#logger, settings.application_name ?? "control"));
		return client;
	}

	async #connect(client: pg.Client, attempt: ConnectAttempt, prepare: (client: pg.Client) => void): Promise<pg.Client> {
		prepare(client);
		await client.connect();
		this.#tls = attempt.tls;
		return client;
	}
}

function refused(error: unknown, client: pg.Client, settings: ConnectionSettings): unknown {
	return errorFromThrown(error, {
		phase: "connect",
		step: settings.application_name ?? "control",
		names: { role: client.user ?? "", database: client.database ?? "" },
	});
}
