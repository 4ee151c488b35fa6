/**
 * Subsets: the published client pulls parts of a shape's rows while writers write, and what it holds in the end is
 * what SELECT says. And the answers that the client never asks for: refusals, limits, conditions that try to escape.
 */

import { type Row, Shape, ShapeStream, type ShapeStreamInterface } from "@electric-sql/client";
import { afterEach, describe, expect, it } from "vitest";
import { type TestDaemon, useDaemons } from "../support/daemon.ts";
import { embeddedServers, type TestDatabase, useServer } from "../support/postgres.ts";
import { Random } from "../support/random.ts";
import { waitFor } from "../support/wait-for.ts";

const raw = (value: string): string => value;
const aborts: AbortController[] = [];

afterEach(() => {
	for (const abort of aborts.splice(0)) {
		abort.abort();
	}
});

function changesOnly(daemon: TestDaemon, params: Record<string, string>, method: "GET" | "POST") {
	const abort = new AbortController();
	aborts.push(abort);
	const errors: unknown[] = [];
	const stream = new ShapeStream<Row>({
		url: daemon.shapeUrl,
		params: params as { table: string },
		log: "changes_only",
		offset: "now",
		subsetMethod: method,
		signal: abort.signal,
		parser: { int4: raw },
		onError: (error) => {
			errors.push(error);
		},
	});
	const shape = new Shape(stream as unknown as ShapeStreamInterface<Row>);
	return { stream, shape, errors };
}

interface Answer {
	readonly status: number;
	readonly headers: Headers;
	readonly body: {
		readonly data?: readonly { readonly value: Record<string, string>; readonly headers: Record<string, unknown> }[];
		readonly metadata?: Record<string, unknown>;
		readonly errors?: unknown;
	};
}

async function ask(daemon: TestDaemon, params: Record<string, string>): Promise<Answer> {
	const response = await fetch(`${daemon.shapeUrl}?${new URLSearchParams({ offset: "now", ...params })}`);
	return { status: response.status, headers: response.headers, body: (await response.json()) as Answer["body"] };
}

const idsOf = (answer: Answer): string[] => (answer.body.data ?? []).map((row) => row.value["id"] ?? "");

