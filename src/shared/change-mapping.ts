/**
 * The decision table of a row change: where the old and the new row lie, whether the key or any selected column
 * changed, and how updates are written, to what is appended to the shape's log. Pure data; must have no missing
 * cell (the type proves it). Called by the lane for every match. Source: where-clause reference, section 10.
 */

import type { ReplicaMode } from "./shape-definition.ts";

/**
 * "insert": the whole new row under the new key. "delete": the old key. "delete+insert": in this order, for a
 * changed key. Which values an update or a delete carries is the encoder's matter.
 */
export type ChangeOperation = "none" | "insert" | "update" | "delete" | "delete+insert";

/** An insert has no old row, a delete no new one: such a row is outside. */
export type Side = "inside" | "outside";
export type KeyState = "sameKey" | "otherKey";
/** Whether any selected column differs, textually. */
export type SelectionState = "changed" | "unchanged";

type ByReplica = Readonly<Record<ReplicaMode, ChangeOperation>>;
type BySelection = Readonly<Record<SelectionState, ByReplica>>;
type ByKey = Readonly<Record<KeyState, BySelection>>;

const always = (operation: ChangeOperation): ByReplica => ({ default: operation, full: operation });
const whateverChanged = (operation: ChangeOperation): BySelection => ({
	changed: always(operation),
	unchanged: always(operation),
});

/** Old side, new side, key, selection, replica. */
export const CHANGE_TABLE: Readonly<Record<Side, Readonly<Record<Side, ByKey>>>> = {
	inside: {
		inside: {
			sameKey: { changed: always("update"), unchanged: always("none") },
			// Key columns are always selected, so an unchanged selection cannot be; the key decides all the same.
			otherKey: { changed: always("delete+insert"), unchanged: always("delete+insert") },
		},
		outside: { sameKey: whateverChanged("delete"), otherKey: whateverChanged("delete") },
	},
	outside: {
		inside: { sameKey: whateverChanged("insert"), otherKey: whateverChanged("insert") },
		outside: { sameKey: whateverChanged("none"), otherKey: whateverChanged("none") },
	},
};

const SIDES: readonly Side[] = ["outside", "inside"];
const KEYS: readonly KeyState[] = ["sameKey", "otherKey"];
const SELECTIONS: readonly SelectionState[] = ["unchanged", "changed"];
const REPLICAS: readonly ReplicaMode[] = ["default", "full"];

/** The table as a flat array, so that a row costs one read: bits from high to low as the parameters below. */
const FLAT: readonly ChangeOperation[] = SIDES.flatMap((old) =>
	SIDES.flatMap((next) =>
		KEYS.flatMap((key) =>
			SELECTIONS.flatMap((selection) => REPLICAS.map((replica) => CHANGE_TABLE[old][next][key][selection][replica])),
		),
	),
);

/** What a row change does to a shape. `keyChanged` and `selectedChanged` are textual inequality (tuple.ts). */
export function changeMapping(
	inOld: boolean,
	inNew: boolean,
	keyChanged: boolean,
	selectedChanged: boolean,
	replica: ReplicaMode,
): ChangeOperation {
	const index =
		(inOld ? 16 : 0) |
		(inNew ? 8 : 0) |
		(keyChanged ? 4 : 0) |
		(selectedChanged ? 2 : 0) |
		(replica === "full" ? 1 : 0);
	return FLAT[index] ?? "none";
}
