/**
 * Every character of Unicode in lower and in upper case, as PostgreSQL's UTF-8 databases fold it and as Sluice does.
 * They may differ where the releases of Unicode do: in letters that came, or got a counterpart, with 16 and 17.
 */

import { describe, expect, it } from "vitest";
import { foldCase, raiseCase } from "../../src/shared/sql/letters.ts";
import type { CaseFolding } from "../../src/shared/where-tree.ts";
import { testServers, useServer } from "../support/postgres.ts";
import { createWhereDatabase } from "../support/where-database.ts";

/** First and last code point. */
const NEWER: readonly (readonly [number, number])[] = [
	[0x19b, 0x19b],
	[0x264, 0x264],
	[0x1c89, 0x1c8a],
	[0xa7cb, 0xa7dc],
	[0x10d50, 0x10d85],
	[0x16ea0, 0x16ed3],
];

const CHANGED = `
	select i, lower(c) as lower, upper(c) as upper
	from (select i, chr(i) as c from generate_series(1, 1114111) i where i not between 55296 and 57343) q
	where lower(c) <> c or upper(c) <> c`;

describe.each(testServers())("the letters of a database on $name", (kind) => {
	const server = useServer(kind);

	it.each(["ascii", "unicode"] as const)("that folds %s letters fold as here", async (caseFolding: CaseFolding) => {
		const database = await createWhereDatabase(server, caseFolding);
		const client = await database.connect();
		const { rows } = await client.query<{ i: number; lower: string; upper: string }>(CHANGED);
		const changed = new Map(rows.map((row) => [row.i, row]));
		const wrong: string[] = [];
		for (let code = 1; code <= 0x10ffff; code += 1) {
			const isSurrogate = code >= 0xd800 && code <= 0xdfff;
			if (isSurrogate || NEWER.some(([first, last]) => code >= first && code <= last)) {
				continue;
			}
			const character = String.fromCodePoint(code);
			const expected = changed.get(code) ?? { lower: character, upper: character };
			if (foldCase(character, caseFolding) !== expected.lower || raiseCase(character, caseFolding) !== expected.upper) {
				wrong.push(`${code.toString(16)} ${character}`);
			}
		}
		expect(rows.length).toBeGreaterThanOrEqual(52);
		expect(wrong).toEqual([]);
	});
});
