/** Files that are large, damaged or gone, readers that are slow or go away, and limits of the request itself. */

import { once } from "node:events";
import { appendFileSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { SluiceError } from "../../../../src/shared/errors.ts";
import { logIndexPath, logSegmentPath, snapshotChunkPath } from "../../../../src/shared/log-layout.ts";
import { HttpStand, query } from "./support/http-stand.ts";
import { type ShapeFiles, SNAPSHOT_END, snapshotRow } from "./support/shape-files.ts";

const H = "1-1768478340123456";
const MIB = 1024 * 1024;

async function standWithLog(entries: number, padding = 0): Promise<{ stand: HttpStand; files: ShapeFiles }> {
	const stand = await HttpStand.start({ environment: { SLUICE_CHUNK_BYTES: String(64 * MIB) } });
	const files = stand.shape("items", H, 3);
	files.snapshot([[snapshotRow("1"), SNAPSHOT_END]]);
	for (let number = 1; number <= entries; number += 1) {
		files.append(BigInt(number * 10), [{ op: 2, id: String(number), padding: "x".repeat(padding) }]);
	}
	files.publish();
	return { stand, files };
}

/** Descriptors of this process: sockets of both sides and files. */
function openDescriptors(): number {
	return readdirSync("/proc/self/fd").length;
}

/** A raw request; the response is not read until somebody asks. */
async function rawRequest(port: number, head: string): Promise<Socket> {
	const socket = connect({ port, host: "127.0.0.1" });
	await once(socket, "connect");
	socket.pause();
	socket.write(head);
	return socket;
}

async function readAll(socket: Socket): Promise<string> {
	let text = "";
	socket.on("data", (piece: Buffer) => {
		text += piece.toString("latin1");
	});
	socket.on("error", () => undefined);
	socket.resume();
	await once(socket, "close");
	return text;
}

describe("large answers", () => {
	test("are sent in pieces, byte for byte, with their length", async () => {
		const { stand } = await standWithLog(3_000, 1_000);
		await using _stand = stand;
		const answer = await stand.get(query({ table: "items", offset: "0_inf", handle: H }));
		const messages = JSON.parse(answer.text) as { value?: { id: string } }[];
		expect(messages).toHaveLength(3_001);
		expect(messages.slice(0, -1).map((message) => message.value?.id)).toEqual(
			Array.from({ length: 3_000 }, (_, index) => String(index + 1)),
		);
		expect(answer.headers["content-length"]).toBe(String(Buffer.byteLength(answer.text)));
		expect(answer.headers["electric-offset"]).toBe("30000_2");
		const tail = await stand.get(query({ table: "items", offset: "29990_2", handle: H }));
		expect(JSON.parse(tail.text)).toHaveLength(2);
		for (const number of [1, 2, 127, 128, 129, 1_500, 2_871, 2_872, 2_873]) {
			const part = await stand.get(query({ table: "items", offset: `${number * 10}_2`, handle: H }));
			expect(JSON.parse(part.text), String(number)).toHaveLength(3_001 - number);
		}
	});

	/**
	 * The reference server once kept about 10 MB for every client that did not read. Here 40 clients ask for 30 MB
	 * each and read nothing: they may hold one piece each and one descriptor, and nothing when they are gone.
	 */
	test("cost a bounded amount while nobody reads them", async () => {
		const { stand } = await standWithLog(30, MIB);
		await using _stand = stand;
		const path = query({ table: "items", offset: "0_inf", handle: H });
		await stand.get(path);
		const before = process.memoryUsage();
		const filesBefore = openDescriptors();
		const sockets = await Promise.all(
			Array.from({ length: 40 }, () => rawRequest(stand.port, `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`)),
		);
		while (openDescriptors() < filesBefore + 3 * sockets.length) {
			await new Promise((resolve) => setImmediate(resolve));
		}
		const after = process.memoryUsage();
		expect(after.arrayBuffers + after.external - before.arrayBuffers - before.external).toBeLessThan(60 * MIB);
		for (const socket of sockets) {
			socket.destroy();
		}
		while (stand.thread.gauges()["existing"] !== 0 || openDescriptors() > filesBefore + 5) {
			await new Promise((resolve) => setImmediate(resolve));
		}
	});
});

describe("damage on disk is an error, never silently less data", () => {
	const damages: [string, (files: ShapeFiles) => void][] = [
		["a missing segment", (files) => rmSync(logSegmentPath(files.directory, 0))],
		["a missing index", (files) => rmSync(logIndexPath(files.directory, 0))],
		["a segment that is too short", (files) => truncateSync(logSegmentPath(files.directory, 0), 600)],
		["an index that is too short", (files) => truncateSync(logIndexPath(files.directory, 0), 64)],
		["an index record that is wrong", (files) => writeAt(logIndexPath(files.directory, 0), 17, "?")],
		["bytes that are no entry", (files) => writeAt(logSegmentPath(files.directory, 0), 0, "?")],
	];

	test.each(damages)("%s", async (_name, damage) => {
		const { stand, files } = await standWithLog(10, 20);
		await using _stand = stand;
		damage(files);
		const answer = await stand.get(query({ table: "items", offset: "0_inf", handle: H }));
		expect(answer.status).toBe(409);
		expect(JSON.parse(answer.text)).toEqual([{ headers: { control: "must-refetch" } }]);
		expect(stand.registrar.corrupt).toEqual([{ handle: H, generation: files.generation }]);
	});

	test("is a 500 while the registrar cannot be told", async () => {
		const { stand, files } = await standWithLog(10, 20);
		await using _stand = stand;
		rmSync(logSegmentPath(files.directory, 0));
		stand.registrar.onCorrupt = async () => {
			throw new SluiceError("SLUICE_THREAD_GONE");
		};
		const answer = await stand.get(query({ table: "items", offset: "0_inf", handle: H }));
		expect(answer.status).toBe(500);
		expect(JSON.parse(answer.text).message).toMatch(/^Unable to retrieve shape log/);
		expect(answer.headers["cache-control"]).toBe("no-store");
	});

	test("an index that goes on behind what is visible is not looked at", async () => {
		const { stand, files } = await standWithLog(10, 20);
		await using _stand = stand;
		appendFileSync(logIndexPath(files.directory, 0), "garbage");
		appendFileSync(logSegmentPath(files.directory, 0), ",garbage");
		const answer = await stand.get(query({ table: "items", offset: "0_inf", handle: H }));
		expect(JSON.parse(answer.text)).toHaveLength(11);
	});

	test("a missing or cut snapshot chunk", async () => {
		const { stand, files } = await standWithLog(1);
		await using _stand = stand;
		truncateSync(snapshotChunkPath(files.directory, 0), 30);
		expect((await stand.get(query({ table: "items", offset: "-1" }))).status).toBe(409);
		rmSync(snapshotChunkPath(files.directory, 0));
		expect((await stand.get(query({ table: "items", offset: "-1" }))).status).toBe(409);
		expect(stand.registrar.corrupt).toHaveLength(2);
	});

	test("files that are gone because the shape is gone are a 409", async () => {
		const { stand, files } = await standWithLog(1);
		await using _stand = stand;
		await stand.get(query({ table: "items", offset: "now" }));
		const held = stand.get(query({ table: "items", offset: "10_2", handle: H, live: "true" }));
		await stand.parked(1);
		rmSync(files.directory, { recursive: true });
		stand.remove(3);
		expect((await held).status).toBe(409);
	});

	test("a segment that ends while it is being sent ends the connection, not the response", async () => {
		const { stand, files } = await standWithLog(30, MIB);
		await using _stand = stand;
		const path = query({ table: "items", offset: "0_inf", handle: H });
		const socket = await rawRequest(stand.port, `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
		const [head] = (await Promise.all([once(socket, "data"), socket.resume()]))[0] as [Buffer];
		socket.pause();
		truncateSync(logSegmentPath(files.directory, 0), 16 * MIB);
		const text = head.toString("latin1") + (await readAll(socket));
		const length = Number(/content-length: (\d+)/i.exec(text)?.[1]);
		expect(length).toBeGreaterThan(30 * MIB);
		expect(text.length).toBeLessThan(length);
		expect(stand.registrar.corrupt).toHaveLength(1);
	});
});

describe("limits of a request", () => {
	test("a URL that is too long is a 414, headers that are too large a 431, nonsense a 400", async () => {
		const { stand } = await standWithLog(1);
		await using _stand = stand;
		const long = await stand.get(`/v1/shape?table=items&offset=-1&x=${"y".repeat(66_000)}`);
		expect([long.status, long.text]).toEqual([414, '{"error":"Request URI too long"}']);
		const headers = await rawRequest(
			stand.port,
			`GET / HTTP/1.1\r\nhost: x\r\nx-large: ${"y".repeat(140_000)}\r\n\r\n`,
		);
		expect(await readAll(headers)).toMatch(/^HTTP\/1\.1 431 /);
		const nonsense = await rawRequest(stand.port, "NONSENSE\r\n\r\n");
		expect(await readAll(nonsense)).toMatch(/^HTTP\/1\.1 400 /);
		expect((await stand.get("/v1/health")).status).toBe(200);
	});

	test("pipelined requests are answered in order on one connection", async () => {
		const { stand } = await standWithLog(2);
		await using _stand = stand;
		const one = query({ table: "items", offset: "-1" });
		const two = query({ table: "items", offset: "10_2", handle: H });
		const socket = await rawRequest(
			stand.port,
			`GET ${one} HTTP/1.1\r\nhost: x\r\n\r\nGET ${two} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`,
		);
		const text = await readAll(socket);
		expect(Array.from(text.matchAll(/electric-offset: (\S+)/g), (match) => match[1])).toEqual(["0_0", "20_2"]);
	});
});

function writeAt(path: string, position: number, text: string): void {
	const bytes = readFileSync(path);
	bytes.write(text, position);
	writeFileSync(path, bytes);
}
