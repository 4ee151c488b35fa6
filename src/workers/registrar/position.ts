/**
 * Decides where streaming starts and whether what is on disk can still be continued. Pure: facts in, decision
 * out. Owns no state; the registrar stores the outcome. Source: replication.md 3.5 and 4.8.
 */

import type { LinkFacts, StoredPosition } from "../../shared/messages.ts";

/** Why the shapes on disk cannot be continued. */
export type PurgeReason = "no-position" | "slot-created" | "other-cluster" | "other-slot" | "slot-moved";

export interface PositionDecision {
	readonly startLsn: bigint;
	readonly purge: PurgeReason | null;
}

/**
 * A gap (no stored position, a new slot, another cluster, a slot that someone else moved past everything we
 * ever acknowledged) purges and starts where the slot is. Another timeline alone is not a loss.
 */
export function decidePosition(stored: StoredPosition | null, facts: LinkFacts): PositionDecision {
	const purge = purgeReason(stored, facts);
	if (purge !== null || stored === null) {
		return { startLsn: facts.confirmedFlushLsn, purge: purge ?? "no-position" };
	}
	return { startLsn: stored.acknowledgedLsn, purge: null };
}

function purgeReason(stored: StoredPosition | null, facts: LinkFacts): PurgeReason | null {
	if (stored === null) {
		return "no-position";
	}
	if (facts.slotCreated) {
		return "slot-created";
	}
	// LSNs of different clusters must not even be compared.
	if (stored.systemIdentifier !== facts.systemIdentifier) {
		return "other-cluster";
	}
	if (stored.slotName !== facts.slotName) {
		return "other-slot";
	}
	return facts.confirmedFlushLsn > stored.acknowledgedLsn ? "slot-moved" : null;
}
