/**
 * The error table and the envelope: a code, its facts and its causes survive the way through another thread.
 */

import { describe, expect, it } from "vitest";
import { ERROR_TABLE, type ErrorCode, fromWire, SluiceError, toWire } from "../../../src/shared/errors.ts";

function throughClone(thrown: unknown): Error {
	return fromWire(structuredClone(toWire(thrown)));
}

describe("the error table", () => {
	it.each(Object.entries(ERROR_TABLE))("%s says what happened and what to run", (code, entry) => {
		expect(code).toMatch(/^SLUICE_[A-Z]+(?:_[A-Z]+)*$/);
		expect(entry.message.trim()).not.toBe("");
		expect(entry.remedy.trim()).not.toBe("");
		expect(entry.message).not.toMatch(/[\n]|\$\{/);
	});
});

describe("an error that crosses threads", () => {
	it.each(Object.keys(ERROR_TABLE) as ErrorCode[])("%s keeps class, code and retry class", (code) => {
		const error = throughClone(new SluiceError(code, { lsn: 7n, path: "/x" }));
		expect(error).toBeInstanceOf(SluiceError);
		expect(error).toMatchObject({ code, context: { lsn: 7n, path: "/x" }, retry: ERROR_TABLE[code].retry });
	});

	it("keeps the chain of causes and each stack", () => {
		const root = Object.assign(new Error("no space"), { code: "ENOSPC" });
		const error = new SluiceError("SLUICE_DISK_FULL", { bytes: 3, cause: new TypeError("middle", { cause: root }) });
		const arrived = throughClone(error);
		expect(arrived.stack).toBe(error.stack);
		expect(arrived.cause).toMatchObject({ name: "TypeError", message: "middle" });
		expect((arrived.cause as Error).cause).toMatchObject({ message: "no space", systemCode: "ENOSPC" });
		expect((arrived as SluiceError).context).toEqual({ bytes: 3 });
	});

	it.each([["text"], [undefined], [null], [{ odd: true }], [42n]])("%s, which is no error, becomes one", (thrown) => {
		expect(throughClone(thrown)).toMatchObject({ name: "NonError", message: String(thrown) });
	});

	it("ends a chain of causes that leads back to itself", () => {
		const circle = new Error("circle");
		circle.cause = circle;
		let depth = 0;
		for (let error: unknown = throughClone(circle); error instanceof Error; error = error.cause) {
			depth += 1;
		}
		expect(depth).toBeLessThan(20);
	});
});
