/**
 * The tools of the tests, themselves tested.
 */

import { afterEach, describe, expect, it, vi } from "vitest";
import { everySplit, feedReused } from "./every-split.ts";
import { forEachSeed, Random } from "./random.ts";
import { waitFor } from "./wait-for.ts";

describe("every split", () => {
	it("hands over the same bytes whole, cut at each place, and byte by byte", () => {
		const bytes = Buffer.from("abcd");
		const arrivals = [...everySplit(bytes)];
		expect(arrivals.map(({ name }) => name)).toEqual(["whole", "cut at 1", "cut at 2", "cut at 3", "byte by byte"]);
		for (const { name, chunks } of arrivals) {
			expect(Buffer.concat(chunks), name).toEqual(bytes);
		}
	});

	it("catches a reader that keeps a view of a buffer used again", () => {
		const kept: Buffer[] = [];
		feedReused([Buffer.from("ab"), Buffer.from("c")], (chunk) => kept.push(chunk));
		expect(Buffer.concat(kept).toString()).not.toContain("a");
	});
});

describe("randomness", () => {
	afterEach(() => vi.unstubAllEnvs());

	it("repeats itself for a seed and differs between seeds", () => {
		const draw = (seed: number): bigint[] =>
			Array.from(
				{ length: 5 },
				(
					(random) => () =>
						random.bits()
				)(new Random(seed)),
			);
		expect(draw(7)).toEqual(draw(7));
		expect(draw(7)).not.toEqual(draw(8));
	});

	it("reaches both ends of a range and keeps every item of a shuffle", () => {
		const random = new Random(1);
		const drawn = new Set(Array.from({ length: 200 }, () => random.integer(-1, 1)));
		expect([...drawn].sort((left, right) => left - right)).toEqual([-1, 0, 1]);
		expect(random.shuffle([1, 2, 3, 4]).sort()).toEqual([1, 2, 3, 4]);
	});

	it("names the seed that fails, and runs that one alone when asked", async () => {
		const failing = (random: Random): void => {
			if (random.seed === 3) {
				throw new Error("broken");
			}
		};
		await expect(forEachSeed(5, failing)).rejects.toThrow(/seed 3 fails \(SLUICE_TEST_SEED=3 repeats it\): broken/);
		vi.stubEnv("SLUICE_TEST_SEED", "9");
		const seen: number[] = [];
		await forEachSeed(5, ({ seed }) => void seen.push(seed));
		expect(seen).toEqual([9]);
	});
});

describe("waiting", () => {
	it("answers the first value that is there, and takes an error for not yet", async () => {
		let tries = 0;
		const value = await waitFor(
			"the third try",
			() => {
				tries += 1;
				if (tries === 1) {
					throw new Error("too early");
				}
				return tries === 3 && 0;
			},
			{ intervalMs: 1 },
		);
		expect([value, tries]).toEqual([0, 3]);
	});

	it("says what it waited for, and why it was not there", async () => {
		const refused = new Error("refused");
		const probe = (): never => {
			throw refused;
		};
		await expect(waitFor("the moon", probe, { timeoutMs: 5, intervalMs: 1 })).rejects.toMatchObject({
			message: expect.stringContaining("the moon"),
			cause: refused,
		});
	});
});
