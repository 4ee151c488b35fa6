/** The matcher as the lane uses it: which shapes a row change concerns, through additions, removals and changes of the relation. */

import { beforeAll, describe, expect, it } from "vitest";
import type { ShapeMatcher } from "../../../../src/shared/matching.ts";
import type { Tuple } from "../../../../src/shared/tuple.ts";
import type { LiteralOperand } from "../../../../src/shared/where-tree.ts";
import { compileWhere } from "../../../../src/workers/match/compile.ts";
import { branchesOf, type Step, type Way } from "../../../../src/workers/match/registration.ts";
import { createShapeMatcher } from "../../../../src/workers/match/shape-matcher.ts";
import { TRUE } from "../../../../src/workers/match/truth.ts";
import { UNEVALUABLE } from "../../../../src/workers/match/values.ts";
import { loadWhereParser, type WhereParser } from "../../../../src/workers/where/where-parser.ts";
import { forEachSeed, type Random } from "../../../support/random.ts";
import { generateCondition } from "../../../support/where-generator.ts";
import {
	rowOf,
	tupleOf,
	WHERE_COLUMN_SPECS,
	WHERE_TABLE_OID,
	whereColumns,
	whereRelation,
	whereShape,
} from "../../../support/where-table.ts";

let parser: WhereParser;

beforeAll(async () => {
	parser = await loadWhereParser();
});

function clauseOf(text: string, params: Readonly<Record<string, string>> = {}) {
	return parser.parse({ text, params, columns: whereColumns(), caseFolding: "unicode" });
}

/** A matcher with one shape a condition, in slots 0, 1, …; null: without `where`. */
function matcherOf(conditions: readonly (string | null)[]): ShapeMatcher {
	const matcher = createShapeMatcher();
	matcher.bindRelation(whereRelation());
	conditions.forEach((text, slot) => {
		matcher.addShape(slot, whereShape(text === null ? null : clauseOf(text)));
	});
	return matcher;
}

/** "slot:old→new" of each report, in slot order. */
function reports(matcher: ShapeMatcher, oldRow: Tuple | null, newRow: Tuple | null, oid = WHERE_TABLE_OID): string[] {
	const found: [number, string][] = [];
	matcher.match(oid, oldRow, newRow, (slot, inOld, inNew) => {
		found.push([slot, `${slot}:${inOld ? "in" : "out"}→${inNew ? "in" : "out"}`]);
	});
	return found.sort(([left], [right]) => left - right).map(([, text]) => text);
}

