/** When waiting for a slot has lasted long enough to say so. */

import { expect, it } from "vitest";
import { SlotCreationPatience } from "../../../src/main/slot-creation.ts";

it("is due after ten seconds in the same step, then every ten seconds", () => {
	const patience = new SlotCreationPatience();
	const due = (step: string, seconds: number): boolean => patience.isDue(step, seconds * 1_000);
	expect(due("connect", 0)).toBe(false);
	expect(due("slot-create", 100)).toBe(false);
	expect(due("slot-create", 109)).toBe(false);
	expect(due("slot-create", 110)).toBe(true);
	expect(due("slot-create", 119)).toBe(false);
	expect(due("slot-create", 120)).toBe(true);
});

it("begins anew when another step came in between", () => {
	const patience = new SlotCreationPatience();
	expect(patience.isDue("slot-create", 0)).toBe(false);
	expect(patience.isDue("connect", 9_000)).toBe(false);
	expect(patience.isDue("slot-create", 12_000)).toBe(false);
	expect(patience.isDue("slot-create", 22_000)).toBe(true);
});
