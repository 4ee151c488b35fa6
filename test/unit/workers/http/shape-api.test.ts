/** The worked examples of the protocol page, against an HTTP thread on hand-written files. */

import { expect, test } from "vitest";
import { LEVEL_ACTIVE, LEVEL_STARTING } from "../../../../src/shared/shape-table.ts";
import { HttpStand, query, SCHEMA } from "./support/http-stand.ts";
import { logEntry, type ShapeFiles, SNAPSHOT_END, snapshotRow } from "./support/shape-files.ts";

const H = "38216733-1768478340123456";
const TX = 26_801_312n;

function upToDate(lsn: bigint): string {
	return `{"headers":{"control":"up-to-date","global_last_seen_lsn":"${lsn}"}}`;
}

function items(stand: HttpStand, chunks: string[][] = [[snapshotRow("1"), SNAPSHOT_END]]): ShapeFiles {
	const files = stand.shape("items", H, 7);
	files.snapshot(chunks);
	return files;
}

test("an initial request gets chunk 0, never up to date, with a week's cache lifetime", async () => {
	await using stand = await HttpStand.start();
	items(stand);
	const answer = await stand.get("/v1/shape?log=full&offset=-1&table=items");
	expect(answer.status).toBe(200);
	expect(answer.text).toBe(`[${snapshotRow("1")},${SNAPSHOT_END}]`);
	expect(answer.headers).toMatchObject({
		"content-type": "application/json; charset=utf-8",
		"cache-control": "public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746",
		etag: `"${H}:-1:0_0"`,
		"electric-handle": H,
		"electric-offset": "0_0",
		"electric-has-data": "true",
		"electric-schema": SCHEMA,
		"access-control-allow-origin": "*",
		"access-control-allow-methods": "GET, POST, HEAD, DELETE, OPTIONS",
		"access-control-expose-headers":
			"electric-cursor,electric-handle,electric-has-data,electric-offset,electric-schema,electric-up-to-date,electric-internal-known-error,retry-after",
	});
	expect(answer.headers["electric-server"]).toMatch(/^Sluice\/\d/);
	expect(answer.headers["x-request-id"]).toMatch(/^[0-9a-f]{32}$/);
	expect(answer.headers).not.toHaveProperty("electric-up-to-date");
	expect(answer.headers).not.toHaveProperty("electric-cursor");
});

test("a catch-up on an empty log is up to date at 0_inf, with the processed LSN", async () => {
	await using stand = await HttpStand.start();
	items(stand);
	stand.table.setLaneProcessedLsn(0, 26_801_112n);
	const answer = await stand.get(query({ table: "items", offset: "0_0", handle: H, log: "full" }));
	expect(answer.text).toBe(`[${upToDate(26_801_112n)}]`);
	expect(answer.headers).toMatchObject({
		"cache-control": "public, max-age=60, stale-while-revalidate=300",
		etag: `"${H}:0_0:0_inf"`,
		"electric-offset": "0_inf",
		"electric-up-to-date": "",
		"electric-has-data": "true",
		"electric-schema": SCHEMA,
	});
});

test("a parked long-poll is answered by the commit that its shape gets", async () => {
	await using stand = await HttpStand.start();
	const files = items(stand);
	const held = stand.get(query({ table: "items", offset: "0_inf", handle: H, live: "true", cursor: "" }));
	await stand.parked(1);
	files.commit(TX, [{ op: 2, id: "1" }]);
	stand.table.setLaneProcessedLsn(0, TX + 100n);
	stand.announce(7);
	const answer = await held;
	expect(answer.status).toBe(200);
	expect(answer.text).toBe(`[${logEntry(TX, { op: 2, id: "1" }, true)},${upToDate(TX)}]`);
	expect(answer.headers).toMatchObject({
		"cache-control": "public, max-age=5, stale-while-revalidate=5",
		etag: `"${H}:0_inf:${TX}_2"`,
		"electric-offset": `${TX}_2`,
		"electric-up-to-date": "",
		"electric-has-data": "true",
	});
	expect(answer.headers["electric-cursor"]).toMatch(/^\d+$/);
	expect(answer.headers).not.toHaveProperty("electric-schema");
});

