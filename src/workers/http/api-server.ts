/**
 * The server of the Shape API: one per HTTP thread. Owns the listening socket, its limits and time-outs, and the way
 * from a request to the room that answers it; authentication happens here, on the resolved route, before any work.
 * Called by the thread's composition.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { SluiceError } from "../../shared/errors.ts";
import {
	HTTP_BACKLOG,
	HTTP_CONNECTION_CHECK_MS,
	HTTP_CONNECTION_REQUESTS_MAX,
	HTTP_HEADER_BYTES_MAX,
	HTTP_HEADERS_TIMEOUT_MS,
	HTTP_KEEP_ALIVE_MS,
	HTTP_REQUEST_TIMEOUT_MS,
	HTTP_STOP_GRACE_MS,
} from "../../shared/limits.ts";
import type { Logger } from "../../shared/logging.ts";
import { type DeleteRooms, serveDelete } from "./delete-request.ts";
import { Exchange } from "./exchange.ts";
import { badRequest, describeError, stopping } from "./failures.ts";
import { tableInPath, translatedQuery } from "./first-generation.ts";
import { healthOf } from "./health.ts";
import type { RequestCounters } from "./metrics.ts";
import { decodeQuery } from "./query.ts";
import { preflightHeaders } from "./response-headers.ts";
import { apiRoute, parseTarget } from "./router.ts";
import type { SecretCheck } from "./secret.ts";
import { type ShapeRequestRooms, serveShape } from "./shape-request.ts";

export interface ApiServerOptions {
	readonly shape: ShapeRequestRooms;
	readonly deletion: DeleteRooms;
	readonly secret: SecretCheck;
	readonly logger: Logger;
	readonly counters: RequestCounters;
	readonly connectionsMax: number;
	/** For tests: other limits than those of the table. */
	readonly connectionRequestsMax?: number;
	readonly connectionTimes?: { readonly headersMs: number; readonly checkMs: number };
}

/** One log line about refused connections, however many there are. */
const DROP_LINE_INTERVAL_MS = 10_000;

export class ApiServer {
	readonly #options: ApiServerOptions;
	readonly #server: Server;
	/** Responses under way, by connection: more than one when requests are sent ahead. */
	readonly #answering = new WeakMap<Duplex, Set<ServerResponse>>();
	#stopping = false;
	/** Since the last log line about it. */
	#dropped = 0;
	#nextDropLineMs = 0;

