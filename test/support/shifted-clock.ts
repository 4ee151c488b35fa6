/**
 * Preloaded into a daemon (NODE_OPTIONS) it makes every thread's wall clock show what a file says: milliseconds to add.
 * PostgreSQL's clock and the monotonic one stay as they are. Owns `Date.now` and `new Date()`. Named by
 * test/faults/host.pg.test.ts.
 */

import { readFileSync } from "node:fs";

const LOOK_EVERY_MS = 20;
const file = process.env["SHIFTED_CLOCK_FILE"] ?? "";
const TrueDate = Date;
let shiftMs = 0;
let lookedMs = Number.NEGATIVE_INFINITY;

function now(): number {
	if (performance.now() - lookedMs > LOOK_EVERY_MS) {
		lookedMs = performance.now();
		try {
			shiftMs = Number(readFileSync(file, "utf8"));
		} catch {
			// Between two contents: as before.
		}
	}
	return TrueDate.now() + shiftMs;
}

class ShiftedDate extends TrueDate {
	constructor(...values: readonly [] | readonly [string | number | Date]) {
		super(values.length === 0 ? now() : values[0]);
	}

	static override now(): number {
		return now();
	}
}

globalThis.Date = ShiftedDate as DateConstructor;
