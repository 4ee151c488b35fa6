/**
 * Giant transactions and giant values: they stream through memory that does not grow with them, nobody sees a part of
 * them, and meanwhile every request is answered. Sizes are small by default; `SLUICE_SCALE=full` is what
 * docs/RELIABILITY.md reports.
 */

import { stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { BATCH_BYTES_MAX } from "../../src/shared/limits.ts";
import { type TestDaemon, useDaemons } from "../support/daemon.ts";
import { oneTestServer, type TestDatabase, useServer } from "../support/postgres.ts";
import { type MemoryPeak, memoryDuring } from "../support/process-memory.ts";
import { waitFor } from "../support/wait-for.ts";

const MIB = 1024 * 1024;
const full = process.env["SLUICE_SCALE"] === "full";
const scale = full
	? {
			rows: 10_000_000,
			savepoints: 1_000_000,
			values: 1024,
			valueBytes: MIB,
			giantBytes: 200 * MIB,
			beyondBytes: 300 * MIB,
		}
	: { rows: 300_000, savepoints: 20_000, values: 96, valueBytes: MIB, giantBytes: 24 * MIB, beyondBytes: 270 * MIB };
const patience = { timeoutMs: full ? 1_800_000 : 60_000, intervalMs: 50 };
/** Window, a lane's arena, garbage of several heaps: what may be added to an idle process, whatever the size of the stream. */
const GROWTH_BYTES_MAX = 256 * MIB;

const server = useServer(oneTestServer(), { settings: full ? { max_wal_size: "8GB" } : {} });
const daemons = useDaemons();

async function start(ddl: string): Promise<{ database: TestDatabase; daemon: TestDaemon }> {
	const database = await server.createDatabase();
	await database.sql(ddl);
	await database.sql("create table small (id int primary key, v text)");
	const daemon = await daemons.start({ databaseUrl: database.url });
	return { database, daemon };
}

/** A reader by hand: it counts what it is sent and keeps none of it. */
class Tail {
	readonly #url: string;
	handle = "";
	offset = "-1";
	/** The last answer was the end of what can be seen. */
	isUpToDate = false;
	/** Messages that carry a row. */
	changes = 0;
	bytes = 0;

	constructor(daemon: TestDaemon, table: string) {
		this.#url = `${daemon.shapeUrl}?table=${table}`;
	}

	/** One request from where it stands. Answers the status. */
	async step(): Promise<number> {
		const handle = this.handle === "" ? "" : `&handle=${this.handle}`;
		const response = await fetch(`${this.#url}&offset=${this.offset}${handle}`);
		let keys = 0;
		let rest = Buffer.alloc(0);
		for await (const chunk of response.body ?? []) {
			this.bytes += chunk.length;
			const seen = Buffer.concat([rest, chunk]);
			for (let at = seen.indexOf('{"key":'); at >= 0; at = seen.indexOf('{"key":', at + 7)) {
				keys += 1;
			}
			rest = Buffer.from(seen.subarray(Math.max(0, seen.length - 6)));
		}
		if (response.status === 200) {
			this.handle = response.headers.get("electric-handle") ?? "";
			this.offset = response.headers.get("electric-offset") ?? "";
			this.changes += keys;
			this.isUpToDate = response.headers.has("electric-up-to-date");
		}
		return response.status;
	}

	/** Reads until it holds `count` row messages, the new ones of one transaction: there is no end between none and all. */
	async until(count: number): Promise<void> {
		const { changes } = this;
		let parts = 0;
		await waitFor(
			`${count} changes`,
			async () => {
				expect(await this.step()).toBe(200);
				parts += this.isUpToDate && this.changes > changes && this.changes < count ? 1 : 0;
				return this.changes >= count;
			},
			patience,
		).catch((cause: unknown) => {
			throw new Error(`${this.changes} of ${count} changes`, { cause });
		});
		expect(this.changes).toBe(count);
		expect(parts, "a part of a transaction was seen").toBe(0);
	}
}

/** Asks for this and that, on and on; the longest that it took. */
function pester(daemon: TestDaemon): { stop(): Promise<number> } {
	let going = true;
	let longestMs = 0;
	const asking = (async () => {
		while (going) {
			for (const url of [`${daemon.url}/v1/health`, `${daemon.shapeUrl}?table=small&offset=-1`]) {
				const before = performance.now();
				const response = await fetch(url);
				await response.arrayBuffer();
				expect(response.status).toBe(200);
				longestMs = Math.max(longestMs, performance.now() - before);
			}
			await delay(10);
		}
	})();
	return {
		stop: async () => {
			going = false;
			await asking;
			return Math.round(longestMs);
		},
	};
}

function report(what: string, { before, peak }: MemoryPeak, durationMs: number, longestMs: number): void {
	const mib = (bytes: number): string => (bytes / MIB).toFixed(0);
	process.stdout.write(
		`${what}: ${(durationMs / 1000).toFixed(1)} s, resident ${mib(before)} to ${mib(peak)} MiB, slowest request ${longestMs} ms\n`,
	);
}

async function sameLink(daemon: TestDaemon): Promise<void> {
	expect((await daemon.status()).link.connects).toBe(1);
}

describe("a giant transaction", () => {
	it(`of ${scale.rows} rows streams at flat memory, is seen whole, and holds up no request`, {
		timeout: 2_000_000,
	}, async () => {
		const { database, daemon } = await start("create table big (id bigint primary key, v text)");
		const small = new Tail(daemon, "small");
		expect(await small.step()).toBe(200);
		const big = new Tail(daemon, "big");
		while (!big.offset.startsWith("0_")) {
			expect(await big.step()).toBe(200);
		}
		// A first, small one: code is compiled, buffers have their size.
		await database.sql("insert into big select -g, 'warm' from generate_series(1, 20000) g");
		await big.until(20_000);
		const pestering = pester(daemon);
		const startMs = performance.now();
		let longestMs = 0;
		const memory = await memoryDuring(daemon.pid, async () => {
			await database.sql(`insert into big select g, 'row ' || g from generate_series(1, ${scale.rows}) g`);
			const log = join(daemon.dataDirectory, "shapes", big.handle, "log-1.json");
			await waitFor("the first segments to be written", async () => (await stat(log)).size > 0, patience);
			// Committed after the giant, so it comes after it: then all of the giant is there.
			await database.sql("insert into small values (1, 'after')");
			await waitFor("the row after it", async () => (await small.step()) === 200 && small.changes === 1, patience);
			await big.until(20_000 + scale.rows);
			longestMs = await pestering.stop();
		});
		report(`${scale.rows} rows`, memory, performance.now() - startMs, longestMs);
		expect(memory.peak - memory.before).toBeLessThan(GROWTH_BYTES_MAX);
		expect(longestMs).toBeLessThan(5_000);
		await sameLink(daemon);
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});

	it(`of ${scale.savepoints} subtransactions, a third of them rolled back`, { timeout: 2_000_000 }, async () => {
		const { database, daemon } = await start("create table subs (id int primary key, v text)");
		const tail = new Tail(daemon, "subs");
		while (!tail.offset.startsWith("0_")) {
			expect(await tail.step()).toBe(200);
		}
		const pestering = pester(daemon);
		const startMs = performance.now();
		let longestMs = 0;
		const memory = await memoryDuring(daemon.pid, async () => {
			await database.sql(`do $$ begin
				for i in 1 .. ${scale.savepoints} loop
					begin
						insert into subs values (i, 'v');
						if i % 3 = 0 then raise exception 'back'; end if;
					exception when raise_exception then null;
					end;
				end loop; end $$`);
			const [kept] = await database.sql<{ count: string }>("select count(*) from subs");
			await tail.until(Number(kept?.count));
			longestMs = await pestering.stop();
		});
		report(`${scale.savepoints} subtransactions`, memory, performance.now() - startMs, longestMs);
		expect(memory.peak - memory.before).toBeLessThan(GROWTH_BYTES_MAX);
		await sameLink(daemon);
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});
});

describe("transactions of every size around a batch", () => {
	it("come whole, with the mark on the last change alone", async () => {
		const { database, daemon } = await start("create table sized (id serial primary key, v text)");
		const handle = (await fetch(`${daemon.shapeUrl}?table=sized&offset=-1`)).headers.get("electric-handle");
		const rowBytes = 2_000;
		const sizes = [0.8, 0.99, 1, 1.01, 1.2, 2, 3.7, 5].map((share) => Math.round((share * BATCH_BYTES_MAX) / rowBytes));
		for (const size of sizes) {
			await database.sql(`insert into sized (v) select repeat('x', ${rowBytes}) from generate_series(1, ${size})`);
		}
		const total = sizes.reduce((sum, size) => sum + size, 0);
		interface Entry {
			readonly headers: { readonly lsn?: string; readonly operation?: string; readonly last?: boolean };
		}
		const entries: Entry[] = [];
		let offset = "0_0";
		await waitFor("all changes", async () => {
			const response = await fetch(`${daemon.shapeUrl}?table=sized&offset=${offset}&handle=${handle}`);
			entries.push(...((await response.json()) as Entry[]).filter(({ headers }) => headers.operation !== undefined));
			offset = response.headers.get("electric-offset") ?? offset;
			return entries.length >= total;
		});
		const transactions = Map.groupBy(entries, ({ headers }) => headers.lsn);
		expect([...transactions.values()].map((each) => each.length)).toEqual(sizes);
		for (const each of transactions.values()) {
			expect(each.filter(({ headers }) => headers.last === true)).toEqual([each.at(-1)]);
		}
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});
});

describe("giant values", () => {
	it(`${scale.values} of ${scale.valueBytes / MIB} MiB in one transaction, then updates that leave them alone`, {
		timeout: 2_000_000,
	}, async () => {
		const { database, daemon } = await start(
			"create table docs (id int primary key, n int default 0, body text); alter table docs alter column body set storage external",
		);
		const tail = new Tail(daemon, "docs");
		while (!tail.offset.startsWith("0_")) {
			expect(await tail.step()).toBe(200);
		}
		const pestering = pester(daemon);
		const startMs = performance.now();
		let longestMs = 0;
		const memory = await memoryDuring(daemon.pid, async () => {
			await database.sql(
				`insert into docs select g, 0, repeat(chr(97 + g % 26), ${scale.valueBytes}) from generate_series(1, ${scale.values}) g`,
			);
			await tail.until(scale.values);
			expect(tail.bytes).toBeGreaterThan(scale.values * scale.valueBytes);
			tail.bytes = 0;
			await database.sql("update docs set n = 1");
			await tail.until(2 * scale.values);
			longestMs = await pestering.stop();
		});
		// The old row has the value, the entry has what changed.
		expect(tail.bytes).toBeLessThan(scale.values * 1_000);
		report(`${scale.values} values of ${scale.valueBytes / MIB} MiB`, memory, performance.now() - startMs, longestMs);
		expect(memory.peak - memory.before).toBeLessThan(GROWTH_BYTES_MAX);
		await sameLink(daemon);
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});

	it(`one of ${scale.giantBytes / MIB} MiB passes; a row change beyond the limit costs its table's shapes alone`, {
		timeout: 2_000_000,
	}, async () => {
		const { database, daemon } = await start(
			"create table docs (id int primary key, body text); alter table docs alter column body set storage external",
		);
		const small = new Tail(daemon, "small");
		expect(await small.step()).toBe(200);
		const tail = new Tail(daemon, "docs");
		while (!tail.offset.startsWith("0_")) {
			expect(await tail.step()).toBe(200);
		}
		await database.sql(`insert into docs values (1, repeat('g', ${scale.giantBytes}))`);
		await tail.until(1);
		expect(tail.bytes).toBeGreaterThan(scale.giantBytes);
		const memory = await memoryDuring(daemon.pid, async () => {
			await database.sql(`begin; insert into docs values (2, 'before'), (3, repeat('b', ${scale.beyondBytes})), (4, 'after');
				delete from docs where id = 3; insert into small values (1, 'same transaction'); commit`);
			await waitFor("the shape to end", async () => (await tail.step()) === 409, patience);
			await waitFor("the other table's row", async () => (await small.step()) === 200 && small.changes === 1, patience);
		});
		// The change itself was never held.
		expect(memory.peak - memory.before).toBeLessThan(scale.beyondBytes);
		expect(daemon.log).toContain("beyond the limit");
		const anew = new Tail(daemon, "docs");
		while (!anew.offset.startsWith("0_")) {
			expect(await anew.step()).toBe(200);
		}
		await database.sql("insert into docs values (5, 'later')");
		// Three in its first data, one that came later.
		await waitFor("all four", async () => (await anew.step()) === 200 && anew.changes === 4, patience);
		await sameLink(daemon);
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});
});
