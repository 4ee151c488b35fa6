/**
 * The table of `cache-control` values of /v1/shape (shape-http-api.md 8); the first matching row wins. Pure.
 */

import { HTTP_SSE_LIFETIME_MS } from "../../shared/limits.ts";

export interface CacheFacts {
	/** After HEAD became GET. */
	readonly method: string;
	readonly status: number;
	/** A 409 that names a successor. */
	readonly hasHandle: boolean;
	readonly initial: boolean;
	readonly live: boolean;
	readonly sse: boolean;
}

export interface CacheLifetimes {
	readonly cacheMaxAgeSeconds: number;
	readonly cacheStaleAgeSeconds: number;
}

/** Of responses that set none of their own. */
export const CACHE_CONTROL_DEFAULT = "max-age=0, private, must-revalidate";
export const CACHE_CONTROL_HEALTH = "no-cache, no-store, must-revalidate";

export function shapeCacheControl(facts: CacheFacts, lifetimes: CacheLifetimes): string {
	if (facts.method !== "GET" && facts.method !== "OPTIONS") {
		return "no-cache";
	}
	if (facts.status === 409) {
		return facts.hasHandle ? "public, max-age=60, must-revalidate" : "public, max-age=1, must-revalidate";
	}
	if (facts.status >= 400) {
		return "no-store";
	}
	if (facts.initial) {
		return "public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746";
	}
	if (facts.live && facts.sse) {
		return `public, max-age=${Math.max(1, HTTP_SSE_LIFETIME_MS / 1_000 - 1)}`;
	}
	if (facts.live) {
		return "public, max-age=5, stale-while-revalidate=5";
	}
	return `public, max-age=${lifetimes.cacheMaxAgeSeconds}, stale-while-revalidate=${lifetimes.cacheStaleAgeSeconds}`;
}
