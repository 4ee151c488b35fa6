/** What a lane's failures cost, as main sees it: the thread is played by the test. */

import type { MessagePort } from "node:worker_threads";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Lane, type LaneOptions } from "../../../../src/main/pool/lane.ts";
import { parseConfig } from "../../../../src/shared/config.ts";
import { SluiceError, toWire } from "../../../../src/shared/errors.ts";
import { BATCH_RETRY_BUDGET_MS } from "../../../../src/shared/limits.ts";
import { createLogger } from "../../../../src/shared/logging.ts";
import type { LaneInbound, LaneOutbound } from "../../../../src/shared/messages.ts";
import { waitFor } from "../../../support/wait-for.ts";

afterEach(() => {
	vi.restoreAllMocks();
});

/** A lane whose thread is a port: it runs until the port is closed. */
async function room() {
	const received: LaneInbound[] = [];
	const fatal: SluiceError[] = [];
	let thread: MessagePort | null = null;
	let end: () => void = () => undefined;
	const batch = { kind: "batch", sequence: 1 } as Parameters<Lane["send"]>[0];
	const options: LaneOptions = {
		id: 0,
		run: (task) => {
			thread = task.dataPort;
			task.dataPort.on("message", (message: LaneInbound) => {
				received.push(message);
				if (message.kind === "stop") {
					end();
				}
			});
			task.dataPort.postMessage({ kind: "ready", threadId: 7 } satisfies LaneOutbound);
			return new Promise((resolve) => {
				end = resolve;
			});
		},
		task: {
			config: parseConfig({ DATABASE_URL: "postgresql://127.0.0.1/x" }),
			instanceId: "test",
			shapeTable: new SharedArrayBuffer(8),
			segments: [],
			faults: [],
		},
		resume: () => ({ expectedSequence: 1, openTransaction: null, acknowledgedLsn: 0n }),
		batchesFrom: () => [batch],
		terminate: () => undefined,
		workingOn: () => null,
		attachToRegistrar: () => Promise.resolve(),
		untilActive: () => Promise.resolve(),
		events: {
			written: () => undefined,
			durable: () => undefined,
			sample: () => undefined,
			state: () => undefined,
			fatal: (error) => fatal.push(error),
		},
		log: createLogger("silent", "main"),
	};
	const lane = new Lane(options);
	await lane.start();
	const batches = (): number => received.filter(({ kind }) => kind === "batch").length;
	await waitFor("the batch", () => batches() === 1);
	return {
		fatal,
		batches,
		/** The lane says that it could not process the batch. */
		fail: (code: "SLUICE_DISK_FULL" | "SLUICE_DISK_FAILED") =>
			thread?.postMessage({ kind: "failed", sequence: 1, error: toWire(new SluiceError(code)) } satisfies LaneOutbound),
		async [Symbol.asyncDispose]() {
			await lane.stop();
		},
	};
}

/** Makes the clock show so much more from now on. */
function passTime(milliseconds: number): void {
	const real = performance.now.bind(performance);
	vi.spyOn(performance, "now").mockImplementation(() => real() + milliseconds);
}

describe("a batch that fails again and again", () => {
	it("because the disk is full is tried again however long that takes, in the end once a second", async () => {
		await using lane = await room();
		lane.fail("SLUICE_DISK_FULL");
		await waitFor("another try", () => lane.batches() === 2);
		passTime(10 * BATCH_RETRY_BUDGET_MS);
		const beganMs = Date.now();
		lane.fail("SLUICE_DISK_FULL");
		await waitFor("another try, hours later", () => lane.batches() === 3);
		expect(Date.now() - beganMs).toBeGreaterThan(900);
		expect(lane.fatal).toEqual([]);
	});

	it("for another reason ends the service once its budget is spent", async () => {
		await using lane = await room();
		lane.fail("SLUICE_DISK_FAILED");
		await waitFor("another try", () => lane.batches() === 2);
		passTime(BATCH_RETRY_BUDGET_MS + 1_000);
		lane.fail("SLUICE_DISK_FAILED");
		await waitFor("the end", () => lane.fatal.length === 1);
		expect(lane.fatal[0]?.code).toBe("SLUICE_LANE_GAVE_UP");
	});
});
