/**
 * The seam between a shape's first data and the stream, while writers write. Shapes are created all the time,
 * against transactions that stay open across the snapshot, that commit during it, that move rows in and out.
 * No row may be lost at the seam, none may be doubled.
 */

import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { useDaemons } from "../support/daemon.ts";
import { embeddedServers, useServer } from "../support/postgres.ts";
import { Random } from "../support/random.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { waitFor } from "../support/wait-for.ts";

describe.each(embeddedServers())("$name", (kind) => {
	const server = useServer(kind);
	const daemons = useDaemons();

	it("loses and doubles nothing while writers keep writing", { timeout: 120_000 }, async () => {
		const database = await server.createDatabase();
		await database.sql("create table counters (id int primary key, owner int not null, n int not null)");
		await database.sql("insert into counters select g, g % 5, 0 from generate_series(1, 200) g");
		const daemon = await daemons.start({ databaseUrl: database.url, environment: { SLUICE_WORKERS: "2" } });
		let writing = true;
		const writers = [1, 2, 3].map(async (seed) => {
			const random = new Random(seed);
			const client = await database.connect();
			while (writing) {
				await client.query("begin");
				for (let step = random.integer(1, 4); step > 0; step -= 1) {
					const id = random.integer(1, 200);
					await client.query(
						random.chance(0.2)
							? "update counters set owner = (owner + 1) % 5, n = n + 1 where id = $1"
							: "update counters set n = n + 1 where id = $1",
						[id],
					);
					if (random.chance(0.1)) {
						await delay(random.integer(1, 30));
					}
				}
				await client.query(random.chance(0.1) ? "rollback" : "commit").catch(() => undefined);
			}
		});
		// Deadlocks between the writers are theirs, not ours.
		const settled = Promise.allSettled(writers);
		const readers: { reader: ShapeReader; where: string }[] = [];
		for (let index = 0; index < 40; index += 1) {
			const where = `owner = ${index % 5} and n >= ${Math.floor(index / 5) - 1}`;
			readers.push({ where, reader: new ShapeReader(daemon.shapeUrl, { table: "counters", where }) });
			await delay(40);
		}
		await Promise.all(readers.map(({ reader }) => reader.shape.rows));
		await delay(500);
		writing = false;
		await settled;
		for (const { reader, where } of readers) {
			const expected = await database.sql<{ id: number; n: number }>(`select id, n from counters where ${where}`);
			const text = (rows: Iterable<[string, string]>): string =>
				JSON.stringify([...rows].sort(([left], [right]) => Number(left) - Number(right)));
			const wanted = text(expected.map((row) => [String(row.id), String(row.n)]));
			await waitFor(`the shape "${where}" to equal SELECT`, () => {
				return text([...reader.rows()].map(([id, row]) => [id, String(row["n"])])) === wanted;
			});
			expect(reader.errors).toEqual([]);
			reader.stop();
		}
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});

	it("waits for a writer that was open before the table was followed", async () => {
		const database = await server.createDatabase();
		await database.sql("create table items (id int primary key)");
		await database.sql("alter table items replica identity full");
		const daemon = await daemons.start({ databaseUrl: database.url });
		const writer = await database.connect();
		await writer.query("begin; insert into items values (1)");
		const reader = new ShapeReader(daemon.shapeUrl, { table: "items" });
		await delay(1_000);
		await writer.query("insert into items values (2); commit");
		await reader.until("both rows of the early writer", (rows) => rows.has("1") && rows.has("2"), 30_000);
		reader.stop();
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});
});
