/**
 * Fuzzing with a committed corpus: inputs are lines of a file, mutated and crossed by fast-check from a seed, for a few
 * seconds (`SLUICE_FUZZ_SECONDS` each for longer; `SLUICE_TEST_SEED` repeats a run). A line may hold `\xNN` bytes; `#`
 * begins a remark. Called by the fuzz tests beside the rooms.
 */

import { readFileSync } from "node:fs";
import fc from "fast-check";

const SECONDS_DEFAULT = 3;
/** Inputs are bounded so that a run makes many. */
const INPUT_BYTES_MAX = 200_000;

export const FUZZ_SECONDS = Number(process.env["SLUICE_FUZZ_SECONDS"] ?? SECONDS_DEFAULT);
/** For vitest: the run, and shrinking when it fails. */
export const FUZZ_TIMEOUT_MS = FUZZ_SECONDS * 1_000 + 60_000;

/** The inputs of `fuzz-corpus/NAME.txt`, byte for byte. */
export function corpus(name: string): readonly Buffer[] {
	const path = new URL(`./fuzz-corpus/${name}.txt`, import.meta.url);
	return readFileSync(path, "latin1")
		.split("\n")
		.filter((line) => line !== "" && !line.startsWith("#"))
		.map((line) =>
			Buffer.from(
				line.replace(/\\x([0-9a-f]{2})/g, (_escape, digits: string) =>
					String.fromCharCode(Number.parseInt(digits, 16)),
				),
				"latin1",
			),
		);
}

/** One change of an input; `at` and `length` are parts of its length. */
interface Mutation {
	readonly kind: "flip" | "cut" | "repeat" | "splice" | "insert" | "number";
	readonly at: number;
	readonly length: number;
	readonly byte: number;
	readonly other: Buffer;
	readonly text: string;
}

const NUMBERS = ["0", "-1", "00", "1e9", "4294967296", "9223372036854775808", "18446744073709551616", "0x1", "١"];

/** Inputs of the corpus, some of them as they are, most changed in one to six places. */
export function mutated(inputs: readonly Buffer[], words: readonly string[]): fc.Arbitrary<Buffer> {
	const fraction = fc.double({ min: 0, max: 1, noNaN: true });
	const mutation: fc.Arbitrary<Mutation> = fc.record({
		kind: fc.constantFrom("flip", "cut", "repeat", "splice", "insert", "number"),
		at: fraction,
		length: fraction,
		byte: fc.integer({ min: 0, max: 255 }),
		other: fc.constantFrom(...inputs),
		text: fc.oneof(fc.constantFrom(...words), fc.string({ unit: "binary", maxLength: 8 })),
	});
	return fc
		.tuple(fc.constantFrom(...inputs), fc.array(mutation, { maxLength: 6 }))
		.map(([input, mutations]) => mutations.reduce(mutate, input).subarray(0, INPUT_BYTES_MAX));
}

function mutate(input: Buffer, mutation: Mutation): Buffer {
	const { kind, byte, other, text } = mutation;
	const at = Math.floor(mutation.at * input.length);
	const end = at + Math.floor(mutation.length * (input.length - at));
	switch (kind) {
		case "flip": {
			const copy = Buffer.from(input);
			if (at < copy.length) {
				copy[at] = byte;
			}
			return copy;
		}
		case "cut":
			return Buffer.concat([input.subarray(0, at), input.subarray(end)]);
		case "repeat": {
			const piece = input.subarray(at, end);
			return Buffer.concat([
				input.subarray(0, end),
				...Array<Buffer>(1 + (byte % 32)).fill(piece),
				input.subarray(end),
			]);
		}
		case "splice":
			return Buffer.concat([input.subarray(0, at), other.subarray(Math.floor(mutation.length * other.length))]);
		case "insert":
			return Buffer.concat([input.subarray(0, at), Buffer.from(text), input.subarray(at)]);
		case "number": {
			const number = NUMBERS[byte % NUMBERS.length] ?? "0";
			return Buffer.from(input.toString("latin1").replace(/\d+/, number), "latin1");
		}
	}
}

/** How a run is made: as many inputs as the time allows; every one of them counts. */
export function fuzzParameters<T>(): fc.Parameters<T> {
	const seed = process.env["SLUICE_TEST_SEED"];
	return {
		numRuns: 100_000_000,
		interruptAfterTimeLimit: FUZZ_SECONDS * 1_000,
		markInterruptAsFailure: false,
		...(seed === undefined ? {} : { seed: Number(seed) }),
	};
}

/** Heap and buffers, after a collection where the process allows one. */
export function memoryBytes(): number {
	globalThis.gc?.();
	const { heapUsed, external } = process.memoryUsage();
	return heapUsed + external;
}
