/** Arrays in the index: whatever element leads the way, exactly the shapes whose condition is true are found. */

import { describe, expect, it } from "vitest";
import type { WhereNode } from "../../../../src/shared/where-tree.ts";
import { elementStep } from "../../../../src/workers/match/element-step.ts";
import { createShapeMatcher } from "../../../../src/workers/match/shape-matcher.ts";
import { Random } from "../../../support/random.ts";
import { rowOf, WHERE_TABLE_OID, whereRelation, whereShape } from "../../../support/where-table.ts";

const COLUMN = { kind: "column", name: "a", type: "int4[]", casts: [] } as const;

function literalOf(elements: readonly (number | null)[]) {
	return { kind: "literal", type: "int4[]", text: textOf(elements) } as const;
}

function textOf(elements: readonly (number | null)[]): string {
	return `{${elements.map((element) => (element === null ? "NULL" : String(element))).join(",")}}`;
}

type Operation = "array_contains" | "array_contained" | "array_overlaps";

function conditionOf(operation: Operation, elements: readonly (number | null)[]): WhereNode {
	return {
		kind: "value",
		operand: { kind: "call", function: operation, type: "bool", arguments: [COLUMN, literalOf(elements)] },
	};
}

function isTrue(operation: Operation, row: readonly (number | null)[], elements: readonly (number | null)[]): boolean {
	const holds = (element: number | null, others: readonly (number | null)[]): boolean =>
		element !== null && others.includes(element);
	switch (operation) {
		case "array_contains":
			return elements.every((element) => holds(element, row));
		case "array_contained":
			return row.every((element) => holds(element, elements));
		case "array_overlaps":
			return elements.some((element) => holds(element, row));
	}
}

function drawElements(random: Random): (number | null)[] {
	return Array.from({ length: random.integer(0, 4) }, () => (random.chance(0.1) ? null : random.integer(1, 12)));
}

function foundBy(matcher: ReturnType<typeof createShapeMatcher>, array: string | null): number[] {
	const found: number[] = [];
	matcher.match(WHERE_TABLE_OID, null, rowOf(array === null ? {} : { a: array }), (slot) => found.push(slot));
	return found.sort((left, right) => left - right);
}

function clauseOf(tree: WhereNode) {
	return whereShape({ tree, sql: "" });
}

describe("arrays in the index", () => {
	it("are found by their elements, through additions and removals", () => {
		const random = new Random(9);
		const matcher = createShapeMatcher();
		matcher.bindRelation(whereRelation());
		const shapes = new Map<number, { operation: Operation; elements: readonly (number | null)[] }>();
		for (let step = 0; step < 1_500; step += 1) {
			const slot = random.integer(0, 120);
			if (shapes.delete(slot)) {
				matcher.removeShape(slot);
			} else {
				const operation = random.pick<Operation>(["array_contains", "array_contained", "array_overlaps"]);
				const shape = { operation, elements: drawElements(random) };
				shapes.set(slot, shape);
				matcher.addShape(slot, clauseOf(conditionOf(shape.operation, shape.elements)));
			}
			const row = drawElements(random);
			const expected = [...shapes]
				.filter(([, shape]) => isTrue(shape.operation, row, shape.elements))
				.map(([found]) => found);
			expect(foundBy(matcher, textOf(row))).toEqual(expected.sort((left, right) => left - right));
			expect(foundBy(matcher, null)).toEqual([]);
		}
	});

	it("read quoted, nested and bounded arrays too", () => {
		const matcher = createShapeMatcher();
		matcher.bindRelation(whereRelation());
		matcher.addShape(0, clauseOf(conditionOf("array_contains", [7])));
		expect(foundBy(matcher, "{{1,7},{2,3}}")).toEqual([0]);
		expect(foundBy(matcher, "[2:3]={7,1}")).toEqual([0]);
		expect(foundBy(matcher, '{"7"}')).toEqual([0]);
		expect(foundBy(matcher, "{17,77,70}")).toEqual([]);
		expect(foundBy(matcher, "{}")).toEqual([]);
	});

	it("tell the text NULL from NULL", () => {
		const matcher = createShapeMatcher();
		matcher.bindRelation(whereRelation());
		const texts = { kind: "column", name: "a", type: "text[]", casts: [] } as const;
		const constant = { kind: "literal", type: "text[]", text: '{"NULL"}' } as const;
		const operand = {
			kind: "call",
			function: "array_contains",
			type: "bool",
			arguments: [texts, constant],
		} as const;
		matcher.addShape(0, clauseOf({ kind: "value", operand }));
		expect(foundBy(matcher, "{NULL,a}")).toEqual([]);
		expect(foundBy(matcher, '{"NULL",a}')).toEqual([0]);
	});

	it("lead on by one element of those that a row needs, and by each of those of which it needs one", () => {
		const step = (tree: WhereNode) => elementStep(tree)?.step;
		expect(step(conditionOf("array_contains", [1, 2, 2]))).toMatchObject({ needs: "all", keys: { length: 2 } });
		expect(step(conditionOf("array_overlaps", [1, null, 2]))).toMatchObject({ needs: "any", keys: { length: 2 } });
		expect(step(conditionOf("array_contains", []))).toBeUndefined();
		expect(step(conditionOf("array_contained", [1]))).toBeUndefined();
	});
});
