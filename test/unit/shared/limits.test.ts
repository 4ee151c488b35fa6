/**
 * The relations that must hold between limits, whoever changes one.
 */

import { describe, expect, it } from "vitest";
import { BATCH_HEADER_BYTES, FRAME_LENGTH_BYTES } from "../../../src/shared/batch-layout.ts";
import { parseConfig } from "../../../src/shared/config.ts";
import * as limits from "../../../src/shared/limits.ts";
import { ShapeTable } from "../../../src/shared/shape-table.ts";

const U32_MAX = 0xffff_ffff;
const MIB = 1024 * 1024;
const defaults = parseConfig({});

describe("limits", () => {
	it("are positive numbers, and whole ones unless they are fractions", () => {
		for (const [name, value] of Object.entries(limits)) {
			expect(value, name).toBeGreaterThan(0);
			expect(Number.isSafeInteger(value) || name.endsWith("_FRACTION"), name).toBe(true);
		}
	});

	it("let a full batch fit into a segment", () => {
		expect(limits.BATCH_BYTES_MAX + BATCH_HEADER_BYTES + FRAME_LENGTH_BYTES).toBeLessThanOrEqual(limits.SEGMENT_BYTES);
	});

	it("make a window of whole segments, with room to fill one while another is read", () => {
		expect(defaults.windowBytes % limits.SEGMENT_BYTES).toBe(0);
		expect(() => parseConfig({ SLUICE_WINDOW_BYTES: String(2 * limits.SEGMENT_BYTES - 1) })).toThrow();
		expect(parseConfig({ SLUICE_WINDOW_BYTES: String(2 * limits.SEGMENT_BYTES) }).windowBytes).toBe(8 * MIB);
	});

	it("send at least four keepalives within PostgreSQL's default wal_sender_timeout of 60 s", () => {
		expect(limits.KEEPALIVE_INTERVAL_MAX_MS * 4).toBeLessThanOrEqual(60_000);
	});

	it("move the durable position several times between two keepalives", () => {
		expect(limits.CHECKPOINT_INTERVAL_MS * 4).toBeLessThan(limits.KEEPALIVE_INTERVAL_MAX_MS);
	});

	it("close a batch for its age well before a checkpoint, and retry it often before giving up", () => {
		expect(limits.BATCH_AGE_MAX_MS * 10).toBeLessThan(limits.CHECKPOINT_INTERVAL_MS);
		expect(limits.BATCH_RETRY_DELAY_MS * 100).toBeLessThan(limits.BATCH_RETRY_BUDGET_MS);
	});

	it("keep every byte position of a segment in 32 bits: a chunk, and one entry whose every byte is escaped", () => {
		const chunkBytesMax = 1024 * MIB;
		expect(() => parseConfig({ SLUICE_CHUNK_BYTES: String(chunkBytesMax + 1) })).toThrow();
		expect(chunkBytesMax + 6 * limits.FRAME_BYTES_MAX).toBeLessThanOrEqual(U32_MAX);
	});

	it("make a shape table that is small beside the window", () => {
		expect(ShapeTable.byteLength).toBeLessThanOrEqual(defaults.windowBytes);
		expect(limits.SHAPES_MAX).toBeLessThanOrEqual(U32_MAX);
	});

	it("answer a live request before the client gives up at 45 s", () => {
		expect(() => parseConfig({ SLUICE_LONG_POLL_TIMEOUT_MS: "45000" })).toThrow();
		expect(defaults.longPollTimeoutMs).toBeLessThan(45_000);
	});

	it("wait for a shape, a chunk or readiness before the client's own deadline of a request", () => {
		expect(limits.HTTP_READINESS_WAIT_MS).toBeLessThan(limits.HTTP_PREPARE_WAIT_MS);
		expect(limits.HTTP_PREPARE_WAIT_MS).toBeLessThanOrEqual(limits.HTTP_RESOLVE_WAIT_MS);
		expect(limits.HTTP_HEADERS_TIMEOUT_MS).toBeLessThanOrEqual(limits.HTTP_REQUEST_TIMEOUT_MS);
	});

	it("keep an idle connection longer than a proxy in front does", () => {
		expect(limits.HTTP_KEEP_ALIVE_MS).toBeGreaterThan(60_000);
	});

	it("show life in an event stream before its end, more than once", () => {
		expect(limits.HTTP_SSE_KEEP_ALIVE_MS * 2).toBeLessThan(limits.HTTP_SSE_LIFETIME_MS);
	});

	it("take every where, with all its parameters, in one request", () => {
		expect(limits.WHERE_BYTES_MAX + limits.PARAMS_BYTES_MAX).toBeLessThan(limits.HTTP_BODY_BYTES_MAX);
		expect(limits.PARAMS_MAX).toBeLessThan(limits.HTTP_QUERY_PAIRS_MAX);
	});
});
