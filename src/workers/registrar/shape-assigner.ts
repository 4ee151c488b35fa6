/**
 * Which lane owns a shape. Pure: a stable function of the shape's identity, so that a restart with the same
 * number of lanes keeps every shape where it was; another number simply spreads them anew.
 */

import { invariant } from "../../shared/assert.ts";

/** @param identity hexadecimal digest of the shape's identity */
export function laneOfShape(identity: string, laneCount: number): number {
	const hash = Number.parseInt(identity.slice(0, 8), 16);
	invariant(Number.isInteger(hash) && laneCount > 0, "a shape identity is a hexadecimal digest");
	return hash % laneCount;
}
