/**
 * The protocol between the registrar and a task of its snapshot pool: one task takes the initial data of one
 * shape. Plain types; the registrar starts tasks, workers/snapshot runs them.
 */

import type { MessagePort } from "node:worker_threads";
import type { WireError } from "./errors.ts";
import type { ShapeDefinition, SnapshotInfo } from "./shape-definition.ts";

/** The argument of the pool's task. */
export interface SnapshotTask {
	readonly databaseUrl: string;
	readonly chunkBytes: number;
	/** Absolute path of the shape's directory, which exists. */
	readonly directory: string;
	readonly definition: ShapeDefinition;
	/** SnapshotInbound / SnapshotOutbound. */
	readonly port: MessagePort;
}

/** Registrar to task. */
export type SnapshotInbound =
	/** The snapshot was spliced: write its rows. */
	| { readonly kind: "go" }
	/** The snapshot cannot be used: end the transaction and the task (outcome `retake`). */
	| { readonly kind: "retake" }
	/** The shape was removed: end at once (outcome `aborted`). */
	| { readonly kind: "abort" };

/** Task to registrar. */
export type SnapshotOutbound =
	/** The transaction has its snapshot; nothing is written before `go`. */
	| { readonly kind: "started"; readonly snapshot: SnapshotInfo }
	/** The server has begun to answer the query: it is allowed, and its first rows could be computed. */
	| { readonly kind: "reading" }
	/** Chunks 0 to chunks-1 are complete files. */
	| { readonly kind: "progress"; readonly chunks: number };

/** What the task answers. It does not throw: errors would lose their code on the way. */
export type SnapshotOutcome =
	/** All chunks and the directory are synced. */
	| { readonly kind: "finished"; readonly chunks: number; readonly rows: number }
	| { readonly kind: "retake" }
	| { readonly kind: "aborted" }
	| { readonly kind: "failed"; readonly error: WireError };
