/**
 * LSN text: what PostgreSQL prints comes back bit for bit, and nothing else is taken.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatLsn, maxLsn, minLsn, parseLsn } from "../../../src/shared/lsn.ts";

const LSN_MAX = 0xffff_ffff_ffff_ffffn;

describe("LSN text", () => {
	it.each([
		["0/0", 0n],
		["16/B374D848", 0x16_b374_d848n],
		["0/00ABCDEF", 0xab_cdefn],
		["ffffffff/FFFFFFFF", LSN_MAX],
		["80000000/1", 0x8000_0000_0000_0001n],
	])("%s is read without rounding", (text, lsn) => {
		expect(parseLsn(text)).toBe(lsn);
	});

	it("is written upper case and unpadded, as pg_lsn_out does", () => {
		expect(formatLsn(0x16_b374_d848n)).toBe("16/B374D848");
		expect(formatLsn(0x1_0000_000an)).toBe("1/A");
	});

	it("comes back the same for every 64-bit value", () => {
		fc.assert(
			fc.property(fc.bigInt({ min: 0n, max: LSN_MAX }), (lsn) => {
				expect(parseLsn(formatLsn(lsn))).toBe(lsn);
			}),
		);
	});

	it.each(["", "0", "/", "0/", "/0", "0/0/0", "g/0", " 0/0", "0/0\n", "123456789/0", "0/123456789", "-1/0", "0x1/0"])(
		"%j is refused",
		(text) => {
			expect(() => parseLsn(text)).toThrow(expect.objectContaining({ code: "SLUICE_LSN_MALFORMED" }));
		},
	);

	it("is compared as a number: beyond 2^53 too", () => {
		expect(maxLsn(LSN_MAX, LSN_MAX - 1n)).toBe(LSN_MAX);
		expect(minLsn(LSN_MAX, LSN_MAX - 1n)).toBe(LSN_MAX - 1n);
	});
});
