/** The pure deciders of the HTTP room: offsets, cursor, cache lifetimes, tags, routes, queries, plans. */

import { describe, expect, test } from "vitest";
import { SluiceError } from "../../../../src/shared/errors.ts";
import { HTTP_QUERY_PAIRS_MAX } from "../../../../src/shared/limits.ts";
import { adminTarget, isAllowedCaller, wholeNumber } from "../../../../src/workers/http/admin-route.ts";
import { Admission, admissionRetryAfter } from "../../../../src/workers/http/admission.ts";
import { shapeCacheControl } from "../../../../src/workers/http/cache-control.ts";
import { nextCursor } from "../../../../src/workers/http/cursor.ts";
import { encodedEtag, matchingEtag, shapeEtag, UniqueTags } from "../../../../src/workers/http/etag.ts";
import { describeError } from "../../../../src/workers/http/failures.ts";
import { decodeQuery } from "../../../../src/workers/http/query.ts";
import { planRead } from "../../../../src/workers/http/read-plan.ts";
import {
	formatRequestOffset,
	OP_INFINITE,
	parseRequestOffset,
	type RequestOffset,
} from "../../../../src/workers/http/request-offset.ts";
import { apiRoute, parseTarget } from "../../../../src/workers/http/router.ts";
import { SecretCheck } from "../../../../src/workers/http/secret.ts";
import type { ShapeView } from "../../../../src/workers/http/shape-view.ts";

describe("offsets", () => {
	test.each([
		["-1", "-1"],
		["-1_0", "-1"],
		["now", "now"],
		["0_0", "0_0"],
		["0_inf", "0_inf"],
		["0026801312_004", "26801312_4"],
		["18446744073709551615_2", "18446744073709551615_2"],
		["5_inf", "5_inf"],
	])("%s is read as %s", (text, canonical) => {
		const offset = parseRequestOffset(text);
		expect(offset && formatRequestOffset(offset)).toBe(canonical);
	});

	test.each([
		"",
		" ",
		"5",
		"5_",
		"_5",
		"-2",
		"-5_0",
		"5_-1",
		"1.0_2",
		"1_2_3",
		"1e3_0",
		"NOW",
		"inf_inf",
		"18446744073709551616_0",
		"5_9999999999999999",
		`${"0".repeat(200)}1_0`,
	])("%s is refused", (text) => {
		expect(parseRequestOffset(text)).toBeNull();
	});
});

describe("the cursor", () => {
	const at = Date.UTC(2026, 0, 15, 12, 0, 7);

	test("is the end of the 20 s window that the request falls into", () => {
		expect(nextCursor(20_000, at, "")).toBe("40046420");
	});

	test("never repeats or goes back for a client that already has this window's", () => {
		expect(nextCursor(20_000, at, "40046420", () => 0)).toBe("40046421");
		expect(nextCursor(20_000, at, "50000000", () => 0.999999)).toBe("50003600");
		expect(nextCursor(20_000, at, "99999999999999999999", () => 0)).toBe("100000000000000000000");
	});

	test("counts garbage as no cursor, and is 0 without a time-out", () => {
		expect(nextCursor(20_000, at, "-5; drop")).toBe("40046420");
		expect(nextCursor(0, at, "77")).toBe("0");
		expect(nextCursor(400, at, "77")).toBe("0");
	});
});

describe("cache-control", () => {
	const lifetimes = { cacheMaxAgeSeconds: 60, cacheStaleAgeSeconds: 300 };
	const base = { method: "GET", status: 200, hasHandle: true, initial: false, live: false, sse: false };

	test.each([
		[{ method: "POST" }, "no-cache"],
		[{ method: "POST", status: 409 }, "no-cache"],
		[{ method: "POST", status: 400 }, "no-cache"],
		[{ status: 409 }, "public, max-age=60, must-revalidate"],
		[{ status: 409, hasHandle: false }, "public, max-age=1, must-revalidate"],
		[{ status: 409, initial: true }, "public, max-age=60, must-revalidate"],
		[{ status: 400, initial: true }, "no-store"],
		[{ status: 503, live: true }, "no-store"],
		[{ initial: true }, "public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746"],
		[{ live: true, sse: true }, "public, max-age=59"],
		[{ live: true }, "public, max-age=5, stale-while-revalidate=5"],
		[{ live: true, status: 304 }, "public, max-age=5, stale-while-revalidate=5"],
		[{}, "public, max-age=60, stale-while-revalidate=300"],
		[{ status: 304 }, "public, max-age=60, stale-while-revalidate=300"],
	])("%o gives %s", (facts, expected) => {
		expect(shapeCacheControl({ ...base, ...facts }, lifetimes)).toBe(expected);
	});
});