test("a long-poll without news times out with an up-to-date 200 and a tag of its own", async () => {
	await using stand = await HttpStand.start();
	const files = items(stand);
	files.commit(TX, [{ op: 2, id: "1" }]);
	stand.table.setLaneProcessedLsn(0, 26_801_680n);
	const request = query({ table: "items", offset: `${TX}_2`, handle: H, live: "true" });
	const [first, second] = await Promise.all([stand.get(request), stand.get(request)]);
	expect(first.text).toBe(`[${upToDate(26_801_680n)}]`);
	expect(first.headers).toMatchObject({
		"electric-offset": `${TX}_2`,
		"electric-has-data": "false",
		"electric-up-to-date": "",
		"cache-control": "public, max-age=5, stale-while-revalidate=5",
	});
	expect(first.headers.etag).toMatch(new RegExp(`^"${H}:${TX}_2:${TX}_2:\\d+"$`));
	expect(first.headers.etag).not.toBe(second.headers.etag);
});

test("a whole transaction after an offset inside it is read from the right entry", async () => {
	await using stand = await HttpStand.start({ environment: { SLUICE_CHUNK_BYTES: "100000" } });
	const files = items(stand);
	const changes = [2, 4, 5, 8].map((op) => ({ op, id: String(op) }));
	files.commit(TX, changes);
	const answer = await stand.get(query({ table: "items", offset: `${TX}_4`, handle: H }));
	const expected = [logEntry(TX, { op: 5, id: "5" }, false), logEntry(TX, { op: 8, id: "8" }, true), upToDate(TX)];
	expect(answer.text).toBe(`[${expected.join(",")}]`);
	expect(answer.headers["electric-offset"]).toBe(`${TX}_8`);
});

test("a handle that is not the shape's gets a 409 that names the right one", async () => {
	await using stand = await HttpStand.start();
	items(stand);
	const answer = await stand.get(query({ table: "items", offset: `${TX}_2`, handle: "38216733-1700000000000000" }));
	expect(answer.status).toBe(409);
	expect(answer.text).toBe('[{"headers":{"control":"must-refetch"}}]');
	expect(answer.headers).toMatchObject({
		"cache-control": "public, max-age=60, must-revalidate",
		etag: `"${H}::"`,
		"electric-handle": H,
	});
	for (const absent of ["electric-offset", "electric-schema", "electric-up-to-date", "electric-has-data"]) {
		expect(answer.headers).not.toHaveProperty(absent);
	}
});

test("a shape that is removed while a long-poll is parked answers a 409 without a handle", async () => {
	await using stand = await HttpStand.start();
	items(stand);
	const held = stand.get(query({ table: "items", offset: "0_inf", handle: H, live: "true" }));
	await stand.parked(1);
	stand.remove(7);
	const answer = await held;
	expect(answer.status).toBe(409);
	expect(answer.text).toBe('[{"headers":{"control":"must-refetch"}}]');
	expect(answer.headers["cache-control"]).toBe("public, max-age=1, must-revalidate");
	expect(answer.headers).not.toHaveProperty("electric-handle");
	expect(answer.headers).not.toHaveProperty("etag");
});

test("offset=now answers at once with the end of the log and without data", async () => {
	await using stand = await HttpStand.start();
	const files = items(stand);
	stand.table.setLaneProcessedLsn(0, 26_803_000n);
	const empty = await stand.get(query({ table: "items", offset: "now", log: "changes_only" }));
	expect(empty.text).toBe(`[${upToDate(26_803_000n)}]`);
	expect(empty.headers).toMatchObject({
		"cache-control": "public, max-age=60, stale-while-revalidate=300",
		"electric-offset": "0_inf",
		"electric-up-to-date": "",
		"electric-has-data": "false",
		"electric-schema": SCHEMA,
	});
	files.commit(TX, [{ op: 2, id: "1" }]);
	const filled = await stand.get(query({ table: "items", offset: "now" }));
	expect(filled.headers["electric-offset"]).toBe(`${TX}_2`);
});

