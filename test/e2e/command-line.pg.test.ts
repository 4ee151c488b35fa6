/**
 * The service as its users start it: the command line, its environment, its signals, its files. What others script
 * against (names of variables, ports, exit codes, the status document) is asserted here.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { bindablePort } from "../../src/main/local-postgres/free-port.ts";
import { oneTestServer, uniqueName, useServer } from "../support/postgres.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";

const ENTRY = fileURLToPath(new URL("../../src/main/index.ts", import.meta.url));
const server = useServer(oneTestServer());

interface Running {
	readonly child: ChildProcess;
	readonly output: () => string;
	readonly exited: Promise<number | null>;
	readonly port: number;
	readonly adminPort: number;
	readonly directory: TemporaryDirectory;
}

const running: Running[] = [];

afterEach(async () => {
	for (const each of running.splice(0)) {
		each.child.kill("SIGKILL");
		await each.exited;
		await each.directory.remove();
	}
});

async function freePort(): Promise<number> {
	const port = await bindablePort(0);
	if (port === null) {
		throw new Error("no port is free");
	}
	return port;
}

async function sluice(args: readonly string[], environment: Record<string, string> = {}): Promise<Running> {
	const directory = await temporaryDirectory("command");
	const [port, adminPort] = [await freePort(), await freePort()];
	const child = spawn(process.execPath, [ENTRY, ...args], {
		cwd: directory.path,
		stdio: ["ignore", "pipe", "pipe"],
		env: {
			PATH: process.env["PATH"],
			SLUICE_PORT: String(port),
			SLUICE_ADMIN_PORT: String(adminPort),
			SLUICE_STREAM_ID: uniqueName("c"),
			...environment,
		},
	});
	let output = "";
	const keep = (chunk: Buffer): void => {
		output += chunk.toString("utf8");
	};
	child.stdout?.on("data", keep);
	child.stderr?.on("data", keep);
	const exited = once(child, "exit").then(([code]) => code as number | null);
	const started = { child, output: () => output, exited, port, adminPort, directory };
	running.push(started);
	return started;
}

async function untilHealthy({ port, output }: Running): Promise<void> {
	await waitFor("health to be 200", async () => (await fetch(`http://127.0.0.1:${port}/v1/health`)).status === 200, {
		timeoutMs: 40_000,
	}).catch((cause: unknown) => {
		throw new Error(`not healthy:\n${output()}`, { cause });
	});
}

describe("sluice start", () => {
	it("without a database runs an embedded one with a sample, says how to use it, and keeps it over a restart", {
		timeout: 120_000,
	}, async () => {
		const first = await sluice(["start"], { DATABASE_URL: "" });
		await untilHealthy(first);
		await waitFor("the welcome", () => first.output().includes("Stop with Ctrl-C"));
		const response = await fetch(`http://127.0.0.1:${first.port}/v1/shape?table=items&offset=-1`);
		expect(response.status).toBe(200);
		expect(await response.text()).toContain("read the README");

		const sql = spawn(process.execPath, [ENTRY, "sql", "INSERT INTO items (title) VALUES ('from a test')"], {
			cwd: first.directory.path,
			stdio: "ignore",
		});
		expect((await once(sql, "exit"))[0]).toBe(0);
		first.child.kill("SIGTERM");
		expect(await first.exited).toBe(0);

		const again = spawn(process.execPath, [ENTRY, "start"], {
			cwd: first.directory.path,
			stdio: "ignore",
			env: {
				PATH: process.env["PATH"],
				SLUICE_PORT: String(first.port),
				SLUICE_ADMIN_PORT: String(first.adminPort),
			},
		});
		const ended = once(again, "exit");
		try {
			await untilHealthy(first);
			const second = await fetch(`http://127.0.0.1:${first.port}/v1/shape?table=items&offset=-1`);
			expect(await second.text()).toContain("from a test");
		} finally {
			again.kill("SIGTERM");
		}
		expect((await ended)[0]).toBe(0);
	});

	it("refused beside a running one, leaves that one's embedded database alone", { timeout: 90_000 }, async () => {
		const first = await sluice(["start"], { DATABASE_URL: "" });
		await untilHealthy(first);
		const second = spawn(process.execPath, [ENTRY, "start"], {
			cwd: first.directory.path,
			stdio: "ignore",
			env: { PATH: process.env["PATH"], SLUICE_PORT: "0", SLUICE_ADMIN_PORT: "0" },
		});
		expect((await once(second, "exit"))[0]).toBe(1);
		const sql = spawn(process.execPath, [ENTRY, "sql", "SELECT 1"], { cwd: first.directory.path, stdio: "ignore" });
		expect((await once(sql, "exit"))[0]).toBe(0);
		first.child.kill("SIGTERM");
		expect(await first.exited).toBe(0);
	});

	it("takes a signal that arrives twice at once, as from a terminal through npm, as one", async () => {
		const database = await server.createDatabase();
		const daemon = await sluice(["start"], { DATABASE_URL: database.url });
		await untilHealthy(daemon);
		daemon.child.kill("SIGINT");
		daemon.child.kill("SIGINT");
		expect(await daemon.exited).toBe(0);
		expect(daemon.output()).not.toContain("ending at once");
		await database.drop();
	});

	it("serves a status document with the names that others script against", async () => {
		const database = await server.createDatabase();
		const daemon = await sluice(["start"], { DATABASE_URL: database.url, SLUICE_WORKERS: "2" });
		await untilHealthy(daemon);
		const status = await (await fetch(`http://127.0.0.1:${daemon.adminPort}/v1/status`)).json();
		expect(status).toMatchObject({
			level: "active",
			link: {
				state: "streaming",
				walsenderPid: expect.any(Number),
				connects: 1,
				paused: false,
				pauseReasons: [],
				receivedLsn: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/),
				durableLsn: expect.stringMatching(/\//),
				acknowledgedLsn: expect.stringMatching(/\//),
				keepalive: { intervalMs: 15_000, sent: expect.any(Number), largestGapMs: expect.any(Number) },
			},
			lanes: [
				{ id: 0, state: "running", writtenBatch: 0, durableLsn: expect.any(String), restarts: 0 },
				{ id: 1, state: "running", writtenBatch: 0, durableLsn: expect.any(String), restarts: 0 },
			],
			window: { bytes: 0, limitBytes: 33_554_432 },
			eventLoopDelayMs: { main: { p50: expect.any(Number), p99: expect.any(Number), max: expect.any(Number) } },
			shapes: { count: 0 },
		});
		const metrics = await (await fetch(`http://127.0.0.1:${daemon.adminPort}/metrics`)).text();
		expect(metrics).toMatch(/^sluice_/m);
		const suspended = await fetch(`http://127.0.0.1:${daemon.adminPort}/v1/lanes/suspend?id=1`, { method: "POST" });
		expect(suspended.status).toBe(200);
		const after = (await (await fetch(`http://127.0.0.1:${daemon.adminPort}/v1/status`)).json()) as {
			lanes: { state: string }[];
		};
		expect(after.lanes.map((lane) => lane.state)).toEqual(["running", "suspended"]);
		daemon.child.kill("SIGTERM");
		expect(await daemon.exited).toBe(0);
		await database.drop();
	});

	it("profiles a lane from the command line", async () => {
		const database = await server.createDatabase();
		const daemon = await sluice(["start"], { DATABASE_URL: database.url });
		await untilHealthy(daemon);
		const profile = await sluice(["profile", "--lane", "0", "--seconds", "1"], {
			SLUICE_ADMIN_PORT: String(daemon.adminPort),
		});
		expect(await profile.exited).toBe(0);
		const { path } = JSON.parse(profile.output()) as { path: string };
		expect(path).toBe(join(daemon.directory.path, ".sluice/data/profiles", path.split("/").at(-1) ?? ""));
		expect(JSON.parse(await readFile(path, "utf8"))).toHaveProperty("nodes");
		daemon.child.kill("SIGTERM");
		expect(await daemon.exited).toBe(0);
		await database.drop();
	});

	it("ends at once on a second signal", async () => {
		const database = await server.createDatabase();
		const daemon = await sluice(["start"], { DATABASE_URL: database.url });
		await untilHealthy(daemon);
		// A request that is being answered holds an orderly stop up for a moment.
		const held = fetch(`http://127.0.0.1:${daemon.adminPort}/v1/profile?lane=0&seconds=20`, { method: "POST" });
		held.catch(() => undefined);
		await delay(500);
		daemon.child.kill("SIGTERM");
		await delay(400);
		daemon.child.kill("SIGTERM");
		expect([0, 143]).toContain(await daemon.exited);
		await database.drop();
	});

	it.each([
		["a host beyond loopback without a secret", { SLUICE_HOST: "0.0.0.0" }, "SLUICE_INSECURE_REFUSED"],
		["a value that is no number", { SLUICE_WORKERS: "many" }, "SLUICE_WORKERS"],
		["a URL of another kind", { DATABASE_URL: "mysql://localhost/x" }, "DATABASE_URL"],
	])("refuses %s with exit code 1 and says what to do", async (_name, environment, text) => {
		const daemon = await sluice(["start"], { DATABASE_URL: "postgresql://localhost:1/x", ...environment });
		expect(await daemon.exited).toBe(1);
		expect(daemon.output()).toContain(text);
		expect(daemon.output()).toContain("remedy");
	});

	it("keeps trying when the database does not exist, says so, and stops in order", async () => {
		const database = await server.createDatabase();
		const url = new URL(database.url);
		url.pathname = "/does_not_exist";
		const daemon = await sluice(["start"], { DATABASE_URL: url.href });
		await waitFor("the daemon to say that the database does not exist", () =>
			daemon.output().includes("does not exist"),
		);
		daemon.child.kill("SIGTERM");
		expect(await daemon.exited).toBe(0);
		await database.drop();
	});

	it("waits beside a daemon on the same data directory, and goes on when that one is stopped", async () => {
		const database = await server.createDatabase();
		const first = await sluice(["start"], { DATABASE_URL: database.url });
		await untilHealthy(first);
		const second = await sluice(["start"], {
			DATABASE_URL: database.url,
			SLUICE_DATA_DIR: join(first.directory.path, ".sluice/data"),
		});
		await waitFor("the second to say that it follows", () => second.output().includes("follows another daemon"));
		first.child.kill("SIGTERM");
		expect(await first.exited).toBe(0);
		await untilHealthy(second);
		second.child.kill("SIGTERM");
		expect(await second.exited).toBe(0);
		await database.drop();
	});
});
