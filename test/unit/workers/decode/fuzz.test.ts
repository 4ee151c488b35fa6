/** The decoder on mutated messages: a value or an ordinary error, within its bounds, in bounded memory. */

import fc from "fast-check";
import { expect, it } from "vitest";
import { SluiceError } from "../../../../src/shared/errors.ts";
import { PgoutputDecoder } from "../../../../src/workers/decode/pgoutput.ts";
import { corpus, FUZZ_TIMEOUT_MS, fuzzParameters, memoryBytes, mutated } from "../../../support/fuzz.ts";

const MEMORY_MARGIN_BYTES = 200 * 1024 * 1024;
/** What follows a message in its batch must not be read. */
const GUARD = Buffer.alloc(64, 0x74);

it(
	"answers or refuses whatever comes, whole, cut or damaged",
	() => {
		const inputs = corpus("pgoutput");
		const decoder = new PgoutputDecoder();
		const before = memoryBytes();
		const outcomes = { read: 0, refused: 0 };
		fc.assert(
			fc.property(
				mutated(inputs, ["N", "O", "K", "\0", "t\0\0\0\x01"]),
				fc.integer({ min: 0, max: 9 }),
				(input, columns) => {
					const buffer = Buffer.concat([input, GUARD]);
					const begin = { finalLsnHigh: 0, finalLsnLow: 0, xid: 0 };
					for (const read of [
						() => decoder.readBegin(buffer, 0, input.length, begin),
						() => decoder.checkCommit(buffer, 0, input.length),
						() => decoder.readRelation(buffer, 0, input.length),
						() => decoder.readTruncate(buffer, 0, input.length),
						() => decoder.readInsert(buffer, 0, input.length, columns),
						() => decoder.readUpdate(buffer, 0, input.length, columns),
						() => decoder.readDelete(buffer, 0, input.length, columns),
					]) {
						try {
							read();
							outcomes.read += 1;
						} catch (error) {
							if (!(error instanceof SluiceError && error.code === "SLUICE_TUPLE_MALFORMED")) {
								throw error;
							}
							outcomes.refused += 1;
						}
					}
				},
			),
			fuzzParameters<[Buffer, number]>(),
		);
		expect(outcomes.read).toBeGreaterThan(0);
		expect(outcomes.refused).toBeGreaterThan(0);
		expect(memoryBytes() - before).toBeLessThan(MEMORY_MARGIN_BYTES);
	},
	FUZZ_TIMEOUT_MS,
);
