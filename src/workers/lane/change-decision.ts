/**
 * What a row change is for a shape: a total decision table over where the old and the new row lie and what
 * differs between them. Pure data; must have no missing cell (the type proves it). Called by the batch processor
 * for each match; enumerated by its test. Shape API reference, sections 9.3, 9.4 and 14; where-clause reference,
 * section 10.
 */

import { CHANGED_KEY, CHANGED_SELECTED } from "../../shared/entry-encoder.ts";

export const NOTHING = 0;
export const INSERT = 1;
export const UPDATE = 2;
export const DELETE = 3;
/** A delete of the old key at the change's op and an insert of the new one at op + 1. */
export const KEY_CHANGE = 4;
export type Decision = typeof NOTHING | typeof INSERT | typeof UPDATE | typeof DELETE | typeof KEY_CHANGE;

/** An insert has no old row, a delete no new one: such a row is outside. */
type Side = "outside" | "inside";
/** Of the key, and of all selected columns: textual inequality. */
type Difference = "same" | "changed";

type ByDifference = Readonly<Record<Difference, Readonly<Record<Difference, Decision>>>>;

const always = (decision: Decision): ByDifference => ({
	same: { same: decision, changed: decision },
	changed: { same: decision, changed: decision },
});

/** Old side, new side, key, selection. */
const TABLE: Readonly<Record<Side, Readonly<Record<Side, ByDifference>>>> = {
	outside: { outside: always(NOTHING), inside: always(INSERT) },
	inside: {
		outside: always(DELETE),
		inside: {
			same: { same: NOTHING, changed: UPDATE },
			// Key columns are always selected, so an unchanged selection cannot be; the key decides all the same.
			changed: { same: KEY_CHANGE, changed: KEY_CHANGE },
		},
	},
};

const OLD_INSIDE = 8;
const NEW_INSIDE = 4;

/** The table by number, so that a match costs one read: the bits are the sides and the encoder's flags. */
const FLAT: readonly Decision[] = Array.from({ length: 16 }, (_, bits) => {
	const side = (bit: number): Side => ((bits & bit) === 0 ? "outside" : "inside");
	const difference = (bit: number): Difference => ((bits & bit) === 0 ? "same" : "changed");
	return TABLE[side(OLD_INSIDE)][side(NEW_INSIDE)][difference(CHANGED_KEY)][difference(CHANGED_SELECTED)];
});

/**
 * @param inOld the old row exists and is inside the shape
 * @param inNew the new row exists and is inside the shape
 * @param changed what differs between them: the encoder's two flags; only looked at when both are inside
 */
export function decideChange(inOld: boolean, inNew: boolean, changed: number): Decision {
	return FLAT[(inOld ? OLD_INSIDE : 0) | (inNew ? NEW_INSIDE : 0) | changed] as Decision;
}
