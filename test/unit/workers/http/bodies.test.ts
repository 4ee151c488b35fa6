/** Request bodies: how many bytes at a time, how long, and what a body may say. Connections: how many at a time. */

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { createLogger } from "../../../../src/shared/logging.ts";
import { BodyBudget } from "../../../../src/workers/http/body-budget.ts";
import { LevelWatch } from "../../../../src/workers/http/level-watch.ts";
import { parseRequestBody } from "../../../../src/workers/http/request-body.ts";
import { HttpStand, query, SUBSET, sharedText } from "./support/http-stand.ts";
import { SNAPSHOT_END, snapshotRow } from "./support/shape-files.ts";

const KIB = 1024;
const LIMITS = { bytesMax: 200 * KIB, waitMs: 15_000, drainMs: 50 };

async function standWithShape(thread: NonNullable<Parameters<typeof HttpStand.start>[0]>["thread"]) {
	const stand = await HttpStand.start({ thread: thread ?? {} });
	stand.shape("items", "1-1", 3).snapshot([[snapshotRow("1"), SNAPSHOT_END]]);
	return stand;
}

/** A POST that declares `length` bytes and sends `bytes` of them. */
async function unfinished(stand: HttpStand, length: number, bytes: number): Promise<Socket> {
	const socket = connect(stand.port, "127.0.0.1");
	socket.on("error", () => undefined);
	await once(socket, "connect");
	const path = query({ table: "items", offset: "-1" });
	socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n`);
	socket.write(Buffer.alloc(bytes, " "));
	return socket;
}

async function answerOf(socket: Socket): Promise<string> {
	let text = "";
	for await (const piece of socket as AsyncIterable<Buffer>) {
		text += piece.toString("latin1");
	}
	return text;
}

async function until(condition: () => boolean): Promise<void> {
	while (!condition()) {
		await new Promise((resolve) => setImmediate(resolve));
	}
}

describe("bodies on their way", () => {
	test("hold a bounded amount together; beyond it they are asked to come back", async () => {
		const stand = await standWithShape({ bodiesBytesMax: 512 * KIB, bodyLimits: LIMITS });
		await using _stand = stand;
		const held = () => stand.thread.gauges()["bodyBytes"] ?? 0;
		const first = await Promise.all([1, 2].map(() => unfinished(stand, 150 * KIB, 149 * KIB)));
		await until(() => held() >= 2 * 149 * KIB);
		const before = held();
		const refused = await Promise.all([1, 2, 3].map(() => unfinished(stand, 150 * KIB, 149 * KIB)));
		const answers = await Promise.all(refused.map(answerOf));
		const refusals = answers.filter((text) => text.startsWith("HTTP/1.1 503 "));
		expect(before).toBeLessThanOrEqual(512 * KIB);
		expect(refusals.length).toBeGreaterThanOrEqual(2);
		for (const text of refusals) {
			expect(text).toMatch(/retry-after: 5\r\n/);
			expect(text).toMatch(/connection: close\r\n/);
		}
		for (const socket of [...first, ...refused]) {
			socket.destroy();
		}
		await until(() => held() === 0);
		const later = await stand.send("POST", query({ table: "items", offset: "-1" }), { body: `${" ".repeat(1_000)}{}` });
		expect(later.status).toBe(200);
		expect(held()).toBe(0);
	}, 15_000);

	test("that are cut into pieces of a byte cost what they hold", async () => {
		const stand = await standWithShape({ bodyLimits: LIMITS });
		await using _stand = stand;
		const socket = connect(stand.port, "127.0.0.1");
		const path = query({ table: "items", offset: "-1" });
		socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n`);
		socket.write("1\r\n \r\n".repeat(20 * KIB));
		await until(() => (stand.thread.gauges()["bodyBytes"] ?? 0) >= 20 * KIB);
		expect(stand.thread.gauges()["bodyBytes"]).toBe(32 * KIB);
		socket.write("2\r\n{}\r\n0\r\n\r\n");
		const [piece] = (await once(socket, "data")) as [Buffer];
		expect(piece.toString("latin1")).toMatch(/^HTTP\/1\.1 200 /);
		socket.destroy();
	});

	test("that ask for a subset count until the subset is answered", async () => {
		const stand = await standWithShape({ bodyLimits: LIMITS });
		await using _stand = stand;
		const asked = Promise.withResolvers<void>();
		const turn = Promise.withResolvers<void>();
		stand.registrar.onSubset = async () => {
			asked.resolve();
			await turn.promise;
			return { body: sharedText(SUBSET) };
		};
		const held = () => stand.thread.gauges()["bodyBytes"] ?? 0;
		const body = JSON.stringify({ where: "x = $1", params: { 1: "x".repeat(100 * KIB) } });
		const answer = stand.send("POST", query({ table: "items", offset: "now" }), { body });
		await asked.promise;
		expect(held()).toBe(body.length);
		turn.resolve();
		expect((await answer).status).toBe(200);
		await until(() => held() === 0);
	});

	test("that do not arrive in time are a 408 and give their bytes back", async () => {
		const stand = await standWithShape({ bodyLimits: { ...LIMITS, waitMs: 50 } });
		await using _stand = stand;
		const socket = await unfinished(stand, 150 * KIB, 100 * KIB);
		const text = await answerOf(socket);
		expect(text).toMatch(/^HTTP\/1\.1 408 /);
		expect(text).toMatch(/connection: close\r\n/);
		expect(stand.thread.gauges()).toMatchObject({ bodyBytes: 0, existing: 0, initial: 0 });
	});

	test("beyond the size of one are a 413, also when their end never comes", async () => {
		const stand = await standWithShape({ bodyLimits: LIMITS });
		await using _stand = stand;
		const socket = await unfinished(stand, 350 * KIB, 300 * KIB);
		expect(await answerOf(socket)).toMatch(/^HTTP\/1\.1 413 /);
	});
});

