/**
 * Opens the replication connection with pg's client (URL, TLS, md5, SCRAM) and lends it for simple queries until
 * the link takes the socket over. Owns the client until then; must never stream, retry, or let a password or URL
 * into an error. Called by the stream.
 */

import { Socket } from "node:net";
import { Client, type ClientConfig } from "pg";
import { invariant } from "../../shared/assert.ts";
import { SluiceError } from "../../shared/errors.ts";
import { quoteIdentifier } from "../../shared/sql-quoting.ts";
import { type ConnectAttempt, connectAttempts } from "../../shared/tls-attempts.ts";
import { openRawSocket, type RawSocket, wrapTlsSocket } from "./raw-socket.ts";
import { errorFromReport, errorFromThrown, isServerReport, type ServerReport } from "./sqlstate.ts";

export const STEP_CONNECT = "connect";

/** Every value is the text that the server sent. */
export type Row = Readonly<Record<string, string | null>>;

/** A replication connection in command mode. */
export interface CommandSession {
	/**
	 * One simple query; statements joined by ";" run as one transaction.
	 * @param timeoutMs the connection is destroyed when the answer takes longer; null waits as long as it takes
	 * @throws what pg throws: classify with errorFromThrown
	 */
	query(statement: string, timeoutMs: number | null): Promise<readonly Row[]>;
	/** Takes the socket from pg. Only in command mode, with no query running; the session is over. */
	takeSocket(): RawSocket;
	/** Ends it at once. Idempotent. */
	destroy(): void;
}

export interface ConnectOptions {
	readonly databaseUrl: string;
	/** From the first packet to the first ReadyForQuery, for each attempt. */
	readonly timeoutMs: number;
	readonly signal?: AbortSignal;
}

/**
 * Connects, with TLS or without as `sslmode` says.
 * @throws SluiceError SLUICE_LINK_UNREACHABLE, SLUICE_LINK_REFUSED, SLUICE_LINK_MISCONFIGURED,
 * SLUICE_LINK_UNAVAILABLE, SLUICE_CONFIG_INVALID
 */
export async function openSession(options: ConnectOptions): Promise<CommandSession> {
	const [first, second] = connectAttempts(options.databaseUrl);
	try {
		return await attempt(first, options);
	} catch (error) {
		if (second === undefined || options.signal?.aborted === true || !maySucceedWithoutTls(error)) {
			throw asLinkError(error, options);
		}
	}
	try {
		return await attempt(second, options);
	} catch (error) {
		throw asLinkError(error, options);
	}
}

/** As libpq with sslmode=prefer: no TLS there, a handshake that breaks off, or a login refused because of TLS. */
function maySucceedWithoutTls(error: unknown): boolean {
	if (isServerReport(error)) {
		return error.code === "28000";
	}
	const message = error instanceof Error ? error.message : "";
	const code = error instanceof Error && "code" in error ? error.code : null;
	return /does not support SSL|establishing an SSL|terminated unexpectedly/.test(message) || code === "ECONNRESET";
}

function asLinkError(error: unknown, options: ConnectOptions): SluiceError {
	if (options.signal?.aborted === true) {
		return new SluiceError("SLUICE_LINK_CLOSED", { step: STEP_CONNECT, reason: "aborted" });
	}
	return errorFromThrown(error, { phase: "connect", step: STEP_CONNECT });
}

async function attempt(target: ConnectAttempt, options: ConnectOptions): Promise<CommandSession> {
	options.signal?.throwIfAborted();
	const raw = target.tls ? null : openRawSocket();
	const client = makeClient(target, options, raw);
	// Without a listener a socket error between two queries would end the process.
	client.on("error", ignore);
	const abort = (): void => destroyStream(client);
	options.signal?.addEventListener("abort", abort, { once: true });
	try {
		await client.connect();
	} catch (error) {
		destroyStream(client);
		options.signal?.removeEventListener("abort", abort);
		throw isServerReport(error) && error.code === LACKS_PRIVILEGE ? mayNotReplicate(error, client) : error;
	}
	return {
		async query(statement, timeoutMs) {
			let timedOut = false;
			const giveUp = (): void => {
				timedOut = true;
				abort();
			};
			const timer = timeoutMs === null ? null : setTimeout(giveUp, timeoutMs);
			try {
				const result = await client.query<Record<string, string | null>>(statement);
				return result.rows ?? [];
			} catch (error) {
				throw timedOut ? new Error("no answer in time", { cause: error }) : error;
			} finally {
				if (timer !== null) {
					clearTimeout(timer);
				}
			}
		},
		takeSocket() {
			options.signal?.removeEventListener("abort", abort);
			return takeSocket(client, raw);
		},
		destroy() {
			options.signal?.removeEventListener("abort", abort);
			destroyStream(client);
		},
	};
}

const LACKS_PRIVILEGE = "42501";

function mayNotReplicate(error: Error & ServerReport, client: Client): SluiceError {
	const statement = `ALTER ROLE ${quoteIdentifier(client.user ?? "")} WITH REPLICATION`;
	return errorFromReport(error, { phase: "connect", step: STEP_CONNECT, statement });
}

function makeClient(target: ConnectAttempt, options: ConnectOptions, raw: RawSocket | null): Client {
	const config: ClientConfig & { readonly replication: string } = {
		connectionString: target.connectionString,
		replication: "database",
		application_name: "sluice",
		connectionTimeoutMillis: options.timeoutMs,
		keepAlive: true,
		keepAliveInitialDelayMillis: TCP_KEEPALIVE_IDLE_MS,
		types: { getTypeParser: () => keepText },
		...(raw === null ? {} : { ssl: false, stream: () => raw.socket }),
	};
	try {
		return new Client(config);
	} catch (error) {
		// The URL itself is in some of these errors: neither cause nor message goes on.
		const systemCode = error instanceof Error && "code" in error ? error.code : null;
		const problem = systemCode === "ENOENT" ? "a certificate or key file does not exist" : "cannot be parsed";
		throw new SluiceError("SLUICE_CONFIG_INVALID", { problems: [`DATABASE_URL: ${problem}`] });
	}
}

/** A second line behind our own keepalives: finds a vanished peer while a rung of the handshake waits. */
const TCP_KEEPALIVE_IDLE_MS = 30_000;

function keepText(value: string): string {
	return value;
}

function ignore(): void {}

function destroyStream(client: Client): void {
	client.connection.stream.destroy();
}

function takeSocket(client: Client, raw: RawSocket | null): RawSocket {
	const { connection } = client;
	invariant(connection.stream instanceof Socket, "pg's connection has a socket");
	// The stream's own error listener stays and reports to a connection that nobody listens to any more.
	connection.removeAllListeners();
	connection.on("error", ignore);
	return raw ?? wrapTlsSocket(connection.stream);
}
