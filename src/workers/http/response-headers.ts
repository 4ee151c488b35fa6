/**
 * Every header of the Shape API in one place: those of all responses, and those of shape responses by status and
 * mode (shape-http-api.md 7, 8, 18). Pure. Called by the exchange and by what answers requests.
 */

import { VERSION } from "../../shared/version.ts";
import { CACHE_CONTROL_DEFAULT, type CacheFacts, type CacheLifetimes, shapeCacheControl } from "./cache-control.ts";
import type { Encoding } from "./compression.ts";

export type Headers = Readonly<Record<string, string>>;

export const SERVER_NAME = `Sluice/${VERSION}`;
export const CONTENT_TYPE_JSON = "application/json; charset=utf-8";
export const CONTENT_TYPE_EVENTS = "text/event-stream";

const EXPOSED_HEADERS = [
	"electric-cursor",
	"electric-handle",
	"electric-has-data",
	"electric-offset",
	"electric-schema",
	"electric-up-to-date",
	"electric-internal-known-error",
	"retry-after",
].join(",");
const PREFLIGHT_MAX_AGE_SECONDS = 86_400;
const REQUEST_ID_BYTES_MIN = 20;
const REQUEST_ID_BYTES_MAX = 200;

/** The client's request id when it is usable, else a new one. */
export function requestId(given: string | string[] | undefined, generate: () => string): string {
	return typeof given === "string" && given.length >= REQUEST_ID_BYTES_MIN && given.length <= REQUEST_ID_BYTES_MAX
		? given
		: generate();
}

/**
 * What every response carries. Every origin is allowed by name of none: a response that names one, kept by a shared
 * cache, would be refused to pages of all others.
 */
export function commonHeaders(id: string, isShapeRoute: boolean): Headers {
	return {
		"electric-server": SERVER_NAME,
		"x-request-id": id,
		"access-control-allow-origin": "*",
		"access-control-expose-headers": EXPOSED_HEADERS,
		"access-control-allow-methods": isShapeRoute ? "GET, POST, HEAD, DELETE, OPTIONS" : "GET, HEAD",
		"cache-control": CACHE_CONTROL_DEFAULT,
	};
}

/** Any requested header is allowed: nothing here relies on a browser not sending one. @param origin the request's */
export function preflightHeaders(origin: string | undefined, requestedHeaders: string | undefined): Headers {
	return {
		"access-control-allow-origin": origin ?? "*",
		"access-control-max-age": String(PREFLIGHT_MAX_AGE_SECONDS),
		...(requestedHeaders === undefined ? {} : { "access-control-allow-headers": requestedHeaders }),
	};
}

export interface ShapeAnswerFacts extends CacheFacts {
	readonly handle: string;
	/** Of the response. */
	readonly offset: string;
	/** Sent only with a 200 that is not live. */
	readonly schema: string;
	readonly etag: string;
	readonly upToDate: boolean;
	readonly hasData: boolean;
	/** Sent only when live. */
	readonly cursor: string;
	readonly encoding: Encoding;
}

/** A cache must keep the forms of a body apart, also while it has seen one only. */
function encodingHeaders(encoding: Encoding): Headers {
	return { vary: "accept-encoding", ...(encoding === "identity" ? {} : { "content-encoding": encoding }) };
}

/** Of a 200 or 304 that is bound to a shape. */
export function shapeAnswerHeaders(facts: ShapeAnswerFacts, lifetimes: CacheLifetimes): Headers {
	return {
		"content-type": facts.sse ? CONTENT_TYPE_EVENTS : CONTENT_TYPE_JSON,
		"cache-control": shapeCacheControl(facts, lifetimes),
		etag: facts.etag,
		// Proxies that buffer would hold events back; nginx takes this as the word not to.
		...(facts.sse ? { "x-accel-buffering": "no" } : encodingHeaders(facts.encoding)),
		"electric-handle": facts.handle,
		"electric-offset": facts.offset,
		"electric-has-data": String(facts.hasData),
		...(facts.upToDate ? { "electric-up-to-date": "" } : {}),
		...(facts.live ? { "electric-cursor": facts.cursor } : {}),
		...(facts.status === 200 && !facts.live ? { "electric-schema": facts.schema } : {}),
	};
}

/** Of a subset's 200: never revalidated, never up to date. @param schema null leaves it out (live) */
export function subsetAnswerHeaders(facts: {
	readonly handle: string;
	readonly offset: string;
	readonly schema: string | null;
	readonly encoding: Encoding;
}): Headers {
	return {
		"content-type": CONTENT_TYPE_JSON,
		"cache-control": "no-cache",
		...encodingHeaders(facts.encoding),
		"electric-snapshot": "true",
		"electric-handle": facts.handle,
		"electric-offset": facts.offset,
		...(facts.schema === null ? {} : { "electric-schema": facts.schema }),
	};
}

/** Of a 409. @param handle of the shape that takes the place of the one asked for, or null */
export function refetchHeaders(method: string, handle: string | null, lifetimes: CacheLifetimes): Headers {
	const facts: CacheFacts = {
		method,
		status: 409,
		hasHandle: handle !== null,
		initial: false,
		live: false,
		sse: false,
	};
	return {
		"content-type": CONTENT_TYPE_JSON,
		"cache-control": shapeCacheControl(facts, lifetimes),
		...(handle === null ? {} : { "electric-handle": handle, etag: `"${handle}::"` }),
	};
}

/** Of any other error of /v1/shape. */
export function errorHeaders(method: string): Headers {
	return {
		"content-type": CONTENT_TYPE_JSON,
		...(method === "GET"
			? { "cache-control": "no-store", "surrogate-control": "no-store" }
			: { "cache-control": "no-cache" }),
	};
}
