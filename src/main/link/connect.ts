/**
 * Opens the replication connection with pg's client (URL, TLS, md5, SCRAM) and lends it for simple queries until
 * the link takes the socket over. Owns the client until then; must never stream, retry, or let a password or URL
 * into an error. Called by the stream.
 */

import { Socket } from "node:net";
import { Client, type ClientConfig } from "pg";
import { invariant } from "../../shared/assert.ts";
import { errorFromThrown, unusableTarget } from "../../shared/connection-error.ts";
import { type AddressFallback, tryEveryAddress } from "../../shared/database-socket.ts";
import type { DatabaseUrl } from "../../shared/database-url.ts";
import { SluiceError } from "../../shared/errors.ts";
import { type ConnectAttempt, connectAttempts, firstOfTwo, maySucceedWithoutTls } from "../../shared/tls-attempts.ts";
import { openRawSocket, type RawSocket, wrapTlsSocket } from "./raw-socket.ts";

const STEP_CONNECT = "connect";

/** Every value is the text that the server sent. */
export type Row = Readonly<Record<string, string | null>>;

/** A replication connection in command mode. */
export interface CommandSession {
	/** As whom and where; for statements that an operator should run. */
	readonly role: string;
	readonly database: string;
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
	/** Asked for each connection: credentials may have changed. */
	readonly databaseUrl: DatabaseUrl;
	/** From the first packet to the first ReadyForQuery, for each attempt. */
	readonly timeoutMs: number;
	readonly signal?: AbortSignal;
	/** The host has several addresses, and the first of them did not answer. */
	readonly onFallback: (fallback: AddressFallback) => void;
}

/**
 * Connects, with TLS or without as `sslmode` says.
 * @throws SluiceError SLUICE_LINK_UNREACHABLE, SLUICE_LINK_REFUSED, SLUICE_LINK_MISCONFIGURED,
 * SLUICE_LINK_UNAVAILABLE
 */
export async function openSession(options: ConnectOptions): Promise<CommandSession> {
	const [first, second] = connectAttempts(await options.databaseUrl());
	const client = makeAttempt(first, options);
	try {
		return await connect(client, options);
	} catch (error) {
		if (second === undefined || options.signal?.aborted === true || !maySucceedWithoutTls(error)) {
			throw asLinkError(error, options, client);
		}
		const plain = makeAttempt(second, options);
		try {
			return await connect(plain, options);
		} catch (again) {
			throw asLinkError(firstOfTwo(error, again), options, plain);
		}
	}
}

function asLinkError(error: unknown, options: ConnectOptions, { client }: Attempt): SluiceError {
	if (options.signal?.aborted === true) {
		return new SluiceError("SLUICE_LINK_CLOSED", { step: STEP_CONNECT, reason: "aborted" });
	}
	const names = { role: client.user ?? "", database: client.database ?? "" };
	return errorFromThrown(error, { phase: "connect", step: STEP_CONNECT, names });
}

/** pg's client, and the socket that is ours when there is no TLS. */
interface Attempt {
	readonly client: Client;
	readonly raw: RawSocket | null;
}

function makeAttempt(target: ConnectAttempt, options: ConnectOptions): Attempt {
	const raw = target.tls ? null : openRawSocket();
	const client = makeClient(target, options, raw);
	// Without a listener a socket error between two queries would end the process.
	client.on("error", ignore);
	tryEveryAddress(client.connection.stream, options.onFallback);
	return { client, raw };
}

async function connect({ client, raw }: Attempt, options: ConnectOptions): Promise<CommandSession> {
	const abort = (): void => destroyStream(client);
	try {
		options.signal?.throwIfAborted();
		options.signal?.addEventListener("abort", abort, { once: true });
		await client.connect();
	} catch (error) {
		destroyStream(client);
		options.signal?.removeEventListener("abort", abort);
		throw error;
	}
	return {
		role: client.user ?? "",
		database: client.database ?? "",
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
		throw unusableTarget(error);
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
