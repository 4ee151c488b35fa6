/** Requests that wait: wake-ups, time-outs, snapshots in progress, readiness, admission, stopping. */

import { describe, expect, test } from "vitest";
import { SluiceError } from "../../../../src/shared/errors.ts";
import { LEVEL_ACTIVE, LEVEL_STARTING, SLOT_REMOVED } from "../../../../src/shared/shape-table.ts";
import { SlotWaiters } from "../../../../src/workers/http/waiters.ts";
import { HttpStand, query, type StandOptions } from "./support/http-stand.ts";
import { SNAPSHOT_END, snapshotRow } from "./support/shape-files.ts";

const H = "1-1768478340123456";
const LIVE = (offset: string): string => query({ table: "items", offset, handle: H, live: "true" });

async function standWithShape(options: StandOptions = {}) {
	const stand = await HttpStand.start(options);
	const files = stand.shape("items", H, 3);
	files.snapshot([[snapshotRow("1"), SNAPSHOT_END]]);
	return { stand, files };
}

describe("waiters", () => {
	test("news between looking and waiting is not lost", async () => {
		const waiters = new SlotWaiters();
		const waiter = waiters.subscribe(5);
		waiters.wake([4, 5]);
		expect(await waiter.wait(10_000)).toBe("changed");
		expect(await waiter.wait(1)).toBe("timeout");
		const waiting = waiter.wait(10_000);
		expect(waiters.parked).toBe(1);
		waiters.wake([5]);
		expect(await waiting).toBe("changed");
		expect(waiters.parked).toBe(0);
	});

	test("a closed waiter ends and never waits again", async () => {
		const waiters = new SlotWaiters();
		const waiter = waiters.subscribe(5);
		const waiting = waiter.wait(10_000);
		waiter.close();
		expect(await waiting).toBe("ended");
		expect(await waiter.wait(10_000)).toBe("ended");
		expect(waiters.parked).toBe(0);
	});

	test("the end of the thread ends every wait, also one that begins later", async () => {
		const waiters = new SlotWaiters();
		const waiter = waiters.subscribe(5);
		waiters.endAll();
		expect(await waiter.wait(10_000)).toBe("ended");
	});
});

describe("a live request", () => {
	/**
	 * The reference server once waited on an offset without subscribing first: a commit between the look and the
	 * wait was seen only at the time-out. Here commits race with requests; none may take as long as a time-out.
	 */
	test("never loses a commit that races with its arrival", async () => {
		const { stand, files } = await standWithShape({ environment: { SLUICE_LONG_POLL_TIMEOUT_MS: "15000" } });
		await using _stand = stand;
		let offset = "0_inf";
		for (let round = 1n; round <= 150n; round += 1n) {
			const held = Array.from({ length: 4 }, () => stand.get(LIVE(offset)));
			for (let turn = 0n; turn < round % 7n; turn += 1n) {
				await new Promise((resolve) => setImmediate(resolve));
			}
			files.commit(round * 100n, [{ op: 2, id: "1" }]);
			stand.announce(3);
			const answers = await Promise.all(held);
			expect(answers.map((answer) => answer.headers["electric-has-data"])).toEqual(["true", "true", "true", "true"]);
			offset = String(answers[0]?.headers["electric-offset"]);
			expect(offset).toBe(`${round * 100n}_2`);
		}
	});

	test("at one offset shares one read with all others there", async () => {
		const { stand, files } = await standWithShape({ environment: { SLUICE_LONG_POLL_TIMEOUT_MS: "15000" } });
		await using _stand = stand;
		const held = Array.from({ length: 200 }, () => stand.get(LIVE("0_inf")));
		await stand.parked(200);
		files.commit(100n, [{ op: 2, id: "1", padding: "x".repeat(5_000) }]);
		stand.announce(3);
		const answers = await Promise.all(held);
		expect(new Set(answers.map((answer) => answer.text)).size).toBe(1);
		expect(stand.thread.readCounters).toEqual({ reads: 1, sharedHits: 199 });
	});

	test("sleeps through changes of other shapes and through announcements without news", async () => {
		const { stand } = await standWithShape();
		await using _stand = stand;
		const held = stand.get(LIVE("0_inf"));
		await stand.parked(1);
		stand.announce(2, 3, 4);
		expect((await held).headers["electric-has-data"]).toBe("false");
	});

	test("finds at its time-out what nobody announced", async () => {
		const { stand, files } = await standWithShape();
		await using _stand = stand;
		const held = stand.get(LIVE("0_inf"));
		await stand.parked(1);
		files.commit(100n, [{ op: 2, id: "1" }]);
		const answer = await held;
		expect(answer.headers["electric-has-data"]).toBe("true");
		expect(answer.headers["electric-offset"]).toBe("100_2");
	});

	test("whose client goes away leaves nothing behind", async () => {
		const { stand } = await standWithShape({ environment: { SLUICE_LONG_POLL_TIMEOUT_MS: "15000" } });
		await using _stand = stand;
		const abort = new AbortController();
		const held = stand.send("GET", LIVE("0_inf"), { signal: abort.signal }).catch(() => null);
		await stand.parked(1);
		abort.abort();
		await held;
		await stand.parked(0);
		expect(stand.thread.gauges()).toMatchObject({ requests: 0, parked: 0, existing: 0, initial: 0 });
	});

	test("gets a 409 when its slot went to another shape", async () => {
		const { stand } = await standWithShape({ environment: { SLUICE_LONG_POLL_TIMEOUT_MS: "15000" } });
		await using _stand = stand;
		const held = stand.get(LIVE("0_inf"));
		await stand.parked(1);
		stand.table.setState(3, SLOT_REMOVED);
		const other = stand.shape("other", "2-2", 3);
		other.snapshot([[SNAPSHOT_END]]);
		stand.announce(3);
		expect((await held).status).toBe(409);
	});
});