describe("a shape matcher", () => {
	it("finds indexed, evaluated and unconditional shapes alike", () => {
		const matcher = matcherOf([
			null,
			"i4 = 1",
			"i4 IN (1, 2)",
			"i4 > 0",
			"i4 = 2",
			"s = 'x' AND i4 = 1",
			"i4 = 1 AND s LIKE 'y%'",
			"i4 = 1 OR s = 'x'",
		]);
		expect(reports(matcher, null, rowOf({ i4: "1", s: "x" }))).toEqual([
			"0:out→in",
			"1:out→in",
			"2:out→in",
			"3:out→in",
			"5:out→in",
			"7:out→in",
		]);
	});

	it("unites what the old and the new row find, each shape once", () => {
		const matcher = matcherOf(["i4 = 1", "i4 = 2", "i4 IN (1, 2)", "i4 = 3", "i4 = 1 OR s = 'x'", null]);
		expect(reports(matcher, rowOf({ i4: "1", s: "x" }), rowOf({ i4: "2" }))).toEqual([
			"0:in→out",
			"1:out→in",
			"2:in→in",
			"4:in→out",
			"5:in→in",
		]);
		expect(reports(matcher, rowOf({ i4: "3" }), null)).toEqual(["3:in→out", "5:in→out"]);
	});

	it("finds nothing any more of a shape that was removed, and the others still", () => {
		const matcher = matcherOf(["i4 = 1", "i4 = 1", "i4 = 1 AND b", "i4 > 0", null]);
		for (const slot of [0, 2, 3, 3, 17]) {
			matcher.removeShape(slot);
		}
		expect(reports(matcher, null, rowOf({ i4: "1", b: "t" }))).toEqual(["1:out→in", "4:out→in"]);
		expect(matcher.shapesOn(WHERE_TABLE_OID)).toEqual([1, 4]);
		matcher.removeShape(1);
		matcher.removeShape(4);
		expect(matcher.watches(WHERE_TABLE_OID)).toBe(false);
		expect(reports(matcher, null, rowOf({ i4: "1" }))).toEqual([]);
		matcher.addShape(0, whereShape(clauseOf("i4 = 1")));
		expect(reports(matcher, null, rowOf({ i4: "1" }))).toEqual(["0:out→in"]);
	});

	it("takes a shape that is added after the relation was described", () => {
		const matcher = createShapeMatcher();
		matcher.bindRelation(whereRelation());
		matcher.addShape(2_000, whereShape(clauseOf("i4 = 1")));
		expect(reports(matcher, null, rowOf({ i4: "1" }))).toEqual(["2000:out→in"]);
	});

	it("matches rows of the leaves of a partitioned table, whose columns may be in another order", () => {
		const matcher = createShapeMatcher();
		matcher.addShape(0, whereShape(clauseOf("i4 = 1 AND s > 'a'"), [70_001, 70_002]));
		const turned = whereRelation(70_002);
		matcher.bindRelation(whereRelation(70_001));
		matcher.bindRelation({ ...turned, columns: turned.columns.toReversed() });
		const row = WHERE_COLUMN_SPECS.map((spec) => ({ i4: "1", s: "b" })[spec.name] ?? null);
		expect(reports(matcher, null, tupleOf(row), 70_001)).toEqual(["0:out→in"]);
		expect(reports(matcher, null, tupleOf(row.toReversed()), 70_002)).toEqual(["0:out→in"]);
		expect(matcher.watches(70_003)).toBe(false);
		matcher.removeShape(0);
		expect([WHERE_TABLE_OID, 70_001, 70_002].some((oid) => matcher.watches(oid))).toBe(false);
	});

	it("follows a column that moved, and holds back shapes whose column is gone or of another type", () => {
		const matcher = matcherOf(["i4 = 1", "s = 'x'", "NOT (s = 'y')", null]);
		const relation = whereRelation();
		const without = relation.columns.filter((column) => column.name !== "s");
		matcher.bindRelation({ ...relation, columns: without });
		const row = tupleOf(without.map((column) => (column.name === "i4" ? "1" : null)));
		expect(reports(matcher, null, row)).toEqual(["0:out→in", "3:out→in"]);
		const retyped = relation.columns.map((column) => (column.name === "i4" ? { ...column, typeOid: 20 } : column));
		matcher.bindRelation({ ...relation, columns: retyped });
		expect(reports(matcher, null, rowOf({ i4: "1", s: "x" }))).toEqual(["1:out→in", "2:out→in", "3:out→in"]);
		matcher.bindRelation(relation);
		expect(reports(matcher, null, rowOf({ i4: "1", s: "x" }))).toEqual([
			"0:out→in",
			"1:out→in",
			"2:out→in",
			"3:out→in",
		]);
	});

	it("counts a row whose value cannot be evaluated as not inside, for that shape only", () => {
		const matcher = matcherOf(["i4 > 1", "NOT (i4 > 1)", "s = 'x'"]);
		expect(reports(matcher, null, rowOf({ i4: "?", s: "x" }))).toEqual(["2:out→in"]);
	});

	it("finds exactly the shapes whose condition is true, through random additions and removals", async () => {
		await forEachSeed(15, (random) => {
			const matcher = createShapeMatcher();
			matcher.bindRelation(whereRelation());
			const predicates = new Map<number, (row: Tuple) => boolean>();
			for (let step = 0; step < 120; step += 1) {
				const slot = random.integer(0, 60);
				if (predicates.has(slot)) {
					matcher.removeShape(slot);
					predicates.delete(slot);
				} else {
					const { text, params } = random.chance(0.5) ? equalities(random) : generateCondition(random, 2);
					const clause = clauseOf(text, params);
					matcher.addShape(slot, whereShape(clause));
					const predicate = compileWhere(clause.tree, (name) => ({
						index: WHERE_COLUMN_SPECS.findIndex((spec) => spec.name === name),
					}));
					predicates.set(slot, (row) => isTrue(() => predicate(row) === TRUE));
				}
				const [before, after] = [smallRow(random), smallRow(random)];
				const expected = [...predicates]
					.sort(([left], [right]) => left - right)
					.map(([number, holds]) => [number, holds(before), holds(after)] as const)
					.filter(([, inOld, inNew]) => inOld || inNew)
					.map(([number, inOld, inNew]) => `${number}:${inOld ? "in" : "out"}→${inNew ? "in" : "out"}`);
				expect(reports(matcher, before, after)).toEqual(expected);
			}
		});
	});
});

