/**
 * `electric-cursor`: all clients that poll in one window share it, so that a cache in front can collapse them,
 * and it never repeats for one client. Pure. Source: shape-http-api.md 7.
 */

const EPOCH_SECONDS = Date.UTC(2024, 9, 9) / 1_000;
const JITTER_SECONDS_MAX = 3_600;

/**
 * @param previous the request's `cursor`; garbage counts as 0
 * @param random in [0, 1)
 */
export function nextCursor(
	longPollTimeoutMs: number,
	nowMs: number,
	previous: string,
	random: () => number = Math.random,
): string {
	const windowSeconds = Math.floor(longPollTimeoutMs / 1_000);
	if (windowSeconds === 0) {
		return "0";
	}
	const elapsed = Math.floor(nowMs / 1_000) - EPOCH_SECONDS;
	const next = BigInt(Math.ceil(elapsed / windowSeconds) * windowSeconds);
	const seen = /^\d{1,40}$/.test(previous) ? BigInt(previous) : 0n;
	return String(next > seen ? next : seen + BigInt(1 + Math.floor(random() * JITTER_SECONDS_MAX)));
}
