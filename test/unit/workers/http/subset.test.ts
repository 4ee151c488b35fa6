/** Subset requests against an HTTP thread: what is asked of the registrar, what is answered, and where the client goes on. */

import { expect, test } from "vitest";
import { SluiceError } from "../../../../src/shared/errors.ts";
import { HttpStand, query, SCHEMA, type StandOptions, SUBSET, sharedText } from "./support/http-stand.ts";
import { SNAPSHOT_END } from "./support/shape-files.ts";

const H = "38216733-1768478340123456";
const BASE = { table: "items", log: "changes_only", handle: H };

async function standWithShape(options: StandOptions = {}) {
	const stand = await HttpStand.start(options);
	const files = stand.shape("items", H, 3);
	files.snapshot([[SNAPSHOT_END]]);
	files.commit(500n, [{ op: 4, id: "1" }]);
	return { stand, files };
}

const BY_GET = query({
	...BASE,
	offset: "100_2",
	subset__where: '"title" = $1',
	subset__params: '{"1":"c"}',
	subset__order_by: '"id" ASC',
	subset__limit: "1",
	subset__where_expr: "{}",
});
const BODY = { where: '"title" = $1', params: { 1: "c" }, order_by: '"id" ASC', limit: 1, where_expr: {} };

test("by GET and by POST, nested or not, it is the same question and the same answer", async () => {
	const { stand, files } = await standWithShape();
	await using _stand = stand;
	const path = query({ ...BASE, offset: "100_2" });
	const answers = [
		await stand.get(BY_GET),
		await stand.send("POST", path, { body: JSON.stringify(BODY) }),
		await stand.send("POST", path, { body: JSON.stringify({ subset: BODY, table: "other" }) }),
	];
	for (const answer of answers) {
		expect(answer.status).toBe(200);
		expect(answer.text).toBe(SUBSET);
		expect(answer.headers).toMatchObject({
			"content-type": "application/json; charset=utf-8",
			"cache-control": "no-cache",
			"electric-snapshot": "true",
			"electric-handle": H,
			"electric-offset": "100_2",
			"electric-schema": SCHEMA,
		});
		for (const absent of ["etag", "electric-up-to-date", "electric-has-data", "electric-cursor"]) {
			expect(answer.headers).not.toHaveProperty(absent);
		}
	}
	const asked = {
		ticket: expect.stringMatching(/^[0-9a-f]{32}$/),
		handle: H,
		generation: files.generation,
		queryableColumns: null,
		where: '"title" = $1',
		params: { 1: "c" },
		orderBy: '"id" ASC',
		limit: 1,
		offset: null,
	};
	expect(stand.registrar.subsets).toEqual([asked, asked, asked]);
});

test("a position is echoed, now is the end of the log before the query, -1 the whole log", async () => {
	const { stand, files } = await standWithShape();
	await using _stand = stand;
	let tx = 1_000n;
	stand.registrar.onSubset = async () => {
		// A commit while the query runs.
		tx += 100n;
		files.commit(tx, [{ op: 2, id: "1" }]);
		return { body: sharedText(SUBSET) };
	};
	const at = async (offset: string) =>
		(await stand.get(query({ ...BASE, offset, subset__where: "true" }))).headers["electric-offset"];
	expect(await at("100_2")).toBe("100_2");
	expect(await at("0_inf")).toBe("0_inf");
	expect(await at("now")).toBe("1200_2");
	expect(await at("-1")).toBe("0_0");
});

test("now is the beginning of the log of a shape whose snapshot is still being taken", async () => {
	await using stand = await HttpStand.start();
	stand.shape("items", H, 3);
	const answer = await stand.get(query({ ...BASE, offset: "now", subset__where: "true" }));
	expect([answer.status, answer.headers["electric-offset"]]).toEqual([200, "0_inf"]);
});

