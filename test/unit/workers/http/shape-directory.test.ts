/** The keys under which an HTTP thread remembers shapes. */

import { expect, test } from "vitest";
import type { ShapeRequest } from "../../../../src/shared/messages.ts";
import { definitionKey } from "../../../../src/workers/http/shape-directory.ts";

const REQUEST: ShapeRequest = {
	table: "items",
	where: null,
	params: {},
	columns: null,
	replica: "default",
	log: "full",
};

test("a key stays short however long the condition is, and tells conditions apart", () => {
	const spaces = " ".repeat(60_000);
	const keys = ["id = 1", `id = 1${spaces}`, `id = 1${spaces} `].map((where) => definitionKey({ ...REQUEST, where }));
	expect(new Set(keys).size).toBe(3);
	expect(Math.max(...keys.map((key) => key.length))).toBeLessThan(300);
	expect(definitionKey({ ...REQUEST, where: `id = 1${spaces}` })).toBe(keys[1]);
});
