/**
 * Log offsets: order by number, not by text, and no entry at the start or at `<L>_0`.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareOffsets, formatOffset, OFFSET_LOG_START, opOfChange } from "../../../src/shared/offset.ts";

const offset = fc.record({
	tx: fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
	op: fc.integer({ min: 0, max: 0xffff_ffff }),
});

describe("log offsets", () => {
	it("order numerically: 9_10 stands after 9_9 and before 10_0", () => {
		const offsets = [{ tx: 10n, op: 0 }, { tx: 9n, op: 10 }, { tx: 9n, op: 9 }, OFFSET_LOG_START];
		expect([...offsets].sort(compareOffsets).map(formatOffset)).toEqual(["0_0", "9_9", "9_10", "10_0"]);
	});

	it("have a total order: antisymmetric, and equal only to themselves", () => {
		fc.assert(
			fc.property(offset, offset, (left, right) => {
				expect(Math.sign(compareOffsets(left, right))).toBe(0 - Math.sign(compareOffsets(right, left)));
				expect(compareOffsets(left, right) === 0).toBe(formatOffset(left) === formatOffset(right));
			}),
		);
	});

	it("give changes even numbers from 2 on, so that the insert half of a key change fits between", () => {
		expect([0, 1, 2].map(opOfChange)).toEqual([2, 4, 6]);
	});

	it("are written in full, beyond 2^53 too", () => {
		expect(formatOffset({ tx: 0xffff_ffff_ffff_ffffn, op: 4 })).toBe("18446744073709551615_4");
	});
});
