/**
 * The decision table, enumerated: every combination of inside before, inside after and what changed.
 */

import { describe, expect, it } from "vitest";
import { CHANGED_KEY, CHANGED_SELECTED } from "../../../../src/shared/entry-encoder.ts";
import {
	DELETE,
	decideChange,
	INSERT,
	KEY_CHANGE,
	NOTHING,
	UPDATE,
} from "../../../../src/workers/lane/change-decision.ts";

const BOTH = CHANGED_KEY | CHANGED_SELECTED;

describe("change decision", () => {
	it.each([
		[false, false, [0, CHANGED_SELECTED, CHANGED_KEY, BOTH], NOTHING],
		[false, true, [0, CHANGED_SELECTED, CHANGED_KEY, BOTH], INSERT],
		[true, false, [0, CHANGED_SELECTED, CHANGED_KEY, BOTH], DELETE],
		[true, true, [0], NOTHING],
		[true, true, [CHANGED_SELECTED], UPDATE],
		[true, true, [CHANGED_KEY, BOTH], KEY_CHANGE],
	] as const)("inside before %s, after %s, changed %j", (inOld, inNew, changes, decision) => {
		for (const changed of changes) {
			expect(decideChange(inOld, inNew, changed)).toBe(decision);
		}
	});
});
