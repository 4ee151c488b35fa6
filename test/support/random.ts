/**
 * Repeatable randomness: a generator that depends on its seed alone, and a runner that says which seed failed.
 * `SLUICE_TEST_SEED=n` runs that seed only. Called by tests.
 */

/** A generator after the pattern of SplitMix64: a counter, mixed. */
export class Random {
	readonly seed: number;
	#state: bigint;

	constructor(seed: number) {
		this.seed = seed;
		this.#state = BigInt(seed);
	}

	/** 64 random bits. */
	bits(): bigint {
		this.#state = BigInt.asUintN(64, this.#state + 0x9e37_79b9_7f4a_7c15n);
		let mixed = this.#state;
		mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 30n)) * 0xbf58_476d_1ce4_e5b9n);
		mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 27n)) * 0x94d0_49bb_1331_11ebn);
		return mixed ^ (mixed >> 31n);
	}

	/** From 0 inclusive to 1 exclusive. */
	fraction(): number {
		return Number(this.bits() >> 11n) / 2 ** 53;
	}

	/** An integer from `low` to `high`, both inclusive. */
	integer(low: number, high: number): number {
		return low + Math.floor(this.fraction() * (high - low + 1));
	}

	chance(probability: number): boolean {
		return this.fraction() < probability;
	}

	pick<T>(items: readonly T[]): T {
		const index = this.integer(0, items.length - 1);
		if (index < 0 || index >= items.length) {
			throw new Error("cannot pick from nothing");
		}
		return items[index] as T;
	}

	/** A new array in random order. */
	shuffle<T>(items: readonly T[]): T[] {
		return items
			.map((item) => ({ item, key: this.fraction() }))
			.sort((left, right) => left.key - right.key)
			.map(({ item }) => item);
	}

	bytes(count: number): Buffer {
		return Buffer.from(Array.from({ length: count }, () => this.integer(0, 255)));
	}

	text(length: number, alphabet = "abcdefghijklmnopqrstuvwxyz"): string {
		return Array.from({ length }, () => this.pick([...alphabet])).join("");
	}
}

/**
 * Runs `body` for `count` seeds (1, 2, …), one after the other.
 * @throws Error that names the seed, with the failure as its cause
 */
export async function forEachSeed(count: number, body: (random: Random) => void | Promise<void>): Promise<void> {
	const wanted = process.env["SLUICE_TEST_SEED"];
	const seeds = wanted === undefined ? Array.from({ length: count }, (_, index) => index + 1) : [Number(wanted)];
	for (const seed of seeds) {
		try {
			await body(new Random(seed));
		} catch (cause) {
			const message = cause instanceof Error ? cause.message : String(cause);
			throw new Error(`seed ${seed} fails (SLUICE_TEST_SEED=${seed} repeats it): ${message}`, { cause });
		}
	}
}
