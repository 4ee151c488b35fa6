/**
 * Turns a request target into a route, normalised once: doubled and trailing slashes, percent-encoded path
 * characters and the absolute form all lead to the same route, and every later check looks at the route, never at
 * the path. Pure. Called by both servers of an HTTP thread.
 */

import { fromWireText } from "./query.ts";

export interface Target {
	/** Decoded, non-empty path segments; null when the path cannot be decoded. */
	readonly segments: readonly string[] | null;
	/** What follows the first `?`, as received. */
	readonly rawQuery: string;
}

export function parseTarget(url: string): Target {
	const withoutFragment = cutAt(url, "#").before;
	const { before, after } = cutAt(withoutFragment, "?");
	const path = fromWireText(before.replace(/^https?:\/\/[^/]*/i, ""));
	if (path === null) {
		return { segments: null, rawQuery: after };
	}
	try {
		const segments = path.split("/").filter((segment) => segment !== "");
		return { segments: segments.map(decodeURIComponent), rawQuery: after };
	} catch {
		return { segments: null, rawQuery: after };
	}
}

function cutAt(text: string, mark: string): { readonly before: string; readonly after: string } {
	const at = text.indexOf(mark);
	return at < 0 ? { before: text, after: "" } : { before: text.slice(0, at), after: text.slice(at + 1) };
}

export type ApiRoute = "root" | "health" | "shape" | "preflight" | "delete" | "none";

/** The route of the Shape API. `method` as received; HEAD counts as GET. */
export function apiRoute(method: string, segments: readonly string[]): ApiRoute {
	const reads = method === "GET" || method === "HEAD";
	if (segments.length === 0) {
		return reads ? "root" : "none";
	}
	if (segments[0] !== "v1" || segments.length < 2 || segments.length > 3) {
		return "none";
	}
	if (segments.length === 3) {
		// The first form of the protocol, which had no DELETE and no POST.
		const isShape = segments[1] === "shape";
		return isShape && reads ? "shape" : isShape && method === "OPTIONS" ? "preflight" : "none";
	}
	if (segments[1] === "health") {
		return reads ? "health" : "none";
	}
	if (segments[1] !== "shape") {
		return "none";
	}
	switch (method) {
		case "GET":
		case "HEAD":
		case "POST":
			return "shape";
		case "OPTIONS":
			return "preflight";
		case "DELETE":
			return "delete";
		default:
			return "none";
	}
}
