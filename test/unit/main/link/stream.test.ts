/** The link against a server that sends what no PostgreSQL would: malformed, cut, silent, out of order. */

import { once } from "node:events";
import { describe, expect, it } from "vitest";
import type { ReplicationLink } from "../../../../src/main/link/stream.ts";
import { LINK_CLOSE_TIMEOUT_MS } from "../../../../src/shared/limits.ts";
import { Consumer, connectLink, startLink } from "../../../pg/link-consumer.ts";
import { waitFor } from "../../../support/wait-for.ts";
import { type FakeOptions, FakeWalsender } from "./fake-walsender.ts";
import {
	COMMAND_COMPLETE,
	COPY_BOTH,
	COPY_DONE,
	keepalive,
	message,
	READY,
	report,
	resultSet,
	xlogData,
} from "./wire.ts";

const INSERT = Buffer.from("49000059364e0002740000000131740000000178", "hex");

function commit(endLsn: bigint): Buffer {
	const bytes = Buffer.alloc(26);
	bytes.write("C", 0, "latin1");
	bytes.writeBigUInt64BE(endLsn, 10);
	return bytes;
}

const names = { slotName: "a_slot", publicationName: 'Pub"name' };

async function streaming(options: FakeOptions = {}) {
	const fake = await FakeWalsender.listen(options);
	const consumer = new Consumer();
	const link = await startLink(consumer, { databaseUrl: fake.url, ...names });
	return { fake, consumer, link };
}

async function end(fake: FakeWalsender, link: ReplicationLink): Promise<void> {
	await link.close();
	await fake[Symbol.asyncDispose]();
}

describe("a stream that breaks", () => {
	const good = xlogData(INSERT);
	const broken: readonly [name: string, bytes: Buffer, code: string, context: object][] = [
		[
			"with an unknown type",
			message("!", Buffer.alloc(8)),
			"SLUICE_FRAME_MALFORMED",
			{ hexPrefix: expect.stringMatching(/^210000000c/) },
		],
		[
			"with an impossible length",
			Buffer.from("64ffffffff", "hex"),
			"SLUICE_FRAME_MALFORMED",
			{ hexPrefix: expect.stringMatching(/^64ffffffff/) },
		],
		[
			"with a length beyond the limit, of no row change",
			Buffer.concat([Buffer.from("6420000000", "hex"), Buffer.alloc(30)]),
			"SLUICE_FRAME_TOO_LARGE",
			{ declaredBytes: 0x2000_0000 },
		],
		[
			"with CopyData of an unknown kind",
			message("d", Buffer.from("?")),
			"SLUICE_FRAME_MALFORMED",
			{ part: "copy-data" },
		],
		["with a second CopyBothResponse", COPY_BOTH, "SLUICE_FRAME_MALFORMED", { part: "order" }],
		["by the server's CopyDone", COPY_DONE, "SLUICE_LINK_CLOSED", { message: "copyDone" }],
		["by CommandComplete, as at a shutdown", COMMAND_COMPLETE, "SLUICE_LINK_CLOSED", { message: "commandComplete" }],
		["by ReadyForQuery", READY, "SLUICE_LINK_CLOSED", { message: "readyForQuery" }],
		[
			"by an error of the server",
			report("E", { S: "FATAL", C: "57P01", M: "terminating connection" }),
			"SLUICE_LINK_CLOSED",
			{ sqlState: "57P01", serverMessage: "terminating connection", step: "streaming" },
		],
		[
			"by the warning that a publication is missing",
			report("N", { S: "WARNUNG", C: "55000", M: "übersprungen", R: "LoadPublications" }),
			"SLUICE_SLOT_LOST",
			{ sqlState: "55000" },
		],
	];

	it.each(broken)("%s ends the link once, with a clear error", async (_name, bytes, code, context) => {
		const { fake, consumer, link } = await streaming();
		let closes = 0;
		const { onClosed } = consumer;
		consumer.onClosed = (error) => {
			closes += 1;
			onClosed.call(consumer, error);
		};
		fake.stream.write(Buffer.concat([good, bytes, good]));
		const error = await consumer.closed();
		expect(error).toMatchObject({ code, context });
		expect(consumer.inserts).toBe(1);
		await end(fake, link);
		expect(closes).toBe(1);
	});

	it("in the middle of a message, by FIN, is an ordinary disconnect", async () => {
		const { fake, consumer, link } = await streaming();
		fake.stream.end(Buffer.concat([good, good.subarray(0, 11)]));
		expect(await consumer.closed()).toMatchObject({
			code: "SLUICE_LINK_CLOSED",
			context: { reason: "end of stream", cutFrameBytes: 11, step: "streaming" },
		});
		expect(consumer.inserts).toBe(1);
		await end(fake, link);
	});

	it("by RST is an ordinary disconnect", async () => {
		const { fake, consumer, link } = await streaming();
		fake.stream.resetAndDestroy();
		expect(await consumer.closed()).toMatchObject({
			code: "SLUICE_LINK_CLOSED",
			context: { systemCode: "ECONNRESET" },
		});
		await end(fake, link);
	});

	it("while paused is found by the next keepalive", async () => {
		const { fake, consumer, link } = await streaming({ walSenderTimeoutMs: 300 });
		link.pause();
		fake.stream.resetAndDestroy();
		expect(await consumer.closed()).toMatchObject({ code: "SLUICE_LINK_CLOSED" });
		await end(fake, link);
	});
});