	constructor(options: ApiServerOptions) {
		this.#options = options;
		this.#server = createServer(
			{
				// The URL has a limit of its own below; this bounds everything before the body.
				maxHeaderSize: 2 * HTTP_HEADER_BYTES_MAX,
				headersTimeout: options.connectionTimes?.headersMs ?? HTTP_HEADERS_TIMEOUT_MS,
				requestTimeout: HTTP_REQUEST_TIMEOUT_MS,
				keepAliveTimeout: HTTP_KEEP_ALIVE_MS,
				connectionsCheckingInterval: options.connectionTimes?.checkMs ?? HTTP_CONNECTION_CHECK_MS,
				noDelay: true,
			},
			(request, response) => this.#handle(request, response),
		);
		this.#server.on("clientError", (error, socket) => {
			answerClientError(error, socket, this.#answering.get(socket) ?? []);
		});
		this.#server.maxRequestsPerSocket = options.connectionRequestsMax ?? HTTP_CONNECTION_REQUESTS_MAX;
		this.#server.maxConnections = options.connectionsMax;
		this.#server.on("drop", () => this.#onDrop());
	}

	/** @throws SluiceError SLUICE_PORT_IN_USE; the system's error for anything else */
	listen(address: { readonly host: string; readonly port: number; readonly shared: boolean }): Promise<number> {
		return listenOn(this.#server, {
			host: address.host,
			port: address.port,
			...(address.shared ? { reusePort: true } : {}),
		});
	}

	/** Takes no more requests, lets what runs end for a moment, then closes every connection. */
	async stop(): Promise<void> {
		this.#stopping = true;
		this.#options.shape.waiters.endAll();
		await closeServer(this.#server, HTTP_STOP_GRACE_MS);
	}

	/** A connection was closed at once: the thread has as many as its share of the process's descriptors allows. */
	#onDrop(): void {
		this.#dropped += 1;
		const now = performance.now();
		if (now >= this.#nextDropLineMs) {
			this.#nextDropLineMs = now + DROP_LINE_INTERVAL_MS;
			const { connectionsMax, logger } = this.#options;
			const remedy = "raise the limit of open files, or put a caching proxy in front";
			logger.warn({ connectionsMax, dropped: this.#dropped, remedy }, "too many connections, closing new ones");
			this.#dropped = 0;
		}
	}

	#handle(request: IncomingMessage, response: ServerResponse): void {
		const { segments, rawQuery } = parseTarget(request.url ?? "/");
		const route = segments === null ? "none" : apiRoute(request.method ?? "GET", segments);
		const table = segments === null || route === "none" ? null : tableInPath(segments);
		const exchange = new Exchange({
			request,
			response,
			logger: this.#options.logger,
			isShapeRoute: route === "shape" || route === "preflight" || route === "delete",
			isStopping: () => this.#stopping,
			usesOldNames: table !== null,
		});
		const answering = this.#answering.get(request.socket) ?? new Set();
		this.#answering.set(request.socket, answering.add(response));
		const finished = this.#options.counters.begin(route);
		exchange.onEnd(() => {
			answering.delete(response);
			const status = response.headersSent ? response.statusCode : null;
			finished(status);
			const { id, reason, durationMs } = exchange;
			if (this.#stopping) {
				// Its connection may have become idle after the stop looked for idle ones.
				setImmediate(() => this.#server.closeIdleConnections());
			}
			this.#options.logger.debug({ requestId: id, route, status, reason, durationMs }, "a request ended");
		});
		if ((request.url ?? "").length > HTTP_HEADER_BYTES_MAX) {
			exchange.fail(badRequest({ error: "Request URI too long" }, 414));
			return;
		}
		if (segments === null) {
			exchange.send(400, {}, null);
			return;
		}
		switch (route) {
			case "root":
				exchange.send(200, {}, null);
				return;
			case "health": {
				const { table } = this.#options.shape;
				const health = healthOf(table.statusLevel(), table.progress());
				exchange.send(health.status, health.headers, health.body);
				return;
			}
			case "none":
				exchange.send(404, {}, "Not found");
				return;
			case "preflight":
				this.#answerPreflight(exchange);
				return;
			case "shape":
			case "delete":
				if (this.#stopping) {
					exchange.fail(stopping());
					return;
				}
				this.#serveProtected(exchange, route, { rawQuery, table });
		}
	}

	/** The one response of /v1/shape without a cache header. */
	#answerPreflight(exchange: Exchange): void {
		const { origin, "access-control-request-headers": requested } = exchange.request.headers;
		const headers = preflightHeaders(origin, requested);
		exchange.writeHead(204, headers, null, ["cache-control"]);
		exchange.response.end();
	}

	/** @param target `table` is what a first-form request names in its path, else null */
	#serveProtected(
		exchange: Exchange,
		route: "shape" | "delete",
		target: { readonly rawQuery: string; readonly table: string | null },
	): void {
		const decoded = decodeQuery(target.rawQuery);
		if (decoded === null) {
			exchange.send(400, {}, null);
			return;
		}
		const query = target.table === null ? decoded : translatedQuery(decoded, target.table);
		if (!this.#options.secret.allows(query)) {
			exchange.send(401, {}, '{"message":"Unauthorized - Invalid API secret"}');
			return;
		}
		const served =
			route === "shape"
				? serveShape(this.#options.shape, exchange, query)
				: serveDelete(this.#options.deletion, exchange, query);
		served.catch((error: unknown) => {
			exchange.fail(describeError(error, this.#options.shape.table.statusLevel()), error);
		});
	}
}

/** Listens and answers the port. @throws SluiceError SLUICE_PORT_IN_USE */
export function listenOn(
	server: Server,
	address: { readonly host: string; readonly port: number; readonly reusePort?: boolean },
): Promise<number> {
	return new Promise((resolve, reject) => {
		const onError = (error: Error): void => {
			const inUse = "code" in error && error.code === "EADDRINUSE";
			reject(inUse ? new SluiceError("SLUICE_PORT_IN_USE", { port: address.port, cause: error }) : error);
		};
		server.once("error", onError);
		server.listen({ ...address, backlog: HTTP_BACKLOG }, () => {
			server.off("error", onError);
			const bound = server.address();
			resolve(typeof bound === "object" && bound !== null ? bound.port : address.port);
		});
	});
}

/** Closes the listener and idle connections; after `graceMs` all others. */
export function closeServer(server: Server, graceMs: number): Promise<void> {
	return new Promise((resolve) => {
		const timer = setTimeout(() => server.closeAllConnections(), graceMs);
		server.close(() => {
			clearTimeout(timer);
			resolve();
		});
		server.closeIdleConnections();
	});
}

/**
 * Requests that the parser refuses never become an exchange. In the middle of a response nothing can be said: the text
 * would be read as part of its body.
 */
function answerClientError(
	error: Error & { readonly code?: string },
	socket: Duplex,
	answering: Iterable<ServerResponse>,
): void {
	const isAnswering = [...answering].some((response) => response.headersSent);
	if (isAnswering || !socket.writable || error.code === "ECONNRESET") {
		socket.destroy();
		return;
	}
	const [status, reason] =
		error.code === "HPE_HEADER_OVERFLOW"
			? ["431 Request Header Fields Too Large", "Request header fields too large"]
			: error.code === "ERR_HTTP_REQUEST_TIMEOUT"
				? ["408 Request Timeout", "Request timeout"]
				: ["400 Bad Request", "Bad request"];
	const body = JSON.stringify({ error: reason });
	socket.end(
		`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\n` +
			`content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
	);
}
