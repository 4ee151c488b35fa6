/**
 * SIGKILL at random points under a write load, again and again. Afterwards the log of the shape, read raw from its
 * start, must hold every change exactly once, in order, under the handle that it always had.
 */

import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { type TestDaemon, useDaemons } from "../support/daemon.ts";
import { embeddedServers, useServer } from "../support/postgres.ts";
import { Random } from "../support/random.ts";
import { waitFor } from "../support/wait-for.ts";

const KILLS = 6;

interface LogItem {
	readonly key?: string;
	readonly value?: { readonly id: string };
	readonly headers: { readonly operation?: string; readonly lsn?: string; readonly op_position?: number };
}

/** The whole log behind a handle, from its snapshot on, as a client reads it. */
async function readLog(daemon: TestDaemon, query: string): Promise<{ handle: string; items: LogItem[] }> {
	const items: LogItem[] = [];
	let offset = "-1";
	let handle = "";
	for (;;) {
		const suffix = handle === "" ? "" : `&handle=${handle}`;
		const response = await fetch(`${daemon.shapeUrl}?${query}&offset=${offset}${suffix}`);
		expect(response.status).toBe(200);
		items.push(...((await response.json()) as LogItem[]));
		handle = response.headers.get("electric-handle") ?? "";
		offset = response.headers.get("electric-offset") ?? "";
		if (response.headers.has("electric-up-to-date")) {
			return { handle, items };
		}
	}
}

describe.each(embeddedServers())("$name", (kind) => {
	const server = useServer(kind);
	const daemons = useDaemons();

	it("keeps every change exactly once through SIGKILLs at random points", { timeout: 120_000 }, async () => {
		const random = new Random(kind.source === "embedded" ? kind.version : 1);
		const database = await server.createDatabase();
		await database.sql("create table items (id int primary key, body text not null)");
		const daemon = await daemons.start({
			databaseUrl: database.url,
			environment: { SLUICE_CHUNK_BYTES: "50000", SLUICE_WORKERS: "2" },
		});
		const query = "table=items&replica=full";
		const { handle } = await readLog(daemon, query);

		const writer = await database.connect();
		let written = 0;
		let writing = true;
		const load = (async () => {
			while (writing) {
				const rows = random.integer(1, 200);
				await writer.query("insert into items select g, repeat('x', 100) from generate_series($1::int, $2::int) g", [
					written + 1,
					written + rows,
				]);
				written += rows;
				await delay(random.integer(0, 10));
			}
		})();
		for (let kill = 0; kill < KILLS; kill += 1) {
			await delay(random.integer(50, 1_500));
			await daemon.kill();
			await delay(random.integer(0, 200));
			await daemon.start();
		}
		writing = false;
		await load;
		await waitFor(
			"every row to be in the log",
			async () => {
				const { items } = await readLog(daemon, query);
				return items.filter((item) => item.headers.operation === "insert").length >= written;
			},
			{ timeoutMs: 30_000, intervalMs: 200 },
		);
		const log = await readLog(daemon, query);
		expect(log.handle).toBe(handle);
		const inserts = log.items.filter((item) => item.headers.operation !== undefined);
		expect(inserts.map((item) => Number(item.value?.id))).toEqual(
			Array.from({ length: written }, (_, index) => index + 1),
		);
		const offsets = inserts.map((item) => [BigInt(item.headers.lsn ?? "0"), item.headers.op_position ?? 0] as const);
		for (const [index, [lsn, op]] of offsets.entries()) {
			const before = offsets[index - 1];
			if (before !== undefined) {
				expect(lsn > before[0] || (lsn === before[0] && op > before[1])).toBe(true);
			}
		}
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});
});