describe("keepalives", () => {
	it("go out at a third of the timeout, while paused too, and carry the positions unchanged", async () => {
		const { fake, consumer, link } = await streaming({ walSenderTimeoutMs: 300 });
		consumer.received = 0xffff_ffff_ffff_fff0n;
		consumer.flush = 0x1234_5678_9abcn;
		link.pause();
		await waitFor("three of them", () => fake.updates.length >= 3);
		expect(fake.updates.at(-1)).toMatchObject({
			write: 0xffff_ffff_ffff_fff0n,
			flush: 0x1234_5678_9abcn,
			apply: 0x1234_5678_9abcn,
			replyRequested: false,
		});
		expect(link.statistics).toMatchObject({ intervalMs: 100, sent: fake.updates.length });
		expect(link.statistics.largestGapMs).toBeGreaterThan(90);
		await end(fake, link);
	});

	it("answer a request at once, with what came before it already counted", async () => {
		const { fake, consumer, link } = await streaming();
		consumer.acknowledgesAtOnce = true;
		const answered = new Promise<void>((resolve) => {
			fake.onUpdate = () => resolve();
		});
		fake.stream.write(Buffer.concat([xlogData(INSERT), xlogData(commit(0x200n)), keepalive(0x300n, true)]));
		await answered;
		expect(fake.updates[0]).toMatchObject({ write: 0x300n, flush: 0x300n, apply: 0x300n });
		await end(fake, link);
	});

	it("ask a silent server, and call it dead when it does not answer", async () => {
		const { fake, consumer, link } = await streaming({ walSenderTimeoutMs: 300 });
		const error = await consumer.closed();
		expect(error.code).toBe("SLUICE_LINK_SILENT");
		expect(fake.updates.some((update) => update.replyRequested)).toBe(true);
		await end(fake, link);
	});

	it("keep a silent server that answers when asked", async () => {
		const { fake, consumer, link } = await streaming({ walSenderTimeoutMs: 300 });
		fake.onUpdate = (update) => {
			if (update.replyRequested) {
				fake.stream.write(keepalive(0x100n, false));
			}
		};
		await waitFor("ten of them", () => fake.updates.length >= 10);
		expect(consumer.error).toBeNull();
		await end(fake, link);
	});

	it("report a main thread that was blocked longer than the timeout, and do not take the server for dead", async () => {
		const { fake, consumer, link } = await streaming({ walSenderTimeoutMs: 300 });
		fake.onUpdate = () => fake.stream.write(keepalive(0x100n, false));
		await waitFor("a keepalive", () => consumer.keepalives > 0);
		for (let time = 0; time < 3; time += 1) {
			Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700);
			const sent = link.statistics.sent;
			await waitFor("four more", () => link.statistics.sent >= sent + 4);
			expect(consumer.error).toBeNull();
		}
		expect(link.statistics.largestGapMs).toBeGreaterThan(690);
		await end(fake, link);
	});
});

