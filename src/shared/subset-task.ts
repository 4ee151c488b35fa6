/**
 * A subset query on its way: from an HTTP thread to the registrar (RegistrarShapeControl.querySubset), from there to a
 * task of the snapshot pool, one task a request. Plain types; the registrar starts tasks, workers/snapshot runs them.
 */

import type { MessagePort } from "node:worker_threads";
import type { WireError } from "./errors.ts";
import type { ShapeDefinition } from "./shape-definition.ts";

/** A subset of a shape's rows as a client spells it: texts that are not yet checked, numbers that are. */
export interface SubsetRequest {
	/** Names the request in this process, so that it can be cancelled. */
	readonly ticket: string;
	/** The shape, as an HTTP thread resolved it. */
	readonly handle: string;
	readonly generation: number;
	/** Names of the columns that `where` and `order_by` may name; null for all. */
	readonly queryableColumns: readonly string[] | null;
	readonly where: string | null;
	/** Values of `$1`…`$n`; keys as given. */
	readonly params: Readonly<Record<string, string>>;
	readonly orderBy: string | null;
	readonly limit: number | null;
	readonly offset: number | null;
}

export interface SubsetResult {
	/** The whole response body: `{"metadata":{…},"data":[…]}`. */
	readonly body: SharedArrayBuffer;
}

/** Name of the pool's function for {@link SubsetTask}. */
export const SUBSET_TASK_NAME = "subset";

/** The checked part of the query that is not in the shape's definition. All text was rebuilt by the where room. */
export interface SubsetQuery {
	/** SQL condition, to be put in parentheses; null for none. */
	readonly where: string | null;
	/** SQL sort keys; null for none. */
	readonly orderBy: string | null;
	/** Rows at most; null for all. */
	readonly limit: number | null;
	/** Rows skipped. */
	readonly offset: number;
}

export interface SubsetTask {
	readonly databaseUrl: string;
	readonly definition: ShapeDefinition;
	readonly query: SubsetQuery;
	/** Of the whole body; beyond it the task fails with SLUICE_SUBSET_TOO_LARGE. */
	readonly bytesMax: number;
	/** Of the statement. */
	readonly timeoutMs: number;
	/** Any message on it ends the query in PostgreSQL. Null: nobody will ask for that. */
	readonly cancelPort: MessagePort | null;
}

/** What the task answers. It does not throw: errors would lose their code on the way. */
export type SubsetOutcome =
	/** The JSON body, in shared memory: no thread on its way to the socket copies it. */
	| { readonly kind: "finished"; readonly body: SharedArrayBuffer; readonly rows: number }
	| { readonly kind: "failed"; readonly error: WireError };
