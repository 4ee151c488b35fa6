/**
 * The benchmark's command line. Called by run.ts.
 */

import { parseArgs } from "node:util";
import type { Mode } from "./reader.ts";

export interface BenchOptions {
	readonly rows: number;
	readonly giantRows: number;
	readonly rounds: number;
	readonly shapes: readonly number[];
	readonly modes: readonly Mode[];
	readonly workers: number;
	/** Without the daemon: the reference readers alone. */
	readonly sluice: boolean;
	/** Beginnings of the names of the workloads to run; empty: all. */
	readonly only: readonly string[];
	readonly jsonFile: string | null;
	readonly keep: boolean;
	readonly help: boolean;
}

export const USAGE = `npm run bench -- [options]
  --quick           small counts, one round, 1 and 100 shapes: under a minute
  --rows N          rows of the 1-row and 100-row workloads (default 300000)
  --giant N         rows of the single transaction (default 1000000)
  --rounds N        rounds of each scenario (default 3)
  --shapes A,B      numbers of shapes (default 1,1000,10000)
  --only TEXT       workloads whose name begins with TEXT: 1-row, 100-row or one; may be repeated
  --live            also with writers that write while readers follow
  --live-only       only that
  --workers N       SLUICE_WORKERS (default 1)
  --no-sluice       the reference readers alone
  --json FILE       also write every measurement to FILE
  --keep            keep the temporary directory
`;

/** @throws TypeError, RangeError with a message for the user */
export function parseOptions(args: readonly string[]): BenchOptions {
	const { values } = parseArgs({
		args: [...args],
		options: {
			quick: { type: "boolean", default: false },
			rows: { type: "string" },
			giant: { type: "string" },
			rounds: { type: "string" },
			shapes: { type: "string" },
			only: { type: "string", multiple: true, default: [] },
			live: { type: "boolean", default: false },
			"live-only": { type: "boolean", default: false },
			workers: { type: "string", default: "1" },
			"no-sluice": { type: "boolean", default: false },
			json: { type: "string" },
			keep: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	const { quick } = values;
	const shapes = (values.shapes ?? (quick ? "1,100" : "1,1000,10000")).split(",");
	return {
		rows: positive("--rows", values.rows ?? (quick ? "20000" : "300000")),
		giantRows: positive("--giant", values.giant ?? (quick ? "100000" : "1000000")),
		rounds: positive("--rounds", values.rounds ?? (quick ? "1" : "3")),
		shapes: shapes.map((text) => positive("--shapes", text)),
		modes: values["live-only"] ? ["live"] : values.live ? ["backlog", "live"] : ["backlog"],
		workers: positive("--workers", values.workers),
		sluice: !values["no-sluice"],
		only: values.only,
		jsonFile: values.json ?? null,
		keep: values.keep,
		help: values.help,
	};
}

function positive(name: string, text: string): number {
	const value = Number(text);
	if (!Number.isInteger(value) || value < 1) {
		throw new RangeError(`${name}: "${text}" is not a whole number above 0`);
	}
	return value;
}
