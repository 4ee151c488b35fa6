/**
 * Takes one initial snapshot: a REPEATABLE READ transaction, its snapshot reported, then COPY into chunk files.
 * Owns the order of these steps; must hold no state between tasks but idle connections, and no more of a table
 * in memory than one flush. Called by the pool of the registrar. Source: replication.md 5.4.
 */

import type { MessagePort } from "node:worker_threads";
import pg from "pg";
import { to as copyTo } from "pg-copy-streams";
import { must } from "../../shared/assert.ts";
import { breakConnection } from "../../shared/break-connection.ts";
import { EntryEncoder } from "../../shared/entry-encoder.ts";
import { toWire } from "../../shared/errors.ts";
import { parseLsn } from "../../shared/lsn.ts";
import type { ShapeDefinition, SnapshotInfo } from "../../shared/shape-definition.ts";
import type { SnapshotInbound, SnapshotOutbound, SnapshotOutcome, SnapshotTask } from "../../shared/snapshot-task.ts";
import { quoteIdentifier, quoteQualified } from "../../shared/sql-quoting.ts";
import { ChunkWriter } from "./chunk-writer.ts";
import {
	BEGIN_SNAPSHOT,
	NO_TRANSACTION_TIMEOUT,
	releaseConnection,
	roleOf,
	takeConnection,
	withinTime,
} from "./connections.ts";
import { CopyRows } from "./copy-rows.ts";
import { SilenceWatch } from "./silence.ts";
import { type SnapshotSubject, snapshotError } from "./snapshot-error.ts";

/**
 * One round trip. The lock comes before the snapshot: a TRUNCATE or a rewriting ALTER TABLE between the two would leave
 * the snapshot an empty table (PostgreSQL documentation, "Caveats" of MVCC). The SELECT fixes the snapshot and then reads
 * the insert position, so every transaction that the snapshot sees has its commit record below it.
 */
const FIX_SNAPSHOT = `
	SELECT pg_catalog.pg_current_snapshot()::text AS snapshot, pg_catalog.pg_current_wal_insert_lsn()::text AS lsn,
		pg_catalog.pg_backend_pid() AS pid, ${NO_TRANSACTION_TIMEOUT}`;

const INSUFFICIENT_PRIVILEGE = "42501";

/** Runs the task to its outcome. Does not throw. */
export async function takeSnapshot(task: SnapshotTask): Promise<SnapshotOutcome> {
	const orders = new Orders(task.port);
	try {
		return await attempt(task, orders);
	} catch (error) {
		return orders.aborted
			? { kind: "aborted" }
			: { kind: "failed", error: toWire(snapshotError(error, subjectOf(task))) };
	} finally {
		task.port.close();
	}
}

function subjectOf({ databaseUrl, definition }: SnapshotTask): SnapshotSubject {
	return { table: definition.table, role: roleOf(databaseUrl) };
}

async function attempt(task: SnapshotTask, orders: Orders): Promise<SnapshotOutcome> {
	const client = await takeConnection(task.databaseUrl);
	orders.onAbort = () => breakConnection(client);
	let clean = false;
	try {
		if (orders.aborted) {
			return { kind: "aborted" };
		}
		const { snapshot, pid } = await begin(client, task.definition);
		post(task.port, { kind: "started", snapshot });
		const order = await orders.next();
		if (order === "go") {
			const finished = await writeChunks(task, client, snapshot, pid);
			await client.query(withinTime("COMMIT"));
			clean = true;
			return finished;
		}
		await client.query("ROLLBACK");
		clean = true;
		return { kind: order === "abort" ? "aborted" : "retake" };
	} catch (error) {
		// After an error that the server sent the session lives on. Anything else may have left COPY half read.
		clean =
			error instanceof pg.DatabaseError &&
			!orders.aborted &&
			(await client.query("ROLLBACK").then(
				() => true,
				() => false,
			));
		throw error;
	} finally {
		orders.onAbort = null;
		if (clean && !orders.aborted) {
			releaseConnection(task.databaseUrl, client);
		} else {
			breakConnection(client);
		}
	}
}

/** The snapshot, and the session that has it. */
interface Begun {
	readonly snapshot: SnapshotInfo;
	readonly pid: number;
}

async function begin(client: pg.Client, definition: ShapeDefinition): Promise<Begun> {
	const lock = `LOCK TABLE ${tableSource(definition)} IN ACCESS SHARE MODE`;
	try {
		return await fixSnapshot(client, `${BEGIN_SNAPSHOT}; ${lock}; ${FIX_SNAPSHOT}`);
	} catch (error) {
		if (!(error instanceof pg.DatabaseError) || error.code !== INSUFFICIENT_PRIVILEGE) {
			throw error;
		}
		// LOCK wants a right to the whole table. A role that may read some columns does without; COPY will tell if not.
		await client.query("ROLLBACK");
		return fixSnapshot(client, `${BEGIN_SNAPSHOT}; ${FIX_SNAPSHOT}`);
	}
}

