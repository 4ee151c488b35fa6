import { describe, expect, it } from "vitest";
import {
	addElement,
	arrayBound,
	arrayContains,
	arrayDimensions,
	arrayElement,
	arrayLength,
	arrayOf,
	arrayPosition,
	arraySlice,
	arraysOverlap,
	compareArrays,
	concatenateArrays,
	mapArray,
	nestArrays,
	quantified,
	removeElement,
} from "../../../../src/shared/sql/array-operations.ts";
import { type ArrayValue, formatArrayText, parseArrayText } from "../../../../src/shared/sql/array-text.ts";
import { UNEVALUABLE } from "../../../../src/shared/sql/value.ts";

const compare = (left: number, right: number): number => left - right;

function array(text: string): ArrayValue<number> {
	const value = parseArrayText(text);
	if (value === null) {
		throw new Error(`not an array: ${text}`);
	}
	return mapArray(value, Number);
}

function text(value: ArrayValue<number> | null): string | null {
	return value === null ? null : formatArrayText(mapArray(value, String));
}

describe("arrays", () => {
	it.each([
		["{1,2}", "{1,2}", true],
		["{1,NULL}", "{1,NULL}", true],
		["{1,NULL}", "{1,2}", false],
		["{1,2}", "[0:1]={1,2}", false],
		["{{1,2}}", "{1,2}", false],
		["{}", "{}", true],
		["{}", "{NULL}", false],
	])("%s = %s is %s", (left, right, expected) => {
		expect(compareArrays(array(left), array(right), compare) === 0).toBe(expected);
	});

	it("order as PostgreSQL's btree does: elements, NULL last, then length, dimensions and bounds", () => {
		const ascending = [
			"{}",
			"{1}",
			"{{1}}",
			"{1,2}",
			"[2:3]={1,2}",
			"{{1,2}}",
			"{{1},{2}}",
			"{1,2,0}",
			"{1,3}",
			"{1,NULL}",
			"{2}",
			"{NULL}",
		].map(array);
		ascending.forEach((left, index) => {
			ascending.forEach((right, other) => {
				expect(Math.sign(compareArrays(left, right, compare))).toBe(Math.sign(index - other));
			});
		});
	});

	it.each([
		["{1,2,3}", "{3,1}", true],
		["{1,2,3}", "{1,1,1,1}", true],
		["{1,2}", "{3}", false],
		["{1,NULL}", "{NULL}", false],
		["{1,NULL}", "{1}", true],
		["{}", "{}", true],
		["{1}", "{}", true],
		["{{1,2},{3,4}}", "{4,1}", true],
	])("%s @> %s is %s", (left, right, expected) => {
		expect(arrayContains(array(left), array(right), compare)).toBe(expected);
	});

	it("contain each other the same whether they are short or long", () => {
		const long = arrayOf(Array.from({ length: 400 }, (_, index) => (index % 7 === 0 ? null : index * 3)));
		const inside = arrayOf(Array.from({ length: 100 }, (_, index) => (index * 7 + 1) * 3));
		expect(arrayContains(long, arrayOf(inside.elements.slice(0, 57)), compare)).toBe(true);
		expect(arrayContains(long, inside, compare)).toBe(false);
		expect(arraysOverlap(long, arrayOf([1, 2, null, 3]), compare)).toBe(true);
		expect(arraysOverlap(long, arrayOf(Array.from({ length: 100 }, () => 1)), compare)).toBe(false);
	});

	it.each([
		["{1,2}", "{2,3}", true],
		["{1,NULL}", "{NULL}", false],
		["{}", "{1}", false],
	])("%s && %s is %s", (left, right, expected) => {
		expect(arraysOverlap(array(left), array(right), compare)).toBe(expected);
	});

	it("answer ANY and ALL with three values", () => {
		const equals = (value: number) => (element: number) => element === value;
		expect(quantified(array("{1,NULL}"), true, equals(1))).toBe(true);
		expect(quantified(array("{1,NULL}"), true, equals(2))).toBe(null);
		expect(quantified(array("{1,NULL}"), false, equals(2))).toBe(false);
		expect(quantified(array("{1,NULL}"), false, equals(1))).toBe(null);
		expect(quantified(array("{}"), true, equals(1))).toBe(false);
		expect(quantified(array("{}"), false, equals(1))).toBe(true);
		expect(quantified(array("{1}"), true, () => null)).toBe(null);
	});

	it("give the element of a subscript, NULL outside", () => {
		expect(arrayElement(array("{5,6}"), [1])).toBe(5);
		expect(arrayElement(array("{5,6}"), [0])).toBeNull();
		expect(arrayElement(array("[0:1]={5,6}"), [0])).toBe(5);
		expect(arrayElement(array("{{1,2},{3,4}}"), [2, 1])).toBe(3);
		expect(arrayElement(array("{{1,2},{3,4}}"), [2])).toBeNull();
		expect(arrayElement(array("{}"), [1])).toBeNull();
	});

	it.each([
		["{1,2,3}", [[2, 3]], "{2,3}"],
		["{1,2,3}", [[2, 9]], "{2,3}"],
		["{1,2,3}", [[3, 2]], "{}"],
		["{1,2,3}", [[null, 2]], "{1,2}"],
		["[5:7]={1,2,3}", [[6, null]], "{2,3}"],
		["{{1,2},{3,4}}", [[2, 2]], "{{3,4}}"],
		[
			"{{1,2},{3,4}}",
			[
				[1, 2],
				[2, 2],
			],
			"{{2},{4}}",
		],
		[
			"{1,2}",
			[
				[1, 1],
				[1, 1],
			],
			"{}",
		],
	] as const)("%s sliced by %j is %s", (value, bounds, expected) => {
		expect(
			text(
				arraySlice(
					array(value),
					bounds.map(([lower, upper]) => ({ lower, upper })),
				),
			),
		).toBe(expected);
	});

	it.each([
		["{1}", "{2,3}", "{1,2,3}"],
		["{}", "{2}", "{2}"],
		["{1}", "{{2},{3}}", "{{1},{2},{3}}"],
		["{{1,2}}", "{3,4}", "{{1,2},{3,4}}"],
		["[3:3]={1}", "{2}", "[3:4]={1,2}"],
		[null, "{2}", "{2}"],
		["{1}", null, "{1}"],
		[null, null, null],
	])("%s || %s is %s", (left, right, expected) => {
		const value = (side: string | null) => (side === null ? null : array(side));
		expect(text(concatenateArrays(value(left), value(right)))).toBe(expected);
	});

	it("that do not fit together cannot be evaluated", () => {
		expect(() => concatenateArrays(array("{{1,2}}"), array("{1}"))).toThrow(UNEVALUABLE);
		expect(() => concatenateArrays(array("{{{1}}}"), array("{1}"))).toThrow(UNEVALUABLE);
		expect(() => addElement(array("{{1}}"), 1, true)).toThrow(UNEVALUABLE);
		expect(() => arrayPosition(array("{{1}}"), 1, compare)).toThrow(UNEVALUABLE);
		expect(() => nestArrays([array("{1}"), array("{1,2}")])).toThrow(UNEVALUABLE);
		expect(() => nestArrays([array("{1}"), null])).toThrow(UNEVALUABLE);
	});

	it("take an element at either end and keep their lower bound", () => {
		expect(text(addElement(array("[2:3]={1,2}"), 9, true))).toBe("[2:4]={1,2,9}");
		expect(text(addElement(array("[2:3]={1,2}"), 9, false))).toBe("[2:4]={9,1,2}");
		expect(text(addElement<number>(null, null, true))).toBe("{NULL}");
	});

	it("know their length, bounds, dimensions, and where an element is", () => {
		const value = array("[2:3]={1,2}");
		expect([arrayLength(value, 1), arrayLength(value, 2), arrayLength(value, 0)]).toEqual([2, null, null]);
		expect([arrayBound(value, 1, false), arrayBound(value, 1, true), arrayBound(array("{}"), 1, true)]).toEqual([
			2,
			3,
			null,
		]);
		expect([arrayDimensions(value), arrayDimensions(array("{}"))]).toEqual([1, null]);
		expect(arrayPosition(value, 2, compare)).toBe(3);
		expect(arrayPosition(array("{1,NULL}"), null, compare)).toBe(2);
		expect(arrayPosition(value, 5, compare)).toBeNull();
		expect(text(removeElement(array("{1,2,1}"), 1, compare))).toBe("{2}");
	});

	it("nest into one more dimension", () => {
		expect(text(nestArrays([array("{1,2}"), array("{3,4}")]))).toBe("{{1,2},{3,4}}");
		expect(text(nestArrays([array("{}"), null]))).toBe("{}");
	});
});
