import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ArrayValue, formatArrayText, parseArrayText } from "../../../../src/shared/sql/array-text.ts";

function flat(elements: readonly (string | null)[], lower = 1): ArrayValue<string> {
	return { dimensions: [elements.length], lowerBounds: [lower], elements };
}

describe("the text of an array", () => {
	it.each<[string, ArrayValue<string>]>([
		["{}", { dimensions: [], lowerBounds: [], elements: [] }],
		[" { } ", { dimensions: [], lowerBounds: [], elements: [] }],
		["{1,2}", flat(["1", "2"])],
		['{a, "b c" ,NULL,null,"NULL"}', flat(["a", "b c", null, null, "NULL"])],
		['{"",\\ ,a\\ , a b , \\a }', flat(["", " ", "a ", "a b", "a"])],
		['{"\\"","\\\\","{"}', flat(['"', "\\", "{"])],
		["{\\N\\U\\L\\L}", flat(["NULL"])],
		["[2:4]={a,b,c}", flat(["a", "b", "c"], 2)],
		["[-1:0]={a,b}", flat(["a", "b"], -1)],
		["{{1,2},{3,NULL}}", { dimensions: [2, 2], lowerBounds: [1, 1], elements: ["1", "2", "3", null] }],
		["[0:0][5:6]={{1,2}}", { dimensions: [1, 2], lowerBounds: [0, 5], elements: ["1", "2"] }],
		["{{{{{{x}}}}}}", { dimensions: [1, 1, 1, 1, 1, 1], lowerBounds: [1, 1, 1, 1, 1, 1], elements: ["x"] }],
	])("%s is read", (text, value) => {
		expect(parseArrayText(text)).toEqual(value);
	});

	it.each([
		"",
		"1",
		"{",
		"}",
		"{1",
		"{1,}",
		"{,1}",
		"{1}x",
		"{1 {2}}",
		"{{1},2}",
		"{1,{2}}",
		"{{1,2},{3}}",
		"{{1},{2,3}}",
		"{{1},{{2}}}",
		"{{{1}},{2}}",
		"{{}}",
		"{{1},{}}",
		"{{{{{{{x}}}}}}}",
		'{"a}',
		'{"a"b}',
		'{a"b"}',
		"{a\\",
		"[1:2]={1}",
		"[2:1]={}",
		"[1:1]{1}",
		"[1:1][1:1]={1}",
		"[1:2147483647]={1}",
	])("%s is refused", (text) => {
		expect(parseArrayText(text)).toBeNull();
	});

	it("comes back from its own form, whatever the elements are", () => {
		const element = fc.option(fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\0")));
		const shape = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 6 });
		fc.assert(
			fc.property(shape, fc.array(element, { minLength: 1 }), fc.integer({ min: -3, max: 3 }), (sizes, pool, lower) => {
				const count = sizes.reduce((product, size) => product * size, 1);
				const value: ArrayValue<string> = {
					dimensions: sizes,
					lowerBounds: sizes.map((_, index) => (index === 0 ? lower : 1)),
					elements: Array.from({ length: count }, (_, index) => pool[index % pool.length] ?? null),
				};
				expect(parseArrayText(formatArrayText(value))).toEqual(value);
			}),
			{ numRuns: 200 },
		);
	});
});