test("errors of parameters and of the definition are 400s with messages by field and are not cached", async () => {
	await using stand = await HttpStand.start();
	const noHandle = await stand.get("/v1/shape?table=items&offset=5_0");
	expect(noHandle.status).toBe(400);
	expect(JSON.parse(noHandle.text)).toEqual({
		message: "Invalid request",
		errors: { handle: ["can't be blank when offset != -1"] },
	});
	expect(noHandle.headers).toMatchObject({
		"cache-control": "no-store",
		"surrogate-control": "no-store",
		"content-type": "application/json; charset=utf-8",
	});
	const noTable = await stand.get("/v1/shape?table=nope&offset=-1");
	expect(noTable.status).toBe(400);
	expect(JSON.parse(noTable.text).errors).toEqual({ table: ['Table "nope" does not exist.'] });
});

test("an offset beyond the end is held, then refused; a log that catches up meanwhile answers it", async () => {
	await using stand = await HttpStand.start();
	const files = items(stand);
	const beyond = query({ table: "items", offset: `${TX}_2`, handle: H });
	stand.table.setLaneProcessedLsn(0, TX);
	const refused = await stand.get(beyond);
	expect(refused.status).toBe(400);
	expect(JSON.parse(refused.text).errors).toEqual({ offset: ["out of bounds for this shape"] });
	const held = stand.get(beyond);
	await stand.parked(1);
	files.commit(TX, [{ op: 2, id: "1" }]);
	stand.announce(7);
	const answer = await held;
	expect(answer.status).toBe(200);
	expect(answer.headers["electric-offset"]).toBe(`${TX}_2`);
	expect(answer.text).toBe(`[${upToDate(TX)}]`);
});

test("a matching tag is answered with 304 and the same headers, the schema excepted", async () => {
	await using stand = await HttpStand.start();
	items(stand);
	const url = query({ table: "items", offset: "0_0", handle: H, log: "full" });
	const answer = await stand.get(url, { "if-none-match": `"x", "${H}:0_0:0_inf"` });
	expect(answer.status).toBe(304);
	expect(answer.text).toBe("");
	expect(answer.headers).toMatchObject({
		"cache-control": "public, max-age=60, stale-while-revalidate=300",
		etag: `"${H}:0_0:0_inf"`,
		"electric-handle": H,
		"electric-offset": "0_inf",
		"electric-up-to-date": "",
		"electric-has-data": "true",
	});
	expect(answer.headers).not.toHaveProperty("electric-schema");
	const initial = await stand.get(query({ table: "items", offset: "-1" }), { "if-none-match": `"${H}:-1:0_0"` });
	expect(initial.status).toBe(304);
});

test("a preflight is answered without authentication and without a cache header", async () => {
	await using stand = await HttpStand.start({ environment: { SLUICE_SECRET: "s3cret" } });
	const answer = await stand.send("OPTIONS", "/v1/shape", {
		headers: { origin: "https://app.example", "access-control-request-headers": "if-none-match" },
	});
	expect(answer.status).toBe(204);
	expect(answer.headers).toMatchObject({
		"access-control-allow-origin": "https://app.example",
		"access-control-max-age": "86400",
		"access-control-allow-methods": "GET, POST, HEAD, DELETE, OPTIONS",
		"access-control-allow-headers": "if-none-match",
		connection: "keep-alive",
	});
	expect(answer.headers).not.toHaveProperty("cache-control");
});

test("the chunks of a snapshot and the segments of a log are walked without a gap or a repetition", async () => {
	await using stand = await HttpStand.start({ environment: { SLUICE_CHUNK_BYTES: "300" } });
	const chunks = [[snapshotRow("1"), snapshotRow("2")], [snapshotRow("3")], [SNAPSHOT_END]];
	const files = items(stand, chunks);
	const expected = chunks.flat();
	for (let number = 1n; number <= 40n; number += 1n) {
		const changes = Array.from({ length: Number(number % 4n) + 1 }, (_, index) => ({
			op: 2 * (index + 1),
			id: `${number}`,
		}));
		files.commit(1000n * number, changes);
		expected.push(...changes.map((change, index) => logEntry(1000n * number, change, index === changes.length - 1)));
	}
	const seen: string[] = [];
	const offsets: string[] = [];
	let offset = "-1";
	for (;;) {
		const answer = await stand.get(query({ table: "items", offset, handle: H }));
		expect(answer.status).toBe(200);
		seen.push(...(JSON.parse(answer.text) as unknown[]).map((item) => JSON.stringify(item)));
		offset = String(answer.headers["electric-offset"]);
		offsets.push(offset);
		if (answer.headers["electric-up-to-date"] !== undefined) {
			break;
		}
	}
	expect(offsets.slice(0, 3)).toEqual(["0_0", "0_1", "0_2"]);
	expect(offsets.length).toBeGreaterThan(20);
	expect(seen.slice(0, -1)).toEqual(expected.map((item) => JSON.stringify(JSON.parse(item))));
	expect(seen.at(-1)).toBe(upToDate(40_000n));
});

