/**
 * How a socket to PostgreSQL is opened: all addresses of the host in the order that the resolver gives (asked anew
 * for each connection), the next one when one fails or stays silent, and a report when the first was not the one.
 * Must never read or write a byte. Called by every room that connects, on pg's socket before it connects.
 */

import { Socket, type SocketConnectOpts } from "node:net";
import { invariant } from "./assert.ts";
import type { Logger } from "./logging.ts";

/** Node's own quarter of a second is less than a round trip to the other side of the world. */
const ATTEMPT_TIMEOUT_MS = 2_500;

export interface AddressFallback {
	readonly failed: readonly { readonly address: string; readonly reason: string }[];
	readonly used: string;
}

/** Makes the next `connect` of the socket try every address. */
export function tryEveryAddress(socket: object, onFallback: (fallback: AddressFallback) => void): void {
	invariant(socket instanceof Socket, "pg's connection has a socket");
	const failed: { readonly address: string; readonly reason: string }[] = [];
	const note = (address: string, reason: string): void => {
		failed.push({ address, reason });
	};
	socket.on("connectionAttemptFailed", (address: string, _port, _family, error: Error & { readonly code?: string }) =>
		note(address, error.code ?? error.message),
	);
	socket.on("connectionAttemptTimeout", (address: string) => note(address, "silent"));
	socket.once("connect", () => {
		if (failed.length > 0) {
			onFallback({ failed, used: socket.remoteAddress ?? "unknown" });
		}
	});
	const connect = socket.connect.bind(socket) as (options: SocketConnectOpts) => Socket;
	// pg calls connect(port, host), or connect(path).
	const tryEach = (target: number | string, host?: string): Socket =>
		typeof target === "string" && host === undefined
			? connect({ path: target })
			: connect({
					port: Number(target),
					...(host === undefined ? {} : { host }),
					autoSelectFamily: true,
					autoSelectFamilyAttemptTimeout: ATTEMPT_TIMEOUT_MS,
				});
	Object.defineProperty(socket, "connect", { value: tryEach });
}

/** The usual report. */
export function logFallback(log: Logger, connection: string): (fallback: AddressFallback) => void {
	return (fallback) =>
		log.warn({ connection, ...fallback }, "an address of the database's host did not answer, another one did");
}
