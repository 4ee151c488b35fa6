/**
 * Two daemons on one data directory: the second serves what there is while the first writes, and goes on in its place
 * when that one ends, whatever way it ends, with the same handles and without losing or doubling a change.
 */

import { describe, expect, it } from "vitest";
import { type TestDaemon, useDaemons } from "../support/daemon.ts";
import { oneTestServer, type TestDatabase, useServer } from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { waitFor } from "../support/wait-for.ts";

interface Item {
	readonly key?: string;
	readonly headers: { readonly operation?: string; readonly lsn?: string; readonly op_position?: number };
	readonly value?: Record<string, string>;
}

async function health(daemon: TestDaemon): Promise<{ status: number; body: unknown }> {
	const response = await fetch(`${daemon.url}/v1/health`);
	return { status: response.status, body: await response.json() };
}

/** Every item of a shape's log, from the snapshot to where it is up to date. */
async function wholeLog(daemon: TestDaemon, query: string): Promise<{ handle: string; items: Item[] }> {
	const items: Item[] = [];
	let offset = "-1";
	let handle = "";
	for (;;) {
		const at = handle === "" ? "" : `&handle=${handle}`;
		const response = await fetch(`${daemon.shapeUrl}?${query}&offset=${offset}${at}`);
		expect(response.status).toBe(200);
		handle = response.headers.get("electric-handle") ?? "";
		offset = response.headers.get("electric-offset") ?? "";
		items.push(...((await response.json()) as Item[]));
		if (response.headers.has("electric-up-to-date")) {
			return { handle, items };
		}
	}
}

/** What the log says, applied as a client that trusts it would; throws when a change is there twice or out of order. */
function replay(items: readonly Item[]): Map<string, string> {
	const rows = new Map<string, string>();
	let last = { lsn: -1n, op: -1 };
	for (const { headers, value } of items) {
		if (headers.operation === undefined || value === undefined) {
			continue;
		}
		if (headers.lsn !== undefined) {
			const at = { lsn: BigInt(headers.lsn), op: headers.op_position ?? 0 };
			if (at.lsn < last.lsn || (at.lsn === last.lsn && at.op <= last.op)) {
				throw new Error(`entry ${at.lsn}_${at.op} after ${last.lsn}_${last.op}`);
			}
			last = at;
		}
		const id = value["id"] ?? "";
		const isThere = rows.has(id);
		if (headers.operation === "insert" ? isThere : !isThere) {
			throw new Error(`${headers.operation} of row ${id}, which is ${isThere ? "" : "not "}there`);
		}
		if (headers.operation === "delete") {
			rows.delete(id);
		} else {
			rows.set(id, value["n"] ?? rows.get(id) ?? "");
		}
	}
	return rows;
}

/** Keeps writing until it is stopped; answers how many transactions there were. */
function writing(database: TestDatabase): () => Promise<number> {
	let isStopped = false;
	let count = 0;
	const done = (async () => {
		while (!isStopped) {
			count += 1;
			await database.sql(
				`begin; insert into items values (${1_000 + count}, 0);
				 update items set n = n + 1 where id % 7 = ${count % 7};
				 delete from items where id = ${1_000 + count - 50}; commit`,
			);
		}
	})();
	return async () => {
		isStopped = true;
		await done;
		return count;
	};
}

async function selected(database: TestDatabase): Promise<Map<string, string>> {
	const rows = await database.sql<{ id: number; n: number }>("select id, n from items");
	return new Map(rows.map(({ id, n }) => [String(id), String(n)]));
}

const holds = (reader: ShapeReader): Map<string, string> =>
	new Map([...reader.rows()].map(([id, row]) => [id, String(row["n"])]));

function isSame(left: ReadonlyMap<string, string>, right: ReadonlyMap<string, string>): boolean {
	return left.size === right.size && [...left].every(([key, value]) => right.get(key) === value);
}