test("every offset in a log of tiny segments is answered with exactly what follows it", async () => {
	await using stand = await HttpStand.start({ environment: { SLUICE_CHUNK_BYTES: "250" } });
	const files = items(stand);
	const entries: { tx: bigint; op: number }[] = [];
	for (let tx = 10n; tx <= 120n; tx += 10n) {
		const ops = [2, 4, 6].slice(0, 1 + (Number(tx / 10n) % 3));
		files.commit(
			tx,
			ops.map((op) => ({ op, id: `${tx}` })),
		);
		entries.push(...ops.map((op) => ({ tx, op })));
	}
	for (const probe of entries.flatMap(({ tx, op }) => [`${tx}_${op}`, `${tx}_${op - 1}`, `${tx}_0`, `${tx}_inf`])) {
		const [tx, op] = [BigInt(probe.split("_")[0] ?? ""), probe.split("_")[1]];
		const seenOp = op === "inf" || op === "0" ? 1_000 : Number(op);
		const rest = entries.filter((entry) => entry.tx > tx || (entry.tx === tx && entry.op > seenOp));
		const answer = await stand.get(query({ table: "items", offset: probe, handle: H }));
		expect(answer.status, probe).toBe(200);
		const messages = JSON.parse(answer.text) as { headers: { lsn?: string; op_position?: number } }[];
		const got = messages
			.filter((message) => message.headers.lsn !== undefined)
			.map(({ headers }) => ({ tx: BigInt(headers.lsn ?? ""), op: headers.op_position }));
		expect(got, probe).toEqual(rest.slice(0, got.length));
		if (rest.length > 0) {
			expect(got.length, probe).toBeGreaterThan(0);
		}
		expect(answer.headers["electric-up-to-date"] !== undefined, probe).toBe(got.length === rest.length);
	}
});

test("what a transaction has written so far is invisible until it is complete, chunk borders included", async () => {
	await using stand = await HttpStand.start({ environment: { SLUICE_CHUNK_BYTES: "150" } });
	const files = items(stand);
	files.commit(TX, [{ op: 2, id: "1" }]);
	files.append(
		TX + 8n,
		[2, 4, 6, 8].map((op) => ({ op, id: String(op) })),
	);
	const before = await stand.get(query({ table: "items", offset: `${TX}_2`, handle: H }));
	expect(before.headers["electric-offset"]).toBe(`${TX}_2`);
	expect(before.headers).toHaveProperty("electric-up-to-date");
	files.publish();
	const after = await stand.get(query({ table: "items", offset: `${TX}_2`, handle: H }));
	expect(after.headers["electric-offset"]).toBe(`${TX + 8n}_2`);
	expect(after.headers).not.toHaveProperty("electric-up-to-date");
});

test("HEAD answers as GET does, without the body", async () => {
	await using stand = await HttpStand.start();
	items(stand);
	const answer = await stand.send("HEAD", query({ table: "items", offset: "-1" }));
	expect(answer.status).toBe(200);
	expect(answer.text).toBe("");
	expect(answer.headers["electric-offset"]).toBe("0_0");
	expect(answer.headers["cache-control"]).toMatch(/^public, max-age=604800/);
});

test.each([
	["the lane has not come to the client's transaction again", LEVEL_ACTIVE, TX - 1n],
	["nobody knows how far the lane is", LEVEL_ACTIVE, 0n],
	["the service is not active", LEVEL_STARTING, TX],
] as const)("an offset beyond the end is asked to come back while %s", async (_name, level, processed) => {
	await using stand = await HttpStand.start({ level });
	items(stand);
	stand.table.setLaneProcessedLsn(0, processed);
	const answer = await stand.get(query({ table: "items", offset: `${TX}_2`, handle: H }));
	expect(answer.status).toBe(503);
	expect(answer.headers["retry-after"]).toBe("5");
	expect(answer.headers["cache-control"]).toBe("no-store");
});

