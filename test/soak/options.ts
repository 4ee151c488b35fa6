/**
 * The soak's command line. Pure. Called by run.ts.
 */

import { parseArgs } from "node:util";
import type { PostgresVersion } from "../../src/main/local-postgres/local-postgres.ts";

export interface SoakOptions {
	readonly minutes: number;
	/** Decides the faults, their order and lengths, the shapes and the writes; not their timing. */
	readonly seed: number;
	readonly postgres: PostgresVersion;
	readonly followers: number;
	readonly writers: number;
	readonly workers: number;
	/** Names of the faults to cause; empty: all. */
	readonly only: readonly string[];
	readonly keep: boolean;
	readonly help: boolean;
}

export const USAGE = `npm run soak -- [options]
  --minutes N     how long to cause faults (default 30)
  --seed N        the same faults, shapes and writes again (default: drawn, and printed)
  --postgres N    major version: 15, 16, 17 or 18 (default 18)
  --followers N   official clients that follow shapes of generated conditions (default 12)
  --writers N     connections that write all the time (default 2)
  --workers N     SLUICE_WORKERS (default 2)
  --only NAME     cause this fault only; may be repeated
  --keep          keep the temporary directory
`;

/** @throws TypeError, RangeError with a message for the user */
export function parseOptions(args: readonly string[], drawSeed: () => number): SoakOptions {
	const { values } = parseArgs({
		args: [...args],
		options: {
			minutes: { type: "string", default: "30" },
			seed: { type: "string" },
			postgres: { type: "string", default: "18" },
			followers: { type: "string", default: "12" },
			writers: { type: "string", default: "2" },
			workers: { type: "string", default: "2" },
			only: { type: "string", multiple: true, default: [] },
			keep: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	const minutes = Number(values.minutes);
	if (!(minutes > 0)) {
		throw new RangeError(`--minutes: "${values.minutes}" is not a number above 0`);
	}
	return {
		minutes,
		seed: values.seed === undefined ? drawSeed() : whole("--seed", values.seed),
		postgres: majorVersion(whole("--postgres", values.postgres)),
		followers: whole("--followers", values.followers),
		writers: whole("--writers", values.writers),
		workers: whole("--workers", values.workers),
		only: values.only,
		keep: values.keep,
		help: values.help,
	};
}

function whole(name: string, text: string): number {
	const value = Number(text);
	if (!Number.isSafeInteger(value) || value < 1) {
		throw new RangeError(`${name}: "${text}" is not a whole number above 0`);
	}
	return value;
}

function majorVersion(value: number): PostgresVersion {
	if (value !== 15 && value !== 16 && value !== 17 && value !== 18) {
		throw new RangeError(`--postgres: ${value} is none of 15, 16, 17, 18`);
	}
	return value;
}