describe("acknowledging", () => {
	it("sends once for many calls in a tick, and nothing when the position did not grow", async () => {
		const { fake, consumer, link } = await streaming();
		consumer.flush = 0x200n;
		for (let call = 0; call < 100; call += 1) {
			link.acknowledge();
		}
		await waitFor("the update", () => fake.updates.length > 0);
		link.acknowledge();
		consumer.flush = 0x300n;
		await waitFor("no second one before the position grows", () => {
			link.acknowledge();
			return fake.updates.length === 2;
		});
		expect(fake.updates.map((update) => update.flush)).toEqual([0x200n, 0x300n]);
		await end(fake, link);
	});
});

describe("pausing", () => {
	it("holds frames back and delivers them after the resume, in order", async () => {
		const { fake, consumer, link } = await streaming({ walSenderTimeoutMs: 300 });
		link.pause();
		link.pause();
		expect(link.paused).toBe(true);
		fake.stream.write(Buffer.concat([xlogData(INSERT), xlogData(commit(0x200n))]));
		const sent = link.statistics.sent;
		await waitFor("five keepalives", () => link.statistics.sent >= sent + 5);
		expect(consumer.inserts).toBe(0);
		link.resume();
		await waitFor("the transaction", () => consumer.commits === 1);
		expect(consumer.inserts).toBe(1);
		expect(consumer.error).toBeNull();
		await end(fake, link);
	});

	it("from inside a frame lets the rest of that read through and no more", async () => {
		const { fake, consumer, link } = await streaming();
		const { onFrame } = consumer;
		consumer.onFrame = (bytes) => {
			onFrame.call(consumer, bytes);
			link.pause();
		};
		const answered = once(fake.stream, "data");
		fake.stream.write(Buffer.concat([xlogData(INSERT), xlogData(INSERT), keepalive(0x100n, true)]));
		await answered;
		expect(consumer.inserts).toBe(2);
		await end(fake, link);
	});
});

describe("closing", () => {
	it("sends a last update and Terminate, and reports nothing", async () => {
		const { fake, consumer, link } = await streaming();
		consumer.flush = 0x777n;
		await Promise.all([link.close(), link.close()]);
		await waitFor("Terminate", () => fake.terminated);
		expect(fake.updates.map((update) => update.flush)).toEqual([0x777n]);
		expect(consumer.error).toBeNull();
		link.acknowledge();
		link.pause();
		link.resume();
		await fake[Symbol.asyncDispose]();
	});

	it("takes a second at most when the server does not close", async () => {
		const { fake, link } = await streaming();
		fake.stream.pause();
		const began = performance.now();
		await link.close();
		expect(performance.now() - began).toBeLessThan(LINK_CLOSE_TIMEOUT_MS + 500);
		await fake[Symbol.asyncDispose]();
	});

	it("before the start says goodbye without an update", async () => {
		await using fake = await FakeWalsender.listen();
		const link = await connectLink(new Consumer(), { databaseUrl: fake.url, ...names });
		await link.close();
		await waitFor("Terminate", () => fake.terminated);
		expect(fake.updates).toEqual([]);
	});
});

describe("starting", () => {
	it("quotes slot and publication and begins where it is told", async () => {
		const { fake, link } = await streaming();
		expect(fake.statements.at(-1)).toBe(
			`START_REPLICATION SLOT "a_slot" LOGICAL 0/100 (proto_version '1', publication_names '"Pub""name"', messages 'true')`,
		);
		expect(link.facts).toMatchObject({ walsenderPid: 4711, serverVersion: 180_004, slotCreated: false });
		await end(fake, link);
	});

	it("rejects with the server's refusal and does not report it twice", async () => {
		const refusal = report("E", { S: "ERROR", C: "55006", M: 'replication slot "a_slot" is active for PID 9' });
		await using fake = await FakeWalsender.listen({
			answer: (statement) => (statement.startsWith("START") ? Buffer.concat([refusal, READY]) : null),
		});
		const consumer = new Consumer();
		await using link = await connectLink(consumer, { databaseUrl: fake.url, ...names });
		await expect(link.start(0n)).rejects.toMatchObject({
			code: "SLUICE_SLOT_IN_USE",
			context: { step: "start-replication" },
		});
		expect(consumer.error).toBeNull();
	});

	it("rejects when the connection was lost between the ladder and the start", async () => {
		await using fake = await FakeWalsender.listen();
		const consumer = new Consumer();
		await using link = await connectLink(consumer, { databaseUrl: fake.url, ...names });
		fake.dropConnections();
		await expect(link.start(0n)).rejects.toMatchObject({ code: "SLUICE_LINK_CLOSED" });
		expect(consumer.error).toBeNull();
	});

	it("rejects when no answer comes", async () => {
		await using fake = await FakeWalsender.listen({
			answer: (statement) => (statement.startsWith("START") ? "silence" : null),
		});
		await using link = await connectLink(new Consumer(), { databaseUrl: fake.url, ...names, connectTimeoutMs: 200 });
		await expect(link.start(0n)).rejects.toMatchObject({
			code: "SLUICE_LINK_CLOSED",
			context: { step: "start-replication", reason: "no answer in time" },
		});
		await expect(link.start(0n)).rejects.toMatchObject({ code: "SLUICE_LINK_CLOSED" });
	});
});

