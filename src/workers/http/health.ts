/**
 * `GET /v1/health`: the service's level as status and body. Pure. Served by both servers.
 */

import { LEVEL_ACTIVE, LEVEL_READ_ONLY, type StatusLevel } from "../../shared/shape-table.ts";
import { CACHE_CONTROL_HEALTH } from "./cache-control.ts";
import { CONTENT_TYPE_JSON, type Headers } from "./response-headers.ts";

export const HEALTH_HEADERS: Headers = { "content-type": CONTENT_TYPE_JSON, "cache-control": CACHE_CONTROL_HEALTH };

export function healthOf(level: StatusLevel): { readonly status: number; readonly body: string } {
	switch (level) {
		case LEVEL_ACTIVE:
			return { status: 200, body: '{"status":"active"}' };
		case LEVEL_READ_ONLY:
			return { status: 202, body: '{"status":"waiting"}' };
		default:
			return { status: 202, body: '{"status":"starting"}' };
	}
}
