/**
 * A page that follows many shapes: their waiting requests share one connection to the HTTP/2 front of docker/nginx, and
 * each gets its own news.
 */

import { readFileSync } from "node:fs";
import { type ClientHttp2Session, connect } from "node:http2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestDaemon } from "../support/daemon.ts";
import { findNginx, Nginx } from "../support/nginx.ts";
import { oneTestServer, useDatabase } from "../support/postgres.ts";
import { CERTIFICATE_PATH } from "../support/tls.ts";
import { waitFor } from "../support/wait-for.ts";

const search = await findNginx();
const isMissing = "reason" in search;
const SHAPES = 40;

interface Answer {
	readonly handle: string;
	readonly offset: string;
	readonly body: string;
}

async function get(session: ClientHttp2Session, parameters: Readonly<Record<string, string>>): Promise<Answer> {
	const path = `/v1/shape?${new URLSearchParams({ table: "notes", ...parameters })}`;
	const stream = session.request({ ":path": path });
	const headers = await new Promise<Record<string, unknown>>((resolve, reject) => {
		stream.once("response", resolve);
		stream.once("error", reject);
	});
	stream.setEncoding("utf8");
	let body = "";
	for await (const piece of stream) {
		body += piece;
	}
	expect(headers[":status"], body).toBe(200);
	return { handle: String(headers["electric-handle"]), offset: String(headers["electric-offset"]), body };
}

describe.skipIf(isMissing)(`over HTTP/2${isMissing ? ` (${search.reason})` : ""}`, () => {
	const database = useDatabase(oneTestServer());
	let daemon: TestDaemon;
	let nginx: Nginx;

	beforeAll(async () => {
		daemon = await TestDaemon.start({ databaseUrl: database.url });
		nginx = await Nginx.start("binary" in search ? search.binary : "", Number(new URL(daemon.url).port));
	});

	afterAll(async () => {
		await nginx?.stop();
		await daemon?.end();
	});

	it(`${SHAPES} shapes wait on one connection, and each is told its own change`, async () => {
		await database.sql("create table notes (id int primary key, page int not null)");
		const session = connect(`https://127.0.0.1:${nginx.securePort}`, { ca: readFileSync(CERTIFICATE_PATH) });
		const live = Array.from({ length: SHAPES }, async (_, page) => {
			const where = { where: `page = ${page}` };
			const first = await get(session, { ...where, offset: "-1" });
			const second = await get(session, { ...where, offset: first.offset, handle: first.handle });
			return get(session, { ...where, offset: second.offset, handle: second.handle, live: "true", cursor: "" });
		});
		await waitFor("all of them to wait", async () => {
			const metrics = await (await daemon.admin("GET", "/metrics")).text();
			return new RegExp(`^sluice_http_parked_current(?:\\{[^}]*\\})? ${SHAPES}$`, "m").test(metrics);
		});
		await database.sql(`insert into notes select g, g from generate_series(0, ${SHAPES - 1}) g`);
		const answers = await Promise.all(live);
		for (const [page, { body }] of answers.entries()) {
			expect(body).toContain(`"value":{"id":"${page}","page":"${page}"}`);
		}
		session.close();
	});
});
