/**
 * Ends a query in PostgreSQL whose answer nobody waits for: the server does not notice by itself that a client has gone
 * while it sorts or filters. Owns the side connection that asks for it; must never hit another query than the one it was
 * made for. Called by the subset task. Source: PostgreSQL manual, "Server Signaling Functions".
 */

import type { MessagePort } from "node:worker_threads";
import { breakConnection } from "../../shared/break-connection.ts";
import { releaseConnection, takeConnection, withinTime } from "./connections.ts";

export class QueryCancel {
	readonly #databaseUrl: string;
	readonly #port: MessagePort | null;
	#requested = false;
	#backend: number | null = null;
	#sent: Promise<void> | null = null;

	/** @param port any message on it asks for the end */
	constructor(port: MessagePort | null, databaseUrl: string) {
		this.#databaseUrl = databaseUrl;
		this.#port = port;
		port?.on("message", () => {
			this.#requested = true;
			this.#send();
		});
	}

	get requested(): boolean {
		return this.#requested;
	}

	/** The query runs, or is about to, in this backend, in a transaction that lasts until {@link over} is called. */
	began(backend: number): void {
		this.#backend = backend;
		if (this.#requested) {
			this.#send();
		}
	}

	/**
	 * The query has ended. Resolves when nothing is on its way to its backend any more, with whether something was: the
	 * signal may still reach that session's next statement, so the connection must not be used again.
	 */
	async over(): Promise<boolean> {
		this.#backend = null;
		this.#port?.close();
		const sent = this.#sent;
		await sent;
		return sent !== null;
	}

	#send(): void {
		const backend = this.#backend;
		if (backend !== null) {
			this.#sent ??= cancelBackend(this.#databaseUrl, backend);
		}
	}
}

/** Never rejects, nor waits for ever: when the server cannot be asked, the statement's own time-out ends it. */
async function cancelBackend(databaseUrl: string, backend: number): Promise<void> {
	const client = await takeConnection(databaseUrl).catch(() => null);
	if (client === null) {
		return;
	}
	try {
		await client.query({ ...withinTime("SELECT pg_catalog.pg_cancel_backend($1)"), values: [backend] });
		releaseConnection(databaseUrl, client);
	} catch {
		breakConnection(client);
	}
}
