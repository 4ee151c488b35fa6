/**
 * Rows as byte ranges: NULL, empty and unchanged values stay apart; equality is of bytes.
 */

import { describe, expect, it } from "vitest";
import { LENGTH_NULL, LENGTH_UNCHANGED, sameColumn, Tuple } from "../../../src/shared/tuple.ts";

function tupleOf(...values: readonly (string | null)[]): Tuple {
	const tuple = new Tuple(1);
	tuple.reset(Buffer.from(`..${values.map((value) => value ?? "").join("|")}`), values.length);
	let at = 2;
	for (const [column, value] of values.entries()) {
		const bytes = Buffer.byteLength(value ?? "");
		tuple.start[column] = at;
		tuple.length[column] = value === null ? LENGTH_NULL : bytes;
		at += bytes + 1;
	}
	return tuple;
}

describe("a tuple", () => {
	it("grows to any number of columns and reads text of any length", () => {
		const values = Array.from({ length: 200 }, (_, index) => "ä".repeat(index));
		const tuple = tupleOf(...values);
		expect(values.map((_, column) => tuple.text(column))).toEqual(values);
	});

	it("tells NULL from the empty text", () => {
		const tuple = tupleOf(null, "");
		expect([tuple.text(0), tuple.isNull(0), tuple.text(1), tuple.isNull(1)]).toEqual([null, true, "", false]);
	});

	it.each([
		["same", "same", true],
		["same", "sama", false],
		["a", "ab", false],
		["", "", true],
		[null, null, true],
		[null, "", false],
		["1.0", "1.00", false],
	])("compares %j with %j as bytes: %j", (left, right, same) => {
		expect(sameColumn(tupleOf("x", left), tupleOf("longer", right), 1)).toBe(same);
	});

	it("takes an unchanged value only for an unchanged value", () => {
		const [left, right] = [tupleOf("v"), tupleOf("v")];
		left.length[0] = LENGTH_UNCHANGED;
		expect(sameColumn(left, right, 0)).toBe(false);
		right.length[0] = LENGTH_UNCHANGED;
		expect(sameColumn(left, right, 0)).toBe(true);
	});
});
