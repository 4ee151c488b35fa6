/**
 * The embedded server's life: start, restart, adoption after a kill, failure. With real binaries.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import { describe, expect, it } from "vitest";
import {
	type LocalPostgres,
	type LocalPostgresOptions,
	type PostgresVersion,
	startLocalPostgres,
} from "../../../../src/main/local-postgres/local-postgres.ts";
import { livenessOf } from "../../../../src/main/local-postgres/postmaster-file.ts";
import { runningLocalPostgresUrl } from "../../../../src/main/local-postgres/running.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { waitFor } from "../../../support/wait-for.ts";

const versions: readonly PostgresVersion[] = [15, 18];
const module = fileURLToPath(new URL("../../../../src/main/local-postgres/local-postgres.ts", import.meta.url));

async function query(server: LocalPostgres, text: string): Promise<unknown[]> {
	const client = new Client({ connectionString: server.url });
	await client.connect();
	try {
		return (await client.query(text)).rows;
	} finally {
		await client.end();
	}
}

function start(directory: string, options: Partial<LocalPostgresOptions> = {}): Promise<LocalPostgres> {
	return startLocalPostgres({ dataDirectory: join(directory, "data"), sync: false, dieWithParent: true, ...options });
}

/** Starts a server from another process, and kills that process as soon as the server is ready. */
async function startAndKill(options: LocalPostgresOptions): Promise<number> {
	const script = `const { startLocalPostgres } = await import(${JSON.stringify(module)});
		const server = await startLocalPostgres(${JSON.stringify(options)});
		process.stdout.write(String(server.pid));
		setInterval(() => {}, 1000);`;
	const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	const said = await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
	child.kill("SIGKILL");
	if (child.exitCode === null && child.signalCode === null) {
		await once(child, "exit");
	}
	return Number(String(said[0]));
}

describe.each(versions)("embedded PostgreSQL %i", (version) => {
	it("keeps rows, port and password over stop and start, and takes new settings", async () => {
		await using directory = await temporaryDirectory();
		const first = await start(directory.path, { version });
		await query(first, "create table kept as select 42 as answer");
		expect(await query(first, "show wal_level")).toEqual([{ wal_level: "logical" }]);
		expect(await first.stop()).toBe("clean");
		const second = await start(directory.path, { settings: { work_mem: "5MB", search_path: "it's, public" } });
		expect(second.version).toBe(version);
		expect(second.url).toBe(first.url);
		expect(await query(second, "table kept")).toEqual([{ answer: 42 }]);
		expect(await query(second, "show work_mem")).toEqual([{ work_mem: "5MB" }]);
		await second.stop();
	});

	it("sorts by code point and knows letters beyond ASCII", async () => {
		await using directory = await temporaryDirectory();
		const server = await start(directory.path, { version });
		expect(await query(server, "select upper('ä') as upper, 'a' > 'B' as bytewise, 'Ä' ilike 'ä' as fold")).toEqual([
			{ upper: "Ä", bytewise: true, fold: true },
		]);
		await server.stop();
	});

	it("restarts on the same port with another pid, also after an immediate stop", async () => {
		await using directory = await temporaryDirectory();
		const server = await start(directory.path, { version });
		const { pid, port } = server;
		await server.restart("immediate");
		expect(server.port).toBe(port);
		expect(server.pid).not.toBe(pid);
		expect(await query(server, "select 1 as one")).toEqual([{ one: 1 }]);
		await server.stop();
		expect(await livenessOf(pid)).not.toBe("alive");
	});

	it("is adopted when the process that started it was killed", async () => {
		await using directory = await temporaryDirectory();
		const pid = await startAndKill({ dataDirectory: join(directory.path, "data"), version, sync: false });
		expect(await livenessOf(pid)).toBe("alive");
		const server = await start(directory.path);
		expect(server.pid).toBe(pid);
		expect(await query(server, "select 1 as one")).toEqual([{ one: 1 }]);
		await server.stop();
		expect(await livenessOf(pid)).toBe("dead");
	});

	it.runIf(process.platform === "linux")("ends with the process that asked for that", async () => {
		await using directory = await temporaryDirectory();
		const dataDirectory = join(directory.path, "data");
		const pid = await startAndKill({ dataDirectory, version, sync: false, dieWithParent: true });
		await waitFor("the server to end", async () => (await livenessOf(pid)) === "dead");
	});
});

