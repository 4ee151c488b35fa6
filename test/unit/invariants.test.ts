/** docs/INVARIANTS.md and the tests know each other: every line names a test that exists. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const ROOT = new URL("../../", import.meta.url);
const ROW = /^\| (I\d+) \| .+ \| `(test\/[^`]+)`: (.+) \|$/;

const rows = readFileSync(new URL("docs/INVARIANTS.md", ROOT), "utf8")
	.split("\n")
	.filter((line) => line.startsWith("| I") && !line.startsWith("| Id"))
	.map((line) => ROW.exec(line) ?? [line]);

describe("docs/INVARIANTS.md", () => {
	it("numbers its invariants from I1 without gaps", () => {
		expect(rows.map(([, id]) => id)).toEqual(rows.map((_, index) => `I${index + 1}`));
	});

	it.each(rows.map((row) => [row[1], row[2], row[3]]))("%s is enforced by a test that exists", (_id, file, name) => {
		const source = readFileSync(new URL(file ?? "missing", ROOT), "utf8");
		expect(source).toContain(name);
	});
});
