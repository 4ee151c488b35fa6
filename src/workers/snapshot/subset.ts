/**
 * Answers one subset query: a REPEATABLE READ transaction, its snapshot and WAL position, then COPY of the rows that
 * meet the shape's condition AND the subset's, as the JSON body of the response. Owns the statement's text (from parts
 * that the where room rebuilt) and the bound on the body; must hold nothing between tasks but idle connections. Called
 * by the pool of the registrar. Source: shape-http-api.md 12.
 */

import { randomInt } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { to as copyTo } from "pg-copy-streams";
import { InvariantError, must } from "../../shared/assert.ts";
import { breakConnection } from "../../shared/break-connection.ts";
import { ByteWriter } from "../../shared/byte-writer.ts";
import { EntryEncoder, snapshotMarkHeader } from "../../shared/entry-encoder.ts";
import { SluiceError, toWire } from "../../shared/errors.ts";
import type { ShapeDefinition, SnapshotInfo } from "../../shared/shape-definition.ts";
import type { SubsetOutcome, SubsetQuery, SubsetTask } from "../../shared/subset-task.ts";
import {
	BEGIN_SNAPSHOT,
	NO_TRANSACTION_TIMEOUT,
	releaseConnection,
	takeConnection,
	withinTime,
} from "./connections.ts";
import { CopyRows } from "./copy-rows.ts";
import { QueryCancel } from "./query-cancel.ts";
import { snapshotError } from "./snapshot-error.ts";
import { parseSnapshot, selectStatement } from "./task.ts";

const COMMA = 0x2c;
const END = Buffer.from("]}", "latin1");
const MARK_LIMIT = 2 ** 31;

/**
 * The SELECT fixes the snapshot and then reads the insert position: the commit of every transaction that the snapshot
 * sees lies below it, also of one that was not waited for (the written position may be lower).
 */
function beginStatement(timeoutMs: number): string {
	return `${BEGIN_SNAPSHOT};
		SET LOCAL statement_timeout = ${timeoutMs}; SET LOCAL lock_timeout = ${timeoutMs};
		SELECT pg_catalog.pg_current_snapshot()::text AS snapshot, pg_catalog.pg_current_wal_insert_lsn()::text AS lsn,
			pg_catalog.pg_backend_pid() AS pid, ${NO_TRANSACTION_TIMEOUT}`;
}

/**
 * Commits that wait for a synchronous standby: they have been streamed, and nobody sees them yet (PostgreSQL:
 * `SyncRepWaitForLSN` comes before `ProcArrayEndTransaction`). A client may already have got such a change, so a subset
 * that does not hold it would leave the older row with it for ever.
 */
const STREAMED_UNSEEN = `SELECT backend_xid::text AS xid FROM pg_catalog.pg_stat_activity
	WHERE wait_event = 'SyncRep' AND backend_xid IS NOT NULL`;
/** For the error of a statement that took too long to arrive. */
const FAREWELL_MS = 10_000;
const RETAKE_MS = 50;
const RETAKE_BUDGET_MS = 5_000;

/** Runs the task to its outcome. Does not throw. */
export async function takeSubset(task: SubsetTask): Promise<SubsetOutcome> {
	try {
		return await attempt(task);
	} catch (error) {
		return { kind: "failed", error: toWire(subsetError(error, task.timeoutMs)) };
	}
}

async function attempt(task: SubsetTask): Promise<SubsetOutcome> {
	const cancel = new QueryCancel(task.cancelPort, task.databaseUrl);
	let client: pg.Client;
	try {
		client = await takeConnection(task.databaseUrl);
	} catch (error) {
		await cancel.over();
		throw error;
	}
	let clean = false;
	try {
		const { body, rows } = await readBody(task, client, await begin(client, task.timeoutMs, cancel));
		clean = await endTransaction(client, cancel, "COMMIT");
		return { kind: "finished", body, rows };
	} catch (error) {
		// After an error that the server sent the session lives on. Anything else may have left COPY half read.
		const lives = error instanceof pg.DatabaseError;
		clean = await endTransaction(lives ? client : null, cancel, "ROLLBACK");
		throw error;
	} finally {
		if (clean) {
			releaseConnection(task.databaseUrl, client);
		} else {
			breakConnection(client);
		}
	}
}

/**
 * Ends the query's transaction when nothing is on its way to cancel it, and answers whether the connection may be used
 * again. Not before: a pooler gives the session to somebody else as soon as the transaction has ended, and the cancel
 * would hit their query. With a cancel on its way the caller breaks the connection, which ends the session too.
 * @param client null when the session is beyond use
 */
export async function endTransaction(
	client: { query(text: string): Promise<unknown> } | null,
	cancel: Pick<QueryCancel, "over">,
	end: "COMMIT" | "ROLLBACK",
): Promise<boolean> {
	const cancelled = await cancel.over();
	if (cancelled || client === null) {
		return false;
	}
	return client.query(end).then(
		() => true,
		() => false,
	);
}

