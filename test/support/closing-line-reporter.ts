/**
 * Ends a test run with one line that any tool can read: `N passed, N failed`, and `, N skipped` when tests were
 * skipped. A file that could not be loaded and an error outside of any test count as failed. Called by vitest.
 */

import { writeSync } from "node:fs";
import type { Reporter, SerializedError, TestModule } from "vitest/node";

const STANDARD_OUTPUT = 1;

export default class ClosingLineReporter implements Reporter {
	onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
		const line = closingLine(modules, unhandledErrors.length);
		// The other reporters write their summary in the same event: the last line has to wait for the end.
		process.once("exit", () => writeSync(STANDARD_OUTPUT, `${line}\n`));
	}
}

function closingLine(modules: readonly TestModule[], unhandledErrors: number): string {
	let passed = 0;
	let failed = unhandledErrors;
	let skipped = 0;
	for (const module of modules) {
		let failedHere = 0;
		for (const test of module.children.allTests()) {
			const { state } = test.result();
			if (state === "passed") {
				passed += 1;
			} else if (state === "failed") {
				failedHere += 1;
			} else {
				skipped += 1;
			}
		}
		failed += failedHere === 0 && module.state() === "failed" ? 1 : failedHere;
	}
	return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}
