/** Nothing of a client's text reaches SQL but identifiers of known columns and quoted constants. */

import fc from "fast-check";
import { loadModule, parseSync } from "libpg-query";
import { beforeAll, describe, expect, it } from "vitest";
import { SluiceError } from "../../../../src/shared/errors.ts";
import { columnsOfWhere } from "../../../../src/shared/where-tree.ts";
import { quoteIdentifier, quoteLiteral } from "../../../../src/workers/where/deparse.ts";
import { loadWhereParser, type WhereParser } from "../../../../src/workers/where/where-parser.ts";
import { whereColumns } from "../../../support/where-table.ts";

let parser: WhereParser;
const columns = whereColumns();

beforeAll(async () => {
	await loadModule();
	parser = await loadWhereParser();
});

/** The clause's SQL, or null for a 400. Anything else that is thrown fails the test. */
function sqlOrRefusal(text: string, params: Record<string, string> = {}): string | null {
	try {
		return parser.parse({ text, params, columns, caseFolding: "ascii" }).sql;
	} catch (error) {
		if (error instanceof SluiceError && error.code === "SLUICE_REQUEST_INVALID") {
			return null;
		}
		throw error;
	}
}

/** The constant that PostgreSQL's own grammar reads from a quoted literal. */
function readBack(literal: string): unknown {
	const result: unknown = parseSync(`SELECT ${literal}`);
	return (
		JSON.parse(JSON.stringify(result)).stmts[0].stmt.SelectStmt.targetList[0].ResTarget.val.A_Const?.sval?.sval ?? ""
	);
}

const ATTACKS: readonly string[] = [
	"'; DROP TABLE t; --",
	"\\'; DROP TABLE t; --",
	"\\",
	"\\\\'",
	"''",
	"$$; DROP TABLE t; $$",
	"$tag$ ' $tag$",
	"' OR '1' = '1",
	"' /* ",
	"*/ --",
	"\\u0027 OR true",
	"U&'\\0027'",
	"\u02bc OR true",
	"\uff07 OR true",
	"\r\n';",
	"$1",
	"%27",
];

describe("values that try to leave their quotes", () => {
	it.each(ATTACKS)("%j stays one constant as a parameter and as a literal", (value) => {
		const expected = `"s" = ${quoteLiteral(value)}::text`;
		expect(sqlOrRefusal("s = $1", { 1: value })).toBe(expected);
		expect(sqlOrRefusal(`s = '${value.replaceAll("'", "''")}'`)).toBe(expected);
		expect(sqlOrRefusal(`s = $x$${value}$x$`)).toBe(expected);
		expect(readBack(quoteLiteral(value))).toBe(value);
	});

	it("accepts escapes of the grammar and writes what they mean", () => {
		expect(sqlOrRefusal("s = E'a\\'b\\\\c'")).toBe(`"s" = E'a''b\\\\c'::text`);
		expect(sqlOrRefusal("s = U&'d\\0061t'")).toBe(`"s" = 'dat'::text`);
		expect(sqlOrRefusal("s = $q$it's$q$")).toBe(`"s" = 'it''s'::text`);
	});

	it("refuses NUL and broken surrogates everywhere: what is cut or replaced is not what was checked", () => {
		for (const bad of ["\0", "\ud800", "x\0' OR true"]) {
			expect(sqlOrRefusal("s = $1", { 1: bad })).toBeNull();
			expect(sqlOrRefusal(`s = '${bad}'`)).toBeNull();
			expect(sqlOrRefusal(`b${bad} OR b`)).toBeNull();
		}
		expect(sqlOrRefusal("s = E'\\000'")).toBeNull();
		expect(sqlOrRefusal("s = U&'\\0000'")).toBeNull();
	});

	it("quotes any text so that the grammar reads the same text, without a bare backslash outside an E string", () => {
		fc.assert(
			fc.property(fc.string({ unit: "grapheme", maxLength: 40 }), (text) => {
				fc.pre(!text.includes("\0") && text.isWellFormed());
				const literal = quoteLiteral(text);
				expect(readBack(literal)).toBe(text);
				expect(literal.startsWith("'") && literal.includes("\\")).toBe(false);
			}),
			{ numRuns: 500 },
		);
		expect(quoteIdentifier('a"b')).toBe('"a""b"');
	});
});

const WORDS: readonly string[] = [
	"id",
	"s",
	"b",
	"n",
	"d",
	"u",
	"e",
	"j",
	"a",
	"f8",
	"c",
	"=",
	"<>",
	"<",
	">=",
	"AND",
	"OR",
	"NOT",
	"IN",
	"ANY",
	"ALL",
	"(",
	")",
	",",
	"[",
	"]",
	"1",
	"1.5",
	"'x'",
	"'1'",
	"'{1}'",
	"$1",
	"NULL",
	"true",
	"IS",
	"DISTINCT",
	"FROM",
	"LIKE",
	"ILIKE",
	"BETWEEN",
	"SYMMETRIC",
	"::",
	"int4",
	"text",
	"ARRAY",
	"UNKNOWN",
	";",
	"--",
	"/*",
	"*/",
	"SELECT",
	"CASE",
	"WHEN",
	"END",
	"*",
	".",
	"E'\\x'",
	"COLLATE",
	"ROW",
	"CAST",
	"AS",
	"-",
	"+",
	"operator(pg_catalog.=)",
	"GROUP BY",
	"LIMIT",
	"UNION",
	"OVERLAPS",
	"AT TIME ZONE",
	"ESCAPE",
];

describe("any text", () => {
	it("is answered with SQL that parses alone, or with a 400; it never crashes", () => {
		fc.assert(
			fc.property(fc.array(fc.constantFrom(...WORDS), { maxLength: 14 }), (words) => {
				const sql = sqlOrRefusal(words.join(" "), { 1: "1" });
				if (sql !== null) {
					expect(parseSync(`SELECT 1 WHERE (${sql})`).stmts).toHaveLength(1);
				}
			}),
			{ numRuns: 4_000 },
		);
	});

	it("built of random characters is refused or harmless", () => {
		fc.assert(
			fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => {
				const sql = sqlOrRefusal(text, {});
				expect(sql === null || parseSync(`SELECT 1 WHERE (${sql})`).stmts?.length === 1).toBe(true);
			}),
			{ numRuns: 1_500 },
		);
	});

	it("names only columns of the table", () => {
		fc.assert(
			fc.property(fc.array(fc.constantFrom(...WORDS), { maxLength: 10 }), (words) => {
				try {
					const { tree } = parser.parse({ text: words.join(" "), params: { 1: "1" }, columns, caseFolding: "ascii" });
					const known = new Set(columns.map((column) => column.name));
					expect(columnsOfWhere(tree).every((name) => known.has(name))).toBe(true);
				} catch (error) {
					expect(error).toBeInstanceOf(SluiceError);
				}
			}),
			{ numRuns: 1_000 },
		);
	});
});
