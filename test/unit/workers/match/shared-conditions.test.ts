/** What shapes have in common is compiled once, evaluated once a row, and forgotten with the last of them. */

import { describe, expect, it } from "vitest";
import type { Tuple } from "../../../../src/shared/tuple.ts";
import type { CallOperand, WhereNode } from "../../../../src/shared/where-tree.ts";
import { SharedConditions } from "../../../../src/workers/match/shared-conditions.ts";
import { TRUE } from "../../../../src/workers/match/truth.ts";
import { UNEVALUABLE } from "../../../../src/workers/match/values.ts";
import { rowOf, WHERE_COLUMN_SPECS } from "../../../support/where-table.ts";

const indexOf = (name: string): number => WHERE_COLUMN_SPECS.findIndex((spec) => spec.name === name);

const LOWER: CallOperand = {
	kind: "call",
	function: "text_lower",
	type: "text",
	arguments: [{ kind: "column", name: "s", type: "text", casts: [] }],
	folding: "unicode",
};

function lowerIs(text: string, operator: "=" | "<>"): WhereNode {
	return {
		kind: "compare",
		operator,
		comparison: "text",
		left: LOWER,
		right: { kind: "literal", type: "text", text },
	};
}

/** How often a column's position is looked at: once each time that the column is read. */
function counted() {
	const reads = { count: 0 };
	const conditions = new SharedConditions((name) => ({
		get index() {
			reads.count += 1;
			return indexOf(name);
		},
		set index(_) {},
	}));
	return { conditions, reads };
}

function holds(conditions: SharedConditions, predicates: readonly ((row: Tuple) => number)[], row: Tuple): boolean[] {
	conditions.nextRow();
	return predicates.map((predicate) => predicate(row) === TRUE);
}

describe("shared conditions", () => {
	it("compute a value once a row for all the conditions that ask for it", () => {
		const { conditions, reads } = counted();
		const predicates = ["a", "b", "c"].map((text) => conditions.compile(lowerIs(text, "<>")).made);
		expect(holds(conditions, predicates, rowOf({ s: "B" }))).toEqual([true, false, true]);
		const first = reads.count;
		expect(holds(conditions, predicates, rowOf({ s: "C" }))).toEqual([true, true, false]);
		expect(reads.count).toBe(first * 2);
		const { conditions: alone, reads: ofOne } = counted();
		expect(holds(alone, [alone.compile(lowerIs("a", "<>")).made], rowOf({ s: "B" }))).toEqual([true]);
		expect(ofOne.count).toBe(first);
	});

	it("fail again, without computing again, for a row that has no such value", () => {
		const { conditions } = counted();
		const { made } = conditions.compile({
			kind: "compare",
			operator: ">",
			comparison: "integer",
			left: { kind: "column", name: "i4", type: "int4", casts: [] },
			right: { kind: "literal", type: "int4", text: "1" },
		});
		conditions.nextRow();
		expect(() => made(rowOf({ i4: "?" }))).toThrow(UNEVALUABLE as unknown as Error);
		expect(() => made(rowOf({ i4: "?" }))).toThrow(UNEVALUABLE as unknown as Error);
		conditions.nextRow();
		expect(made(rowOf({ i4: "2" }))).toBe(TRUE);
	});

	it("are forgotten when the last shape that uses them is gone", () => {
		const { conditions } = counted();
		const first = conditions.compile(lowerIs("a", "="));
		const second = conditions.compile({ kind: "or", nodes: [lowerIs("a", "="), lowerIs("b", "=")] });
		conditions.release(first.identities);
		expect(conditions.size).toBeGreaterThan(0);
		conditions.release(second.identities);
		expect(conditions.size).toBe(0);
	});
});
