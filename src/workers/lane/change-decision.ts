/**
 * What a row change is for a shape: a total decision table over "was inside", "is inside" and what changed.
 * Pure. Called by the batch processor for each match; enumerated by its test. Shape API reference, sections 9.3,
 * 9.4 and 14.
 */

import { CHANGED_KEY, CHANGED_SELECTED } from "../../shared/entry-encoder.ts";

export const NOTHING = 0;
export const INSERT = 1;
export const UPDATE = 2;
export const DELETE = 3;
/** A delete of the old key at the change's op and an insert of the new one at op + 1. */
export const KEY_CHANGE = 4;
export type Decision = typeof NOTHING | typeof INSERT | typeof UPDATE | typeof DELETE | typeof KEY_CHANGE;

/**
 * @param inOld the old row exists and is inside the shape
 * @param inNew the new row exists and is inside the shape
 * @param changed what differs between them (the encoder's flags); only looked at when both are inside
 */
export function decideChange(inOld: boolean, inNew: boolean, changed: number): Decision {
	if (inOld && inNew) {
		if ((changed & CHANGED_KEY) !== 0) {
			return KEY_CHANGE;
		}
		return (changed & CHANGED_SELECTED) !== 0 ? UPDATE : NOTHING;
	}
	if (inNew) {
		return INSERT;
	}
	return inOld ? DELETE : NOTHING;
}