test("a live flag leaves the schema out and does not hold; HEAD sends no body", async () => {
	const { stand } = await standWithShape();
	await using _stand = stand;
	const live = await stand.get(query({ ...BASE, offset: "500_4", live: "true", subset__where: "true" }));
	expect(live.status).toBe(200);
	expect(live.headers).not.toHaveProperty("electric-schema");
	const head = await stand.send("HEAD", BY_GET);
	expect([head.status, head.text, head.headers["content-length"]]).toEqual([200, "", String(SUBSET.length)]);
});

test("the wrong handle and a shape that has gone are a 409", async () => {
	const { stand } = await standWithShape();
	await using _stand = stand;
	const other = await stand.get(query({ ...BASE, handle: "1-1", offset: "100_2", subset__where: "true" }));
	expect([other.status, other.headers["electric-handle"]]).toEqual([409, H]);
	expect(stand.registrar.subsets).toEqual([]);
	stand.registrar.onSubset = async () => {
		throw new SluiceError("SLUICE_SHAPE_GONE");
	};
	const gone = await stand.get(BY_GET);
	expect([gone.status, gone.headers["electric-handle"]]).toEqual([409, undefined]);
});

test.each([
	[
		"SLUICE_REQUEST_INVALID",
		{ errors: { subset: { where: "invalid input value for enum mood" } } },
		400,
		{ message: "Invalid request", errors: { subset: { where: "invalid input value for enum mood" } } },
	],
	[
		"SLUICE_SUBSET_TOO_LARGE",
		{ bytesMax: 16 },
		400,
		{
			message: "Invalid request",
			errors: { subset: { limit: ["the rows are more than 16 bytes: ask for fewer with a smaller limit"] } },
		},
	],
	["SLUICE_SUBSETS_BUSY", {}, 503, { message: "Too many subset queries wait for their turn, please retry" }],
	["SLUICE_SNAPSHOT_FAILED", { serverMessage: "no" }, 503, { message: "no" }],
] as const)("%s of the registrar becomes its answer", async (code, context, status, body) => {
	const { stand } = await standWithShape();
	await using _stand = stand;
	stand.registrar.onSubset = async () => {
		throw new SluiceError(code, context);
	};
	const answer = await stand.get(BY_GET);
	expect(answer.status).toBe(status);
	expect(JSON.parse(answer.text)).toEqual(body);
	expect(answer.headers["retry-after"] !== undefined).toBe(status === 503);
});

test("bodies that nobody takes hold a bounded amount; the next is asked to come back", async () => {
	const { stand } = await standWithShape({ thread: { subsetsBytesMax: SUBSET.length - 1 } });
	await using _stand = stand;
	const answer = await stand.get(BY_GET);
	expect([answer.status, answer.headers["retry-after"]]).toEqual([503, "5"]);
	const { stand: roomy } = await standWithShape({ thread: { subsetsBytesMax: SUBSET.length } });
	await using _roomy = roomy;
	for (let round = 0; round < 3; round += 1) {
		expect((await roomy.get(BY_GET)).status).toBe(200);
	}
});

test("a client that leaves takes its query with it; one that stays does not", async () => {
	const { stand } = await standWithShape();
	await using _stand = stand;
	await stand.get(BY_GET);
	const asked = Promise.withResolvers<string>();
	const cancelled = Promise.withResolvers<string>();
	stand.registrar.onSubset = (request) => {
		asked.resolve(request.ticket);
		return cancelled.promise.then(() => {
			throw new SluiceError("SLUICE_SUBSET_ABANDONED");
		});
	};
	stand.registrar.cancelSubset = async (ticket) => cancelled.resolve(ticket);
	const leaving = new AbortController();
	const left = stand.send("GET", BY_GET, { signal: leaving.signal });
	const ticket = await asked.promise;
	leaving.abort();
	await expect(left).rejects.toThrow();
	expect(await cancelled.promise).toBe(ticket);
	expect(stand.registrar.cancelled).toEqual([]);
	while (stand.thread.gauges()["existing"] !== 0) {
		await new Promise((resolve) => setImmediate(resolve));
	}
});
