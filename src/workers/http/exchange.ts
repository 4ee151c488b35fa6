/**
 * One request and its response: request id, common headers, the moment it ended, and the single place where a head
 * is written. Owns the clean-up of whatever was acquired for the request; must never be answered twice. Made by the
 * API server; used by everything that answers.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Transform } from "node:stream";
import type { Logger } from "../../shared/logging.ts";
import { type FileBody, PieceSource, sendPieces, sendTransformed, sendWhole } from "./body-writer.ts";
import type { Failure } from "./failures.ts";
import { addOldNames } from "./first-generation.ts";
import { generateRequestId } from "./request-id.ts";
import { commonHeaders, errorHeaders, type Headers, requestId } from "./response-headers.ts";

export class Exchange {
	readonly request: IncomingMessage;
	readonly response: ServerResponse;
	readonly id: string;
	/** HEAD counts as GET. */
	readonly method: string;
	readonly isHead: boolean;
	readonly #logger: Logger;
	readonly #common: Headers;
	readonly #startedMs = performance.now();
	readonly #isStopping: () => boolean;
	readonly #usesOldNames: boolean;
	#reason: string | null = null;
	#endsConnection = false;

	constructor(options: {
		readonly request: IncomingMessage;
		readonly response: ServerResponse;
		readonly logger: Logger;
		readonly isShapeRoute: boolean;
		readonly isStopping: () => boolean;
		/** The client knows the headers of the protocol's first form. */
		readonly usesOldNames?: boolean;
	}) {
		const { request, response } = options;
		this.request = request;
		this.response = response;
		this.#logger = options.logger;
		this.#isStopping = options.isStopping;
		this.#usesOldNames = options.usesOldNames ?? false;
		this.isHead = request.method === "HEAD";
		this.method = this.isHead ? "GET" : (request.method ?? "GET");
		this.id = requestId(request.headers["x-request-id"], generateRequestId);
		// A write that fails is seen by its caller; unheard, the event would end the thread.
		response.on("error", () => undefined);
		this.#common = commonHeaders(this.id, options.isShapeRoute);
	}

	/** Why the request failed, in a fixed word. */
	get reason(): string | null {
		return this.#reason;
	}

	get durationMs(): number {
		return Math.round(performance.now() - this.#startedMs);
	}

	/** The client is gone or the answer is complete. */
	get closed(): boolean {
		return this.response.destroyed || this.response.writableEnded;
	}

	get stopping(): boolean {
		return this.#isStopping();
	}

	/** The response says that the connection ends with it. */
	endConnection(): void {
		this.#endsConnection = true;
	}

	/** Runs once, when the response is over, whatever way. */
	onEnd(release: () => void): void {
		if (this.response.closed) {
			release();
		} else {
			this.response.once("close", release);
		}
	}

	/** Answers with a body at hand; null sends none. */
	send(status: number, headers: Headers, body: Buffer | string | null): void {
		if (this.closed || this.response.headersSent) {
			return;
		}
		const length = body === null ? 0 : Buffer.byteLength(body);
		this.writeHead(status, headers, status === 304 || status === 204 ? null : length);
		if (this.isHead || body === null || length === 0) {
			this.response.end();
		} else {
			sendWhole(this.response, body);
		}
	}

	/**
	 * Answers with part of a file.
	 * @param transform compresses it; then no length is declared, and the end of the chunks says that all came
	 * @throws what opening and reading it throw, before the head is sent
	 */
	async sendFile(status: number, headers: Headers, body: FileBody, transform: Transform | null = null): Promise<void> {
		const source = await PieceSource.open(body);
		try {
			if (this.closed || this.response.headersSent) {
				return;
			}
			const length = body.prefix.length + body.length + body.suffix.length;
			this.writeHead(status, headers, transform === null ? length : null);
			if (this.isHead) {
				this.response.end();
			} else if (transform === null) {
				await sendPieces(this.response, source);
			} else {
				await sendTransformed(this.response, source, transform);
			}
		} finally {
			await source.close();
		}
	}

	/**
	 * @param contentLength null: none is declared
	 * @param without common headers to leave out
	 */
	writeHead(status: number, headers: Headers, contentLength: number | null, without: readonly string[] = []): void {
		const all: Record<string, string> = { ...this.#common, ...headers };
		for (const name of without) {
			delete all[name];
		}
		if (contentLength !== null) {
			all["content-length"] = String(contentLength);
		}
		if (this.#endsConnection || this.#isStopping()) {
			all["connection"] = "close";
		}
		if (this.#usesOldNames) {
			addOldNames(all);
		}
		this.response.writeHead(status, all);
	}

	/** Answers with an error. Once the head is out the connection is dropped instead. */
	fail(failure: Failure, error: unknown = null): void {
		this.#reason ??= failure.reason;
		this.#log(failure, error);
		if (this.closed) {
			return;
		}
		if (this.response.headersSent) {
			this.response.destroy();
			return;
		}
		const headers: Record<string, string> =
			failure.reason === "internal" || failure.reason === "bad-request" ? {} : { ...errorHeaders(this.method) };
		if (failure.reason === "bad-request") {
			headers["content-type"] = "application/json; charset=utf-8";
		}
		if (failure.retryAfterSeconds !== null) {
			headers["retry-after"] = String(failure.retryAfterSeconds);
		}
		if (failure.known) {
			headers["electric-internal-known-error"] = "true";
		}
		this.send(failure.status, headers, JSON.stringify(failure.body));
	}

	#log(failure: Failure, error: unknown): void {
		const facts = {
			requestId: this.id,
			status: failure.status,
			reason: failure.reason,
			durationMs: this.durationMs,
			...(error === null ? {} : { err: error }),
		};
		if (failure.unexpected) {
			this.#logger.error(facts, "a request failed");
		} else if (failure.status >= 500 && failure.reason !== "admission" && failure.reason !== "stopping") {
			this.#logger.warn(facts, "a request could not be served");
		}
	}
}