describe("a snapshot in progress", () => {
	test("is followed chunk by chunk as the table counts them, and then by the log", async () => {
		await using stand = await HttpStand.start();
		const files = stand.shape("items", H, 3);
		const first = stand.get(query({ table: "items", offset: "-1" }));
		await stand.parked(1);
		files.snapshotChunk(0, [snapshotRow("1")]);
		stand.announce(3);
		expect((await first).text).toBe(`[${snapshotRow("1")}]`);
		const second = stand.get(query({ table: "items", offset: "0_0", handle: H }));
		await stand.parked(1);
		files.snapshotChunk(1, [SNAPSHOT_END]);
		stand.announce(3);
		expect((await second).headers["electric-offset"]).toBe("0_1");
		const third = stand.get(query({ table: "items", offset: "0_1", handle: H }));
		await stand.parked(1);
		files.append(100n, [{ op: 2, id: "1" }]);
		files.finishSnapshot(2);
		stand.announce(3);
		const answer = await third;
		expect(answer.headers["electric-offset"]).toBe("100_2");
		expect(answer.headers).toHaveProperty("electric-up-to-date");
	});

	test("that fails sends its readers away", async () => {
		await using stand = await HttpStand.start();
		stand.shape("items", H, 3);
		const held = stand.get(query({ table: "items", offset: "-1" }));
		await stand.parked(1);
		stand.remove(3);
		expect((await held).status).toBe(409);
	});

	test("lets `now` be answered, with an LSN that claims nothing", async () => {
		await using stand = await HttpStand.start();
		stand.shape("items", H, 3);
		stand.table.setLaneProcessedLsn(0, 500n);
		const answer = await stand.get(query({ table: "items", offset: "now" }));
		expect(answer.headers["electric-offset"]).toBe("0_inf");
		expect(answer.text).toContain('"global_last_seen_lsn":"0"');
	});
});

describe("before the service is active", () => {
	test("known shapes are served, new ones wait and then get a 503", async () => {
		const { stand } = await standWithShape({ level: LEVEL_STARTING, thread: { readinessWaitMs: 100 } });
		await using _stand = stand;
		expect((await stand.get(query({ table: "items", offset: "-1" }))).status).toBe(200);
		stand.registrar.onResolve = async () => {
			throw new SluiceError("SLUICE_NOT_ACTIVE");
		};
		const answer = await stand.get(query({ table: "new", offset: "-1" }));
		expect(answer.status).toBe(503);
		expect(answer.headers).toMatchObject({ "retry-after": "5", "cache-control": "no-store" });
		expect(JSON.parse(answer.text).message).toMatch(/^Timeout waiting for/);
		expect((await stand.get(query({ table: "items", offset: "0_0", handle: H }))).status).toBe(200);
	});

	test("a request that waits is served as soon as it is", async () => {
		const { stand } = await standWithShape({ level: LEVEL_STARTING });
		await using _stand = stand;
		const resolve = stand.registrar.onResolve;
		let refusals = 0;
		stand.registrar.onResolve = async (request) => {
			if (stand.table.statusLevel() !== LEVEL_ACTIVE) {
				refusals += 1;
				setImmediate(() => stand.table.setStatusLevel(LEVEL_ACTIVE));
				throw new SluiceError("SLUICE_NOT_ACTIVE");
			}
			return resolve(request);
		};
		expect((await stand.get(query({ table: "items", offset: "-1" }))).status).toBe(200);
		expect(refusals).toBe(1);
	});

	test("a registrar that does not answer yet is not waited for any longer", async () => {
		const { stand } = await standWithShape({ level: LEVEL_STARTING, thread: { readinessWaitMs: 50 } });
		await using _stand = stand;
		stand.registrar.onResolve = () => new Promise(() => undefined);
		expect((await stand.get(query({ table: "items", offset: "-1" }))).status).toBe(503);
	});
});

