/**
 * The body of a POST: received within a size, a time and the thread's budget, parsed, and reduced to what a body may
 * say. A client's body never overrides `table` or anything else of the query (a proxy pins those): only subset keys
 * are looked at. Must never hold more than it has leased. Called by the shape request after admission.
 * Source: shape-http-api.md 3.1.
 */

import type { IncomingMessage } from "node:http";
import { HTTP_BODY_BYTES_MAX, HTTP_BODY_DRAIN_MS, HTTP_BODY_WAIT_MS } from "../../shared/limits.ts";
import type { BodyLease } from "./body-budget.ts";
import { badRequest, bodiesExceeded, type Failure } from "./failures.ts";
import { parseJsonText } from "./json-text.ts";

export interface BodyRefusal {
	readonly ok: false;
	readonly failure: Failure;
	/** The rest of the request was not read. */
	readonly endsConnection: boolean;
}

/** The subset keys of a body, numbers as the text they were written in. */
export type BodySubset = Readonly<Record<string, unknown>>;

/** `subset` null: the body asks for none. */
export type BodyResult = { readonly ok: true; readonly subset: BodySubset | null } | BodyRefusal;

export interface BodyLimits {
	readonly bytesMax: number;
	/** For the whole body. */
	readonly waitMs: number;
	/** How long the rest of a refused body is received and dropped. */
	readonly drainMs: number;
}

export const BODY_LIMITS: BodyLimits = {
	bytesMax: HTTP_BODY_BYTES_MAX,
	waitMs: HTTP_BODY_WAIT_MS,
	drainMs: HTTP_BODY_DRAIN_MS,
};

const SUBSET_KEYS = ["where", "order_by", "limit", "offset", "params", "where_expr", "order_by_expr"];

const NOTHING = Buffer.alloc(0);
const FIRST_CAPACITY_BYTES = 16 * 1024;

/** `lease` holds what the body's subset occupies when there is one, and nothing otherwise. */
export function readRequestBody(
	request: IncomingMessage,
	lease: BodyLease,
	limits: BodyLimits = BODY_LIMITS,
): Promise<BodyResult> {
	return new Promise((resolve) => {
		new BodyReception(request, lease, { limits, resolve }).start();
	});
}

/**
 * One body on its way in. What is refused is received and dropped for a while, so that the client reads its answer
 * instead of a reset; then the connection is not worth keeping.
 */
class BodyReception {
	readonly #request: IncomingMessage;
	readonly #lease: BodyLease;
	readonly #limits: BodyLimits;
	readonly #resolve: (result: BodyResult) => void;
	/** Grows by doubling: pieces of a byte each, kept as they come, would cost a hundred times their size. */
	#buffer: Buffer = NOTHING;
	#bytes = 0;
	#dropped = 0;
	#refusal: Failure | null = null;
	#timer: NodeJS.Timeout | null = null;
	#settled = false;

	constructor(
		request: IncomingMessage,
		lease: BodyLease,
		options: { readonly limits: BodyLimits; readonly resolve: (result: BodyResult) => void },
	) {
		this.#request = request;
		this.#lease = lease;
		this.#limits = options.limits;
		this.#resolve = options.resolve;
	}

	start(): void {
		const request = this.#request;
		this.#timer = setTimeout(() => {
			this.#refuse(badRequest({ error: "Request body was not received in time" }, 408));
			this.#settleRefused(true);
		}, this.#limits.waitMs);
		request.on("data", (piece: Buffer) => this.#take(piece));
		request.once("end", () => this.#end());
		// Also after "end": then it changes nothing, the lease least of all.
		const onBroken = (): void => {
			if (this.#settled) {
				return;
			}
			this.#refuse(badRequest({ error: "Failed to read request body" }));
			this.#settleRefused(true);
		};
		request.once("error", onBroken);
		request.once("close", onBroken);
	}

	#take(piece: Buffer): void {
		if (this.#settled) {
			return;
		}
		if (this.#refusal === null) {
			const refusal = this.#append(piece);
			if (refusal !== null) {
				this.#refuse(refusal);
				this.#drainFor(this.#limits.drainMs);
			}
		}
		if (this.#refusal !== null) {
			this.#dropped += piece.length;
			if (this.#dropped > this.#limits.bytesMax) {
				this.#settleRefused(true);
			}
		}
	}

