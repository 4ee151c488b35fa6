/**
 * The published client as tests use it: a `Shape` over a `ShapeStream`, with the wait that tests need. Owns
 * the subscription. Called by test/faults and test/e2e.
 */

import { type Row, Shape, ShapeStream, type ShapeStreamInterface } from "@electric-sql/client";
import { waitFor } from "./wait-for.ts";

const raw = (value: string): string => value;
const RAW_PARSER = { int2: raw, int4: raw, int8: raw, float4: raw, float8: raw, bool: raw, json: raw, jsonb: raw };

export class ShapeReader {
	readonly shape: Shape<Row>;
	readonly #abort = new AbortController();
	readonly errors: Error[] = [];

	/** @param liveSse take news as an event stream instead of long-polls */
	constructor(
		url: string,
		params: Record<string, string | string[] | Record<string, string>>,
		{ liveSse = false }: { readonly liveSse?: boolean } = {},
	) {
		const stream = new ShapeStream<Row>({
			url,
			params: params as { table: string },
			signal: this.#abort.signal,
			liveSse,
			// Raw text, as PostgreSQL prints it: comparable with a SELECT.
			parser: RAW_PARSER,
			backoffOptions: { initialDelay: 50, maxDelay: 500, multiplier: 2 },
			onError: (error) => {
				this.errors.push(error as Error);
			},
		});
		// The package's own types do not agree with each other under exactOptionalPropertyTypes.
		this.shape = new Shape(stream as unknown as ShapeStreamInterface<Row>);
	}

	/** Rows by their `id`, as text. */
	rows(): Map<string, Row> {
		return new Map(this.shape.currentRows.map((row) => [String(row["id"]), row]));
	}

	async until(what: string, holds: (rows: Map<string, Row>) => boolean, timeoutMs = 15_000): Promise<void> {
		await waitFor(`the client to see ${what}`, () => holds(this.rows()), { timeoutMs }).catch((cause: unknown) => {
			throw new Error(`the client does not see ${what}; it holds ${this.shape.currentRows.length} rows`, { cause });
		});
	}

	stop(): void {
		this.#abort.abort();
	}
}