describe.each([oneTestServer()])("two daemons on one data directory, $name", (kind) => {
	const server = useServer(kind);
	const daemons = useDaemons();

	async function pair() {
		const database = await server.createDatabase();
		await database.sql("create table items (id int primary key, n int not null)");
		await database.sql("insert into items select g, 0 from generate_series(1, 100) g");
		const first = await daemons.start({ databaseUrl: database.url });
		const before = new ShapeReader(first.shapeUrl, { table: "items" });
		await before.until("the rows", (rows) => rows.size === 100);
		before.stop();
		const second = await daemons.start({ databaseUrl: database.url, beside: first, waitUntilActive: false });
		return { database, first, second };
	}

	it.for([["stopped", 2_000] as const, ["killed", 5_000] as const])(
		"when the first is %s the second goes on in its place, and its readers notice nothing",
		async ([end, limitMs], { annotate }) => {
			const { database, first, second } = await pair();
			expect(await health(second)).toEqual({ status: 202, body: { status: "waiting" } });
			expect(await health(first)).toEqual({ status: 200, body: { status: "active" } });
			const reader = new ShapeReader(second.shapeUrl, { table: "items" });
			const events = new ShapeReader(second.shapeUrl, { table: "items" }, { liveSse: true });
			await reader.until("the first data", (rows) => rows.size === 100);
			const { handle } = await wholeLog(second, "table=items");

			const stop = writing(database);
			await reader.until("what the first writes", (rows) => rows.has("1005"), 5_000);
			const beganMs = performance.now();
			const ended = end === "stopped" ? first.stop() : first.kill();
			await ended;
			const goneMs = performance.now();
			await waitFor("the second to be active", async () => (await second.status()).level === "active", {
				intervalMs: 20,
			});
			const activeMs = performance.now();
			const [{ id: last } = { id: 0 }] = await database.sql<{ id: number }>("select max(id) as id from items");
			await reader.until("what was written after the takeover", (rows) => rows.has(String(last)));
			const visibleMs = performance.now();
			const transactions = await stop();

			const expected = await selected(database);
			await reader.until("what SELECT gives", () => isSame(holds(reader), expected));
			await events.until("what SELECT gives", () => isSame(holds(events), expected));
			const log = await wholeLog(second, "table=items");
			expect(log.handle).toBe(handle);
			expect(replay(log.items)).toEqual(expected);
			expect(reader.errors).toEqual([]);
			expect(events.errors).toEqual([]);
			expect(await health(second)).toEqual({ status: 200, body: { status: "active" } });
			await annotate(
				`ended in ${Math.round(goneMs - beganMs)} ms, active ${Math.round(activeMs - goneMs)} ms later, news visible ` +
					`${Math.round(visibleMs - goneMs)} ms later, ${transactions} transactions`,
			);
			expect(activeMs - goneMs).toBeLessThan(limitMs);
			reader.stop();
			events.stop();
			await database.drop();
		},
	);

	it("while the first is frozen the second does not write beside it; thawed, the first goes on; killed, the second does", async ({
		annotate,
	}) => {
		const { database, first, second } = await pair();
		const reader = new ShapeReader(second.shapeUrl, { table: "items" });
		await reader.until("the first data", (rows) => rows.size === 100);
		const { handle } = await wholeLog(second, "table=items");
		first.signal("SIGSTOP");
		await database.sql("insert into items values (2001, 0)");
		// Some dozen times as long as a takeover takes, and as the second looks for one.
		await new Promise((resolve) => setTimeout(resolve, 3_000));
		expect((await second.status()).level).toBe("read-only");
		expect(reader.rows().size).toBe(100);
		first.signal("SIGCONT");
		await reader.until("what the first has missed", (rows) => rows.size === 101);
		expect((await second.status()).level).toBe("read-only");

		first.signal("SIGSTOP");
		await database.sql("insert into items values (2002, 0)");
		const killedMs = performance.now();
		await first.kill();
		await reader.until("what the second has taken over", (rows) => rows.size === 102);
		await annotate(`news ${Math.round(performance.now() - killedMs)} ms after the frozen one was killed`);
		await second.untilActive();
		const log = await wholeLog(second, "table=items");
		expect(log.handle).toBe(handle);
		expect(replay(log.items)).toEqual(await selected(database));
		expect(reader.errors).toEqual([]);
		reader.stop();
		await database.drop();
	});

	it("a rolling deploy over three daemons loses no change, and every client ends up with what SELECT gives", async () => {
		const { database, first, second } = await pair();
		const begin = (): Promise<TestDaemon> =>
			daemons.start({ databaseUrl: database.url, beside: first, waitUntilActive: false });
		const { handle } = await wholeLog(first, "table=items");
		const readers = [new ShapeReader(second.shapeUrl, { table: "items" })];
		const stop = writing(database);
		const third = await begin();
		readers.push(new ShapeReader(third.shapeUrl, { table: "items" }));
		expect(await first.stop()).toBe(0);
		// Whichever of the two is quicker.
		const [leading, following] = await waitFor("one of two to go on", async () => {
			const levels = await Promise.all([second.status(), third.status()]);
			if (levels[0].level === "active") {
				return [second, third] as const;
			}
			return levels[1].level === "active" ? ([third, second] as const) : null;
		});
		expect((await following.status()).level).toBe("read-only");
		const [{ id: between } = { id: 0 }] = await database.sql<{ id: number }>("select max(id) as id from items");
		await Promise.all(
			readers.map((reader) => reader.until("news of the new writer", (rows) => rows.has(String(between)), 5_000)),
		);
		await leading.kill();
		await following.untilActive();
		const last = new ShapeReader(following.shapeUrl, { table: "items" });
		await stop();
		const expected = await selected(database);
		const remaining = readers[following === second ? 0 : 1];
		await remaining?.until("what SELECT gives", (rows) => rows.size === expected.size);
		await waitFor("both clients to hold what SELECT gives", () =>
			[remaining, last].every((reader) => reader !== undefined && isSame(holds(reader), expected)),
		);
		const log = await wholeLog(following, "table=items");
		expect(log.handle).toBe(handle);
		expect(replay(log.items)).toEqual(expected);
		expect(remaining?.errors).toEqual([]);
		for (const reader of [...readers, last]) {
			reader.stop();
		}
		await database.drop();
	});

	it("a daemon that follows refuses what is wrong, asks to come again for what has to be made, learns of what ends", async () => {
		const { database, first, second } = await pair();
		const { handle } = await wholeLog(second, "table=items");
		expect((await fetch(`${second.shapeUrl}?table=nowhere&offset=-1`)).status).toBe(400);
		const unmade = await fetch(`${second.shapeUrl}?table=items&where=id%3E5&offset=-1`);
		expect(unmade.status).toBe(503);
		expect(unmade.headers.get("retry-after")).not.toBeNull();
		expect((await fetch(`${second.shapeUrl}?table=items`, { method: "DELETE" })).status).toBe(503);
		const made = await wholeLog(first, "table=items&where=id%3E5");
		const seen = await wholeLog(second, "table=items&where=id%3E5");
		expect(seen.handle).toBe(made.handle);
		expect(replay(seen.items)).toEqual(replay(made.items));
		const parked = await fetch(`${second.shapeUrl}?table=items&offset=now&handle=${handle}`);
		const live = fetch(
			`${second.shapeUrl}?table=items&offset=${parked.headers.get("electric-offset")}&handle=${handle}&live=true`,
		);
		await database.sql("truncate items");
		expect((await live).status).toBe(409);
		// The first makes the shape anew when it is asked.
		const renewed = await wholeLog(first, "table=items");
		expect(renewed.handle).not.toBe(handle);
		await waitFor("the second to serve the new shape", async () => {
			const response = await fetch(`${second.shapeUrl}?table=items&offset=-1`);
			return response.headers.get("electric-handle") === renewed.handle;
		});
		expect((await fetch(`${second.shapeUrl}?table=items&offset=0_0&handle=${handle}`)).status).toBe(409);
		expect(await second.stop()).toBe(0);
		expect((await first.status()).level).toBe("active");
		await database.drop();
	});

	it("open transactions hold the first up at its first start, not the second at its takeover, and a killed one not the next", async ({
		annotate,
	}) => {
		const database = await server.createDatabase();
		await database.sql("create table items (id int primary key, n int not null)");
		const writer = await database.connect();
		await writer.query("begin; insert into items values (1, 0)");
		const first = await daemons.start({ databaseUrl: database.url, waitUntilActive: false });
		await waitFor("the first to make its slot", async () => (await first.status()).link.step === "slot-create");
		expect(await health(first)).toEqual({ status: 202, body: { status: "starting" } });
		const second = await daemons.start({ databaseUrl: database.url, beside: first, waitUntilActive: false });
		expect(await health(second)).toEqual({ status: 202, body: { status: "waiting" } });

		await first.kill();
		const killedMs = performance.now();
		await waitFor("the server to end the dead one's slot creation, and the second to begin its own", async () => {
			const { link } = await second.status();
			const sessions = await database.sql("select from pg_stat_activity where query like 'CREATE_REPLICATION_SLOT%'");
			return link.step === "slot-create" && sessions.length === 1;
		});
		await annotate(`slot creation again after ${Math.round(performance.now() - killedMs)} ms`);
		expect(await health(second)).toEqual({ status: 202, body: { status: "starting" } });
		await writer.query("commit");
		await second.untilActive();

		const third = await daemons.start({ databaseUrl: database.url, beside: first, waitUntilActive: false });
		const reader = new ShapeReader(second.shapeUrl, { table: "items" });
		await reader.until("the row", (rows) => rows.size === 1);
		reader.stop();
		await writer.query("begin; insert into items values (2, 0)");
		await second.kill();
		const beganMs = performance.now();
		await third.untilActive();
		expect(performance.now() - beganMs).toBeLessThan(10_000);
		await writer.query("commit");
		await writer.end();
		const next = new ShapeReader(third.shapeUrl, { table: "items" });
		await next.until("both rows", (rows) => rows.size === 2);
		next.stop();
		await database.drop();
	});
});
