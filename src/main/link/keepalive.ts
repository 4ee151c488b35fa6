/**
 * When to send a status update and when the peer is dead: numbers in, decision out. Must never own a timer or
 * read a clock. Called by the stream, whose one interval timer acts on it.
 */

import { KEEPALIVE_INTERVAL_MAX_MS } from "../../shared/limits.ts";

export interface LivenessTimings {
	/** A status update is sent this often, whatever the pause state. */
	readonly intervalMs: number;
	/** A peer that was asked and stays silent this long is dead. */
	readonly silenceLimitMs: number;
	/** A tick later than this after its time means that the server has probably given us up. */
	readonly lateMs: number;
}

/**
 * Everything derives from the server's own setting, in milliseconds as `pg_settings` gives it. Zero, negative
 * and NaN mean that the server never times out; we send all the same.
 */
export function livenessTimings(walSenderTimeoutMs: number): LivenessTimings {
	const timeoutMs = Number.isFinite(walSenderTimeoutMs) && walSenderTimeoutMs > 0 ? walSenderTimeoutMs : 0;
	if (timeoutMs === 0) {
		return {
			intervalMs: KEEPALIVE_INTERVAL_MAX_MS,
			silenceLimitMs: 2 * KEEPALIVE_INTERVAL_MAX_MS,
			lateMs: 2 * KEEPALIVE_INTERVAL_MAX_MS,
		};
	}
	// A third: one lost tick is survivable. The cap also covers a setting lowered after we connected.
	const intervalMs = Math.max(1, Math.min(Math.floor(timeoutMs / 3), KEEPALIVE_INTERVAL_MAX_MS));
	return { intervalMs, silenceLimitMs: Math.min(timeoutMs, 4 * intervalMs), lateMs: timeoutMs };
}

/** What the timer knows when it fires. All times are of one monotonic clock. */
export interface LivenessState {
	readonly nowMs: number;
	/** When this tick should have fired. */
	readonly dueMs: number;
	readonly lastInboundMs: number;
	/** Silence before this moment does not count: start of streaming, or the last resume. */
	readonly windowStartMs: number;
	/** When this silence was first met with a request for a reply; null when it was not. */
	readonly firstAskMs: number | null;
	/** We are not reading: silence is our own doing. */
	readonly paused: boolean;
}

export interface LivenessDecision {
	/** Ask for a reply in the status update that is sent now. */
	readonly askReply: boolean;
	/** The peer is dead. */
	readonly silent: boolean;
	/** The tick came so late that the server may have closed; worth a warning. */
	readonly late: boolean;
}

/** Decides one tick. A status update is sent in any case, unless the peer is dead. */
export function decideTick(state: LivenessState, timings: LivenessTimings): LivenessDecision {
	const late = state.nowMs - state.dueMs > timings.lateMs;
	if (state.paused) {
		return { askReply: false, silent: false, late };
	}
	const silentForMs = state.nowMs - Math.max(state.lastInboundMs, state.windowStartMs);
	const askedForMs = state.firstAskMs === null ? 0 : state.nowMs - state.firstAskMs;
	return {
		askReply: silentForMs >= timings.intervalMs,
		// After a late tick bytes may be waiting in the socket: we were the silent ones. The next tick decides.
		silent: !late && silentForMs >= timings.silenceLimitMs && askedForMs >= timings.intervalMs,
		late,
	};
}