function isTrue(answer: () => boolean): boolean {
	try {
		return answer();
	} catch (error) {
		expect(error).toBe(UNEVALUABLE);
		return false;
	}
}

/** Conditions that are made of few values, so that shapes meet in one place of the index. */
function equalities(random: Random) {
	const equality = () =>
		random.pick([
			"i4 = 1",
			"i4 = 2",
			"i4 IN (1, 2)",
			"s = 'a'",
			"s IN ('a', 'b', NULL)",
			"b = true",
			"n = 1.5",
			"c = 'a'",
		]);
	const range = () => {
		const operator = random.pick(["<", "<=", ">", ">=", "=", "<>"]);
		return random.pick([
			`i8 ${operator} ${random.integer(-2, 2)}`,
			`s ${operator} '${random.pick(["a", "b", "c"])}'`,
			`n ${operator} ${random.pick(["1.5", "1.7", "2"])}`,
			`s LIKE '${random.pick(["a%", "b", "_", "a_%"])}'`,
			`i8 NOT BETWEEN -1 AND ${random.integer(-1, 1)}`,
		]);
	};
	const text = random.pick([
		equality(),
		`${equality()} AND ${equality()}`,
		`${equality()} OR ${equality()}`,
		`(${equality()} OR ${equality()}) AND ${equality()} AND i8 > 0`,
		`${equality()} AND i8 > 0 OR ${equality()}`,
		// One place for all: it becomes crowded.
		`i4 = 1 AND ${range()}`,
		`i4 = 1 AND ${range()} AND ${range()}`,
		`${range()} OR NOT (${range()} AND ${range()})`,
	]);
	return { text, params: {} };
}

function smallRow(random: Random): Tuple {
	return rowOf({
		id: "1",
		i4: random.pick(["1", "2", "3"]),
		s: random.pick(["a", "b", "c"]),
		b: random.pick(["t", "f"]),
		n: random.pick(["1.5", "1.50", "2"]),
		c: random.pick(["a     ", "b     "]),
		i8: random.pick(["-1", "1"]),
	});
}

