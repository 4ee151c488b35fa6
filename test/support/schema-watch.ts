/**
 * What a schema change does to the clients of a shape: a reader that was there before, the handle it had, and whether
 * both it and a new reader end with what SELECT says. Owns the readers of one shape. Called by
 * test/e2e/schema-change.pg.test.ts.
 */

import { expect } from "vitest";
import type { TestDaemon } from "./daemon.ts";
import type { TestDatabase } from "./postgres.ts";
import { ShapeReader } from "./shape-reader.ts";
import { waitFor } from "./wait-for.ts";

export interface WatchedShape {
	/** As a request and SQL name it. */
	readonly table: string;
	readonly where?: string;
	readonly columns?: readonly string[];
}

export class SchemaWatch {
	readonly #daemon: TestDaemon;
	readonly #database: TestDatabase;
	readonly #shape: WatchedShape;
	readonly #reader: ShapeReader;
	#handle = "";

	constructor(daemon: TestDaemon, database: TestDatabase, shape: WatchedShape) {
		this.#daemon = daemon;
		this.#database = database;
		this.#shape = shape;
		this.#reader = this.#newReader(shape);
	}

	/** As the constructor; resolves when the reader holds the shape's first data. */
	static async open(daemon: TestDaemon, database: TestDatabase, shape: WatchedShape): Promise<SchemaWatch> {
		const watch = new SchemaWatch(daemon, database, shape);
		await watch.#reader.shape.rows;
		watch.#handle = (await watch.#request({ offset: "-1" })).headers.get("electric-handle") ?? "";
		return watch;
	}

	get handle(): string {
		return this.#handle;
	}

	/** The shape lives on, and its reader came to what SELECT says without an error. */
	async expectKept(): Promise<void> {
		await this.untilEqual();
		const response = await this.#request({ offset: "-1" });
		expect(response.headers.get("electric-handle")).toBe(this.#handle);
		expect(this.#reader.errors).toEqual([]);
	}

	/** The shape ended and another one is in its place; the reader went over to it by itself. Answers its schema. */
	async expectRenewed(): Promise<Record<string, { readonly type: string }>> {
		await this.untilEnded();
		await this.untilEqual();
		const response = await this.#request({ offset: "-1" });
		expect(response.status).toBe(200);
		expect(response.headers.get("electric-handle")).not.toBe(this.#handle);
		expect(this.#reader.errors).toEqual([]);
		return JSON.parse(response.headers.get("electric-schema") ?? "{}");
	}

	/** The shape ended, and its request is refused from now on: the reader was told. */
	async expectRefused(message: RegExp): Promise<void> {
		await this.untilEnded();
		const answer = await waitFor("the request to be refused", async () => {
			const response = await this.#request({ offset: "-1" });
			return response.status === 400 ? response.text() : null;
		});
		expect(answer).toMatch(message);
		await waitFor("the reader to be told", () => this.#reader.errors.length > 0);
	}

	/** Somebody who comes with the old handle is sent away. */
	async untilEnded(): Promise<void> {
		await waitFor(
			`the shape on ${this.#shape.table} to end`,
			async () => {
				const response = await this.#request({ offset: "0_0", handle: this.#handle });
				await response.arrayBuffer();
				return response.status === 409 || response.status === 400;
			},
			{ timeoutMs: 20_000 },
		);
	}

	/** The reader from before, and a new one, hold what SELECT says. */
	async untilEqual(): Promise<void> {
		const fresh = this.#newReader(this.#shape);
		try {
			await this.#readerEquals(this.#reader, "the reader from before");
			await this.#readerEquals(fresh, "a new reader");
			expect(fresh.errors).toEqual([]);
		} finally {
			fresh.stop();
		}
	}

	/** Stops the reader and deletes the shape, so that a table of the same name finds nothing of it. */
	async close(): Promise<void> {
		this.#reader.stop();
		const response = await fetch(`${this.#daemon.shapeUrl}?${this.#query({})}`, { method: "DELETE" });
		await response.arrayBuffer();
	}

	async #readerEquals(reader: ShapeReader, who: string): Promise<void> {
		let seen = "";
		let wanted = "";
		await waitFor(
			`${who} of ${this.#shape.table}`,
			async () => {
				wanted = await this.#selected();
				seen = rowsText(reader.shape.currentRows);
				return seen === wanted;
			},
			{ timeoutMs: 20_000, intervalMs: 50 },
		).catch((cause: unknown) => {
			throw new Error(`${who} holds ${seen.slice(0, 2_000)}\nand not ${wanted.slice(0, 2_000)}`, { cause });
		});
	}

	async #selected(): Promise<string> {
		const { table, where, columns } = this.#shape;
		const rows = await this.#database.sql<{ row: Record<string, string | null> }>(
			`select (select jsonb_object_agg(key, value) from jsonb_each_text(to_jsonb(t))) as row
			from (select ${columns?.join(", ") ?? "*"} from ${table} where ${where ?? "true"}) t`,
		);
		return rowsText(rows.map(({ row }) => row));
	}

	#newReader({ table, where, columns }: WatchedShape): ShapeReader {
		return new ShapeReader(this.#daemon.shapeUrl, {
			table,
			...(where === undefined ? {} : { where }),
			...(columns === undefined ? {} : { columns: [...columns] }),
		});
	}

	#request(parameters: Readonly<Record<string, string>>): Promise<Response> {
		return fetch(`${this.#daemon.shapeUrl}?${this.#query(parameters)}`);
	}

	#query(parameters: Readonly<Record<string, string>>): URLSearchParams {
		const { table, where, columns } = this.#shape;
		return new URLSearchParams({
			table,
			...(where === undefined ? {} : { where }),
			...(columns === undefined ? {} : { columns: columns.map((name) => `"${name}"`).join(",") }),
			...parameters,
		});
	}
}

/** One text for equal sets of rows, whatever the order of rows and columns. */
function rowsText(rows: readonly Readonly<Record<string, unknown>>[]): string {
	return rows
		.map((row) => JSON.stringify(Object.fromEntries(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)))))
		.sort()
		.join("\n");
}
