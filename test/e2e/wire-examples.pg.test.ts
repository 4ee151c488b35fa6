/**
 * The worked examples of the protocol's reference (shape-http-api.md 22), against a running service: 1 to 10; 11 and 12
 * are in wire-errors. Each test's name carries the example's number. What differs on purpose: booleans have one text form
 * (`t`, `f`) in initial data and changes, `op_position` counts from above 0 (sections 11.3 and 24).
 */

import { describe, expect, it } from "vitest";
import { oneTestServer, useServer } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";
import {
	DECIMAL,
	expectCommon,
	expectHeaders,
	type Item,
	items,
	LIVE,
	NON_LIVE,
	offsetOf,
	schema,
	useWire,
} from "./wire-stand.ts";

const SCHEMA = {
	id: { type: "int4", pk_index: 0, not_null: true },
	title: { type: "text" },
	done: { type: "bool" },
};

describe("the worked examples", () => {
	const wire = useWire(useServer(oneTestServer()));

	it("1: an initial request gets the rows and snapshot-end, and is never up to date", async () => {
		const reply = await wire.call({ log: "full", offset: "-1", table: "quiet" });
		expectCommon(reply);
		const handle = reply.headers.get("electric-handle") ?? "";
		expect(handle).toMatch(/^\d+-\d{16}$/);
		expectHeaders(
			reply,
			{
				"cache-control": "public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746",
				etag: `"${handle}:-1:0_0"`,
				"electric-offset": "0_0",
				"electric-has-data": "true",
			},
			["electric-up-to-date", "electric-cursor", "surrogate-control"],
		);
		expect(schema(reply)).toEqual(SCHEMA);
		const insert = { operation: "insert", relation: ["public", "quiet"] };
		expect(items(reply)).toEqual([
			{ key: '"public"."quiet"/"1"', value: { done: "f", id: "1", title: "a" }, headers: insert },
			{ key: '"public"."quiet"/"7"', value: { done: "t", id: "7", title: "g" }, headers: insert },
			{ headers: { control: "snapshot-end", xmin: DECIMAL, xmax: DECIMAL, xip_list: [] } },
		]);
		await wire.database.sql("create table empty (id int primary key)");
		expect(items(await wire.call({ log: "full", offset: "-1", table: "empty" }))).toHaveLength(1);
	});

	it("2: a catch-up with nothing in the log is up to date at 0_inf", async () => {
		const first = await wire.call({ log: "full", offset: "-1", table: "quiet" });
		const handle = first.headers.get("electric-handle") ?? "";
		const reply = await wire.call({ handle, log: "full", offset: "0_0", table: "quiet" });
		expectCommon(reply);
		expectHeaders(
			reply,
			{
				"cache-control": NON_LIVE,
				etag: `"${handle}:0_0:0_inf"`,
				"electric-handle": handle,
				"electric-offset": "0_inf",
				"electric-up-to-date": "",
				"electric-has-data": "true",
			},
			["electric-cursor"],
		);
		expect(schema(reply)).toEqual(SCHEMA);
		expect(items(reply)).toEqual([{ headers: { control: "up-to-date", global_last_seen_lsn: DECIMAL } }]);
	});

	it.each([
		["default", { id: "1", done: "t" }, undefined],
		["full", { id: "1", title: "a", done: "t" }, { done: "f" }],
	])("3: a long-poll is answered by an update, replica=%s", async (replica, value, old) => {
		const table = `updated_${replica}`;
		await wire.database.sql(
			`create table ${table} (id int4 primary key, title text, done bool); insert into ${table} values (1, 'a', false)`,
		);
		const handle =
			(await wire.call({ log: "full", offset: "-1", table, replica })).headers.get("electric-handle") ?? "";
		await wire.call({ handle, log: "full", offset: "0_0", table, replica });
		const reply = await wire.held(
			{ cursor: "", handle, live: "true", log: "full", offset: "0_inf", table, replica },
			() => wire.database.sql(`update ${table} set done = true where id = 1`),
		);
		expectCommon(reply);
		const offset = offsetOf(reply);
		const [tx = "", op = ""] = offset.split("_");
		expectHeaders(
			reply,
			{
				"cache-control": LIVE,
				etag: `"${handle}:0_inf:${offset}"`,
				"electric-handle": handle,
				"electric-cursor": DECIMAL,
				"electric-up-to-date": "",
				"electric-has-data": "true",
			},
			["electric-schema"],
		);
		expect(items(reply)).toEqual([
			{
				key: `"public"."${table}"/"1"`,
				value,
				...(old === undefined ? {} : { old_value: old }),
				headers: {
					operation: "update",
					relation: ["public", table],
					txids: [expect.any(Number)],
					lsn: tx,
					op_position: Number(op),
					last: true,
				},
			},
			{ headers: { control: "up-to-date", global_last_seen_lsn: tx } },
		]);
	});

	it("4: a long-poll times out with an up-to-date 200 and a tag of its own", async () => {
		const { handle } = await wire.fresh("timed");
		await wire.database.sql("insert into timed values (1, 'a', false)");
		const { offset } = await waitFor("the row", async () => {
			const reply = await wire.call({ handle, log: "full", offset: "0_inf", table: "timed" });
			return items(reply).length === 2 && { offset: offsetOf(reply) };
		});
		const reply = await wire.call({ cursor: "40046420", handle, live: "true", log: "full", offset, table: "timed" });
		expectCommon(reply);
		expectHeaders(
			reply,
			{
				"cache-control": LIVE,
				etag: expect.stringMatching(new RegExp(`^"${handle}:${offset}:${offset}:-?\\d+"$`)),
				"electric-handle": handle,
				"electric-offset": offset,
				"electric-cursor": DECIMAL,
				"electric-up-to-date": "",
				"electric-has-data": "false",
				"content-length": DECIMAL,
			},
			["electric-schema", "transfer-encoding"],
		);
		expect(items(reply)).toEqual([{ headers: { control: "up-to-date", global_last_seen_lsn: DECIMAL } }]);
	});

	it("5: a changed key is a delete and an insert with adjacent offsets, and the transaction's last change is marked", async () => {
		const { handle } = await wire.fresh("moved", "insert into moved values (1, 'a', true), (7, 'g', false)");
		await wire.database.sql("begin; update moved set id = 2 where id = 1; delete from moved where id = 7; commit");
		const reply = await waitFor("the transaction", async () => {
			const answer = await wire.call({ handle, log: "full", offset: "0_inf", table: "moved" });
			return items(answer).length > 1 && answer;
		});
		expectCommon(reply);
		expectHeaders(reply, { "electric-up-to-date": "" });
		const [tx = "", op = ""] = offsetOf(reply).split("_");
		const [first, second, third, end, ...rest] = items(reply);
		const position = Number(first?.headers["op_position"]);
		const headers = { relation: ["public", "moved"], txids: [expect.any(Number)], lsn: tx };
		expect(first).toEqual({
			key: '"public"."moved"/"1"',
			value: { id: "1" },
			headers: { ...headers, operation: "delete", key_change_to: '"public"."moved"/"2"', op_position: position },
		});
		expect(second).toEqual({
			key: '"public"."moved"/"2"',
			value: { id: "2", title: "a", done: "t" },
			headers: { ...headers, operation: "insert", key_change_from: '"public"."moved"/"1"', op_position: position + 1 },
		});
		expect(third).toEqual({
			key: '"public"."moved"/"7"',
			value: { id: "7" },
			headers: { ...headers, operation: "delete", op_position: Number(op), last: true },
		});
		expect(Number(op)).toBe(position + 2);
		expect(end?.headers).toEqual({ control: "up-to-date", global_last_seen_lsn: expect.stringMatching(/^\d+$/) });
		expect(BigInt(String(end?.headers["global_last_seen_lsn"]))).toBeGreaterThanOrEqual(BigInt(tx));
		expect(rest).toEqual([]);
	});

	it("6: an event stream brings each commit, then up-to-date with an LSN that it has reached", async () => {
		const { handle } = await wire.fresh("streamed");
		const leaving = new AbortController();
		const parameters = {
			cursor: "40046440",
			experimental_live_sse: "true",
			handle,
			live: "true",
			live_sse: "true",
			log: "full",
			offset: "0_inf",
			table: "streamed",
		};
		const response = await fetch(`${wire.daemon.shapeUrl}?${new URLSearchParams(parameters)}`, {
			headers: { accept: "text/event-stream" },
			signal: leaving.signal,
		});
		expect(response.status).toBe(200);
		expect(Object.fromEntries(response.headers)).toMatchObject({
			"content-type": "text/event-stream",
			connection: "keep-alive",
			"cache-control": "public, max-age=59",
			etag: `"${handle}:0_inf:0_inf"`,
			"electric-handle": handle,
			"electric-offset": "0_inf",
			"electric-cursor": DECIMAL,
			"electric-up-to-date": "",
			"electric-has-data": "true",
		});
		expect(response.headers.get("electric-schema")).toBeNull();
		await wire.database.sql("insert into streamed values (3, 'c', false)");
		let text = "";
		for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) {
			text += Buffer.from(piece).toString("utf8");
			if (text.includes("up-to-date")) {
				break;
			}
		}
		leaving.abort();
		const events = text
			.split("\n\n")
			.filter((event) => event.startsWith("data: "))
			.map((event) => JSON.parse(event.slice("data: ".length)) as Item);
		const lsn = events[0]?.headers["lsn"];
		expect(events).toEqual([
			{
				key: '"public"."streamed"/"3"',
				value: { id: "3", title: "c", done: "f" },
				headers: {
					operation: "insert",
					relation: ["public", "streamed"],
					txids: [expect.any(Number)],
					lsn: DECIMAL,
					op_position: expect.any(Number),
					last: true,
				},
			},
			{ headers: { control: "up-to-date", global_last_seen_lsn: lsn } },
		]);
		// The client resumes at `<lsn>_0`, and gets nothing twice.
		const resumed = await wire.call({ handle, log: "full", offset: `${lsn}_0`, table: "streamed" });
		expect(items(resumed)).toEqual([{ headers: { control: "up-to-date", global_last_seen_lsn: DECIMAL } }]);
	});

	it("7: a stale handle is a 409 with the handle that takes its place", async () => {
		const { handle } = await wire.fresh("rotated");
		const stale = "38216733-1700000000000000";
		const reply = await wire.call({ handle: stale, log: "full", offset: "26801312_0", table: "rotated" });
		expect([reply.status, reply.text]).toEqual([409, '[{"headers":{"control":"must-refetch"}}]']);
		expectHeaders(
			reply,
			{ "cache-control": "public, max-age=60, must-revalidate", etag: `"${handle}::"`, "electric-handle": handle },
			["electric-offset", "electric-schema", "electric-cursor", "electric-up-to-date", "electric-has-data"],
		);
		const followUp = {
			"cache-buster": "x",
			expired_handle: stale,
			handle,
			log: "full",
			offset: "-1",
			table: "rotated",
		};
		expectHeaders(await wire.call(followUp), { "electric-handle": handle, "electric-offset": "0_0" });
		// Nobody had asked for this one: it is made, and still a 409.
		const unknown = await wire.call({ handle: stale, offset: "1_0", table: "rotated", where: "id > 5" });
		expect(unknown.status).toBe(409);
		expect(unknown.headers.get("electric-handle")).not.toBe(handle);
		expect(unknown.headers.get("electric-handle")).toMatch(/^\d+-\d{16}$/);
	});

	it("8: TRUNCATE while a long-poll is parked is a 409 without a handle", async () => {
		const { handle, offset } = await wire.fresh("emptied", "insert into emptied values (1, 'a', true)");
		const reply = await wire.held({ cursor: "", handle, live: "true", log: "full", offset, table: "emptied" }, () =>
			wire.database.sql("truncate emptied"),
		);
		expect([reply.status, reply.text]).toEqual([409, '[{"headers":{"control":"must-refetch"}}]']);
		expectHeaders(reply, { "cache-control": "public, max-age=1, must-revalidate" }, ["electric-handle", "etag"]);
	});

	it("9: changes_only from now, then a subset by GET and by POST, nested or not", async () => {
		await wire.database.sql(
			"create table parts (id int4 primary key, title text, done bool); insert into parts values (3, 'c', false), (4, 'd', true)",
		);
		const now = await wire.call({ log: "changes_only", offset: "now", table: "parts" });
		expectCommon(now);
		const handle = now.headers.get("electric-handle") ?? "";
		expectHeaders(now, {
			"cache-control": NON_LIVE,
			"electric-offset": "0_inf",
			"electric-up-to-date": "",
			"electric-has-data": "false",
		});
		expect(schema(now)).toEqual(SCHEMA);
		expect(items(now)).toEqual([
			{ headers: { control: "up-to-date", global_last_seen_lsn: expect.stringMatching(/^[1-9]\d*$/) } },
		]);
		const shape = { handle, log: "changes_only", offset: "0_inf", table: "parts" };
		const subset = { where: '"title" = $1', params: { 1: "c" }, order_by: '"id" ASC', limit: 1 };
		const post = (body: unknown) =>
			wire.call(shape, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
		const replies = [
			await wire.call({
				...shape,
				subset__limit: "1",
				subset__order_by: '"id" ASC',
				subset__params: '{"1":"c"}',
				subset__where: '"title" = $1',
			}),
			await post(subset),
			await post({ subset }),
		];
		for (const reply of replies) {
			expectCommon(reply);
			expectHeaders(
				reply,
				{
					"cache-control": "no-cache",
					"electric-snapshot": "true",
					"electric-handle": handle,
					"electric-offset": "0_inf",
				},
				["etag", "electric-up-to-date", "electric-has-data", "electric-cursor"],
			);
			expect(schema(reply)).toEqual(SCHEMA);
			const { metadata, data } = JSON.parse(reply.text) as { metadata: Record<string, unknown>; data: Item[] };
			expect(metadata).toEqual({
				xmin: DECIMAL,
				xmax: DECIMAL,
				xip_list: [],
				database_lsn: DECIMAL,
				snapshot_mark: expect.any(Number),
			});
			const { snapshot_mark } = metadata;
			expect(data).toEqual([
				{
					key: '"public"."parts"/"3"',
					value: { done: "f", id: "3", title: "c" },
					headers: { operation: "insert", relation: ["public", "parts"], snapshot_mark },
				},
			]);
		}
		const refused = await wire.call({ ...shape, subset__limit: "1" });
		expect([refused.status, JSON.parse(refused.text)]).toEqual([
			400,
			{
				message: "Invalid request",
				errors: { subset: { order_by: ["order_by is required when limit or offset is present"] } },
			},
		]);
	});

	it("10: left out: a subquery is refused with a clear 400, since shapes with subqueries are not served", async () => {
		await wire.database.sql("create table projects (id int4 primary key, active bool)");
		const where = "id IN (SELECT id FROM projects WHERE active)";
		const reply = await wire.call({ table: "items", offset: "-1", where });
		expect([reply.status, JSON.parse(reply.text)]).toEqual([
			400,
			{ message: "Invalid request", errors: { where: [expect.stringMatching(/subqueries are not supported/)] } },
		]);
	});
});
