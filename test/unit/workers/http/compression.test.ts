/** Compressed bodies: who gets which, the same bytes behind each, and what is never compressed. */

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { truncateSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { logSegmentPath } from "../../../../src/shared/log-layout.ts";
import { Compression, preferredEncoding } from "../../../../src/workers/http/compression.ts";
import { HttpStand, query, sharedText } from "./support/http-stand.ts";
import { SNAPSHOT_END, snapshotRow } from "./support/shape-files.ts";

const H = "1-1768478340123456";
const MIB = 1024 * 1024;
const LOG = query({ table: "items", offset: "0_inf", handle: H });
const DECODE: Record<string, (bytes: Buffer) => Buffer> = {
	gzip: gunzipSync,
	br: brotliDecompressSync,
	zstd: zstdDecompressSync,
};

async function standWithLog(entries: number, bytes: number, padding = () => "x".repeat(bytes)) {
	const stand = await HttpStand.start({ environment: { SLUICE_CHUNK_BYTES: String(64 * MIB) } });
	const files = stand.shape("items", H, 3);
	files.snapshot([[snapshotRow("1"), SNAPSHOT_END]]);
	for (let index = 1; index <= entries; index += 1) {
		files.append(BigInt(index * 10), [{ op: 2, id: String(index), padding: padding() }]);
	}
	files.publish();
	return { stand, files };
}

async function take(stand: HttpStand, path: string, headers: Record<string, string>, method = "GET") {
	const call = request({ host: "127.0.0.1", port: stand.port, agent: stand.agent, method, path, headers });
	call.end();
	const [response] = (await once(call, "response")) as [IncomingMessage];
	const pieces: Buffer[] = [];
	for await (const piece of response as AsyncIterable<Buffer>) {
		pieces.push(piece);
	}
	const bytes = Buffer.concat(pieces);
	const encoding = response.headers["content-encoding"];
	const decode = encoding === undefined ? undefined : DECODE[encoding];
	const text = method === "HEAD" || decode === undefined ? bytes.toString() : decode(bytes).toString();
	return { status: response.statusCode, headers: response.headers, encoding, bytes, text };
}

describe("the encoding of a request", () => {
	test.each([
		[undefined, "identity"],
		["", "identity"],
		["gzip, deflate", "gzip"],
		["gzip, deflate, br", "br"],
		["gzip, deflate, br, zstd", "zstd"],
		["GZIP;q=0.5", "gzip"],
		["zstd;q=0, br; q=0.0, gzip", "gzip"],
		["*", "zstd"],
		["*;q=0", "identity"],
		["identity, *;q=0", "identity"],
		["br;q=0, *", "zstd"],
		["gzip;q=0", "identity"],
		["x-unknown", "identity"],
	])("of %j is %s", (header, encoding) => {
		expect(preferredEncoding(header)).toBe(encoding);
	});
});

describe.each([
	["short", 20, 500],
	["long", 12, MIB],
])("a %s body", (_name, entries, padding) => {
	test.each(["gzip", "br", "zstd"])("is the same behind %s", async (encoding) => {
		const { stand } = await standWithLog(entries, padding);
		await using _stand = stand;
		const plain = await take(stand, LOG, {});
		const packed = await take(stand, LOG, { "accept-encoding": encoding });
		expect(plain.encoding).toBeUndefined();
		expect(packed.encoding).toBe(encoding);
		expect(packed.bytes.length).toBeLessThan(plain.bytes.length / 2);
		expect(packed.text === plain.text).toBe(true);
		expect([plain.headers.vary, packed.headers.vary]).toEqual(["accept-encoding", "accept-encoding"]);
		const tag = `"${H}:0_inf:${entries * 10}_2"`;
		expect([plain.headers.etag, packed.headers.etag]).toEqual([tag, `${tag.slice(0, -1)}-${encoding}"`]);
		for (const form of [plain.headers.etag, packed.headers.etag]) {
			const again = await take(stand, LOG, { "accept-encoding": encoding, "if-none-match": String(form) });
			expect([again.status, again.headers.etag, again.text]).toEqual([304, form, ""]);
			expect(again.headers.vary).toBe("accept-encoding");
		}
		const head = await take(stand, LOG, { "accept-encoding": encoding }, "HEAD");
		expect([head.status, head.headers.etag, head.bytes.length]).toEqual([200, packed.headers.etag, 0]);
	});
});

test("a subset is compressed too, out of shared memory", async () => {
	const { stand } = await standWithLog(1, 10);
	await using _stand = stand;
	const text = JSON.stringify({ metadata: {}, data: "x".repeat(100_000) });
	stand.registrar.onSubset = async () => ({ body: sharedText(text) });
	const path = query({ table: "items", offset: "0_inf", handle: H, subset__where: "true" });
	for (const encoding of ["gzip", "br", "zstd"]) {
		const answer = await take(stand, path, { "accept-encoding": encoding });
		expect([answer.encoding, answer.text === text]).toEqual([encoding, true]);
	}
});

test("small bodies, errors and event streams go out as they are", async () => {
	const { stand } = await standWithLog(1, 10);
	await using _stand = stand;
	const accept = { "accept-encoding": "gzip" };
	expect((await take(stand, LOG, accept)).encoding).toBeUndefined();
	expect((await take(stand, `/v1/shape?table=${"x".repeat(5_000)}&offset=-1`, accept)).encoding).toBeUndefined();
	const { stand: other, files } = await standWithLog(20, 500);
	await using _other = other;
	const live = query({ table: "items", offset: "0_inf", handle: H, live: "true", live_sse: "true" });
	const events = take(other, live, accept);
	await other.parked(1);
	other.remove(files.slot);
	const answer = await events;
	expect([answer.encoding, answer.headers.vary]).toEqual([undefined, undefined]);
	expect(answer.text).toMatch(/^data: /);
});

test("a file that ends too early cuts a compressed response off", async () => {
	const { stand, files } = await standWithLog(30, MIB, () => randomBytes((MIB * 3) / 4).toString("base64"));
	await using _stand = stand;
	const socket = connect(stand.port, "127.0.0.1");
	socket.on("error", () => undefined);
	socket.write(`GET ${LOG} HTTP/1.1\r\nhost: x\r\naccept-encoding: zstd\r\n\r\n`);
	const [head] = (await once(socket, "data")) as [Buffer];
	socket.pause();
	truncateSync(logSegmentPath(files.directory, 0), 16 * MIB);
	let end = head.toString("latin1");
	expect(end).toMatch(/^HTTP\/1\.1 200 [\s\S]*transfer-encoding: chunked/i);
	for await (const piece of socket as AsyncIterable<Buffer>) {
		end = piece.toString("latin1").slice(-10);
	}
	expect(end.endsWith("0\r\n\r\n")).toBe(false);
	expect(stand.registrar.corrupt).toHaveLength(1);
	expect(stand.thread.gauges()).toMatchObject({ existing: 0, compressions: 0 });
});

describe("compressions", () => {
	test("of one body are made once for all who ask, and are bounded", async () => {
		const compression = new Compression(2);
		const body = Buffer.alloc(100_000, "x");
		const [one, two] = await Promise.all([compression.whole(body, "gzip"), compression.whole(body, "gzip")]);
		expect(one).toBe(two);
		expect(compression.running).toBe(0);
		const streams = [compression.stream("gzip"), compression.stream("zstd")];
		expect(compression.choose("gzip", 100_000)).toBe("identity");
		for (const stream of streams) {
			stream?.release();
			stream?.release();
		}
		expect(compression.running).toBe(0);
		expect(compression.choose("gzip", 100_000)).toBe("gzip");
		expect(compression.choose("gzip", 1_023)).toBe("identity");
		expect(compression.stream("identity")).toBeNull();
	});
});
