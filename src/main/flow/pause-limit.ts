/**
 * When a pause has to end by detaching. A paused consumer that keeps answering is immortal from the server's
 * side: while its walsender is blocked in a write, `pg_terminate_backend` waits, the invalidation of the slot
 * stalls the checkpointer, and a fast shutdown never ends (replication.md 1.4). So every pause has a limit, and
 * ends at once when the server wants to go away. Pure: observations in, reason out. Called by replication.ts.
 */

import type { ServerObservation } from "../../shared/messages.ts";

export type DetachReason =
	/** The pause has lasted as long as the configuration allows. */
	| "pause-limit"
	/** The server is about to take away the WAL that the slot keeps, and waits for the walsender to go. */
	| "slot-at-risk"
	/** Somebody is trying to end the walsender, which cannot finish while we do not read. */
	| "walsender-is-ending"
	/** Sessions are being ended: the server shuts down. */
	| "server-is-leaving";

export interface PauseObservation {
	/** Null while reading. */
	readonly pausedForMs: number | null;
	readonly limitMs: number;
	/** Newest answer of the side connection during this connection's life, null when there is none. */
	readonly server: ServerObservation | null;
	/** The side connection was ended by the server (57P01) since this connection began. */
	readonly serverIsLeaving: boolean;
}

/** pg_stat_activity.wait_event of a walsender that waits, unconditionally, for its client to read. */
const BLOCKED_IN_WRITE = "ClientWrite";

/** Null: the pause may go on (or there is none). */
export function judgePause(observation: PauseObservation): DetachReason | null {
	const { pausedForMs, limitMs, server, serverIsLeaving } = observation;
	if (pausedForMs === null) {
		return null;
	}
	if (serverIsLeaving) {
		return "server-is-leaving";
	}
	if (server?.walsenderWaitEvent === BLOCKED_IN_WRITE) {
		return "walsender-is-ending";
	}
	if (server?.walStatus === "unreserved" || server?.walStatus === "lost") {
		return "slot-at-risk";
	}
	return pausedForMs >= limitMs ? "pause-limit" : null;
}