describe.each(embeddedServers())("$name", (kind) => {
	const server = useServer(kind);
	const daemons = useDaemons();

	/** Transfers inside an owner: the sum of an owner's amounts is the same in every snapshot. */
	function startWriters(database: TestDatabase): { stop: () => Promise<void> } {
		let writing = true;
		const writers = [1, 2].map(async (seed) => {
			const random = new Random(seed);
			const client = await database.connect();
			while (writing) {
				const owner = random.integer(0, 2);
				const [from, to] = [random.integer(0, 29), random.integer(0, 29)].map((index) => index * 3 + owner + 1);
				await client.query("begin");
				await client.query("update accounts set amount = amount - 1 where id = $1", [from]);
				await client.query("update accounts set amount = amount + 1 where id = $1", [to]);
				await client.query(random.chance(0.1) ? "rollback" : "commit").catch(() => undefined);
			}
		});
		// Deadlocks between the writers are theirs, not ours.
		const settled = Promise.allSettled(writers);
		return {
			stop: async () => {
				writing = false;
				await settled;
			},
		};
	}

	it.each(["GET", "POST"] as const)("asked for by %s while writers write come out as SELECT", async (method) => {
		const database = await server.createDatabase();
		await database.sql("create table accounts (id int primary key, owner int not null, amount int not null)");
		await database.sql("insert into accounts select g, (g - 1) % 3, 100 from generate_series(1, 90) g");
		const daemon = await daemons.start({ databaseUrl: database.url });
		const where = "owner = 1 OR owner = 2";
		const { stream, shape, errors } = changesOnly(daemon, { table: "accounts", where }, method);
		shape.subscribe(() => undefined);
		const writers = startWriters(database);
		for (let round = 0; round < 12; round += 1) {
			const whole = await stream.fetchSnapshot({ where: "owner = $1", params: { 1: 1 }, orderBy: "amount DESC, id" });
			const values = whole.data.map((message) => message.value as Record<string, string>);
			expect(values).toHaveLength(30);
			const amounts = values.map((value) => Number(value["amount"]));
			expect(amounts).toEqual(amounts.toSorted((left, right) => right - left));
			expect(amounts.reduce((sum, amount) => sum + amount, 0)).toBe(3_000);
			await shape.requestSnapshot({
				where: "owner <> $1",
				params: { 1: "2" },
				orderBy: "id",
				limit: 3,
				offset: round * 3,
			});
		}
		await writers.stop();
		const expected = await database.sql("select id::text, owner::text, amount::text from accounts where owner = 1");
		const text = (rows: readonly Row[]): string =>
			JSON.stringify(
				rows
					.map(({ id, owner, amount }) => [Number(id), owner, amount])
					.sort(([left], [right]) => Number(left) - Number(right)),
			);
		// 36 rows were paged over, 30 there are.
		await waitFor("the client to hold what SELECT says", () => text(shape.currentRows) === text(expected as Row[]));
		expect(errors).toEqual([]);
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});

	it("read only what the shape shows, whatever the condition tries, and say why they refuse", async () => {
		const database = await server.createDatabase();
		await database.sql("create type mood as enum ('sad', 'happy')");
		await database.sql("create table notes (id int primary key, owner int, secret text, feels mood, extra json)");
		await database.sql("insert into notes select g, g % 2, 's' || g, 'sad', '{}' from generate_series(1, 10) g");
		const daemon = await daemons.start({ databaseUrl: database.url });
		const base = { table: "notes", where: "owner = 1 OR id = 2", columns: "id,owner,feels", log: "changes_only" };
		const good = await ask(daemon, { ...base, subset__where: "id > 4 OR id = 1", subset__order_by: "id desc" });
		expect(good.status).toBe(200);
		expect(idsOf(good)).toEqual(["9", "7", "5", "1"]);
		expect(good.headers.get("electric-snapshot")).toBe("true");
		expect(good.headers.get("electric-offset")).toBe("0_inf");
		expect(good.headers.get("electric-schema")).toMatch(/"owner"/);
		const mark = good.body.metadata?.["snapshot_mark"];
		expect(mark).toSatisfy(Number.isSafeInteger);
		expect(good.body.metadata?.["database_lsn"]).toMatch(/^\d+$/);
		expect(good.body.data?.map((row) => row.headers)).toEqual(
			Array(4).fill({ operation: "insert", relation: ["public", "notes"], snapshot_mark: mark }),
		);
		const subset = (params: Record<string, string>) => ask(daemon, { ...base, ...params });
		expect(
			idsOf(await subset({ subset__order_by: "1, id nulls last", subset__limit: "2", subset__offset: "1" })),
		).toEqual(["2", "3"]);
		expect(idsOf(await subset({ subset__where: "feels = 'happy'" }))).toEqual([]);
		const refusals: [Record<string, string>, unknown][] = [
			[{ subset__where: "true) OR (true" }, { subset: { where: [expect.stringMatching(/syntax error/)] } }],
			[{ subset__where: "nope = 1" }, { subset: { where: [expect.stringMatching(/unknown reference nope/)] } }],
			[
				{ subset__where: "id in (select 1)" },
				{ subset: { where: [expect.stringMatching(/Subqueries are not allowed in subsets/)] } },
			],
			[{ subset__where: "id = $1" }, { subset: { where: [expect.stringMatching(/\$1 was not provided/)] } }],
			[
				{ subset__where: "id = $2", subset__params: '{"2":"1"}' },
				{ subset: { params: ["Parameters must be numbered sequentially, starting from 1"] } },
			],
			[
				{ subset__order_by: "id; drop table notes", subset__limit: "1" },
				{ subset: { order_by: ["Unexpected `;` in order by"] } },
			],
			[{ subset__limit: "1" }, { subset: { order_by: ["order_by is required when limit or offset is present"] } }],
			[{ subset__order_by: "extra" }, { subset: { order_by: expect.stringMatching(/ordering operator/) } }],
			[
				{ queryable_columns: "id,owner,feels", subset__where: "secret = 's1'" },
				{ subset: { where: [expect.stringMatching(/unknown reference secret/)] } },
			],
			[
				{ queryable_columns: "id,owner,feels", subset__order_by: "secret" },
				{ subset: { order_by: [expect.stringMatching(/unknown reference secret/)] } },
			],
			[
				{ queryable_columns: "id,owner,feels,nope", subset__where: "true" },
				{ queryable_columns: ["The following queryable columns are not found on the table: nope"] },
			],
		];
		for (const [params, errors] of refusals) {
			const answer = await subset(params);
			expect([params, answer.status, answer.body.errors]).toEqual([params, 400, errors]);
		}
		expect(await database.sql("select count(*)::int as count from notes")).toEqual([{ count: 10 }]);
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});

	it("that would be too large are refused without being held, and smaller ones go on", async () => {
		const database = await server.createDatabase();
		await database.sql("create table blobs (id int primary key, content text)");
		await database.sql("insert into blobs select g, repeat('x', 1000000) from generate_series(1, 40) g");
		const daemon = await daemons.start({ databaseUrl: database.url });
		const base = { table: "blobs", log: "changes_only" };
		const refused = await Promise.all(Array.from({ length: 6 }, () => ask(daemon, { ...base, subset__where: "true" })));
		for (const answer of refused) {
			expect([answer.status, answer.body.errors]).toEqual([
				400,
				{ subset: { limit: [expect.stringMatching(/ask for fewer with a smaller limit$/)] } },
			]);
		}
		const small = await ask(daemon, { ...base, subset__order_by: "id", subset__limit: "10" });
		expect(idsOf(small)).toHaveLength(10);
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});
});
