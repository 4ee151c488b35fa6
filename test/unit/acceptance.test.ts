/** docs/ACCEPTANCE.md and the tests know each other: every row is there, every line names tests that exist. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const ROOT = new URL("../../", import.meta.url);
const ROWS: Readonly<Record<string, number>> = { A: 12, B: 12, C: 15, D: 26, E: 10, F: 65 };
const ROW = /^\| ([A-F]\d+) \| ([^|]+) \| (.+) \|$/;
const REFERENCE = /^`(test\/[^`]+)`: (.+)$/;
const NOT_TESTED = /^does not apply: .{10,}$/;

const rows = readFileSync(new URL("docs/ACCEPTANCE.md", ROOT), "utf8")
	.split("\n")
	.filter((line) => /^\| [A-F]\d/.test(line))
	.map((line) => ROW.exec(line) ?? [line, line, "", ""]);

describe("docs/ACCEPTANCE.md", () => {
	it("has every row once, in order", () => {
		const wanted = Object.entries(ROWS).flatMap(([letter, count]) =>
			Array.from({ length: count }, (_, index) => `${letter}${index + 1}`),
		);
		expect(rows.map(([, id]) => id)).toEqual(wanted);
	});

	it.each(rows.map((row) => [row[1], row[3] ?? ""]))("%s names tests that exist", (_id, covered) => {
		if (NOT_TESTED.test(covered)) {
			return;
		}
		for (const part of covered.split("; ")) {
			const [, file, name] = REFERENCE.exec(part) ?? [];
			expect(file, `"${part}" is a test`).toBeDefined();
			expect(readFileSync(new URL(file ?? "missing", ROOT), "utf8")).toContain(name);
		}
	});
});
