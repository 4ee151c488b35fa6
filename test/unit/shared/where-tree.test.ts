/** columnsOfWhere: every column that a tree reads, wherever it stands in it. */

import { expect, it } from "vitest";
import { columnsOfWhere, type WhereNode } from "../../../src/shared/where-tree.ts";

const column = (name: string) => ({ kind: "column", name, type: "text", casts: [] }) as const;
const literal = { kind: "literal", type: "text", text: "x" } as const;

it("names each column once, in order of first use, in every kind of node", () => {
	const tree: WhereNode = {
		kind: "and",
		nodes: [
			{ kind: "compare", operator: "=", comparison: "text", left: column("a"), right: column("b") },
			{
				kind: "or",
				nodes: [
					{ kind: "not", node: { kind: "boolean", column: "c" } },
					{ kind: "isNull", column: "a", negated: true },
					{ kind: "distinct", negated: false, comparison: "text", left: literal, right: column("d") },
				],
			},
			{ kind: "in", comparison: "text", operand: column("e"), type: "text", values: ["x"], hasNull: false },
			{ kind: "like", operand: column("f"), pattern: "%", folding: null },
			{
				kind: "compare",
				operator: "=",
				comparison: "boolean",
				left: {
					kind: "condition",
					node: { kind: "booleanTest", test: "true", negated: false, node: { kind: "boolean", column: "g" } },
				},
				right: { kind: "literal", type: "bool", text: "t" },
			},
			{ kind: "constant", value: null },
		],
	};
	expect(columnsOfWhere(tree)).toEqual(["a", "b", "c", "d", "e", "f", "g"]);
	expect(columnsOfWhere({ kind: "constant", value: true })).toEqual([]);
});
