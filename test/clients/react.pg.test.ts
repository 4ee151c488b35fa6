/**
 * React's `useShape` over Sluice, in a page made by jsdom: what is rendered follows the shape.
 */

import { preloadShape, useShape } from "@electric-sql/react";
import type { Client } from "pg";
import { act, createElement, StrictMode } from "react";
import type { Root } from "react-dom/client";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { TestDaemon } from "../support/daemon.ts";
import { type Item, itemsDdl, selectItems, writeItems } from "../support/item-workload.ts";
import { usePage } from "../support/page.ts";
import { oneTestServer, useDatabase } from "../support/postgres.ts";
import { Random } from "../support/random.ts";
import { waitFor } from "../support/wait-for.ts";

type ItemRow = Item & Record<string, unknown>;

interface ShapeProperties {
	readonly table: string;
	readonly where?: string;
	readonly liveSse?: boolean;
}

describe("useShape", () => {
	const page = usePage();
	const database = useDatabase(oneTestServer());
	let daemon: TestDaemon;
	let writer: Client;
	let root: Root;
	let abort: AbortController;

	beforeAll(async () => {
		daemon = await TestDaemon.start({ databaseUrl: database.url });
		writer = await database.connect();
	});

	afterAll(async () => {
		await daemon?.end();
	});

	beforeEach(async () => {
		// Loaded when there is a page: it looks for one when it loads.
		const { createRoot } = await import("react-dom/client");
		root = createRoot(page.root());
		abort = new AbortController();
	});

	afterEach(async () => {
		await acting(() => root.unmount());
		abort.abort();
	});

	function options({ table, where, liveSse = false }: ShapeProperties) {
		return {
			url: daemon.shapeUrl,
			params: { table, ...(where === undefined ? {} : { where }) },
			liveSse,
			signal: abort.signal,
			backoffOptions: { initialDelay: 50, maxDelay: 500, multiplier: 2 },
		};
	}

	function Items(properties: ShapeProperties) {
		const { data, isLoading, isError } = useShape<ItemRow>(options(properties));
		return createElement("pre", null, isError ? "error" : isLoading ? "loading" : textOf(data));
	}

	function Count(properties: ShapeProperties) {
		const count = useShape<ItemRow, number>({ ...options(properties), selector: ({ data }) => data.length });
		return createElement("b", null, ` ${count} rows`);
	}

	async function untilRendered(what: string, text: string): Promise<void> {
		await waitFor(`${what} to be rendered`, () => page.root().textContent === text, { timeoutMs: 30_000 }).catch(
			(cause: unknown) => {
				throw new Error(`${what} is not rendered; the page says\n${page.root().textContent}\ninstead of\n${text}`, {
					cause,
				});
			},
		);
	}

	it.each([false, true])("renders rows and their changes (event stream: %s)", async (liveSse) => {
		const table = `rendered_${liveSse}`;
		await database.sql(itemsDdl(table));
		await database.sql(`insert into ${table} select g, g % 4, 'item', false from generate_series(1, 12) g`);
		const properties = { table, where: "owner = 1", liveSse };
		await acting(() => root.render(createElement(StrictMode, null, createElement(Items, properties))));
		expect(page.root().textContent).toBe("loading");
		const equal = async (what: string): Promise<void> =>
			untilRendered(what, textOf(await selectItems(writer, "owner = 1", table)));
		await equal("the first data");
		for (const [what, statement] of [
			["an insert", `insert into ${table} values (100, 1, 'new')`],
			["an update", `update ${table} set title = 'changed' where id = 5`],
			["a move", `update ${table} set owner = 3 - owner where id in (1, 2)`],
			["a change of the key", `update ${table} set id = 200 where id = 100`],
			["a delete", `delete from ${table} where id = 200`],
			["a truncate", `truncate ${table}; insert into ${table} values (1, 1, 'after')`],
		] as const) {
			await database.sql(statement);
			await equal(what);
		}
	});

	it("shares one stream between components, and has preloaded rows at once", async () => {
		await database.sql(itemsDdl("shared"));
		await database.sql("insert into shared select g, 0, 'item', false from generate_series(1, 3) g");
		await preloadShape<ItemRow>(options({ table: "shared" }));
		const items = createElement(Items, { table: "shared", key: "items" });
		const count = createElement(Count, { table: "shared", key: "count" });
		await acting(() => root.render([items, count]));
		expect(page.root().textContent).toBe(`${textOf(await selectItems(writer, "true", "shared"))} 3 rows`);
		await database.sql("delete from shared where id = 2");
		await untilRendered("the delete", `${textOf(await selectItems(writer, "true", "shared"))} 2 rows`);
		await acting(() => root.render([count]));
		await database.sql("delete from shared where id = 3");
		await untilRendered("the component that is left", " 1 rows");
	});

	it("renders what SELECT holds after load, a stop and a kill of Sluice", { timeout: 120_000 }, async () => {
		await database.sql(itemsDdl());
		const random = new Random(13);
		await writeItems(writer, random, 10);
		await acting(() => root.render(createElement(Items, { table: "items", where: "owner < 2" })));
		for (const end of [null, () => daemon.stop(), () => daemon.kill()]) {
			await writeItems(writer, random, 20);
			if (end !== null) {
				await end();
				await daemon.start();
			}
			await writeItems(writer, random, 5);
			await untilRendered("the table", textOf(await selectItems(writer, "owner < 2")));
		}
	});
});

function textOf(items: readonly Item[]): string {
	return [...items]
		.sort((left, right) => left.id - right.id)
		.map(({ id, owner, title, done }) => JSON.stringify([id, owner, title, done]))
		.join(";");
}

/** Only what the test does itself is acted: while it waits, React works as it does in a page. */
async function acting(work: () => void): Promise<void> {
	const environment = globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean };
	environment.IS_REACT_ACT_ENVIRONMENT = true;
	try {
		await act(async () => work());
	} finally {
		environment.IS_REACT_ACT_ENVIRONMENT = false;
	}
}
