/**
 * The protocol's first form, which clients up to 0.4 speak: the table is a segment of the path (`/v1/shape/items`), the
 * handle is called shape id, and headers have `x-` names. Translates such a request, and says which headers go out under
 * their old names too. Pure; knows nothing of what the parameters mean. Called by the API server and the exchange.
 */

import type { Query } from "./query.ts";

/** What client 0.4.0 reads of a response, and under which name. */
const OLD_NAMES = {
	"electric-handle": "x-electric-shape-id",
	"electric-offset": "x-electric-chunk-last-offset",
	"electric-schema": "x-electric-schema",
} as const;

const SHAPE_ID = "shape_id";

/** The table in the path of a first-form request, else null. @param segments of a path that is routed as a shape's */
export function tableInPath(segments: readonly string[]): string | null {
	return segments[2] ?? null;
}

/**
 * The same request in today's form. A request that names a table in both places gets neither: a proxy in front may have
 * checked the other one.
 */
export function translatedQuery(query: Query, table: string): Query {
	const shapeId = query.get(SHAPE_ID);
	const named = query.has("table") ? null : table;
	return new Map([...query, ["table", named], ...(shapeId === undefined ? [] : ([["handle", shapeId]] as const))]);
}

/** Adds the old names to `headers`, and tells browsers that scripts may read them. */
export function addOldNames(headers: Record<string, string>): void {
	for (const [name, oldName] of Object.entries(OLD_NAMES)) {
		const value = headers[name];
		if (value !== undefined) {
			headers[oldName] = value;
		}
	}
	const exposed = headers["access-control-expose-headers"];
	if (exposed !== undefined) {
		headers["access-control-expose-headers"] = [exposed, ...Object.values(OLD_NAMES)].join(",");
	}
}
