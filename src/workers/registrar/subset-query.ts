/**
 * Subset queries: a client's condition and order are checked as those of a shape are, then a task of the snapshot pool
 * reads the rows. Owns the queue in front of the pool and the messages of shape-http-api.md 12; must let no text of a
 * client reach SQL, and must never look at a row: the body passes in shared memory. Called by HTTP threads
 * (RegistrarShapeControl.querySubset).
 */

import { SluiceError } from "../../shared/errors.ts";
import {
	SUBSET_BYTES_MAX,
	SUBSET_QUERIES_MAX,
	SUBSET_QUERY_TIMEOUT_MS,
	SUBSET_QUEUE_MAX,
} from "../../shared/limits.ts";
import type { ColumnInfo, ShapeDefinition } from "../../shared/shape-definition.ts";
import type { SubsetQuery, SubsetRequest, SubsetResult } from "../../shared/subset-task.ts";
import type { CaseFolding } from "../../shared/where-tree.ts";
import { keyColumnsOf, type WhereParser } from "./shape-request.ts";
import type { SubsetSource } from "./snapshots.ts";

const NO_SUBQUERIES = "Subqueries are not allowed in subsets";

/** The where room's second door. */
export interface OrderByParser {
	/** The keys as SQL; empty when nothing orders. @throws SluiceError `SLUICE_REQUEST_INVALID` with `errors.order_by` */
	parseOrderBy(input: { readonly text: string; readonly columns: readonly ColumnInfo[] }): string;
}

export interface SubsetRooms {
	/** @throws SluiceError `SLUICE_SHAPE_GONE` */
	readonly readableShape: (
		handle: string,
		generation: number,
	) => Promise<{ readonly definition: ShapeDefinition; readonly abort: AbortController }>;
	/** @throws SluiceError `SLUICE_DATABASE_UNAVAILABLE` */
	readonly caseFolding: () => Promise<CaseFolding>;
	readonly parser: WhereParser & OrderByParser;
	readonly snapshots: SubsetSource;
}

export class SubsetQueries {
	readonly #rooms: SubsetRooms;
	/** By ticket: queries that wait or run. */
	readonly #underWay = new Map<string, AbortController>();
	readonly #turns = new Turns(SUBSET_QUERIES_MAX, SUBSET_QUEUE_MAX);

	constructor(rooms: SubsetRooms) {
		this.#rooms = rooms;
	}

	/** @throws SluiceError as RegistrarShapeControl.querySubset */
	async query(request: SubsetRequest): Promise<SubsetResult> {
		const abandoned = new AbortController();
		this.#underWay.set(request.ticket, abandoned);
		try {
			return await this.#query(request, abandoned.signal);
		} finally {
			this.#underWay.delete(request.ticket);
		}
	}

	/** Nobody waits for the answer any more: it gives its turn, or its place in the queue, to the next. */
	async cancel(ticket: string): Promise<void> {
		this.#underWay.get(ticket)?.abort(new SluiceError("SLUICE_SUBSET_ABANDONED"));
	}

	async #query(request: SubsetRequest, abandoned: AbortSignal): Promise<SubsetResult> {
		const { definition, abort } = await this.#rooms.readableShape(request.handle, request.generation);
		const query = checkSubset(definition, request, {
			parser: this.#rooms.parser,
			caseFolding: await this.#rooms.caseFolding(),
		});
		return this.#turns.run(abandoned, async () => {
			abort.signal.throwIfAborted();
			const body = await this.#rooms.snapshots.subset({
				definition,
				query,
				bytesMax: SUBSET_BYTES_MAX,
				timeoutMs: SUBSET_QUERY_TIMEOUT_MS,
				signal: AbortSignal.any([abandoned, abort.signal]),
			});
			// A table that was altered meanwhile may have given rows that do not fit the shape.
			abort.signal.throwIfAborted();
			return { body };
		});
	}
}

