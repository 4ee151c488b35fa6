/** Connections and their limits, and reads that wait for a shape to be ready. */

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { expect, test } from "vitest";
import { HTTP_HEADER_BYTES_MAX } from "../../../../src/shared/limits.ts";
import { SLOT_ACTIVE, SLOT_SNAPSHOTTING } from "../../../../src/shared/shape-table.ts";
import { waitFor } from "../../../support/wait-for.ts";
import { HttpStand, query } from "./support/http-stand.ts";
import { SNAPSHOT_END } from "./support/shape-files.ts";

const H = "38216733-1768478340123456";

async function open(stand: HttpStand): Promise<Socket> {
	const socket = connect(stand.port, "127.0.0.1");
	await once(socket, "connect");
	return socket;
}

async function readAll(socket: Socket): Promise<string> {
	const pieces: Buffer[] = [];
	for await (const piece of socket as AsyncIterable<Buffer>) {
		pieces.push(piece);
	}
	return Buffer.concat(pieces).toString("latin1");
}

test("a connection's last request is answered with connection: close, and no request is lost", async () => {
	await using stand = await HttpStand.start({ thread: { connectionRequestsMax: 3 } });
	const answers = [];
	for (let round = 0; round < 7; round += 1) {
		answers.push(await stand.get("/v1/health"));
	}
	expect(answers.map(({ status }) => status)).toEqual(Array(7).fill(200));
	expect(answers.map(({ headers }) => headers.connection)).toEqual([
		"keep-alive",
		"keep-alive",
		"close",
		"keep-alive",
		"keep-alive",
		"close",
		"keep-alive",
	]);
});

test.each([
	["an event stream", `GET ${query({ table: "items", offset: "0_inf", handle: H, live: "true", live_sse: "true" })}`],
	["a preflight", "OPTIONS /v1/shape"],
])("%s ends its connection when the client asks for that", async (_what, line) => {
	await using stand = await HttpStand.start({ thread: { eventTimes: { keepAliveMs: 20, lifetimeMs: 30 } } });
	stand.shape("items", H, 7).snapshot([[SNAPSHOT_END]]);
	const socket = await open(stand);
	socket.write(`${line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`);
	expect(await readAll(socket)).toMatch(/^HTTP\/1\.1 20[04] [\s\S]*\r\nconnection: close\r\n/i);
});

test("headers that do not come in time are a 408, and the connection ends", async () => {
	await using stand = await HttpStand.start({ thread: { connectionTimes: { headersMs: 100, checkMs: 20 } } });
	const socket = await open(stand);
	socket.write("GET /v1/health HTTP/1.1\r\nhost: a\r\nx-slow: ");
	const text = await readAll(socket);
	expect(text).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
	expect(text).toContain("connection: close");
	expect(text).toContain('{"error":"Request timeout"}');
});

test("headers that are too large are a 431 with JSON, and the connection ends", async () => {
	await using stand = await HttpStand.start();
	const socket = await open(stand);
	socket.write(`GET /v1/health HTTP/1.1\r\nhost: a\r\nx-large: ${"x".repeat(2 * HTTP_HEADER_BYTES_MAX + 1)}\r\n\r\n`);
	const text = await readAll(socket);
	expect(text).toMatch(/^HTTP\/1\.1 431 Request Header Fields Too Large\r\n/);
	expect(text).toContain('{"error":"Request header fields too large"}');
});

test("changes_only from now waits for the snapshot's end; of a full shape it claims to have seen nothing", async () => {
	await using stand = await HttpStand.start();
	stand.shape("items", H, 7).snapshot([[SNAPSHOT_END]]);
	stand.table.setLaneProcessedLsn(0, 26_803_000n);
	stand.table.setState(7, SLOT_SNAPSHOTTING);
	const full = await stand.get(query({ table: "items", offset: "now" }));
	expect(full.text).toBe('[{"headers":{"control":"up-to-date","global_last_seen_lsn":"0"}}]');
	const waiting = stand.get(query({ table: "items", offset: "now", log: "changes_only" }));
	await stand.parked(1);
	stand.table.setState(7, SLOT_ACTIVE);
	stand.announce(7);
	const answer = await waiting;
	expect(answer.text).toBe('[{"headers":{"control":"up-to-date","global_last_seen_lsn":"26803000"}}]');
	expect(answer.headers).toMatchObject({ "electric-offset": "0_inf", "electric-has-data": "false" });
});

test("what the parser refuses behind a response that has begun ends the connection, without a word in its body", async () => {
	await using stand = await HttpStand.start();
	stand.shape("items", H, 7).snapshot([[SNAPSHOT_END]]);
	const path = query({ table: "items", offset: "0_inf", handle: H, live: "true", live_sse: "true" });
	const socket = await open(stand);
	socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`);
	const [head] = (await once(socket, "data")) as [Buffer];
	expect(head.toString("latin1")).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
	const rest = readAll(socket).catch(() => "");
	socket.write("no request\r\n\r\n");
	expect(await rest).not.toContain("400");
	await stand.parked(0);
});

test("what the parser refuses on a connection that is not being answered is a 400", async () => {
	await using stand = await HttpStand.start();
	const socket = await open(stand);
	socket.write("no request\r\n\r\n");
	expect(await readAll(socket)).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
});

test("requests that were sent ahead on a connection that is gone give back what they hold", async () => {
	await using stand = await HttpStand.start({ environment: { SLUICE_LONG_POLL_TIMEOUT_MS: "30000" } });
	stand.shape("items", H, 7).snapshot([[SNAPSHOT_END]]);
	const path = query({ table: "items", offset: "0_inf", handle: H, live: "true" });
	const socket = await open(stand);
	socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`.repeat(3));
	await stand.parked(3);
	expect(stand.thread.gauges()).toMatchObject({ existing: 3 });
	socket.destroy();
	await stand.parked(0);
	await waitFor("the permits to be back", () => stand.thread.gauges()["existing"] === 0);
});