	/** Null when the piece was kept. */
	#append(piece: Buffer): Failure | null {
		const bytes = this.#bytes + piece.length;
		if (bytes > this.#limits.bytesMax) {
			return badRequest({ error: "Request body too large" }, 413);
		}
		if (bytes > this.#buffer.length) {
			const doubled = Math.max(2 * this.#buffer.length, bytes, FIRST_CAPACITY_BYTES);
			const capacity = Math.min(doubled, Math.max(bytes, this.#limits.bytesMax));
			if (!this.#lease.resize(capacity)) {
				return bodiesExceeded();
			}
			const grown = Buffer.allocUnsafeSlow(capacity);
			this.#buffer.copy(grown, 0, 0, this.#bytes);
			this.#buffer = grown;
		}
		piece.copy(this.#buffer, this.#bytes);
		this.#bytes = bytes;
		return null;
	}

	#refuse(failure: Failure): void {
		this.#refusal ??= failure;
		this.#buffer = NOTHING;
		this.#lease.resize(0);
	}

	#drainFor(milliseconds: number): void {
		if (this.#timer !== null) {
			clearTimeout(this.#timer);
		}
		this.#timer = setTimeout(() => this.#settleRefused(true), milliseconds);
	}

	#end(): void {
		if (this.#refusal !== null) {
			this.#settleRefused(false);
			return;
		}
		if (this.#settled) {
			return;
		}
		const result = parseRequestBody(this.#buffer.subarray(0, this.#bytes));
		this.#buffer = NOTHING;
		this.#lease.resize(result.ok && result.subset !== null ? this.#bytes : 0);
		this.#settle(result);
	}

	#settleRefused(endsConnection: boolean): void {
		if (this.#refusal !== null) {
			this.#settle({ ok: false, failure: this.#refusal, endsConnection });
		}
	}

	#settle(result: BodyResult): void {
		if (this.#settled) {
			return;
		}
		this.#settled = true;
		if (this.#timer !== null) {
			clearTimeout(this.#timer);
		}
		this.#resolve(result);
	}
}

export function parseRequestBody(bytes: Buffer): BodyResult {
	if (bytes.length === 0) {
		return { ok: true, subset: null };
	}
	let value: unknown;
	try {
		value = parseJsonText(bytes.toString("utf8"));
	} catch (error) {
		// The parser's message quotes the text: only the kind of error goes back.
		const details = error instanceof SyntaxError ? "the body is not valid JSON" : "the body cannot be decoded";
		return refused({ error: "Invalid JSON in request body", details });
	}
	if (!isObject(value)) {
		return refused({ error: "Request body must be a JSON object" });
	}
	const nested = ownValue(value, "subset");
	if (isObject(nested)) {
		return { ok: true, subset: subsetOf(nested) };
	}
	// Without a `subset` object the keys stand alone: `where`, `offset` and `params` never mean the shape's.
	const subset = subsetOf(value);
	return { ok: true, subset: Object.keys(subset).length === 0 ? null : subset };
}

function subsetOf(source: Readonly<Record<string, unknown>>): BodySubset {
	const subset: Record<string, unknown> = {};
	for (const key of SUBSET_KEYS) {
		const value = ownValue(source, key);
		if (value !== undefined) {
			subset[key] = value;
		}
	}
	return subset;
}

function ownValue(source: Readonly<Record<string, unknown>>, key: string): unknown {
	return Object.hasOwn(source, key) ? source[key] : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refused(body: Readonly<Record<string, string>>): BodyRefusal {
	return { ok: false, failure: badRequest(body), endsConnection: false };
}
