/** How a database folds letters, by what pg_database says of its locale. */

import { describe, expect, it } from "vitest";
import { caseFoldingOf } from "../../../../src/workers/registrar/inspector.ts";

describe("the case folding of a database", () => {
	it.each([
		["c", "C", "", "ascii"],
		["c", "POSIX", "", "ascii"],
		["c", "en_US.UTF-8", "", "unicode"],
		["b", "C", "C", "ascii"],
		["b", "C", "C.UTF-8", "unicode"],
		["b", "C", "PG_UNICODE_FAST", "full"],
		["i", "C", "und", "full"],
		["i", "en_US.UTF-8", "en-US", "full"],
		["i", "C", "tr-TR", "full:tr"],
		["i", "C", "az_Latn", "full:tr"],
		["i", "C", "lt", "full:lt"],
	] as const)("with provider %s, ctype %s and locale '%s' is %s", (provider, ctype, locale, folding) => {
		expect(caseFoldingOf({ provider, ctype, locale })).toBe(folding);
	});
});