test("a POST without a body is an ordinary read that no cache may keep", async () => {
	await using stand = await HttpStand.start();
	items(stand);
	for (const body of ["", "{}", '{"table":"other","columns":"id"}']) {
		const answer = await stand.send("POST", query({ table: "items", offset: "-1" }), { body });
		expect(answer.status).toBe(200);
		expect(answer.headers["cache-control"]).toBe("no-cache");
		expect(answer.headers["electric-handle"]).toBe(H);
	}
});

test("bodies that are not a JSON object, or too large, are refused", async () => {
	await using stand = await HttpStand.start();
	items(stand);
	const send = (body: string) => stand.send("POST", query({ table: "items", offset: "-1" }), { body });
	const broken = await send("{");
	expect(broken.status).toBe(400);
	expect(JSON.parse(broken.text).error).toBe("Invalid JSON in request body");
	expect(broken.headers["cache-control"]).toBe("max-age=0, private, must-revalidate");
	expect(JSON.parse((await send("[]")).text)).toEqual({ error: "Request body must be a JSON object" });
	const large = await send("x".repeat(8_000_001));
	expect([large.status, large.text]).toEqual([413, '{"error":"Request body too large"}']);
	expect((await stand.get(query({ table: "items", offset: "-1" }))).status).toBe(200);
});

test("the secret is asked for on every form of the path, and the refusal carries CORS headers", async () => {
	await using stand = await HttpStand.start({ environment: { SLUICE_SECRET: "s3cret" } });
	items(stand);
	for (const path of ["/v1/shape", "//v1//shape/", "/v1/%73hape", "/%761/shape/"]) {
		const refused = await stand.get(`${path}?table=items&offset=-1`);
		expect(refused.status, path).toBe(401);
		expect(refused.text).toBe('{"message":"Unauthorized - Invalid API secret"}');
		expect(refused.headers["access-control-allow-origin"]).toBe("*");
		expect(refused.headers["cache-control"]).toBe("max-age=0, private, must-revalidate");
		expect(refused.headers).not.toHaveProperty("content-type");
		expect((await stand.get(`${path}?table=items&offset=-1&secret=s3cret`)).status, path).toBe(200);
	}
	expect((await stand.get("/v1/shape?table=items&offset=-1&api_secret=s3cret")).status).toBe(200);
	expect((await stand.get("/v1/shape?table=items&offset=-1&secret=no&api_secret=s3cret")).status).toBe(401);
	expect((await stand.send("DELETE", "/v1/shape?table=items")).status).toBe(401);
});

test("other paths and methods are 404, undecodable queries 400", async () => {
	await using stand = await HttpStand.start();
	for (const [method, path] of [
		["GET", "/v1/shapes"],
		["PUT", "/v1/shape"],
		["POST", "/v1/health"],
		["DELETE", "/"],
	] as const) {
		const answer = await stand.send(method, path);
		expect(answer.status).toBe(404);
		expect(answer.text).toBe("Not found");
		expect(answer.headers).not.toHaveProperty("content-type");
	}
	const root = await stand.get("/");
	expect([root.status, root.text]).toEqual([200, ""]);
	for (const path of ["/v1/shape?table=%zz", "/v1/shape?table=%ff", "/v1/%zz"]) {
		const answer = await stand.get(path);
		expect([answer.status, answer.text]).toEqual([400, ""]);
	}
});

test("health follows the level", async () => {
	await using stand = await HttpStand.start();
	for (const [level, status, word] of [
		[0, 202, "starting"],
		[1, 202, "waiting"],
		[2, 200, "active"],
	] as const) {
		stand.table.setStatusLevel(level);
		const answer = await stand.get("/v1/health");
		expect(answer.status).toBe(status);
		expect(JSON.parse(answer.text)).toEqual({ status: word });
		expect(answer.headers["cache-control"]).toBe("no-cache, no-store, must-revalidate");
	}
});

test("a request id of the client is echoed when it is long enough", async () => {
	await using stand = await HttpStand.start();
	const id = "client-request-id-0123456789";
	expect((await stand.get("/v1/health", { "x-request-id": id })).headers["x-request-id"]).toBe(id);
	expect((await stand.get("/v1/health", { "x-request-id": "short" })).headers["x-request-id"]).not.toBe("short");
});