async function fixSnapshot(client: pg.Client, statements: string): Promise<Begun> {
	// Several statements in one simple query: pg answers with a list of results.
	const results = (await client.query(withinTime(statements))) as unknown as readonly pg.QueryResult<{
		snapshot: string;
		lsn: string;
		pid: number;
	}>[];
	const row = must(results.at(-1)?.rows[0], "the snapshot's first statement answers one row");
	return { snapshot: parseSnapshot(row.snapshot, row.lsn), pid: row.pid };
}

/** `xmin:xmax:xip,xip` of PostgreSQL `pg_snapshot_out`, and an LSN as text. */
export function parseSnapshot(snapshot: string, insertLsn: string): SnapshotInfo {
	const [xmin, xmax, xip] = snapshot.split(":");
	return {
		xmin: must(xmin, "a snapshot has an xmin"),
		xmax: must(xmax, "a snapshot has an xmax"),
		xipList: xip === undefined || xip === "" ? [] : xip.split(","),
		insertLsn: String(parseLsn(insertLsn)),
	};
}

async function writeChunks(
	task: SnapshotTask,
	client: pg.Client,
	snapshot: SnapshotInfo,
	pid: number,
): Promise<SnapshotOutcome> {
	const writer = new ChunkWriter(task.directory, task.chunkBytes, (chunks) =>
		post(task.port, { kind: "progress", chunks }),
	);
	try {
		const rows = task.definition.log === "changes_only" ? 0 : await copyRows(task, client, writer, pid);
		return { kind: "finished", chunks: await writer.finish(snapshotEnd(snapshot)), rows };
	} finally {
		await writer.abandon();
	}
}

async function copyRows(task: SnapshotTask, client: pg.Client, writer: ChunkWriter, pid: number): Promise<number> {
	const { definition } = task;
	const encoder = new EntryEncoder(definition);
	encoder.bindColumns(definition.selectedColumns);
	let count = 0;
	const rows = new CopyRows(definition.selectedColumns.length, (tuple) => {
		count += 1;
		writer.beginItem();
		encoder.appendSnapshotRow(writer.out, tuple);
		writer.endItem();
	});
	const stream = client.query(copyTo(copyStatement(definition)));
	// A connection that ends without an error message must not leave the loop waiting.
	const ended = (): void => {
		stream.destroy(new Error("the connection ended during COPY"));
	};
	client.once("end", ended);
	const silence = new SilenceWatch(task.databaseUrl, pid, () => breakConnection(client));
	let reading = false;
	try {
		for await (const chunk of stream as AsyncIterable<Buffer>) {
			if (!reading) {
				reading = true;
				post(task.port, { kind: "reading" });
			}
			rows.push(chunk);
			if (writer.needsFlush) {
				silence.hold();
				await writer.flush();
			}
			silence.heard();
		}
	} finally {
		silence.end();
		client.off("end", ended);
	}
	rows.end();
	return count;
}

export function copyStatement(definition: ShapeDefinition): string {
	const { where } = definition;
	return `COPY (${selectStatement(definition, where === null ? [] : [where.sql])}) TO STDOUT`;
}

/** The selected columns of rows that meet all conditions. */
export function selectStatement(definition: ShapeDefinition, conditions: readonly string[]): string {
	const columns = definition.selectedColumns.map(quoteIdentifier).join(", ");
	const where = conditions.map((sql) => `(${sql})`).join(" AND ");
	return `SELECT ${columns} FROM ${tableSource(definition)}${where === "" ? "" : ` WHERE ${where}`}`;
}

/** ONLY for an ordinary table: the stream brings changes of the table itself, not of those that inherit from it. */
function tableSource({ table }: ShapeDefinition): string {
	return `${table.kind === "r" ? "ONLY " : ""}${quoteQualified(table)}`;
}

/** The control message that ends the initial data. Source: shape-http-api.md 9.6. */
export function snapshotEnd(snapshot: SnapshotInfo): string {
	const { xmin, xmax, xipList } = snapshot;
	return JSON.stringify({ headers: { control: "snapshot-end", xmin, xmax, xip_list: xipList } });
}

function post(port: MessagePort, message: SnapshotOutbound): void {
	port.postMessage(message);
}

/** What the registrar wants, as it comes. */
class Orders {
	aborted = false;
	/** Called once, when an abort comes while the task runs. */
	onAbort: (() => void) | null = null;
	#first: SnapshotInbound["kind"] | null = null;
	#waiting: ((kind: SnapshotInbound["kind"]) => void) | null = null;

	constructor(port: MessagePort) {
		port.on("message", (message: SnapshotInbound) => this.#take(message.kind));
		// The registrar gave the task up.
		port.on("close", () => this.#take("abort"));
	}

	next(): Promise<SnapshotInbound["kind"]> {
		if (this.#first !== null) {
			return Promise.resolve(this.#first);
		}
		return new Promise((resolve) => {
			this.#waiting = resolve;
		});
	}

	#take(kind: SnapshotInbound["kind"]): void {
		this.#first ??= kind;
		this.#waiting?.(kind);
		this.#waiting = null;
		if (kind === "abort" && !this.aborted) {
			this.aborted = true;
			this.onAbort?.();
		}
	}
}
