import { describe, expect, it } from "vitest";
import { JSON_DEPTH_MAX } from "../../../../src/shared/limits.ts";
import {
	jsonArrayLength,
	jsonAtPath,
	jsonContains,
	jsonEqual,
	jsonHasKey,
	jsonHasKeys,
	jsonItem,
	jsonMember,
	jsonOrder,
	jsonText,
	jsonTypeName,
	readJson,
} from "../../../../src/shared/sql/json-operations.ts";
import { jsonTextAtPath, jsonTextContent, jsonTextItem, jsonTextMember } from "../../../../src/shared/sql/json-text.ts";
import { formatJson, type JsonValue, parseJson } from "../../../../src/shared/sql/json-value.ts";
import { UNEVALUABLE } from "../../../../src/shared/sql/value.ts";

function shown(value: JsonValue | undefined): string | null {
	return value === undefined ? null : formatJson(value);
}

describe("a jsonb value", () => {
	it.each([
		["null", "null"],
		[" true ", "true"],
		["1.50", "1.50"],
		["-0", "0"],
		["-0.0", "0.0"],
		["1e2", "100"],
		["1.50e1", "15.0"],
		["12.345e-2", "0.12345"],
		["5E-3", "0.005"],
		["123456789012345678901234567890.1", "123456789012345678901234567890.1"],
		['"a\\u00e9\\/\\n\\u001f\\ud83d\\ude00"', '"aé/\\n\\u001f😀"'],
		['"\u007f\u0085"', '"\u007f\u0085"'],
		['{"bb":1,"a":2,"c":[],"a":3}', '{"a": 3, "c": [], "bb": 1}'],
		['{"é":1,"zz":2,"z":3}', '{"z": 3, "zz": 2, "é": 1}'],
		['{"__proto__":1,"constructor":{}}', '{"__proto__": 1, "constructor": {}}'],
		["[1,[2,{}]]", "[1, [2, {}]]"],
	])("%s is printed as %s", (text, expected) => {
		expect(shown(parseJson(text)?.value)).toBe(expected);
	});

	it.each([
		"",
		"nul",
		"nullx",
		"01",
		"1.",
		".5",
		"+1",
		"1e",
		"NaN",
		"[1,]",
		"[,1]",
		"{1:2}",
		'{"a"}',
		'{"a":1,}',
		"[1",
		'"a',
		'"\\x"',
		'"\\u0000"',
		'"\\ud800"',
		'"\\ude00\\ud83d"',
		'"\n"',
		"1 2",
		"'a'",
		"1e999999",
		`[${Array.from({ length: 200 }, () => "1e16000").join(",")}]`,
		"[".repeat(JSON_DEPTH_MAX + 2) + "]".repeat(JSON_DEPTH_MAX + 2),
	])("%.40s is refused", (text) => {
		expect(parseJson(text)).toBeNull();
	});

	it("may be nested up to the limit, and be compared there", () => {
		const text = `${"[".repeat(JSON_DEPTH_MAX)}1${"]".repeat(JSON_DEPTH_MAX)}`;
		const [left, right] = [readJson(text), readJson(text)];
		expect(jsonEqual(left, right)).toBe(true);
		expect(jsonContains(left, right)).toBe(true);
		expect(formatJson(left)).toBe(text);
	});

	it("equals what is the same document, whatever the scale of its numbers", () => {
		expect(jsonEqual(readJson('{"a":[1.0,null]}'), readJson('{"a":[1.00,null]}'))).toBe(true);
		expect(jsonEqual(readJson('{"a":1}'), readJson('{"b":1}'))).toBe(false);
		expect(jsonEqual(readJson("10"), readJson("1"))).toBe(false);
		expect(jsonEqual(readJson("[]"), readJson("{}"))).toBe(false);
	});

	it("is found among others in an order that only calls equal documents equal", () => {
		const texts = ["null", "true", "1", "1.0", "-1", '"1"', "[]", "[1]", "[1.00]", "[1,2]", "[[1]]", "{}", '{"a":1}'];
		const values = [...texts, '{"a":1.0}', '{"b":1}', '{"a":1,"b":2}', '{"a":2,"b":1}'].map(readJson);
		for (const left of values) {
			for (const right of values) {
				expect(jsonOrder(left, right) === 0).toBe(jsonEqual(left, right));
				expect(Math.sign(jsonOrder(left, right))).toBe(0 - Math.sign(jsonOrder(right, left)));
			}
		}
	});

	it.each([
		['{"a":1,"b":2}', '{"a":1.0}', true],
		['{"a":{"b":[1,2]}}', '{"a":{"b":[2]}}', true],
		["[1,2,3]", "[3,1,1]", true],
		["[1,2]", "1", true],
		["1", "[1]", false],
		["1", "1", true],
		["[[1,2]]", "[1]", false],
		["[[1,2],[3]]", "[[3],[1]]", true],
		['{"a":[1,2]}', '{"a":1}', false],
		["[]", "{}", false],
		["[1]", "[]", true],
		['["1"]', "[1]", false],
		["[null]", "null", true],
	])("%s contains %s: %s", (container, contained, expected) => {
		expect(jsonContains(readJson(container), readJson(contained))).toBe(expected);
	});

	it("gives its parts", () => {
		const value = readJson('{"a":[10,{"b":"x"},null],"":1}');
		expect(shown(jsonMember(value, "a"))).toBe('[10, {"b": "x"}, null]');
		expect(jsonMember(value, "__proto__")).toBeUndefined();
		expect(shown(jsonItem(readJson("[1,2]"), -2))).toBe("1");
		expect(jsonItem(readJson("[1,2]"), -3)).toBeUndefined();
		expect(jsonItem(value, 0)).toBeUndefined();
		expect(shown(jsonAtPath(value, ["a", "-2", "b"]))).toBe('"x"');
		expect(shown(jsonAtPath(value, ["a", " +0"]))).toBe("10");
		expect(jsonAtPath(value, ["a", "0x"])).toBeUndefined();
		expect(jsonAtPath(value, ["a", null])).toBeUndefined();
		expect(jsonText(jsonAtPath(value, ["a", "2"]))).toBeNull();
		expect(jsonText(readJson('"x"'))).toBe("x");
		expect(jsonText(readJson("[1,2]"))).toBe("[1, 2]");
	});

	it("knows its keys, type and length", () => {
		const value = readJson('{"a":1,"b":[]}');
		expect(jsonHasKey(value, "a")).toBe(true);
		expect(jsonHasKey(readJson('["a",1]'), "a")).toBe(true);
		expect(jsonHasKey(readJson('["a",1]'), "1")).toBe(false);
		expect(jsonHasKey(readJson('"a"'), "a")).toBe(true);
		expect(jsonHasKeys(value, ["z", null, "a"], false)).toBe(true);
		expect(jsonHasKeys(value, ["z", "a"], true)).toBe(false);
		expect(jsonHasKeys(value, [null], true)).toBe(true);
		expect(["null", "1", '"x"', "true", "[]", "{}"].map((text) => jsonTypeName(readJson(text)))).toEqual([
			"null",
			"number",
			"string",
			"boolean",
			"array",
			"object",
		]);
		expect(jsonArrayLength(readJson("[1,2]"))).toBe(2);
		expect(() => jsonArrayLength(value)).toThrow(UNEVALUABLE);
	});
});

describe("a json text", () => {
	const text = ' {"a" : [ 1.0 , {"b":1e999999} ] ,"a": { "x" :"\\u0041" , "n":null}} ';

	it("answers with its parts as they were written", () => {
		expect(jsonTextMember(text, "a")).toBe('{ "x" :"\\u0041" , "n":null}');
		expect(jsonTextContent(jsonTextMember(jsonTextMember(text, "a") ?? "", "x"))).toBe("A");
		expect(jsonTextContent(jsonTextMember(jsonTextMember(text, "a") ?? "", "n"))).toBeNull();
		expect(jsonTextItem("[ 1.0, 2 ]", -2)).toBe("1.0");
		expect(jsonTextItem("1", 0)).toBeNull();
		expect(jsonTextAtPath(text, ["a", "x"])).toBe('"\\u0041"');
		expect(jsonTextAtPath(" 1 ", [])).toBe("1");
	});

	it("that PostgreSQL's operators refuse cannot be evaluated", () => {
		expect(() => jsonTextMember('{"a":"\\u0000"}', "b")).toThrow(UNEVALUABLE);
	});
});