describe("entity tags", () => {
	test("match in a list, with or without quotes, and never with a weak prefix", () => {
		const tag = shapeEtag("1-2", "0_0", "0_inf");
		expect(tag).toBe('"1-2:0_0:0_inf"');
		expect(matchingEtag(`"a", ${tag}`, tag)).toBe(tag);
		expect(matchingEtag("1-2:0_0:0_inf", tag)).toBe(tag);
		expect(matchingEtag(`W/${tag}`, tag)).toBeNull();
		expect(matchingEtag("*", tag)).toBeNull();
		expect(matchingEtag(undefined, tag)).toBeNull();
	});

	test("differ by encoding, and each form is known as one of the same content", () => {
		const tag = shapeEtag("1-2", "-1", "0_0");
		expect(encodedEtag(tag, "identity")).toBe(tag);
		expect(encodedEtag(tag, "gzip")).toBe('"1-2:-1:0_0-gzip"');
		for (const encoding of ["identity", "gzip", "br", "zstd"] as const) {
			expect(matchingEtag(encodedEtag(tag, encoding), tag)).toBe(encodedEtag(tag, encoding));
		}
		expect(matchingEtag('"1-2:-1:0_1-gzip"', tag)).toBeNull();
		expect(matchingEtag('"1-2:-1:0_0-deflate"', tag)).toBeNull();
	});

	test("of responses without changes never repeat, in one thread or between threads", () => {
		const threads = [new UniqueTags(0), new UniqueTags(1)];
		const tags = Array.from({ length: 2_000 }, (_, index) => threads[index % 2]?.shapeEtag("h", "1_0", "1_0"));
		expect(new Set(tags).size).toBe(2_000);
	});
});

describe("routes", () => {
	test.each([
		["GET", "/v1/shape?table=x", "shape"],
		["HEAD", "/v1/shape/", "shape"],
		["POST", "//v1///shape", "shape"],
		["GET", "/%76%31/sh%61pe?x", "shape"],
		["GET", "http://example.test/v1/shape?a=b", "shape"],
		["OPTIONS", "/v1/shape", "preflight"],
		["DELETE", "/v1/shape", "delete"],
		["GET", "/", "root"],
		["GET", "", "root"],
		["HEAD", "/v1/health", "health"],
		["GET", "/v1%2Fshape", "none"],
		["GET", "/V1/shape", "none"],
		["GET", "/v1/./shape", "none"],
		["GET", "/v1/shape/items?offset=-1", "shape"],
		["OPTIONS", "/v1/shape/items", "preflight"],
		["POST", "/v1/shape/items", "none"],
		["DELETE", "/v1/shape/items", "none"],
		["GET", "/v1/health/items", "none"],
		["GET", "/v1/shape/items/more", "none"],
		["PATCH", "/v1/shape", "none"],
		["POST", "/", "none"],
	])("%s %s is %s", (method, url, route) => {
		const { segments } = parseTarget(url);
		expect(apiRoute(method, segments ?? ["undecodable"])).toBe(route);
	});

	test("a path that cannot be decoded has no segments", () => {
		expect(parseTarget("/v1/%zz").segments).toBeNull();
		expect(parseTarget("/v1/%ff?a=b")).toEqual({ segments: null, rawQuery: "a=b" });
	});
});

