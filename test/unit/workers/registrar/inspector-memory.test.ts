/**
 * What the inspector remembers stays bounded, whatever it is asked for.
 */

import { expect, it } from "vitest";
import { Inspector } from "../../../../src/workers/registrar/inspector.ts";

it("drops tables that were not asked for lately", async () => {
	let nowMs = 0;
	const column = {
		oid: "1",
		relkind: "r",
		relpersistence: "p",
		attname: "id",
		attnum: 1,
		atttypid: "23",
		atttypmod: -1,
		attndims: 0,
		attnotnull: true,
		attgenerated: "",
		deterministic: true,
		key_position: "0",
	};
	const type = { oid: "23", typname: "int4", typtype: "b", typbasetype: "0", element: "0" };
	const inspector = new Inspector(
		{
			query: async <T extends object>(text: string): Promise<T[]> => [
				(text.includes("pg_class c") ? column : type) as T,
			],
		},
		() => nowMs,
	);
	for (let table = 0; table < 5_000; table += 1) {
		nowMs += 10;
		await inspector.table({ schema: "public", name: `t${table}` });
	}
	expect(inspector.remembered.tables).toBeLessThan(1_000);
});