/** Begins the transaction, with a snapshot that holds whatever was streamed before this call. */
async function begin(client: pg.Client, timeoutMs: number, cancel: QueryCancel): Promise<SnapshotInfo> {
	const deadline = performance.now() + RETAKE_BUDGET_MS;
	for (;;) {
		// Before the snapshot: who begins to wait later was streamed later.
		const streamed = await client.query<{ xid: string }>(STREAMED_UNSEEN);
		// Several statements in one simple query: pg answers with a list of results.
		const results = (await client.query(withinTime(beginStatement(timeoutMs)))) as unknown as readonly pg.QueryResult<{
			snapshot: string;
			lsn: string;
			pid: number;
		}>[];
		const row = must(results.at(-1)?.rows[0], "the snapshot's statement answers one row");
		const snapshot = parseSnapshot(row.snapshot, row.lsn);
		if (streamed.rows.every(({ xid }) => isVisible(BigInt(xid), snapshot))) {
			cancel.began(row.pid);
			return snapshot;
		}
		await client.query("ROLLBACK");
		if (performance.now() >= deadline || cancel.requested) {
			throw new SluiceError("SLUICE_SNAPSHOT_FAILED", {
				sqlState: null,
				serverMessage: "Commits wait for a synchronous standby: what was streamed of them cannot be read yet",
			});
		}
		await delay(RETAKE_MS);
	}
}

/**
 * The snapshot sees a transaction that had committed. @param xid 32 bits, as pg_stat_activity shows it; the ids of
 * transactions that are there at one time differ by less than 2^31
 */
export function isVisible(xid: bigint, snapshot: Pick<SnapshotInfo, "xmax" | "xipList">): boolean {
	const xmax = BigInt(snapshot.xmax);
	const full = xmax + BigInt.asIntN(32, xid - xmax);
	return full < xmax && !snapshot.xipList.includes(String(full));
}

async function readBody(
	task: SubsetTask,
	client: pg.Client,
	snapshot: SnapshotInfo,
): Promise<{ readonly body: SharedArrayBuffer; readonly rows: number }> {
	const { definition, query, bytesMax } = task;
	const mark = randomInt(MARK_LIMIT);
	const markHeader = snapshotMarkHeader(mark);
	const encoder = new EntryEncoder(definition);
	encoder.bindColumns(definition.selectedColumns);
	const out = new ByteWriter();
	out.bytes(Buffer.from(bodyStart(snapshot, mark)));
	let count = 0;
	const rows = new CopyRows(definition.selectedColumns.length, (tuple) => {
		if (count > 0) {
			out.byte(COMMA);
		}
		count += 1;
		encoder.appendSubsetRow(out, tuple, markHeader);
		checkSize(out.length);
	});
	let received = 0;
	const checkSize = (bytes: number): void => {
		if (bytes > bytesMax) {
			throw new SluiceError("SLUICE_SUBSET_TOO_LARGE", { bytesMax });
		}
	};
	const stream = client.query(copyTo(subsetStatement(definition, query)));
	// A connection that ends without an error message must not leave the loop waiting.
	const ended = (): void => {
		stream.destroy(new Error("the connection ended during COPY"));
	};
	client.once("end", ended);
	// PostgreSQL ends the statement itself, sending included; what is not heard of soon after is out of reach.
	const deadline = setTimeout(() => breakConnection(client), task.timeoutMs + FAREWELL_MS);
	try {
		for await (const chunk of stream as AsyncIterable<Buffer>) {
			// Also of a row whose end has not come: one value may be a gibibyte.
			received += chunk.length;
			checkSize(received);
			rows.push(chunk);
		}
	} finally {
		clearTimeout(deadline);
		client.off("end", ended);
	}
	rows.end();
	out.bytes(END);
	const body = new SharedArrayBuffer(out.length);
	new Uint8Array(body).set(out.view());
	return { body, rows: count };
}

/** Everything up to the first row. */
export function bodyStart(snapshot: SnapshotInfo, mark: number): string {
	const { xmin, xmax, xipList, insertLsn } = snapshot;
	const metadata = { xmin, xmax, xip_list: xipList, database_lsn: insertLsn, snapshot_mark: mark };
	return `{"metadata":${JSON.stringify(metadata)},"data":[`;
}

/** Each condition in parentheses of its own: an OR at the top of one must not reach past the other. */
export function subsetStatement(definition: ShapeDefinition, query: SubsetQuery): string {
	const conditions = [definition.where?.sql ?? null, query.where].filter((sql) => sql !== null);
	const parts = [
		selectStatement(definition, conditions),
		query.orderBy === null ? "" : ` ORDER BY ${query.orderBy}`,
		query.limit === null ? "" : ` LIMIT ${query.limit}`,
		query.offset === 0 ? "" : ` OFFSET ${query.offset}`,
	];
	return `COPY (${parts.join("")}) TO STDOUT`;
}

/** PostgreSQL's judgement of the client's condition or order is the client's 400; the rest as in any snapshot. */
export function subsetError(error: unknown, timeoutMs: number): unknown {
	if (!(error instanceof pg.DatabaseError) || error.code === undefined || error instanceof InvariantError) {
		return snapshotError(error);
	}
	if (error.code.startsWith("22")) {
		const translated = snapshotError(error);
		const message = translated instanceof SluiceError ? translated.context["serverMessage"] : null;
		return refusal("where", typeof message === "string" ? message : "the condition cannot be evaluated");
	}
	if (error.code === "42883") {
		return refusal("order_by", error.message);
	}
	if (error.code === "57014") {
		return new SluiceError("SLUICE_SNAPSHOT_FAILED", {
			sqlState: error.code,
			serverMessage: `Snapshot query took too long to return data (cancelled after ${timeoutMs}ms). Please ensure snapshot queries are using an index to avoid taking up all database connections.`,
		});
	}
	return snapshotError(error);
}

/** What only the database could tell is a text, not a list (shape-http-api.md 12). */
function refusal(field: string, message: string): SluiceError {
	return new SluiceError("SLUICE_REQUEST_INVALID", { errors: { subset: { [field]: message } } });
}