describe("queries", () => {
	test("decode as forms do, brackets as maps, the last of a repeated key wins", () => {
		const query = decodeQuery("a=1+2&b=%26%3D&a=3&live&params[1]=x&params[2]=y%5B&&params[1]=z&__proto__=p");
		expect(query?.get("a")).toBe("3");
		expect(query?.get("b")).toBe("&=");
		expect(query?.get("live")).toBe("");
		expect(query?.get("params")).toEqual(
			new Map([
				["1", "z"],
				["2", "y["],
			]),
		);
		expect(query?.get("__proto__")).toBe("p");
		expect(decodeQuery("a=first&a[1]=x")?.get("a")).toEqual(new Map([["1", "x"]]));
	});

	test("keep structures that no parameter has apart from text", () => {
		expect(decodeQuery("a[]=1")?.get("a")).toBeNull();
		expect(decodeQuery("a[1][2]=x")?.get("a")).toEqual(new Map([["1", null]]));
		expect(decodeQuery("a[b=1")?.get("a[b")).toBe("1");
	});

	test("that are broken or have too many pairs are refused", () => {
		expect(decodeQuery("a=%")).toBeNull();
		expect(decodeQuery("a=%c3%28")).toBeNull();
		expect(decodeQuery("a=\xff")).toBeNull();
		expect(decodeQuery(Buffer.from("a=é").toString("latin1"))?.get("a")).toBe("é");
		expect(decodeQuery("x=1&".repeat(HTTP_QUERY_PAIRS_MAX))?.get("x")).toBe("1");
		expect(decodeQuery("x=1&".repeat(HTTP_QUERY_PAIRS_MAX + 1))).toBeNull();
	});

	test("carry the secret by `secret`, and by `api_secret` only without it", () => {
		const check = new SecretCheck("right");
		const allows = (raw: string) => check.allows(decodeQuery(raw) ?? new Map());
		expect(allows("secret=right")).toBe(true);
		expect(allows("api_secret=right")).toBe(true);
		expect(allows("secret=&api_secret=right")).toBe(false);
		expect(allows("secret=wrong&api_secret=right")).toBe(false);
		expect(allows("secret[1]=right")).toBe(false);
		expect(allows("")).toBe(false);
		expect(new SecretCheck(undefined).allows(new Map())).toBe(true);
	});
});

describe("what a reader at an offset gets", () => {
	const log = { opened: true, lastOffset: { tx: 50n, op: 6 }, segment: 0, segmentBytes: 9, segmentEntries: 3 };
	const emptyLog = { ...log, lastOffset: { tx: 0n, op: 0 }, segmentBytes: 0, segmentEntries: 0 };
	const view: ShapeView = {
		gone: false,
		active: true,
		snapshotFinished: true,
		snapshotChunks: 2,
		logReadable: true,
		log,
		processedLsn: 70n,
	};
	const empty: ShapeView = { ...view, log: emptyLog };
	const growing: ShapeView = {
		...view,
		active: false,
		snapshotFinished: false,
		snapshotChunks: 1,
		logReadable: false,
		log: { ...emptyLog, opened: false },
	};
	const unopened: ShapeView = { ...view, logReadable: false, log: { ...emptyLog, opened: false } };
	const INF = { tx: 0n, op: OP_INFINITE };
	const at = (text: string): RequestOffset => parseRequestOffset(text) ?? { kind: "now" };

	test.each([
		["-1", view, { kind: "chunk", chunk: 0 }],
		["-1", growing, { kind: "chunk", chunk: 0 }],
		["-1", { ...growing, snapshotChunks: 0 }, { kind: "not-ready" }],
		["0_0", view, { kind: "chunk", chunk: 1 }],
		["0_0", growing, { kind: "not-ready" }],
		["0_1", view, { kind: "log", after: INF }],
		["0_99", view, { kind: "log", after: INF }],
		["0_1", empty, { kind: "at-end", end: INF }],
		["0_inf", empty, { kind: "at-end", end: INF }],
		["0_inf", growing, { kind: "not-ready" }],
		["0_inf", unopened, { kind: "not-ready" }],
		["50_6", view, { kind: "at-end", end: { tx: 50n, op: 6 } }],
		["50_0", view, { kind: "at-end", end: { tx: 50n, op: 6 } }],
		["50_inf", view, { kind: "at-end", end: { tx: 50n, op: 6 } }],
		["50_4", view, { kind: "log", after: { tx: 50n, op: 4 } }],
		["40_0", view, { kind: "log", after: { tx: 40n, op: OP_INFINITE } }],
		["50_7", view, { kind: "out-of-bounds" }],
		["51_0", view, { kind: "out-of-bounds" }],
		["1_0", empty, { kind: "out-of-bounds" }],
		["50_6", unopened, { kind: "not-ready" }],
		["now", view, { kind: "now", end: { tx: 50n, op: 6 }, lsn: 70n }],
		["now", { ...view, processedLsn: 0n }, { kind: "now", end: { tx: 50n, op: 6 }, lsn: 50n }],
		["now", growing, { kind: "now", end: INF, lsn: 0n }],
		["now", unopened, { kind: "not-ready" }],
		["-1", { ...view, gone: true }, { kind: "gone" }],
		["50_6", { ...view, gone: true }, { kind: "gone" }],
	] as const)("%s of %o: %o", (offset, given, plan) => {
		expect(planRead(at(offset), given)).toEqual(plan);
	});
});