describe("branches of a condition", () => {
	const boundText = ({ value }: { readonly value: LiteralOperand | null }) => value?.text ?? "";
	const stepText = (step: Step): string => {
		switch (step.kind) {
			case "equality":
				return `${step.column}×${step.keys.length}`;
			case "element":
				return `${step.column}∋${step.keys.length}`;
			case "range": {
				const value = step.operand.kind === "column" ? step.operand.name : step.operand.kind;
				const open = ({ inclusive }: { readonly inclusive: boolean }) => (inclusive ? "[" : "(");
				const close = ({ inclusive }: { readonly inclusive: boolean }) => (inclusive ? "]" : ")");
				const intervals = step.intervals.map(
					({ low, high }) => `${open(low)}${boundText(low)}..${boundText(high)}${close(high)}`,
				);
				return `${value} ${intervals.join("")}`;
			}
		}
	};
	const wayText = ({ steps, rest }: Way) => `${steps.map(stepText).join("→")}${rest === null ? "" : ` + ${rest.kind}`}`;
	const shapeOf = (text: string) =>
		branchesOf(clauseOf(text).tree).map(
			(branch) => `${wayText(branch)}${branch.onward === null ? "" : `, or →${wayText(branch.onward)}`}`,
		);

	it.each([
		["i4 = 1", ["i4×1"]],
		["1 = i4", ["i4×1"]],
		["i4 IN (1, 2, NULL)", ["i4×2"]],
		["i4 = ANY('{1,2}')", ["i4×2"]],
		["b = true", ["b×1"]],
		["b", ["b×1"]],
		["NOT b", ["b×1"]],
		["i4 <> 1", [" + compare"]],
		["i4 = i2", [" + compare"]],
		["f8 = 1", ["f8 [1..1]"]],
		["f8 IN (1, 2)", ["f8 [1..1][2..2]"]],
		["i4 > 1", ["i4 (1..)"]],
		["1 >= i4", ["i4 (..1]"]],
		["NOT i4 < 1", ["i4 [1..)"]],
		["i4 BETWEEN 1 AND 5", ["i4 [1..5]"]],
		["NOT (i4 < 1 OR i4 > 5)", ["i4 [1..5]"]],
		["i4 > 1 AND i4 > 2", ["i4 (1..) + compare"]],
		["i4 > 1 AND i8 > 1", ["i4 (1..) + compare"]],
		["i4 < 1 OR i4 > 5", ["i4 (..1)", "i4 (5..)"]],
		["i4 NOT IN (1, 2)", [" + not"]],
		["s LIKE 'ab%'", ["s [ab..ac)"]],
		["s LIKE 'ab_%'", ["s [ab..ac) + like"]],
		["s LIKE 'a\\%b'", ["s [a%b..a%b]"]],
		["s LIKE '%ab'", [" + like"]],
		["s ILIKE 'ab%'", [" + like"]],
		["n = 1", ["n×1"]],
		["i4 = 1 AND s = 'a'", ["i4×1→s×1"]],
		["i8 > 1 AND i4 = 1", ["i4×1 + compare, or →i8 (1..)"]],
		["i4 = 1 OR s = 'a'", ["i4×1", "s×1"]],
		["i4 = 1 OR i8 > 1", ["i4×1", "i8 (1..)"]],
		["(i4 = 1 OR s = 'a') AND i2 = 1", ["i2×1 + or"]],
		["(i4 = 1 OR s = 'a') AND i8 > 1", ["i8 (1..) + or"]],
		["i4 = 1 OR i8 <> 1", [" + or"]],
	])("%s are %j", (text, expected) => {
		expect(shapeOf(text)).toEqual(expected);
	});

	it("do not multiply out beyond the limit", () => {
		const list = (column: string) => `${column} IN (${Array.from({ length: 100 }, (_, index) => index).join(",")})`;
		expect(shapeOf(`${list("i4")} AND ${list("i8")} AND ${list("i2")}`)).toEqual(["i4×100 + and"]);
	});

	it("do not multiply out in every branch of an OR: the limit is that of the condition", () => {
		const list = (column: string) => `${column} IN (${Array.from({ length: 50 }, (_, index) => index).join(",")})`;
		const branches = Array.from({ length: 100 }, () => `(${list("i4")} AND ${list("i8")})`);
		expect(new Set(shapeOf(branches.join(" OR ")))).toEqual(new Set(["i4×50 + in"]));
		// Among many branches each keeps the one place that it needs.
		const nested = Array.from({ length: 1_000 }, (_, index) => `(i8 > ${index} AND b)`).join(" OR ");
		const hung = branchesOf(clauseOf(`${nested} OR i4 > 1 AND b`).tree);
		expect(hung.length).toBe(1_001);
	});
});
