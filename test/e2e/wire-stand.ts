/**
 * A running service on a table of the reference's examples, and what its tests ask again and again. Owns database and
 * daemon for the tests of one file. Called by test/e2e/wire-*.pg.test.ts.
 */

import { beforeAll, expect } from "vitest";
import { TestDaemon } from "../support/daemon.ts";
import type { TestDatabase, TestServer } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";

export const LONG_POLL_MS = 1_500;
export const NON_LIVE = "public, max-age=60, stale-while-revalidate=300";
export const LIVE = "public, max-age=5, stale-while-revalidate=5";
export const DECIMAL: unknown = expect.stringMatching(/^\d+$/);

export interface Reply {
	readonly status: number;
	readonly headers: Headers;
	readonly text: string;
}

export interface Item {
	readonly key?: string;
	readonly value?: Record<string, string | null>;
	readonly old_value?: Record<string, string | null>;
	readonly headers: Record<string, unknown>;
}

export class Wire {
	#started: { readonly database: TestDatabase; readonly daemon: TestDaemon } | null = null;

	async start(server: TestServer): Promise<void> {
		const database = await server.createDatabase();
		await database.sql(
			"create table items (id int4 primary key, title text, done bool); create table quiet (id int4 primary key, title text, done bool); insert into items values (1, 'a', false), (7, 'g', true); insert into quiet values (1, 'a', false), (7, 'g', true)",
		);
		const environment = { SLUICE_LONG_POLL_TIMEOUT_MS: String(LONG_POLL_MS) };
		this.#started = { database, daemon: await TestDaemon.start({ databaseUrl: database.url, environment }) };
	}

	get database(): TestDatabase {
		return this.#parts.database;
	}

	get daemon(): TestDaemon {
		return this.#parts.daemon;
	}

	get #parts(): { readonly database: TestDatabase; readonly daemon: TestDaemon } {
		if (this.#started === null) {
			throw new Error("the service is started before the tests");
		}
		return this.#started;
	}

	async end(): Promise<void> {
		await this.#started?.daemon.end();
	}

	async call(
		parameters: Record<string, string> | string,
		init: RequestInit = {},
		base: string = this.daemon.shapeUrl,
	): Promise<Reply> {
		const response = await fetch(`${base}?${new URLSearchParams(parameters)}`, init);
		return { status: response.status, headers: response.headers, text: await response.text() };
	}

	/** A shape on a table of its own, read to its end. */
	async fresh(table: string, rows = ""): Promise<{ handle: string; offset: string }> {
		await this.database.sql(`create table ${table} (id int4 primary key, title text, done bool); ${rows}`);
		const initial = await this.call({ log: "full", offset: "-1", table });
		const handle = initial.headers.get("electric-handle") ?? "";
		return { handle, offset: offsetOf(await this.call({ handle, log: "full", offset: offsetOf(initial), table })) };
	}

	/** Sends a request that is held, and changes something once it is. */
	async held(parameters: Record<string, string>, change: () => Promise<unknown>): Promise<Reply> {
		const reply = this.call(parameters);
		await waitFor("the request to be parked", async () => {
			const metrics = await (await this.daemon.admin("GET", "/metrics")).text();
			return /^sluice_http_parked_current [1-9]/m.test(metrics);
		});
		await change();
		return reply;
	}
}

/** For the tests of the describe block that calls it. */
export function useWire(server: TestServer): Wire {
	const wire = new Wire();
	beforeAll(async () => {
		await wire.start(server);
		return () => wire.end();
	});
	return wire;
}

export function expectHeaders(reply: Reply, expected: Record<string, unknown>, absent: readonly string[] = []): void {
	expect(Object.fromEntries(reply.headers)).toMatchObject(expected);
	for (const name of absent) {
		expect(reply.headers.get(name), name).toBeNull();
	}
}

/** Common to all 2xx. */
export function expectCommon(reply: Reply): void {
	expect(reply.status).toBe(200);
	expectHeaders(reply, {
		"content-type": "application/json; charset=utf-8",
		"electric-server": expect.stringMatching(/^Sluice\//),
		"x-request-id": expect.stringMatching(/^[0-9a-f]{32}$/),
		"access-control-allow-origin": "*",
		"access-control-allow-methods": "GET, POST, HEAD, DELETE, OPTIONS",
		"access-control-expose-headers":
			"electric-cursor,electric-handle,electric-has-data,electric-offset,electric-schema,electric-up-to-date,electric-internal-known-error,retry-after",
	});
}

export function items(reply: Reply): Item[] {
	return JSON.parse(reply.text) as Item[];
}

export function schema(reply: Reply): unknown {
	return JSON.parse(reply.headers.get("electric-schema") ?? "null");
}

export function offsetOf(reply: Reply): string {
	return reply.headers.get("electric-offset") ?? "";
}