describe("admission", () => {
	test("permits are given back once, and move only where there is room", () => {
		const admission = new Admission({ initial: 2, existing: 1 });
		const first = admission.tryAcquire("initial");
		const second = admission.tryAcquire("initial");
		expect(admission.tryAcquire("initial")).toBeNull();
		expect(first?.become("existing")).toBe(true);
		expect(second?.become("existing")).toBe(false);
		expect(second?.kind).toBe("initial");
		expect(admission.current).toEqual({ initial: 1, existing: 1 });
		first?.release();
		first?.release();
		expect(first?.become("initial")).toBe(false);
		second?.release();
		expect(admission.current).toEqual({ initial: 0, existing: 0 });
		expect(admission.rejected).toEqual({ initial: 1, existing: 0 });
	});

	test("rejected clients come back after 6 to 10 seconds", () => {
		expect(admissionRetryAfter(() => 0)).toBe(6);
		expect(admissionRetryAfter(() => 0.9999)).toBe(10);
	});
});

describe("failures", () => {
	test.each([
		["SLUICE_DATABASE_UNAVAILABLE", {}, 503, 1, false, /^Cannot connect to the database to verify the shape/],
		["SLUICE_SNAPSHOT_FAILED", { serverMessage: "permission denied" }, 503, 10, true, /^permission denied$/],
		["SLUICE_TABLE_NOT_READY", {}, 503, 10, true, /./],
		["SLUICE_SHAPES_EXHAUSTED", {}, 503, 10, true, /no more shapes/],
		["SLUICE_NOT_ACTIVE", {}, 503, 5, false, /^Timeout waiting for/],
		["SLUICE_THREAD_GONE", {}, 503, 1, false, /please retry$/],
		["SLUICE_LOG_CORRUPT", {}, 500, null, false, /^Unable to retrieve shape log/],
	] as const)("%s %o is %i", (code, context, status, retryAfter, known, message) => {
		const failure = describeError(new SluiceError(code, context), 0);
		expect(failure).toMatchObject({ status, retryAfterSeconds: retryAfter, known });
		expect((failure.body as { message: string }).message).toMatch(message);
	});

	test("nothing of an unexpected error reaches the client", () => {
		const failure = describeError(new Error("secret detail"), 2);
		expect(failure).toMatchObject({ status: 500, body: { error: "Internal server error" }, unexpected: true });
	});
});

describe("the admin port", () => {
	test("knows its routes and their methods", () => {
		expect(adminTarget("GET", ["v1", "status"])).toEqual({ kind: "route", route: "status" });
		expect(adminTarget("HEAD", ["metrics"])).toEqual({ kind: "route", route: "metrics" });
		expect(adminTarget("GET", ["v1", "profile"])).toEqual({ kind: "wrong-method", allow: "POST" });
		expect(adminTarget("GET", ["constructor"])).toEqual({ kind: "not-found" });
	});

	test("answers no web page of another origin and no rebound name", () => {
		expect(isAllowedCaller({ host: "127.0.0.1:3001" }, true)).toBe(true);
		expect(isAllowedCaller({ host: "localhost:3001", origin: "http://localhost:8080" }, true)).toBe(true);
		expect(isAllowedCaller({ host: "[::1]:3001" }, true)).toBe(true);
		expect(isAllowedCaller({ host: "evil.example:3001" }, true)).toBe(false);
		expect(isAllowedCaller({ host: "127.0.0.1:3001", origin: "https://evil.example" }, true)).toBe(false);
		expect(isAllowedCaller({ host: "127.0.0.1:3001", origin: "null" }, true)).toBe(false);
		expect(isAllowedCaller({ host: "sluice.internal:3001" }, false)).toBe(true);
	});

	test("reads whole numbers only", () => {
		const range = { min: 1, max: 120, fallback: 10 };
		expect(wholeNumber(null, range)).toBe(10);
		expect(wholeNumber("120", range)).toBe(120);
		for (const text of ["0", "121", "1.5", "-1", "", "1e1", "99999999999"]) {
			expect(wholeNumber(text, range)).toBeNaN();
		}
	});
});
