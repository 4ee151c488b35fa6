/**
 * `GET /v1/health`: the service's level as status and body, and, beside what clients know, whether changes get through.
 * Pure. Served by both servers.
 *
 * 200 "active": everything is up. 202 "waiting": what is there is served, nothing new comes (no lock, or no link).
 * 202 "starting": before that. An active service may still serve old data: the header says so, as a word of
 * PROGRESS_STATES (shared/status.ts), and the admin port's health says since when and why. There, with
 * `?max-stale-seconds=N`, an active service that has not advanced for longer answers 503.
 */

import { LEVEL_ACTIVE, LEVEL_READ_ONLY, type StatusLevel } from "../../shared/shape-table.ts";
import { PROGRESS_STATES, type Status } from "../../shared/status.ts";
import { CACHE_CONTROL_HEALTH } from "./cache-control.ts";
import { CONTENT_TYPE_JSON, type Headers } from "./response-headers.ts";

const HEALTH_HEADERS: Headers = { "content-type": CONTENT_TYPE_JSON, "cache-control": CACHE_CONTROL_HEALTH };

export interface Health {
	readonly status: number;
	readonly headers: Headers;
	readonly body: string;
}

/** @param progress index of PROGRESS_STATES, as in the shape table */
export function healthOf(level: StatusLevel, progress: number): Health {
	const headers = { ...HEALTH_HEADERS, "sluice-progress": PROGRESS_STATES[progress] ?? "blind" };
	switch (level) {
		case LEVEL_ACTIVE:
			return { status: 200, headers, body: '{"status":"active"}' };
		case LEVEL_READ_ONLY:
			return { status: 202, headers, body: '{"status":"waiting"}' };
		default:
			return { status: 202, headers, body: '{"status":"starting"}' };
	}
}

/** What is served may be older than this long: nothing has come through, or been looked for, since. */
function staleForMs(progress: Status["progress"]): number {
	return progress.state === "streaming" ? 0 : progress.ageMs;
}

/**
 * The same with what the admin port adds.
 * @param status null when main does not answer
 * @param maxStaleMs beyond it an active service answers 503; null: never
 */
export function adminHealthOf(health: Health, status: Status | null, maxStaleMs: number | null): Health {
	const { progress, wal } = status ?? {};
	const staleMs = progress === undefined ? null : staleForMs(progress);
	const isStale = maxStaleMs !== null && (staleMs === null || staleMs > maxStaleMs);
	const body = JSON.stringify({
		...JSON.parse(health.body),
		staleMs,
		progress: progress ?? null,
		retainedWal: wal ?? null,
	});
	return { status: health.status === 200 && isStale ? 503 : health.status, headers: health.headers, body };
}
