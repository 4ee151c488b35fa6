/**
 * The limit on shapes as clients meet it: who reads stays, who comes back to a shape that expired gets a 409 and a new one,
 * and the order of reads outlives a restart.
 */

import { describe, expect, it } from "vitest";
import { useDaemons } from "../support/daemon.ts";
import { oneTestServer, useServer } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";

describe("a limit on shapes", () => {
	const server = useServer(oneTestServer());
	const daemons = useDaemons();

	it("keeps the shape of a parked reader and drops the other, whose client starts anew with a 409", async () => {
		const database = await server.createDatabase();
		await database.sql("create table items (id int primary key); insert into items values (1)");
		const daemon = await daemons.start({
			databaseUrl: database.url,
			environment: { ELECTRIC_MAX_SHAPES: "1", SLUICE_LONG_POLL_TIMEOUT_MS: "30000" },
		});
		const get = (parameters: Record<string, string>, signal: AbortSignal | null = null) =>
			fetch(`${daemon.shapeUrl}?${new URLSearchParams({ table: "items", ...parameters })}`, { signal });
		const handleOf = async (parameters: Record<string, string>): Promise<string> => {
			const response = await get({ offset: "-1", ...parameters });
			await response.text();
			return response.headers.get("electric-handle") ?? "";
		};
		const read = await handleOf({});
		const leaving = new AbortController();
		const parked = get({ handle: read, offset: "0_inf", live: "true" }, leaving.signal);
		const unread = await handleOf({ where: "id > 0" });
		await waitFor("the shape that nobody reads to expire", async () => (await daemon.status()).shapes.count === 1, {
			timeoutMs: 30_000,
		});
		// The parked reader was not disturbed: it gets the next change.
		await database.sql("insert into items values (2)");
		const answer = await parked;
		expect([answer.status, answer.headers.get("electric-handle")]).toEqual([200, read]);
		expect(await answer.text()).toContain('"id":"2"');
		const again = await get({ handle: unread, offset: "0_inf", where: "id > 0" });
		const successor = again.headers.get("electric-handle") ?? "";
		expect([again.status, await again.text()]).toEqual([409, '[{"headers":{"control":"must-refetch"}}]']);
		expect(successor).toMatch(/^\d+-\d{16}$/);
		expect(successor).not.toBe(unread);
		expect(await handleOf({ where: "id > 0" })).toBe(successor);
		expect(daemon.log).toContain("dropping shapes that nobody reads");
		leaving.abort();
	});
});