describe.runIf(process.getuid?.() === 0)("below a directory that only root may enter", () => {
	it("runs all the same, and asks everybody for the password that its URL holds", async () => {
		await using directory = await temporaryDirectory();
		await chmod(directory.path, 0o700);
		const server = await start(directory.path, { dataDirectory: join(directory.path, "deeper", "data") });
		expect(await query(server, "select 1 as one")).toEqual([{ one: 1 }]);
		expect(await readFile(`/proc/${server.pid}/status`, "utf8")).toMatch(/^Uid:\s+[1-9]/m);
		const client = new Client({ connectionString: server.url.replace(/:[^:@]*@/, "@") });
		await expect(client.connect()).rejects.toThrow();
		await server.restart();
		expect(await runningLocalPostgresUrl(server.dataDirectory)).toBe(server.url);
		expect(await query(server, "select 2 as two")).toEqual([{ two: 2 }]);
		await server.stop();
	});
});

describe("the first start", () => {
	it("makes the directories above its data too, and the server's user reaches them", async () => {
		await using directory = await temporaryDirectory();
		const server = await start(directory.path, { dataDirectory: join(directory.path, "new", "er", "data") });
		expect(await query(server, "select 1 as one")).toEqual([{ one: 1 }]);
		await server.stop();
	});
});

describe("a start that cannot work", () => {
	it("says so with the server's own last lines when a setting is wrong", async () => {
		await using directory = await temporaryDirectory();
		await expect(start(directory.path, { settings: { no_such_setting: "1" } })).rejects.toMatchObject({
			code: "SLUICE_LOCAL_POSTGRES_FAILED",
			context: {
				reason: "the server ended while it started",
				lastLines: expect.arrayContaining([expect.stringContaining("no_such_setting")]),
			},
		});
	});

	it("is refused when the wanted port is taken, and moves on when the port was only remembered", async () => {
		await using directory = await temporaryDirectory();
		const server = await start(directory.path);
		const { port } = server;
		await server.stop();
		const blocker = createServer().listen(port, "127.0.0.1");
		await once(blocker, "listening");
		await expect(start(directory.path, { port })).rejects.toMatchObject({ code: "SLUICE_LOCAL_POSTGRES_FAILED" });
		const moved = await start(directory.path);
		expect(moved.port).not.toBe(port);
		await moved.stop();
		blocker.close();
	});

	it("leaves a directory alone that holds something else", async () => {
		await using directory = await temporaryDirectory();
		await mkdir(join(directory.path, "data"));
		await writeFile(join(directory.path, "data", "precious"), "1");
		await expect(start(directory.path)).rejects.toMatchObject({ code: "SLUICE_LOCAL_POSTGRES_FAILED" });
		expect(await readFile(join(directory.path, "data", "precious"), "utf8")).toBe("1");
	});

	it("is refused for the data of another major version", async () => {
		await using directory = await temporaryDirectory();
		const server = await start(directory.path, { version: 15 });
		await server.stop();
		await expect(start(directory.path, { version: 18 })).rejects.toMatchObject({
			context: { existing: 15, version: 18 },
		});
	});

	it("does not mistake another program for the server that had its pid", async () => {
		await using directory = await temporaryDirectory();
		const server = await start(directory.path);
		await server.stop();
		await writeFile(join(directory.path, "data", "postmaster.pid"), `${process.pid}\n\n0\n${server.port}\n`);
		const again = await start(directory.path);
		expect(again.pid).not.toBe(process.pid);
		await again.stop();
	});
});
