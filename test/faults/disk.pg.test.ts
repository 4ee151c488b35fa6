/**
 * The disk under the logs: really full (a small tmpfs), and damaged. Nothing is lost either way: a full disk
 * holds everything up until there is room, a damaged log is noticed, dropped and built again.
 */

import { execFile } from "node:child_process";
import { open, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { useDaemons } from "../support/daemon.ts";
import { oneTestServer, useServer } from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

const run = promisify(execFile);
const server = useServer(oneTestServer());
const daemons = useDaemons();

async function canMount(): Promise<boolean> {
	await using probe = await temporaryDirectory("probe");
	try {
		await run("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", probe.path]);
		await run("umount", [probe.path]);
		return true;
	} catch {
		return false;
	}
}

const mountable = await canMount();

describe("a full disk", () => {
	const name = "pauses the socket, keeps the process and the link, and goes on when there is room";
	it.skipIf(!mountable)(
		mountable ? name : `${name} (skipped: mounting a tmpfs needs root)`,
		{ timeout: 90_000 },
		async () => {
			await using mount = await temporaryDirectory("tmpfs");
			await run("mount", ["-t", "tmpfs", "-o", "size=24m,mode=0777", "tmpfs", mount.path]);
			try {
				const database = await server.createDatabase();
				await database.sql(`alter database ${database.name} set wal_sender_timeout = '5s'`);
				await database.sql("create table items (id int primary key, body text not null)");
				const daemon = await daemons.start({
					databaseUrl: database.url,
					environment: { SLUICE_DATA_DIR: join(mount.path, "data") },
				});
				const reader = new ShapeReader(daemon.shapeUrl, { table: "items" });
				await reader.shape.rows;
				const ballast = join(mount.path, "ballast");
				await writeFile(ballast, Buffer.alloc(18 * 1024 * 1024));
				for (let batch = 0; batch < 10; batch += 1) {
					await database.sql(
						`insert into items select g, repeat('x', 1000) from generate_series(${batch * 1000 + 1}, ${batch * 1000 + 1000}) g`,
					);
				}
				await waitFor("the lane to say that the disk is full", async () => {
					const status = await daemon.status();
					return status.lanes[0]?.state === "retrying" && daemon.log.includes("SLUICE_DISK_FULL");
				});
				const during = await daemon.status();
				expect(during.link.pauseReasons).toContain("not-ready");
				expect((await fetch(`${daemon.url}/v1/health`)).ok).toBe(true);
				// Longer than wal_sender_timeout: the link must not care about the disk.
				await new Promise((resolve) => setTimeout(resolve, 7_000));
				await rm(ballast);
				await reader.until("every row, once there is room", (rows) => rows.size === 10_000, 30_000);
				const after = await daemon.status();
				expect(after.link.connects).toBe(1);
				expect(after.link.walsenderPid).toBe(during.link.walsenderPid);
				expect(daemon.log).toContain("free space under SLUICE_DATA_DIR");
				reader.stop();
				expect(await daemon.stop()).toBe(0);
				await database.drop();
			} finally {
				await run("umount", ["-l", mount.path]);
			}
		},
	);
});

describe("a disk without a byte left", () => {
	const name = "takes no new shape and no removal, says why, and goes on when there is room";
	it.skipIf(!mountable)(
		mountable ? name : `${name} (skipped: mounting a tmpfs needs root)`,
		{ timeout: 90_000 },
		async () => {
			await using mount = await temporaryDirectory("tmpfs");
			await run("mount", ["-t", "tmpfs", "-o", "size=24m,mode=0777", "tmpfs", mount.path]);
			try {
				const database = await server.createDatabase();
				await database.sql("create table items (id int primary key, body text not null)");
				await database.sql("insert into items select g, repeat('x', 1000) from generate_series(1, 6000) g");
				const daemon = await daemons.start({
					databaseUrl: database.url,
					environment: { SLUICE_DATA_DIR: join(mount.path, "data") },
				});
				const few = new ShapeReader(daemon.shapeUrl, { table: "items", where: "id <= 10" });
				await few.until("10 rows", (rows) => rows.size === 10);
				const ballast = join(mount.path, "ballast");
				await run("dd", ["if=/dev/zero", `of=${ballast}`, "bs=4096"]).catch(() => undefined);
				// First data that has no room.
				const refused = await fetch(`${daemon.shapeUrl}?table=items&offset=-1`);
				expect(refused.status).toBe(503);
				expect(await refused.text()).toContain("disk");
				// A removal that the catalogue cannot take: readers are told, the files stay until it can.
				const before = (await readdir(join(mount.path, "data", "shapes"))).length;
				const removal = fetch(`${daemon.shapeUrl}?table=items&where=id+%3C%3D+10`, { method: "DELETE" });
				await database.sql("update items set body = 'later' where id = 1");
				await new Promise((resolve) => setTimeout(resolve, 2_000));
				expect((await fetch(`${daemon.url}/v1/health`)).ok).toBe(true);
				expect((await readdir(join(mount.path, "data", "shapes"))).length).toBeGreaterThanOrEqual(before);
				await rm(ballast);
				expect((await removal).status).toBe(202);
				await few.until("the later change", (rows) => rows.get("1")?.["body"] === "later", 30_000);
				const all = new ShapeReader(daemon.shapeUrl, { table: "items" });
				await all.until("all rows", (rows) => rows.size === 6_000, 30_000);
				expect((await daemon.status()).link.connects).toBe(1);
				few.stop();
				all.stop();
				expect(await daemon.stop()).toBe(0);
				await database.drop();
			} finally {
				await run("umount", ["-l", mount.path]);
			}
		},
	);
});

describe("a damaged log", () => {
	it("is noticed at the next start: the shape is built again and the client ends with the right rows", async () => {
		const database = await server.createDatabase();
		await database.sql("create table items (id int primary key, body text not null)");
		const daemon = await daemons.start({ databaseUrl: database.url });
		const reader = new ShapeReader(daemon.shapeUrl, { table: "items" });
		await reader.shape.rows;
		for (let id = 1; id <= 20; id += 1) {
			await database.sql("insert into items values ($1, 'before')", [id]);
		}
		await reader.until("20 rows", (rows) => rows.size === 20);
		await waitFor("everything to be acknowledged", async () => {
			const { link } = await daemon.status();
			return link.acknowledgedLsn === link.receivedLsn;
		});
		await daemon.kill();
		const shapes = join(daemon.dataDirectory, "shapes");
		const [handle] = await readdir(shapes);
		const index = await open(join(shapes, handle ?? "", "log-0.idx"), "r+");
		await index.write(Buffer.from("damage"), 0, 6, 8);
		await index.close();
		const data = await open(join(shapes, handle ?? "", "log-0.json"), "r+");
		await data.write(Buffer.from("damage"), 0, 6, 100);
		await data.close();
		await daemon.start();
		await database.sql("insert into items values (21, 'after')");
		await reader.until("21 rows", (rows) => rows.size === 21);
		expect(reader.errors).toEqual([]);
		reader.stop();
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	});
});