describe("errors of the registrar", () => {
	test.each([
		["SLUICE_DATABASE_UNAVAILABLE", 503, "1", undefined],
		["SLUICE_SNAPSHOT_FAILED", 503, "10", "true"],
		["SLUICE_SHAPES_EXHAUSTED", 503, "10", "true"],
		["SLUICE_THREAD_GONE", 503, "1", undefined],
		["SLUICE_INTERNAL", 500, undefined, undefined],
	] as const)("%s is a %i", async (code, status, retryAfter, known) => {
		const { stand } = await standWithShape();
		await using _stand = stand;
		stand.registrar.onResolve = async () => {
			throw new SluiceError(code, { serverMessage: "Unable to create initial snapshot: permission denied" });
		};
		const answer = await stand.get(query({ table: "items", offset: "-1" }));
		expect(answer.status).toBe(status);
		expect(answer.headers["retry-after"]).toBe(retryAfter);
		expect(answer.headers["electric-internal-known-error"]).toBe(known);
		expect(answer.text).not.toContain("at ");
	});

	test("concurrent requests for one definition are one question", async () => {
		const { stand } = await standWithShape();
		await using _stand = stand;
		const answers = await Promise.all(
			Array.from({ length: 50 }, () => stand.get(query({ table: "items", offset: "-1" }))),
		);
		expect(answers.every((answer) => answer.status === 200)).toBe(true);
		expect(stand.registrar.resolved).toHaveLength(1);
		stand.remove(3);
		const files = stand.shape("items", "9-9", 4);
		files.snapshot([[SNAPSHOT_END]]);
		const after = await stand.get(query({ table: "items", offset: "0_0", handle: H }));
		expect(after.status).toBe(409);
		expect(after.headers["electric-handle"]).toBe("9-9");
	});
});

describe("admission", () => {
	const limits = { initial: 2, existing: 3 };

	test("refuses the request beyond the limit and frees the place of every one that ends", async () => {
		const { stand } = await standWithShape({
			thread: { admissionLimits: limits },
			environment: { SLUICE_LONG_POLL_TIMEOUT_MS: "15000" },
		});
		await using _stand = stand;
		const held = Array.from({ length: 3 }, () => stand.get(LIVE("0_inf")));
		await stand.parked(3);
		const refused = await stand.get(LIVE("0_inf"));
		expect(refused.status).toBe(503);
		expect(JSON.parse(refused.text)).toEqual({
			code: "concurrent_request_limit_exceeded",
			message: "Concurrent existing request limit exceeded (limit: 3), please retry",
		});
		expect(Number(refused.headers["retry-after"])).toBeGreaterThanOrEqual(6);
		expect(refused.headers["electric-internal-known-error"]).toBe("true");
		stand.remove(3);
		await Promise.all(held);
		expect(stand.thread.gauges()).toMatchObject({ existing: 0, initial: 0 });
	});

	test("keeps the place of a client that went away until its work is over", async () => {
		const { stand } = await standWithShape({ thread: { admissionLimits: { initial: 1, existing: 1 } } });
		await using _stand = stand;
		let release = (): void => undefined;
		const resolve = stand.registrar.onResolve;
		stand.registrar.onResolve = async (request) => {
			await new Promise<void>((done) => {
				release = done;
			});
			return resolve(request);
		};
		const abort = new AbortController();
		const gone = stand.send("GET", query({ table: "a", offset: "-1" }), { signal: abort.signal }).catch(() => null);
		while (stand.registrar.resolved.length < 1) {
			await new Promise((done) => setImmediate(done));
		}
		abort.abort();
		await gone;
		while (stand.thread.gauges()["requests"] !== 0) {
			await new Promise((done) => setImmediate(done));
		}
		expect((await stand.get(query({ table: "b", offset: "-1" }))).status).toBe(503);
		release();
		while (stand.thread.gauges()["initial"] !== 0) {
			await new Promise((done) => setImmediate(done));
		}
	});

	test("counts a client with an unknown handle as new, and one with a known handle not", async () => {
		const { stand } = await standWithShape({ thread: { admissionLimits: limits } });
		await using _stand = stand;
		let release = (): void => undefined;
		const gate = new Promise<void>((resolve) => {
			release = resolve;
		});
		const resolve = stand.registrar.onResolve;
		stand.registrar.onResolve = async (request) => {
			await gate;
			return resolve(request);
		};
		const pending = ["a", "b"].map((table) => stand.get(query({ table, offset: "-1" })));
		while (stand.registrar.resolved.length < 2) {
			await new Promise((done) => setImmediate(done));
		}
		const stranger = await stand.get(query({ table: "c", offset: "0_0", handle: "7-7" }));
		expect(JSON.parse(stranger.text).message).toMatch(/initial request limit exceeded \(limit: 2\)/);
		const known = stand.get(query({ table: "items", offset: "0_0", handle: H }));
		release();
		expect((await known).status).toBe(200);
		expect((await Promise.all(pending)).map((answer) => answer.status)).toEqual([400, 400]);
		expect(stand.thread.gauges()).toMatchObject({ existing: 0, initial: 0 });
	});
});

