/**
 * Refusals and the plainer answers of the protocol (shape-http-api.md 3, 4, 12, 16 and the worked examples 11 and 12),
 * against a running service. Each row's test names the section it comes from. On purpose a 401 carries CORS headers, any
 * requested header is allowed, and a client that is ahead of a log which may yet catch up gets a 503 first.
 */

import { beforeAll, describe, expect, it } from "vitest";
import { TestDaemon } from "../support/daemon.ts";
import { oneTestServer, useServer } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";
import { expectHeaders, items, LONG_POLL_MS, NON_LIVE, offsetOf, type Reply, useWire } from "./wire-stand.ts";

describe("refusals", () => {
	const wire = useWire(useServer(oneTestServer()));

	it("11: errors: no handle, no table, an unknown column, out of bounds", async () => {
		const { handle } = await wire.fresh("bounded");
		const refusals = [
			[{ table: "bounded", offset: "5_0" }, { handle: ["can't be blank when offset != -1"] }],
			[
				{ table: "nope", offset: "-1" },
				{
					table: [
						'Table "public"."nope" does not exist. If the table name contains capitals or special characters you must quote it.',
					],
				},
			],
			[{ table: "bounded", offset: "-1", where: "foo = 1" }, { where: ["At location 0: unknown reference foo"] }],
		] as const;
		for (const [parameters, errors] of refusals) {
			const reply = await wire.call(parameters);
			expect([reply.status, JSON.parse(reply.text)]).toEqual([400, { message: "Invalid request", errors }]);
			expectHeaders(
				reply,
				{
					"content-type": "application/json; charset=utf-8",
					"cache-control": "no-store",
					"surrogate-control": "no-store",
				},
				["electric-handle", "electric-offset", "electric-schema"],
			);
		}
		// Held for half a long-poll first, and as long as the log is behind the offset.
		const sentAt = performance.now();
		const beyond = await wire.call({ table: "bounded", offset: "99999999999_0", handle });
		expect(performance.now() - sentAt).toBeGreaterThanOrEqual(LONG_POLL_MS / 2 - 20);
		expect(beyond.status).toBe(503);
		await wire.database.sql("insert into bounded values (1, 'a', true)");
		const [tx = ""] = await waitFor("the row", async () => {
			const reply = await wire.call({ table: "bounded", offset: "0_inf", handle });
			return items(reply).length === 2 && offsetOf(reply).split("_");
		});
		const outside = await wire.call({ table: "bounded", offset: `${tx}_9`, handle });
		expect([outside.status, JSON.parse(outside.text)]).toEqual([
			400,
			{ message: "Invalid request", errors: { offset: ["out of bounds for this shape"] } },
		]);
		expectHeaders(outside, { "cache-control": "no-store", "surrogate-control": "no-store" }, ["electric-handle"]);
	});

	it("11: errors: a missing secret is a 401, one initial request too many a 503 that says when to come back", async () => {
		const strict = await TestDaemon.start({
			databaseUrl: wire.database.url,
			environment: { ELECTRIC_SECRET: "s3cret", ELECTRIC_MAX_CONCURRENT_REQUESTS: '{"initial":1}' },
		});
		const blocker = await wire.database.connect();
		try {
			const unauthorized = await wire.call({ table: "items", offset: "-1" }, {}, strict.shapeUrl);
			expect([unauthorized.status, unauthorized.text]).toEqual([
				401,
				'{"message":"Unauthorized - Invalid API secret"}',
			]);
			expectHeaders(unauthorized, { "cache-control": "max-age=0, private, must-revalidate" }, ["content-type"]);
			await wire.database.sql("create table locked (id int primary key)");
			await blocker.query("begin; lock table locked in access exclusive mode");
			const secret = "s3cret";
			const first = wire.call({ table: "locked", offset: "-1", secret }, {}, strict.shapeUrl);
			const refused = await waitFor("the first request to be admitted", async () => {
				const reply = await wire.call({ table: "nope", offset: "-1", secret }, {}, strict.shapeUrl);
				return reply.status === 503 && reply;
			});
			expect(JSON.parse(refused.text)).toEqual({
				code: "concurrent_request_limit_exceeded",
				message: "Concurrent initial request limit exceeded (limit: 1), please retry",
			});
			expectHeaders(refused, {
				"retry-after": expect.stringMatching(/^([6-9]|10)$/),
				"cache-control": "no-store",
				"surrogate-control": "no-store",
				"electric-internal-known-error": "true",
			});
			await blocker.query("rollback");
			expect((await first).status).toBe(200);
		} finally {
			await blocker.query("rollback");
			await strict.end();
		}
	});

	it("12: revalidation, HEAD, preflight, delete and health", async () => {
		const { handle } = await wire.fresh("checked");
		const shape = { handle, log: "full", offset: "0_0", table: "checked" };
		const revalidated = await wire.call(shape, { headers: { "if-none-match": `"other", "${handle}:0_0:0_inf"` } });
		expect([revalidated.status, revalidated.text]).toEqual([304, ""]);
		expectHeaders(
			revalidated,
			{
				"cache-control": NON_LIVE,
				etag: `"${handle}:0_0:0_inf"`,
				"electric-handle": handle,
				"electric-offset": "0_inf",
				"electric-up-to-date": "",
				"electric-has-data": "true",
			},
			["electric-schema"],
		);
		const [get, head] = [await wire.call(shape), await wire.call(shape, { method: "HEAD" })];
		expect([head.status, head.text]).toEqual([200, ""]);
		const comparable = ({ headers }: Reply) =>
			Object.fromEntries(
				[...headers].filter(
					([name]) => !["x-request-id", "date", "content-length", "connection", "keep-alive"].includes(name),
				),
			);
		expect(comparable(head)).toEqual(comparable(get));

		const preflight = await wire.call(
			{},
			{
				method: "OPTIONS",
				headers: { origin: "https://app.example", "access-control-request-headers": "if-none-match" },
			},
		);
		expect(preflight.status).toBe(204);
		expectHeaders(
			preflight,
			{
				"access-control-allow-origin": "https://app.example",
				"access-control-max-age": "86400",
				"access-control-allow-methods": "GET, POST, HEAD, DELETE, OPTIONS",
				"access-control-allow-headers": "if-none-match",
				"access-control-expose-headers": expect.stringContaining("electric-cursor,electric-handle"),
				connection: "keep-alive",
			},
			["cache-control"],
		);

		const deleted = await wire.call({ table: "checked" }, { method: "DELETE" });
		expect([deleted.status, deleted.text, deleted.headers.get("cache-control")]).toEqual([202, "", "no-cache"]);
		const again = await wire.call({ table: "checked" }, { method: "DELETE" });
		expect([again.status, again.text]).toEqual([404, '{"message":"No existing shape found"}']);

		const health = await fetch(`${wire.daemon.url}/v1/health`);
		expect([health.status, await health.text()]).toEqual([200, '{"status":"active"}']);
		expect(health.headers.get("cache-control")).toBe("no-cache, no-store, must-revalidate");
		expect(health.headers.get("content-type")).toBe("application/json; charset=utf-8");
	});

	beforeAll(async () => {
		await wire.database.sql(`
			create type mood as enum ('happy', 'sad');
			create table checks (id int4 primary key, title text, at mood, done bool);
			create table keyless (a int, b int);
			create table "Odd" (id int primary key);
			create table columnless ();
			create view seen as select * from checks;
			create materialized view kept as select * from checks`);
	});

	const missing = (name: string) =>
		`Table "public"."${name}" does not exist. If the table name contains capitals or special characters you must quote it.`;

	it.each<[string, string, unknown]>([
		["§4 cast: offset and table", "table[a]=b&offset[a]=b", { table: ["is invalid"], offset: ["is invalid"] }],
		[
			"§4 cast: where and handle",
			"table=checks&offset=-1&where[a]=b&handle[]=c",
			{ where: ["is invalid"], handle: ["is invalid"] },
		],
		[
			"§4 cast: replica and log",
			"table=checks&offset=-1&replica=half&log=some",
			{ replica: ["is invalid"], log: ["is invalid"] },
		],
		["§4 cast: params as a JSON text", "table=checks&offset=-1&where=true&params={}", { params: ["is invalid"] }],
		[
			"§4 cast: experimental_compaction",
			"table=checks&offset=-1&experimental_compaction=maybe",
			{ experimental_compaction: ["is invalid"] },
		],
		["§4 offset present, with the casts", "table=checks&log=some", { log: ["is invalid"], offset: ["can't be blank"] }],
		["§3 blank counts as absent", "table=checks&offset=+", { offset: ["can't be blank"] }],
		["§4 offset format", "table=checks&offset=1", { offset: ["has invalid format"] }],
		["§4 handle", "table=checks&offset=0_inf", { handle: ["can't be blank when offset != -1"] }],
		["§4 live at -1", "table=checks&offset=-1&live=true", { live: ["can't be true when offset == -1"] }],
		["§4 live at now", "table=checks&offset=now&live", { live: ["can't be true when offset is 'now'"] }],
		[
			"§4 sse without live",
			"table=checks&offset=-1&live_sse=true",
			{ live_sse: ["can't be true unless live is also true"] },
		],
		[
			"§4 sse by its old name",
			"table=checks&offset=-1&experimental_live_sse=1",
			{ live_sse: ["can't be true unless live is also true"] },
		],
		["§4 table present", "offset=-1", { table: ["can't be blank"] }],
		["§4 table: zero length", 'table=""&offset=-1', { table: ["Invalid zero-length delimited identifier"] }],
		[
			"§4 table: special characters",
			"table=a-b&offset=-1",
			{ table: ["Invalid unquoted identifier contains special characters: a-b"] },
		],
		["§4 table: unescaped quote", 'table="a"b"&offset=-1', { table: ['Invalid identifier with unescaped quote: a"b'] }],
		[
			"§4 table: too long",
			`table=${"a".repeat(64)}&offset=-1`,
			{ table: ["Identifier is too long (max length is 63)"] },
		],
		[
			"§4 table: too many delimiters",
			"table=a.b.c&offset=-1",
			{ table: ["Invalid relation identifier, too many delimiters: a.b.c"] },
		],
		[
			"§4 columns: zero length",
			"table=checks&offset=-1&columns=id,",
			{ columns: ["Invalid zero-length delimited identifier"] },
		],
		[
			"§4 queryable_columns: special characters",
			"table=checks&offset=-1&queryable_columns=id,a-b",
			{ queryable_columns: ["Invalid unquoted identifier contains special characters: a-b"] },
		],
		["§4 table does not exist", "table=nothing&offset=-1", { table: [missing("nothing")] }],
		["§4 table: capitals must be quoted", "table=Odd&offset=-1", { table: [missing("odd")] }],
		["§4 table: a view", "table=seen&offset=-1", { table: [missing("seen")] }],
		["§4 table: a materialised view", "table=kept&offset=-1", { table: [missing("kept")] }],
		["§4 table without columns", "table=columnless&offset=-1", { table: [missing("columnless")] }],
		[
			"§4 columns without the key",
			"table=checks&offset=-1&columns=title",
			{ columns: ["The list of columns must include all primary key columns, missing: id"] },
		],
		[
			"§4 columns not found",
			"table=checks&offset=-1&columns=id,x,y",
			{ columns: ["The following columns are not found on the table: x, y"] },
		],
		[
			"§4 queryable_columns without the key",
			"table=checks&offset=-1&queryable_columns=title",
			{ queryable_columns: ["The list of queryable columns must include all primary key columns, missing: id"] },
		],
		[
			"§4 queryable_columns not found",
			"table=checks&offset=-1&queryable_columns=id,x",
			{ queryable_columns: ["The following queryable columns are not found on the table: x"] },
		],
		[
			"§4 a table without a key has all columns as its key",
			"table=keyless&offset=-1&columns=a",
			{ columns: ["The list of columns must include all primary key columns, missing: b"] },
		],
		[
			"§4 params: names",
			"table=checks&offset=-1&where=id=$1&params[a]=1",
			{ params: ["Parameters can only use numbers as keys"] },
		],
		[
			"§4 params: gaps",
			"table=checks&offset=-1&where=id=$2&params[2]=1",
			{ params: ["Parameters must be numbered sequentially, starting from 1"] },
		],
		[
			"§4 where: unknown column",
			"table=checks&offset=-1&where=nope=1",
			{ where: ["At location 0: unknown reference nope"] },
		],
		[
			"§12 limit: not a number",
			"table=checks&offset=now&subset__order_by=id&subset__limit=x",
			{ subset: { limit: ["is invalid"] } },
		],
		[
			"§12 limit: zero",
			"table=checks&offset=now&subset__order_by=id&subset__limit=0",
			{ subset: { limit: ["must be greater than 0"] } },
		],
		[
			"§12 offset: not a number",
			"table=checks&offset=now&subset__order_by=id&subset__offset=1.5",
			{ subset: { offset: ["is invalid"] } },
		],
		[
			"§12 offset: negative",
			"table=checks&offset=now&subset__order_by=id&subset__offset=-1",
			{ subset: { offset: ["must be greater than or equal to 0"] } },
		],
		[
			"§12 limit without order_by",
			"table=checks&offset=now&subset__limit=1",
			{ subset: { order_by: ["order_by is required when limit or offset is present"] } },
		],
		[
			"§12 params: no JSON",
			"table=checks&offset=now&subset__where=true&subset__params={",
			{ subset: { params: ["params must be valid JSON"] } },
		],
		[
			"§12 params: no object",
			"table=checks&offset=now&subset__where=true&subset__params=[1]",
			{ subset: { params: ["params must be a JSON object"] } },
		],
		[
			"§12 params: numbering",
			'table=checks&offset=now&subset__where=id=$2&subset__params={"2":1}',
			{ subset: { params: ["Parameters must be numbered sequentially, starting from 1"] } },
		],
		[
			"§12 where: subqueries",
			"table=checks&offset=now&subset__where=id IN (SELECT 1)",
			{ subset: { where: [expect.stringContaining("Subqueries are not allowed in subsets")] } },
		],
		[
			"§12 where: only queryable columns",
			"table=checks&offset=now&queryable_columns=id&subset__where=title='a'",
			{ subset: { where: [expect.stringContaining("unknown reference title")] } },
		],
		[
			"§12 order_by: expressions",
			"table=checks&offset=now&subset__order_by=id%2B1",
			{
				subset: {
					order_by: [expect.stringMatching(/^At location \d+: .+ expressions are not allowed in ORDER BY clauses$/)],
				},
			},
		],
		[
			"§12 order_by: parameters",
			"table=checks&offset=now&subset__order_by=$1",
			{ subset: { order_by: [expect.stringMatching(/parameter \$1 is not supported in ORDER BY clauses/)] } },
		],
		[
			"§12 order_by: a second statement",
			"table=checks&offset=now&subset__order_by=id;",
			{ subset: { order_by: [expect.stringContaining("Unexpected `;` in order by")] } },
		],
		[
			"§12 order_by: unknown column",
			"table=checks&offset=now&subset__order_by=nope",
			{ subset: { order_by: [expect.stringContaining("unknown reference nope")] } },
		],
	])("%s: %s", async (_section, raw, errors) => {
		const reply = await wire.call(raw);
		expect([reply.status, JSON.parse(reply.text)]).toEqual([400, { message: "Invalid request", errors }]);
		expectHeaders(
			reply,
			{
				"content-type": "application/json; charset=utf-8",
				"cache-control": "no-store",
				"surrogate-control": "no-store",
			},
			["electric-handle", "electric-offset", "electric-schema", "electric-cursor", "electric-up-to-date", "etag"],
		);
	});

	it.each<[string, string, number, unknown]>([
		["no JSON", "{", 400, { error: "Invalid JSON in request body", details: expect.any(String) }],
		["no object", "[1]", 400, { error: "Request body must be a JSON object" }],
		["too large", JSON.stringify({ where: "x".repeat(8_000_001) }), 413, { error: "Request body too large" }],
	])("§3.1 a body that is %s", async (_what, body, status, answer) => {
		const reply = await wire.call({ table: "checks", offset: "-1" }, { method: "POST", body });
		expect([reply.status, JSON.parse(reply.text)]).toEqual([status, answer]);
		expectHeaders(reply, {
			"content-type": "application/json; charset=utf-8",
			"cache-control": "max-age=0, private, must-revalidate",
		});
	});

	it.each([["{}"], [""]])("§3.1 a body of %j is an ordinary request, not cached", async (body) => {
		const reply = await wire.call({ table: "checks", offset: "-1" }, { method: "POST", body });
		expect(reply.status).toBe(200);
		expectHeaders(reply, { "cache-control": "no-cache", "electric-offset": "0_0" });
	});

	it("§15 a deletion: neither shape nor handle, both that do not match, and a strict live", async () => {
		const refused = async (raw: string) => {
			const reply = await wire.call(raw, { method: "DELETE" });
			expectHeaders(reply, { "cache-control": "no-cache" });
			return [reply.status, JSON.parse(reply.text)];
		};
		expect(await refused("")).toEqual([
			400,
			{ message: "Invalid request", errors: { handle: ["can't be blank when shape definition is missing"] } },
		]);
		expect(await refused("table=checks&live=banana")).toEqual([
			400,
			{ message: "Invalid request", errors: { live: ["is invalid"] } },
		]);
		await wire.call({ table: "keyless", offset: "-1" });
		expect(await refused("table=keyless&handle=1-1")).toEqual([
			400,
			{
				message:
					"The specified shape definition and handle do not match. Please ensure the shape definition is correct or omit the shape handle from the request to obtain a new one.",
			},
		]);
	});

	it("§1 any other path is a plain 404, and the root a 200 without a body", async () => {
		const other = await fetch(`${wire.daemon.url}/v1/shapes`);
		expect([other.status, await other.text(), other.headers.get("content-type")]).toEqual([404, "Not found", null]);
		const root = await fetch(`${wire.daemon.url}/`);
		expect([root.status, await root.text()]).toEqual([200, ""]);
	});
});
