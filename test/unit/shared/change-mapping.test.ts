/** Every cell of the decision table, against the rules in words. */

import { describe, expect, it } from "vitest";
import { type ChangeOperation, changeMapping } from "../../../src/shared/change-mapping.ts";

const BOTH = [false, true] as const;

const CELLS = BOTH.flatMap((inOld) =>
	BOTH.flatMap((inNew) =>
		BOTH.flatMap((keyChanged) =>
			BOTH.flatMap((selectedChanged) =>
				(["default", "full"] as const).map((replica) => ({ inOld, inNew, keyChanged, selectedChanged, replica })),
			),
		),
	),
);

function expectedOperation(cell: (typeof CELLS)[number]): ChangeOperation {
	if (cell.inOld && cell.inNew) {
		return cell.keyChanged ? "delete+insert" : cell.selectedChanged ? "update" : "none";
	}
	return cell.inOld ? "delete" : cell.inNew ? "insert" : "none";
}

describe("the change table", () => {
	it("has 32 cells", () => {
		expect(CELLS).toHaveLength(32);
	});

	it.each(CELLS)("old $inOld, new $inNew, key $keyChanged, selection $selectedChanged, $replica", (cell) => {
		const { inOld, inNew, keyChanged, selectedChanged, replica } = cell;
		expect(changeMapping(inOld, inNew, keyChanged, selectedChanged, replica)).toBe(expectedOperation(cell));
	});
});