describe("a server that is not what it should be", () => {
	it.each([
		["answers nothing on a rung", "silence", "SLUICE_LINK_CLOSED"],
		["answers without a row", resultSet(null), "SLUICE_LINK_REFUSED"],
		["answers with another row", resultSet({ nonsense: "1" }), "SLUICE_LINK_REFUSED"],
		[
			"does not know the command",
			Buffer.concat([report("E", { S: "ERROR", C: "42601", M: "syntax error" }), READY]),
			"SLUICE_LINK_MISCONFIGURED",
		],
	] as const)("%s: the error names the rung and no secret", async (_name, answer, code) => {
		await using fake = await FakeWalsender.listen({
			answer: (statement) => (statement === "IDENTIFY_SYSTEM" ? answer : null),
		});
		const error: unknown = await connectLink(new Consumer(), {
			databaseUrl: fake.url,
			...names,
			connectTimeoutMs: 300,
		}).catch((thrown: unknown) => thrown);
		expect(error).toMatchObject({ code, context: { step: "identify-system" } });
		expect(JSON.stringify(error)).not.toContain("a-secret");
	});

	it("is too old: the error names both versions", async () => {
		await using fake = await FakeWalsender.listen({
			answer: (statement) =>
				statement.includes("server_version_num")
					? resultSet({ version: "130012", pid: "1", timeout_ms: "60000" })
					: null,
		});
		await expect(connectLink(new Consumer(), { databaseUrl: fake.url, ...names })).rejects.toMatchObject({
			code: "SLUICE_LINK_MISCONFIGURED",
			context: { step: "server-facts", serverVersion: 130_012 },
		});
	});
});

describe("the server's history", () => {
	const content = "1\t0/5000060\tno recovery target specified\n\n# a remark\n2\t1A/ff\tno recovery target specified\n";
	const unreadable = Buffer.concat([report("E", { S: "ERROR", C: "58P01", M: "could not open file" }), READY]);
	const onTimeline3 = (history: Buffer) => (statement: string) =>
		statement === "IDENTIFY_SYSTEM"
			? resultSet({ systemid: "7", timeline: "3", xlogpos: "1A/2B", dbname: "app" })
			: statement === "TIMELINE_HISTORY 3"
				? history
				: null;

	it.each([
		[
			"brings every switch",
			resultSet({ filename: "00000003.history", content }),
			[
				{ timeline: 1, switchLsn: 0x5000060n },
				{ timeline: 2, switchLsn: 0x1a_0000_00ffn },
			],
		],
		["is unknown when the file holds something else", resultSet({ filename: "f", content: "nonsense" }), null],
		["is unknown when the file is gone", unreadable, null],
	] as const)("%s", async (_name, history, timelineHistory) => {
		await using fake = await FakeWalsender.listen({ answer: onTimeline3(history) });
		await using link = await connectLink(new Consumer(), { databaseUrl: fake.url, ...names });
		expect(link.facts).toMatchObject({ timeline: 3, walLsn: 0x1a_0000_002bn, timelineHistory });
	});

	it("is not asked for on the first timeline", async () => {
		await using fake = await FakeWalsender.listen();
		await using link = await connectLink(new Consumer(), { databaseUrl: fake.url, ...names });
		expect(link.facts).toMatchObject({ timeline: 1, walLsn: 0x100n, timelineHistory: [] });
		expect(fake.statements.some((statement) => statement.startsWith("TIMELINE_HISTORY"))).toBe(false);
	});
});
