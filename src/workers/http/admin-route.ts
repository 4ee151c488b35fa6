/**
 * The admin port's routes and who may call them. Pure. The port has no authentication: it is on loopback, and a web
 * page must not reach it through a visitor's browser, so foreign origins and rebound host names are refused.
 * Called by the admin server.
 */

export type AdminRoute = "status" | "metrics" | "health" | "suspend" | "resume" | "profile";

const ROUTES: Readonly<Record<string, { readonly route: AdminRoute; readonly method: "GET" | "POST" }>> = {
	"v1/status": { route: "status", method: "GET" },
	"v1/health": { route: "health", method: "GET" },
	metrics: { route: "metrics", method: "GET" },
	"v1/lanes/suspend": { route: "suspend", method: "POST" },
	"v1/lanes/resume": { route: "resume", method: "POST" },
	"v1/profile": { route: "profile", method: "POST" },
};

export type AdminTarget =
	| { readonly kind: "route"; readonly route: AdminRoute }
	| { readonly kind: "not-found" }
	| { readonly kind: "wrong-method"; readonly allow: string };

/** @param method HEAD counts as GET */
export function adminTarget(method: string, segments: readonly string[]): AdminTarget {
	const path = segments.join("/");
	const entry = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;
	if (entry === undefined) {
		return { kind: "not-found" };
	}
	return entry.method === (method === "HEAD" ? "GET" : method)
		? { kind: "route", route: entry.route }
		: { kind: "wrong-method", allow: entry.method === "GET" ? "GET, HEAD" : entry.method };
}

const ADDRESS_V4 = /^\d{1,3}(\.\d{1,3}){3}$/;

/** A name that DNS cannot point elsewhere: an address or localhost, with or without a port. */
function isFixedHost(host: string): boolean {
	const name = host.replace(/:\d+$/, "").toLowerCase();
	return name === "localhost" || ADDRESS_V4.test(name) || (name.startsWith("[") && name.endsWith("]"));
}

function isLoopbackOrigin(origin: string): boolean {
	if (!URL.canParse(origin)) {
		return false;
	}
	const { hostname } = new URL(origin);
	return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d{1,3}){3}$/.test(hostname);
}

/**
 * May this request be answered? `Origin` must be loopback when present. On a loopback address `Host` must be an
 * address or localhost: a page whose own name was rebound to 127.0.0.1 sends that name.
 */
export function isAllowedCaller(
	headers: { readonly host?: string | undefined; readonly origin?: string | undefined },
	onLoopback: boolean,
): boolean {
	if (headers.origin !== undefined && !isLoopbackOrigin(headers.origin)) {
		return false;
	}
	return !onLoopback || headers.host === undefined || isFixedHost(headers.host);
}

export function isLoopbackAddress(host: string): boolean {
	return host === "localhost" || host === "::1" || (ADDRESS_V4.test(host) && host.startsWith("127."));
}

/** A whole number in [min, max], `fallback` when absent, NaN when it is neither. */
export function wholeNumber(
	text: string | null,
	range: { readonly min: number; readonly max: number; readonly fallback: number },
): number {
	if (text === null) {
		return range.fallback;
	}
	const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
	return value >= range.min && value <= range.max ? value : Number.NaN;
}
