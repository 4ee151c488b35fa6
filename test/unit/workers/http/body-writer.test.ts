/** Whole bodies and slow readers. */

import type { ServerResponse } from "node:http";
import { Writable } from "node:stream";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { HTTP_READ_BYTES, HTTP_WRITE_STALL_MS } from "../../../../src/shared/limits.ts";
import { sendWhole } from "../../../../src/workers/http/body-writer.ts";

beforeEach(() => {
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});

afterEach(() => {
	vi.useRealTimers();
});

/** A reader that takes a piece every `pieceMs`. */
function reader(pieceMs: number): { readonly response: ServerResponse; readonly taken: () => number } {
	let bytes = 0;
	const writable = new Writable({
		write(piece: Buffer, _encoding, done): void {
			bytes += piece.length;
			setTimeout(done, pieceMs);
		},
	});
	return { response: writable as unknown as ServerResponse, taken: () => bytes };
}

test("a large body gets as long as its reader needs while the reader takes some of it", async () => {
	const { response, taken } = reader(HTTP_WRITE_STALL_MS / 2);
	const body = Buffer.alloc(8 * HTTP_READ_BYTES + 1);
	sendWhole(response, body);
	await vi.advanceTimersByTimeAsync(10 * HTTP_WRITE_STALL_MS);
	expect(taken()).toBe(body.length);
	expect(response.writableFinished).toBe(true);
});

test("a reader that takes nothing of a large body is cut", async () => {
	const { response, taken } = reader(2 * HTTP_WRITE_STALL_MS);
	sendWhole(response, Buffer.alloc(8 * HTTP_READ_BYTES));
	await vi.advanceTimersByTimeAsync(HTTP_WRITE_STALL_MS + 1);
	expect(response.destroyed).toBe(true);
	expect(taken()).toBe(HTTP_READ_BYTES);
});