describe("a deletion", () => {
	const environment = { SLUICE_ENABLE_SHAPE_DELETION: "true" };

	test("is refused unless the configuration allows it", async () => {
		const { stand } = await standWithShape();
		await using _stand = stand;
		const answer = await stand.send("DELETE", "/v1/shape?table=items");
		expect([answer.status, answer.text]).toEqual([405, '{"message":"DELETE not allowed"}']);
		expect(answer.headers["cache-control"]).toBe("no-cache");
	});

	test("answers 202, 404, or 400 when definition and handle disagree", async () => {
		const { stand } = await standWithShape({ environment });
		await using _stand = stand;
		const done = await stand.send("DELETE", `/v1/shape?table=items&handle=${H}`);
		expect([done.status, done.text]).toEqual([202, ""]);
		expect(stand.registrar.deleted[0]).toMatchObject({ definition: { table: "items" }, handle: H });
		stand.registrar.onDelete = async () => {
			throw new SluiceError("SLUICE_SHAPE_UNKNOWN");
		};
		const unknown = await stand.send("DELETE", "/v1/shape?handle=x");
		expect([unknown.status, unknown.text]).toEqual([404, '{"message":"No existing shape found"}']);
		stand.registrar.onDelete = async () => {
			throw new SluiceError("SLUICE_REQUEST_INVALID");
		};
		const mismatch = await stand.send("DELETE", "/v1/shape?table=t&handle=x");
		expect(mismatch.status).toBe(400);
		expect(JSON.parse(mismatch.text).message).toMatch(/^The specified shape definition and handle do not match/);
		expect((await stand.send("DELETE", "/v1/shape")).status).toBe(400);
	});

	test("needs the whole service", async () => {
		const { stand } = await standWithShape({ environment, level: 1, thread: { readinessWaitMs: 10 } });
		await using _stand = stand;
		const answer = await stand.send("DELETE", "/v1/shape?table=items");
		expect(answer.status).toBe(503);
		expect(answer.headers).toMatchObject({ "retry-after": "5", "cache-control": "no-cache" });
	});
});

describe("stopping", () => {
	test("answers parked requests at once, as at their time-out, and closes their connections", async () => {
		const { stand } = await standWithShape({ environment: { SLUICE_LONG_POLL_TIMEOUT_MS: "15000" } });
		await using _stand = stand;
		const held = Array.from({ length: 20 }, () => stand.get(LIVE("0_inf")));
		await stand.parked(20);
		const began = performance.now();
		await stand.thread.stop();
		for (const answer of await Promise.all(held)) {
			expect(answer.status).toBe(200);
			expect(answer.headers["electric-has-data"]).toBe("false");
			expect(answer.headers.connection).toBe("close");
		}
		expect(performance.now() - began).toBeLessThan(2_000);
		await expect(stand.get("/v1/health")).rejects.toThrow();
	});
});