describe("the budget", () => {
	test("gives a lease back once, and refuses what is beyond it without changing anything", () => {
		const budget = new BodyBudget(100);
		const one = budget.lease();
		const two = budget.lease();
		expect([one.resize(60), two.resize(50), two.resize(40), one.resize(61)]).toEqual([true, false, true, false]);
		expect(budget.heldBytes).toBe(100);
		one.release();
		one.release();
		expect(one.resize(10)).toBe(false);
		expect(budget.heldBytes).toBe(40);
	});
});

describe("what a body says", () => {
	const subsetOf = (body: unknown) => {
		const result = parseRequestBody(Buffer.from(JSON.stringify(body)));
		return result.ok ? result.subset : "refused";
	};

	test("is a subset in a member of that name, or its keys alone, and never the shape", () => {
		expect(subsetOf({ subset: { where: "a", table: "t" }, table: "t", limit: 7 })).toEqual({ where: "a" });
		expect(subsetOf({ where: "a", limit: 1, table: "t", columns: "id" })).toEqual({ where: "a", limit: "1" });
		expect(subsetOf({ subset: {} })).toEqual({});
		expect(subsetOf({ subset: null, table: "t" })).toBeNull();
		expect(subsetOf({ table: "t" })).toBeNull();
		expect(subsetOf([])).toBe("refused");
	});

	test("does not reach a prototype", () => {
		const result = parseRequestBody(Buffer.from('{"__proto__":{"where":"a"},"constructor":1}'));
		expect(result).toEqual({ ok: true, subset: null });
	});
});

describe("connections", () => {
	test("beyond the thread's share are closed at once, with one log line", async () => {
		const lines: unknown[] = [];
		const logger = createLogger("silent", "http-test");
		Object.assign(logger, { warn: (facts: unknown, message: string) => lines.push([message, facts]) });
		const stand = await standWithShape({ connectionsMax: 2, logger });
		await using _stand = stand;
		const sockets = await Promise.all([1, 2].map(() => unfinished(stand, 100, 10)));
		const dropped = await Promise.all([1, 2, 3].map(() => unfinished(stand, 100, 10)));
		expect(await Promise.all(dropped.map((socket) => answerOf(socket).catch(() => "")))).toEqual(["", "", ""]);
		expect(lines).toMatchObject([["too many connections, closing new ones", { connectionsMax: 2, dropped: 1 }]]);
		for (const socket of sockets) {
			socket.destroy();
		}
	});
});

describe("the watch for the service's level", () => {
	test("looks only while somebody waits", async () => {
		let looks = 0;
		const table = {
			statusLevel: () => {
				looks += 1;
				return 0 as const;
			},
		};
		const watch = new LevelWatch(table);
		expect(await watch.whenActive(50)).toBe(false);
		const after = looks;
		await new Promise((resolve) => setTimeout(resolve, 60));
		expect(looks).toBe(after);
	});
});
