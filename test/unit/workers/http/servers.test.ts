/** The admin port, and real HTTP threads as main starts them. */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { MessageChannel, Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../../src/shared/config.ts";
import { controlClient, exposeControl } from "../../../../src/shared/control-call.ts";
import type { HttpControl, HttpInit, ThreadSample } from "../../../../src/shared/messages.ts";
import { workerEntry } from "../../../../src/shared/thread-entry.ts";
import { FakeMain, type FakeRegistrar, HttpStand, query } from "./support/http-stand.ts";
import { SNAPSHOT_END } from "./support/shape-files.ts";

describe("the admin port", () => {
	async function admin() {
		const stand = await HttpStand.start({ servesAdmin: true });
		const port = stand.adminPort ?? 0;
		const send = (method: string, path: string, headers = {}) => stand.send(method, path, { port, headers });
		return { stand, send };
	}

	test("shows main's status, and health", async () => {
		const { stand, send } = await admin();
		await using _stand = stand;
		const status = await send("GET", "/v1/status");
		expect(status.status).toBe(200);
		expect(JSON.parse(status.text)).toMatchObject({ level: "active", link: { walsenderPid: 4711 } });
		expect(JSON.parse((await send("GET", "/v1/health/")).text)).toMatchObject({
			status: "active",
			staleMs: 0,
			progress: { state: "streaming", probe: { roundTripMs: 210 } },
			retainedWal: { cause: "idle" },
		});
		expect((await send("GET", "/v1/health?max-stale-seconds=x")).status).toBe(400);
	});

	test("suspends and resumes one lane or all", async () => {
		const { stand, send } = await admin();
		await using _stand = stand;
		expect((await send("POST", "/v1/lanes/suspend?id=0")).status).toBe(200);
		expect((await send("POST", "/v1/lanes/resume")).text).toBe('{"lane":"all","state":"running"}');
		expect(stand.main.calls).toEqual(["suspend 0", "resume null"]);
		for (const id of ["1", "-1", "x", ""]) {
			expect((await send("POST", `/v1/lanes/suspend?id=${id}`)).status).toBe(400);
		}
	});

	test("writes a profile into the data directory", async () => {
		const { stand, send } = await admin();
		await using _stand = stand;
		const answer = JSON.parse((await send("POST", "/v1/profile?lane=0&seconds=3")).text);
		expect(answer).toMatchObject({ bytes: 12, seconds: 3 });
		expect(answer.path).toMatch(new RegExp(`^${stand.directory}/profiles/lane-0-.*\\.cpuprofile$`));
		expect(readFileSync(answer.path, "utf8")).toBe('{"nodes":[]}');
		expect((await send("POST", "/v1/profile?lane=0&seconds=121")).status).toBe(400);
		expect((await send("POST", "/v1/profile?lane=9&seconds=1")).status).toBe(400);
	});

	test("gives Prometheus the counters of the thread and what main knows", async () => {
		const { stand, send } = await admin();
		await using _stand = stand;
		await stand.get("/v1/health");
		await stand.get("/nowhere");
		const { text, headers } = await send("GET", "/metrics");
		expect(headers["content-type"]).toMatch(/^text\/plain; version=0\.0\.4/);
		for (const line of [
			'sluice_http_requests_total{route="health",status="200"} 1',
			'sluice_http_requests_total{route="none",status="404"} 1',
			"sluice_http_parked_current 0",
			"sluice_level 2",
			"sluice_shapes 3",
			'sluice_link_state{state="streaming"} 1',
			"sluice_link_durable_lag_bytes 160",
			"sluice_link_keepalive_largest_gap_seconds 10.003",
			'sluice_lane_gauge{lane="0",name="shapes"} 3',
			'sluice_event_loop_delay_seconds{thread="main",quantile="0.99"} 0.0015',
			'sluice_http_admission_current{kind="existing"} 0',
			'sluice_probe_round_trip_seconds{to="acknowledged"} 0.21',
			"sluice_proven_age_seconds 1",
			'sluice_server_retained_wal_bytes{cause="idle"} 4096',
			"sluice_server_wal_time_left_seconds 1000",
			"sluice_server_catalog_xmin_age 12",
		]) {
			expect(text).toContain(`${line}\n`);
		}
	});

	test("refuses other paths, methods, origins and host names with JSON", async () => {
		const { stand, send } = await admin();
		await using _stand = stand;
		expect((await send("GET", "/")).status).toBe(404);
		const wrongMethod = await send("GET", "/v1/profile");
		expect([wrongMethod.status, wrongMethod.headers.allow]).toEqual([405, "POST"]);
		expect((await send("POST", "/v1/lanes/suspend", { origin: "https://evil.example" })).status).toBe(403);
		expect((await send("GET", "/v1/status", { host: "evil.example" })).status).toBe(403);
		expect(stand.main.calls).toEqual([]);
	});
});

describe("an HTTP thread as main starts it", () => {
	function startThread(stand: HttpStand, init: { httpThread: number; port: number; httpThreads: string }) {
		const [registrar, main, control, events] = [1, 2, 3, 4].map(() => new MessageChannel());
		if (registrar === undefined || main === undefined || control === undefined || events === undefined) {
			throw new Error("four channels");
		}
		exposeControl(stand.registrar satisfies FakeRegistrar, registrar.port1);
		exposeControl(new FakeMain(), main.port1);
		const workerData: HttpInit = {
			httpThread: init.httpThread,
			config: parseConfig({
				SLUICE_PORT: "0",
				SLUICE_ADMIN_PORT: "0",
				SLUICE_DATA_DIR: stand.directory,
				SLUICE_LOG_LEVEL: "silent",
				SLUICE_HTTP_THREADS: init.httpThreads,
			}),
			instanceId: stand.instanceId,
			shapeTable: stand.table.memory,
			registrarPort: registrar.port2,
			mainPort: main.port2,
			controlPort: control.port2,
			eventPort: events.port2,
			servesAdmin: init.httpThread === 0,
			port: init.port,
		};
		const worker = new Worker(new URL(workerEntry("http")), {
			workerData,
			transferList: [registrar.port2, main.port2, control.port2, events.port2],
			execArgv: [],
		});
		return { worker, control: controlClient<HttpControl>(control.port1), events: events.port1 };
	}

	test("listens, serves, samples and stops; two share one port", async () => {
		await using stand = await HttpStand.start();
		stand.shape("items", "1-1", 3).snapshot([[SNAPSHOT_END]]);
		const first = startThread(stand, { httpThread: 0, port: 0, httpThreads: "2" });
		const sampled = once(first.events, "message");
		const { port, adminPort } = await first.control.listen();
		expect(adminPort).toBeGreaterThan(0);
		const second = startThread(stand, { httpThread: 1, port, httpThreads: "2" });
		expect(await second.control.listen()).toEqual({ port, adminPort: null });
		const answers = await Promise.all(
			Array.from({ length: 40 }, () => stand.send("GET", query({ table: "items", offset: "-1" }), { port })),
		);
		expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200]));
		expect((await stand.send("GET", "/v1/status", { port: adminPort ?? 0 })).status).toBe(200);
		const [sample] = (await sampled) as [ThreadSample];
		expect(sample.kind).toBe("sample");
		expect(sample.gauges).toHaveProperty("parked");
		await Promise.all([first.control.stop(), second.control.stop()]);
		await Promise.all([first.worker.terminate(), second.worker.terminate()]);
	});

	test("says so when the port is taken", async () => {
		await using stand = await HttpStand.start();
		const other = createServer().listen(0, "127.0.0.1");
		await once(other, "listening");
		const taken = other.address();
		const port = typeof taken === "object" && taken !== null ? taken.port : 0;
		const thread = startThread(stand, { httpThread: 1, port, httpThreads: "1" });
		await expect(thread.control.listen()).rejects.toMatchObject({ code: "SLUICE_PORT_IN_USE", context: { port } });
		await thread.worker.terminate();
		other.close();
	});
});
