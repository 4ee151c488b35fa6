/**
 * One official client over one shape, stricter than the client itself: an insert of a row that it holds already is a
 * row doubled, a change of one that it does not hold is a row lost, even when the end state would hide both. Owns the
 * subscription and the rows. Called by run.ts.
 */

import { isChangeMessage, type Message, type Row, ShapeStream } from "@electric-sql/client";
import { isSameValue } from "../support/generated-workload.ts";

export interface FollowedShape {
	readonly table: string;
	readonly where: string | null;
	readonly params: Readonly<Record<string, string>>;
	readonly columns: readonly string[] | null;
	readonly replica: "default" | "full";
}

const raw = (value: string): string => value;
const RAW_PARSER = { int2: raw, int4: raw, int8: raw, float4: raw, float8: raw, bool: raw, json: raw, jsonb: raw };
const VIOLATIONS_KEPT = 20;

export class Follower {
	readonly shape: FollowedShape;
	/** What must not happen, in words; the first few. */
	readonly violations: string[] = [];
	refetches = 0;
	messages = 0;
	readonly #abort = new AbortController();
	readonly #rows = new Map<string, Row>();
	readonly #listeners = new Set<() => void>();

	constructor(url: string, shape: FollowedShape, liveSse: boolean) {
		this.shape = shape;
		const stream = new ShapeStream<Row>({
			url,
			params: {
				table: shape.table,
				replica: shape.replica,
				...(shape.where === null ? {} : { where: shape.where }),
				...(Object.keys(shape.params).length === 0 ? {} : { params: { ...shape.params } }),
				...(shape.columns === null ? {} : { columns: [...shape.columns] }),
			},
			liveSse,
			signal: this.#abort.signal,
			parser: RAW_PARSER,
			backoffOptions: { initialDelay: 50, maxDelay: 500, multiplier: 2 },
			onError: (error) => this.#violated(`the client gave up: ${String(error)}`),
		});
		stream.subscribe((messages) => {
			for (const message of messages) {
				this.#take(message);
			}
			for (const listener of this.#listeners) {
				listener();
			}
		});
	}

	/** By `id`, in PostgreSQL's text. */
	rows(): Map<string, Row> {
		return new Map([...this.#rows.values()].map((row) => [String(row["id"]), row]));
	}

	/** Called after each batch of messages; answers how to stop that. */
	onChange(listener: () => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	stop(): void {
		this.#abort.abort();
	}

	#take(message: Message<Row>): void {
		this.messages += 1;
		if (!isChangeMessage(message)) {
			if (message.headers.control === "must-refetch") {
				this.refetches += 1;
				this.#rows.clear();
			}
			return;
		}
		const { key, value } = message;
		const held = this.#rows.get(key);
		switch (message.headers.operation) {
			case "insert":
				if (held !== undefined) {
					this.#violated(`insert of ${key}, which is there already`);
				}
				this.#rows.set(key, value);
				return;
			case "update":
				if (held === undefined) {
					this.#violated(`update of ${key}, which is not there`);
				}
				this.#rows.set(key, { ...held, ...value });
				return;
			case "delete":
				if (held === undefined) {
					this.#violated(`delete of ${key}, which is not there`);
				}
				this.#rows.delete(key);
		}
	}

	#violated(what: string): void {
		if (this.violations.length < VIOLATIONS_KEPT) {
			this.violations.push(what);
		}
	}
}

/** The first difference between what a client holds and what PostgreSQL selects, in words; null when they are equal. */
export function firstDifference(
	held: ReadonlyMap<string, Row>,
	selected: ReadonlyMap<string, Readonly<Record<string, string | null>>>,
): string | null {
	for (const [id, row] of selected) {
		const seen = held.get(id);
		if (seen === undefined) {
			return `row ${id} is missing`;
		}
		for (const [name, value] of Object.entries(row)) {
			if (!isSameValue(seen[name], value)) {
				return `row ${id}, column ${name}: ${String(seen[name])} instead of ${String(value)}`;
			}
		}
	}
	const extra = [...held.keys()].find((id) => !selected.has(id));
	return extra === undefined ? null : `row ${extra} should not be there`;
}
