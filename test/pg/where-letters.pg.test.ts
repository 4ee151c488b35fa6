/**
 * Every character of Unicode in lower and in upper case, as PostgreSQL's UTF-8 databases fold it and as Sluice does.
 * They may differ where the releases of Unicode do: in letters that came, or got a counterpart, with 16 and 17.
 */

import { describe, expect, it } from "vitest";
import { foldCase, likeMatcher, raiseCase } from "../../src/shared/sql/letters.ts";
import type { CaseFolding } from "../../src/shared/where-tree.ts";
import { embeddedServers, type TestDatabase, testServers, useServer } from "../support/postgres.ts";
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

/** The ICU of the embedded servers knows Unicode 10. */
const SINCE_UNICODE_11: readonly (readonly [number, number])[] = [
	[0x282, 0x282],
	[0x10d0, 0x10ff],
	[0x1c90, 0x1cbf],
	[0x1d8e, 0x1d8e],
	[0x2c2f, 0x2c5f],
	[0xa794, 0xa794],
	[0xa7b8, 0xa7f6],
	[0x10570, 0x105bc],
	[0x16e40, 0x16e7f],
];

const CHANGED = `
	select i, lower(c) as lower, upper(c) as upper
	from (select i, chr(i) as c from generate_series(1, 1114111) i where i not between 55296 and 57343) q
	where lower(c) <> c or upper(c) <> c`;

/** Characters that the database folds otherwise than Sluice does, but for those of newer Unicode. */
async function foldedOtherwise(
	database: TestDatabase,
	caseFolding: CaseFolding,
	newer: readonly (readonly [number, number])[],
): Promise<string[]> {
	const client = await database.connect();
	const { rows } = await client.query<{ i: number; lower: string; upper: string }>(CHANGED);
	expect(rows.length).toBeGreaterThanOrEqual(52);
	const changed = new Map(rows.map((row) => [row.i, row]));
	const wrong: string[] = [];
	for (let code = 1; code <= 0x10ffff; code += 1) {
		const isSurrogate = code >= 0xd800 && code <= 0xdfff;
		if (isSurrogate || newer.some(([first, last]) => code >= first && code <= last)) {
			continue;
		}
		const character = String.fromCodePoint(code);
		const expected = changed.get(code) ?? { lower: character, upper: character };
		if (foldCase(character, caseFolding) !== expected.lower || raiseCase(character, caseFolding) !== expected.upper) {
			wrong.push(`${code.toString(16)} ${character}`);
		}
	}
	return wrong;
}

describe.each(testServers())("the letters of a database on $name", (kind) => {
	const server = useServer(kind);

	it.each(["ascii", "unicode"] as const)("that folds %s letters fold as here", async (caseFolding) => {
		const database = await createWhereDatabase(server, caseFolding);
		expect(await foldedOtherwise(database, caseFolding, NEWER)).toEqual([]);
	});
});

describe.each(embeddedServers([18]))("the letters of an ICU database on $name", (kind) => {
	const server = useServer(kind);

	it("fold as here", async () => {
		const database = await createWhereDatabase(server, "full");
		expect(await foldedOtherwise(database, "full", [...NEWER, ...SINCE_UNICODE_11])).toEqual([]);
	});

	it.each(["full", "full:tr", "full:lt"] as const)("fold in words as here, by the rules of %s", async (caseFolding) => {
		const database = await createWhereDatabase(server, caseFolding);
		const words = ["ΟΔΟΣ", "ΑΣΒ Σ", "İstanbul IĞDIR", "straße ŉ ﬁ", "Ì Í Ĩ J̇", "ᾳ ᾲ ῼ", "plain"];
		for (const word of words) {
			const [row] = await database.sql<{ lower: string; upper: string; like: boolean }>(
				"select lower($1), upper($1), $1::text ilike lower($1) || '%' as like",
				[word],
			);
			expect(row?.lower).toBe(foldCase(word, caseFolding));
			expect(row?.upper).toBe(raiseCase(word, caseFolding));
			expect(row?.like).toBe(likeMatcher(`${foldCase(word, caseFolding)}%`, caseFolding)(word));
		}
	});
});
