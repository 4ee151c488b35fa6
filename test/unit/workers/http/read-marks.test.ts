/** What HTTP threads leave in the shape table for the registrar, and what they notice there. */

import { expect, test } from "vitest";
import { HTTP_READ_MARK_INTERVAL_MS } from "../../../../src/shared/limits.ts";
import { readClockSeconds } from "../../../../src/shared/shape-table.ts";
import { waitFor } from "../../../support/wait-for.ts";
import { HttpStand, query, SUBSET, sharedText } from "./support/http-stand.ts";
import { SNAPSHOT_END } from "./support/shape-files.ts";

const H = "38216733-1768478340123456";

test("every read is marked, and a parked reader reads all the time", async () => {
	await using stand = await HttpStand.start({ environment: { SLUICE_LONG_POLL_TIMEOUT_MS: "30000" } });
	stand.shape("items", H, 7).snapshot([[SNAPSHOT_END]]);
	const isMarked = () => readClockSeconds() - stand.table.lastRead(7) <= 1;
	for (const request of [
		{ offset: "-1" },
		{ offset: "now", log: "changes_only" },
		{ offset: "0_0", handle: H },
		{ offset: "0_0", handle: H, subset__where: "true" },
	]) {
		stand.table.markRead(7, 0);
		expect((await stand.get(query({ table: "items", ...request }))).status).toBe(200);
		expect(isMarked()).toBe(true);
	}
	const leaving = new AbortController();
	const path = query({ table: "items", offset: "0_inf", handle: H, live: "true" });
	const parked = stand.send("GET", path, { signal: leaving.signal });
	await stand.parked(1);
	stand.table.markRead(7, 0);
	await waitFor("the parked reader to be marked", isMarked, { timeoutMs: 10 * HTTP_READ_MARK_INTERVAL_MS });
	leaving.abort();
	await expect(parked).rejects.toThrow();
	await stand.parked(0);
});

test("a shape is being read for as long as a query for its subset waits or runs", async () => {
	await using stand = await HttpStand.start();
	stand.shape("items", H, 7).snapshot([[SNAPSHOT_END]]);
	const asked = Promise.withResolvers<void>();
	const turn = Promise.withResolvers<void>();
	stand.registrar.onSubset = async () => {
		asked.resolve();
		await turn.promise;
		return { body: sharedText(SUBSET) };
	};
	const answer = stand.get(query({ table: "items", offset: "0_0", handle: H, subset__where: "true" }));
	await asked.promise;
	stand.table.markRead(7, 0);
	const isMarked = () => readClockSeconds() - stand.table.lastRead(7) <= 1;
	await waitFor("the shape to be marked", isMarked, { timeoutMs: 10 * HTTP_READ_MARK_INTERVAL_MS });
	turn.resolve();
	expect((await answer).status).toBe(200);
});

test("a schema header that is out of date is asked for again, by definition and by handle", async () => {
	await using stand = await HttpStand.start();
	stand.shape("items", H, 7).snapshot([[SNAPSHOT_END]]);
	const requests = [{ offset: "-1" }, { offset: "0_0", handle: H }];
	const headers = async () =>
		Promise.all(
			requests.map(async (request) => {
				const answer = await stand.get(query({ table: "items", ...request }));
				return [answer.status, answer.headers["electric-handle"], answer.headers["electric-schema"]];
			}),
		);
	await headers();
	const shape = stand.registrar.shapes.get("items");
	if (shape === undefined) {
		throw new Error("the stand has a shape");
	}
	stand.table.outdateSchema(7);
	const schemaHeader = '{"id":{"type":"int4","not_null":true}}';
	stand.registrar.shapes.set("items", { ...shape, schemaHeader, schemaVersion: stand.table.schemaVersion(7) });
	expect(await headers()).toEqual([
		[200, H, schemaHeader],
		[200, H, schemaHeader],
	]);
});