/** @throws SluiceError `SLUICE_REQUEST_INVALID` with errors under `queryable_columns` or `subset` */
export function checkSubset(
	definition: ShapeDefinition,
	request: SubsetRequest,
	rooms: { readonly parser: WhereParser & OrderByParser; readonly caseFolding: CaseFolding },
): SubsetQuery {
	const columns = visibleColumns(definition, request.queryableColumns);
	const { where, params, orderBy } = request;
	const { parser, caseFolding } = rooms;
	const clause = where === null ? null : inSubset(() => parser.parse({ text: where, params, columns, caseFolding }));
	const keys = orderBy === null ? "" : inSubset(() => parser.parseOrderBy({ text: orderBy, columns }));
	return {
		where: clause?.sql ?? null,
		orderBy: keys === "" ? null : keys,
		limit: request.limit,
		offset: request.offset ?? 0,
	};
}

function visibleColumns(definition: ShapeDefinition, queryable: readonly string[] | null): readonly ColumnInfo[] {
	const { table } = definition;
	if (queryable === null) {
		return table.columns;
	}
	const names = new Set(queryable);
	const missing = keyColumnsOf(table).filter((name) => !names.has(name));
	if (missing.length > 0) {
		throw refusal({
			queryable_columns: [
				`The list of queryable columns must include all primary key columns, missing: ${missing.join(", ")}`,
			],
		});
	}
	const known = new Set(table.columns.map((column) => column.name));
	const unknown = queryable.filter((name) => !known.has(name));
	if (unknown.length > 0) {
		throw refusal({
			queryable_columns: [`The following queryable columns are not found on the table: ${unknown.join(", ")}`],
		});
	}
	return table.columns.filter((column) => names.has(column.name));
}

function inSubset<T>(check: () => T): T {
	try {
		return check();
	} catch (error) {
		if (error instanceof SluiceError && error.code === "SLUICE_REQUEST_INVALID") {
			throw refusal({ subset: inWordsOfSubsets(error.context["errors"]) });
		}
		throw error;
	}
}

/** The where room does not know whose condition it reads. */
function inWordsOfSubsets(errors: unknown): unknown {
	const byField = Object.entries((errors ?? {}) as Readonly<Record<string, readonly string[]>>);
	return Object.fromEntries(
		byField.map(([field, messages]) => [
			field,
			messages.map((message) => message.replace(/subqueries are not supported yet$/, NO_SUBQUERIES)),
		]),
	);
}

function refusal(errors: Readonly<Record<string, unknown>>): SluiceError {
	return new SluiceError("SLUICE_REQUEST_INVALID", { errors });
}

/** At most so many pieces of work at a time, and so many that wait. */
export class Turns {
	readonly #runningMax: number;
	readonly #waitingMax: number;
	readonly #waiting: (() => void)[] = [];
	#running = 0;

	constructor(runningMax: number, waitingMax: number) {
		this.#runningMax = runningMax;
		this.#waitingMax = waitingMax;
	}

	/** @throws SluiceError `SLUICE_SUBSETS_BUSY` when too many wait already; the signal's reason when it is aborted first */
	async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
		signal.throwIfAborted();
		if (this.#running < this.#runningMax) {
			this.#running += 1;
		} else if (this.#waiting.length < this.#waitingMax) {
			await this.#turn(signal);
		} else {
			throw new SluiceError("SLUICE_SUBSETS_BUSY", { running: this.#running, waiting: this.#waiting.length });
		}
		try {
			return await work();
		} finally {
			// Whoever waits longest takes this turn over.
			const next = this.#waiting.shift();
			if (next === undefined) {
				this.#running -= 1;
			} else {
				next();
			}
		}
	}

	#turn(signal: AbortSignal): Promise<void> {
		return new Promise((resolve, reject) => {
			const leave = (): void => {
				this.#waiting.splice(this.#waiting.indexOf(take), 1);
				reject(signal.reason);
			};
			const take = (): void => {
				signal.removeEventListener("abort", leave);
				resolve();
			};
			signal.addEventListener("abort", leave, { once: true });
			this.#waiting.push(take);
		});
	}
}
