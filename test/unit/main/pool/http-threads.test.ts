/** The HTTP threads: a dead one is started again on the same ports. */

import { afterEach, expect, it } from "vitest";
import { HttpThreads } from "../../../../src/main/pool/http-threads.ts";
import { parseConfig } from "../../../../src/shared/config.ts";
import { createLogger } from "../../../../src/shared/logging.ts";
import { ShapeTable } from "../../../../src/shared/shape-table.ts";
import { waitFor } from "../../../support/wait-for.ts";

let threads: HttpThreads | null = null;

afterEach(async () => {
	await threads?.stop(2_000);
	threads = null;
});

it("starts a thread that died again, on the ports that clients know", async () => {
	threads = new HttpThreads({
		config: parseConfig({ SLUICE_PORT: "0", SLUICE_ADMIN_PORT: "0", SLUICE_LOG_LEVEL: "silent" }),
		instanceId: "http-threads-test",
		shapeTable: ShapeTable.create().memory,
		mainControl: {
			status: () => Promise.reject(new Error("not asked here")),
			suspendLanes: async () => undefined,
			resumeLanes: async () => undefined,
			profileLane: async () => "",
		},
		attachToRegistrar: async () => undefined,
		onSample: () => undefined,
		onFatal: () => undefined,
		log: createLogger("silent", "main"),
	});
	const { port, adminPort } = await threads.start();
	const health = async (at: number): Promise<number> => (await fetch(`http://127.0.0.1:${at}/v1/health`)).status;
	expect(await health(port)).toBe(202);
	const [first] = threads.workers;
	await first?.[1].terminate();
	await waitFor("the port to answer again", async () => (await health(port)) === 202);
	await waitFor("the admin port to answer again", async () => (await health(adminPort)) === 202);
	expect(threads.workers[0]?.[1]).not.toBe(first?.[1]);
});
