/**
 * Decides where streaming starts and whether what is on disk can still be continued. Pure: facts in, decision
 * out. Owns no state; the registrar stores the outcome. Source: replication.md 3.5 and 4.8.
 *
 * What we hold reaches up to the stored position, or to what this process has received since, whichever is
 * higher. It can be continued only while the server's history holds all of that:
 * - another cluster, or another slot: nothing can be compared, not even positions;
 * - the same timeline: the server's WAL must not end below it (a server set back to an older copy of its disk);
 * - another timeline: ours must be an ancestor, left at or above it (a failover that lost nothing). Before the
 *   first connection of a process nobody knows how far beyond the stored position its logs reach, so the proof
 *   fails and the shapes go: clients start anew, which is safe;
 * - and the slot must not stand above what we acknowledged: somebody else has moved it.
 */

import type { LinkFacts, StoredPosition } from "../../shared/messages.ts";

/** Why the shapes on disk cannot be continued. */
export type PurgeReason =
	| "no-position"
	| "slot-created"
	| "other-cluster"
	| "other-slot"
	| "server-behind"
	| "timeline-diverged"
	| "slot-moved";

export interface PositionDecision {
	readonly startLsn: bigint;
	readonly purge: PurgeReason | null;
}

/**
 * A gap purges and starts where the slot is.
 * @param receivedLsn highest position received in this process; null before its first connection
 */
export function decidePosition(
	stored: StoredPosition | null,
	facts: LinkFacts,
	receivedLsn: bigint | null,
): PositionDecision {
	const purge = purgeReason(stored, facts, receivedLsn);
	if (purge !== null || stored === null) {
		return { startLsn: facts.confirmedFlushLsn, purge: purge ?? "no-position" };
	}
	return { startLsn: stored.acknowledgedLsn, purge: null };
}

function purgeReason(stored: StoredPosition | null, facts: LinkFacts, receivedLsn: bigint | null): PurgeReason | null {
	if (stored === null) {
		return "no-position";
	}
	if (facts.slotCreated) {
		return "slot-created";
	}
	if (stored.systemIdentifier !== facts.systemIdentifier) {
		return "other-cluster";
	}
	if (stored.slotName !== facts.slotName) {
		return "other-slot";
	}
	const { acknowledgedLsn } = stored;
	const reach = receivedLsn !== null && receivedLsn > acknowledgedLsn ? receivedLsn : acknowledgedLsn;
	if (facts.walLsn < reach) {
		return "server-behind";
	}
	if (stored.timeline !== facts.timeline) {
		const left = facts.timelineHistory?.find((each) => each.timeline === stored.timeline);
		if (left === undefined || receivedLsn === null || left.switchLsn < reach) {
			return "timeline-diverged";
		}
	}
	return facts.confirmedFlushLsn > acknowledgedLsn ? "slot-moved" : null;
}
