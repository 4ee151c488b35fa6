/** Live mode as server-sent events. */

import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { describe, expect, test } from "vitest";
import { EventFramer } from "../../../../src/workers/http/event-framer.ts";
import { HttpStand, query, type StandOptions } from "./support/http-stand.ts";
import { logEntry, SNAPSHOT_END, snapshotRow } from "./support/shape-files.ts";

const H = "1-1768478340123456";
const SSE = { live: "true", live_sse: "true", experimental_live_sse: "true" };

function upToDate(lsn: bigint): string {
	return `{"headers":{"control":"up-to-date","global_last_seen_lsn":"${lsn}"}}`;
}

async function standWithShape(options: StandOptions = {}) {
	const stand = await HttpStand.start({ environment: { SLUICE_CHUNK_BYTES: "300" }, ...options });
	const files = stand.shape("items", H, 3);
	files.snapshot([[snapshotRow("1"), SNAPSHOT_END]]);
	return { stand, files };
}

/** An open stream whose text can be waited for. */
async function openStream(stand: HttpStand, offset: string) {
	const call = request({
		host: "127.0.0.1",
		port: stand.port,
		path: query({ table: "items", offset, handle: H, ...SSE }),
		headers: { accept: "text/event-stream" },
	});
	call.end();
	const [response] = (await once(call, "response")) as [IncomingMessage];
	let text = "";
	response.setEncoding("utf8");
	response.on("data", (piece: string) => {
		text += piece;
	});
	const ended = once(response, "end");
	return {
		headers: response.headers,
		status: response.statusCode,
		async until(end: string): Promise<string> {
			while (!text.endsWith(end)) {
				await once(response, "data");
			}
			return text;
		},
		async ended(): Promise<string> {
			await ended;
			return text;
		},
	};
}

describe("framing", () => {
	test("makes one event of each item, at every split", () => {
		const items = ['{"a":"x,\\"{[\\\\"}', '{"b":[{"c":1},{}],"d":null}', '{"e":{"f":"}\\\\\\"],"}}'];
		const bytes = Buffer.from(items.join(","));
		const expected = items.map((item) => `data: ${item}\n\n`).join("");
		for (let split = 0; split <= bytes.length; split += 1) {
			const framer = new EventFramer();
			const text = [framer.frame(bytes.subarray(0, split)), framer.frame(bytes.subarray(split)), framer.end()].join("");
			expect(text).toBe(expected);
		}
	});
});

describe("a stream", () => {
	test("opened at the end sends every commit with an up-to-date, across chunk borders", async () => {
		const { stand, files } = await standWithShape();
		await using _stand = stand;
		const stream = await openStream(stand, "0_inf");
		expect(stream.status).toBe(200);
		expect(stream.headers).toMatchObject({
			"content-type": "text/event-stream",
			"cache-control": "public, max-age=59",
			etag: `"${H}:0_inf:0_inf"`,
			"electric-handle": H,
			"electric-offset": "0_inf",
			"electric-up-to-date": "",
			"electric-has-data": "true",
			connection: "keep-alive",
		});
		expect(stream.headers).toHaveProperty("electric-cursor");
		expect(stream.headers).not.toHaveProperty("electric-schema");
		let expected = "";
		for (let tx = 100n; tx <= 1_000n; tx += 100n) {
			files.commit(tx, [
				{ op: 2, id: "1" },
				{ op: 4, id: "2" },
			]);
			stand.announce(3);
			expected += [logEntry(tx, { op: 2, id: "1" }, false), logEntry(tx, { op: 4, id: "2" }, true), upToDate(tx)]
				.map((item) => `data: ${item}\n\n`)
				.join("");
			expect(await stream.until(`data: ${upToDate(tx)}\n\n`)).toBe(expected);
		}
	});

	test("opened behind the end catches up, stays open, and names the requested offset", async () => {
		const { stand, files } = await standWithShape();
		await using _stand = stand;
		for (let tx = 100n; tx <= 500n; tx += 100n) {
			files.commit(tx, [{ op: 2, id: "1", padding: "y".repeat(200) }]);
		}
		const stream = await openStream(stand, "100_0");
		expect(stream.headers["electric-offset"]).toBe("100_0");
		expect(stream.headers).not.toHaveProperty("electric-up-to-date");
		const caughtUp = await stream.until(`data: ${upToDate(500n)}\n\n`);
		expect(caughtUp.match(/"lsn":"\d+"/g)).toEqual(['"lsn":"200"', '"lsn":"300"', '"lsn":"400"', '"lsn":"500"']);
		expect(caughtUp.match(/up-to-date/g)).toHaveLength(1);
		files.commit(600n, [{ op: 2, id: "1" }]);
		stand.announce(3);
		await stream.until(`data: ${upToDate(600n)}\n\n`);
		const resumed = await openStream(stand, "600_0");
		expect(resumed.headers).toMatchObject({ "electric-offset": "600_2", "electric-up-to-date": "" });
	});

	test("ends without a word when the shape is removed, and the next request is a 409", async () => {
		const { stand } = await standWithShape();
		await using _stand = stand;
		const stream = await openStream(stand, "0_inf");
		await stand.parked(1);
		stand.remove(3);
		expect(await stream.ended()).toBe("");
		stand.shape("items", "2-2", 4).snapshot([[SNAPSHOT_END]]);
		const next = await stand.get(query({ table: "items", offset: "0_inf", handle: H, ...SSE }));
		expect(next.status).toBe(409);
		expect(next.headers["content-type"]).toBe("application/json; charset=utf-8");
	});

	test("says that it is alive in silence, and ends when its time is over", async () => {
		const { stand } = await standWithShape({ thread: { eventTimes: { keepAliveMs: 40, lifetimeMs: 150 } } });
		await using _stand = stand;
		const stream = await openStream(stand, "0_inf");
		expect(await stream.ended()).toMatch(/^(: keep-alive\n\n){2,3}$/);
		expect(stand.thread.gauges()).toMatchObject({ parked: 0 });
	});

	test("beyond the end of the log is refused with JSON, and stopping ends it", async () => {
		const { stand } = await standWithShape();
		await using _stand = stand;
		stand.table.setLaneProcessedLsn(0, 10_000n);
		const refused = await stand.get(query({ table: "items", offset: "999_2", handle: H, ...SSE }));
		expect(refused.status).toBe(400);
		const stream = await openStream(stand, "0_inf");
		await stand.parked(1);
		await stand.thread.stop();
		expect(await stream.ended()).toBe("");
	});
});
