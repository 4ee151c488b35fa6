/** What clients are told when they cannot be served now: the rows of shape-http-api.md 16 and 4, as they go over the wire. */

import { expect, test } from "vitest";
import { type ErrorCode, SluiceError } from "../../../../src/shared/errors.ts";
import { LEVEL_READ_ONLY, LEVEL_STARTING } from "../../../../src/shared/shape-table.ts";
import { HttpStand, query } from "./support/http-stand.ts";

const ITEMS = query({ table: "items", offset: "-1" });

test.each<[string, ErrorCode, Record<string, unknown>, number, string | undefined, boolean, unknown]>([
	[
		"§4 the database cannot be reached",
		"SLUICE_DATABASE_UNAVAILABLE",
		{},
		503,
		"1",
		false,
		{ message: "Cannot connect to the database to verify the shape. Please try again later." },
	],
	[
		"§16 a snapshot that fails says PostgreSQL's words",
		"SLUICE_SNAPSHOT_FAILED",
		{ serverMessage: "Snapshot timed out while waiting for a table lock" },
		503,
		"10",
		true,
		{ message: "Snapshot timed out while waiting for a table lock" },
	],
	[
		"§16 a table that cannot be followed",
		"SLUICE_TABLE_NOT_READY",
		{ serverMessage: "must be owner of table items" },
		503,
		"10",
		true,
		{ message: "must be owner of table items" },
	],
	[
		"§5 a shape that could not be made",
		"SLUICE_THREAD_GONE",
		{},
		503,
		"1",
		false,
		{ message: "Failed to create shape, please retry" },
	],
	[
		"§15 no room for another shape",
		"SLUICE_SHAPES_EXHAUSTED",
		{},
		503,
		"10",
		true,
		{ message: "Failed to create shape: no more shapes can be held" },
	],
])("%s", async (_row, code, context, status, retryAfter, known, body) => {
	await using stand = await HttpStand.start({ thread: { readinessWaitMs: 10 } });
	stand.registrar.onResolve = async () => {
		throw new SluiceError(code, context);
	};
	const answer = await stand.get(ITEMS);
	expect(answer.status).toBe(status);
	expect(JSON.parse(answer.text)).toEqual(body);
	expect(answer.headers["retry-after"]).toBe(retryAfter);
	expect(answer.headers["electric-internal-known-error"]).toBe(known ? "true" : undefined);
	expect(answer.headers).toMatchObject({
		"content-type": "application/json; charset=utf-8",
		"cache-control": "no-store",
		"surrogate-control": "no-store",
	});
});

test.each([
	["another instance holds the lock", LEVEL_READ_ONLY, /^Timeout waiting for Postgres lock acquisition$/],
	["the link is not there yet", LEVEL_STARTING, /^Timeout waiting for replication client to be ready\./],
] as const)("§16 not ready after the wait: %s", async (_why, level, message) => {
	await using stand = await HttpStand.start({ level, thread: { readinessWaitMs: 10 } });
	stand.registrar.onResolve = async () => {
		throw new SluiceError("SLUICE_NOT_ACTIVE");
	};
	const answer = await stand.get(ITEMS);
	expect([answer.status, answer.headers["retry-after"]]).toEqual([503, "5"]);
	expect(JSON.parse(answer.text).message).toMatch(message);
});

test("§16 what nobody expected is a 500 without detail, with the default cache header", async () => {
	await using stand = await HttpStand.start();
	stand.registrar.onResolve = async () => {
		throw new Error("a secret detail");
	};
	const answer = await stand.get(ITEMS);
	expect([answer.status, answer.text]).toEqual([500, '{"error":"Internal server error"}']);
	expect(answer.headers["cache-control"]).toBe("max-age=0, private, must-revalidate");
	expect(answer.headers).not.toHaveProperty("content-type");
	expect(answer.headers["access-control-allow-origin"]).toBe("*");
});

test("§16 existing requests have a limit of their own, which a request with a handle counts against", async () => {
	await using stand = await HttpStand.start({
		environment: { SLUICE_MAX_EXISTING_REQUESTS: "1", SLUICE_LONG_POLL_TIMEOUT_MS: "30000" },
	});
	const handle = "38216733-1768478340123456";
	stand.shape("items", handle, 7).snapshot([["{}"]]);
	const leaving = new AbortController();
	const parked = stand.send("GET", query({ table: "items", offset: "0_inf", handle, live: "true" }), {
		signal: leaving.signal,
	});
	await stand.parked(1);
	const refused = await stand.get(query({ table: "items", offset: "0_inf", handle }));
	expect(refused.status).toBe(503);
	expect(JSON.parse(refused.text)).toEqual({
		code: "concurrent_request_limit_exceeded",
		message: "Concurrent existing request limit exceeded (limit: 1), please retry",
	});
	expect(Number(refused.headers["retry-after"])).toBeGreaterThanOrEqual(6);
	leaving.abort();
	await expect(parked).rejects.toThrow();
});
