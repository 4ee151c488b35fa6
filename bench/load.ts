/**
 * The load: a table, a procedure that fills it, and the three workloads. Owns nothing beyond the database it is
 * given. Called by run.ts.
 */

import type pg from "pg";
import { type Lsn, parseLsn } from "../src/shared/lsn.ts";

export const TABLE = "items";
/** Publication of the reference readers; Sluice makes its own. */
export const PUBLICATION = "bench_publication";

export interface Workload {
	readonly name: string;
	readonly transactions: number;
	readonly rowsPerTransaction: number;
}

/** The workloads, by size. The last is one transaction. */
export function workloads(rows: number, giantRows: number): readonly Workload[] {
	return [
		{ name: "1-row transactions", transactions: rows, rowsPerTransaction: 1 },
		{ name: "100-row transactions", transactions: Math.max(1, Math.round(rows / 100)), rowsPerTransaction: 100 },
		{
			name: `one ${giantRows.toLocaleString("en-US").replaceAll(",", " ")}-row transaction`,
			transactions: 1,
			rowsPerTransaction: giantRows,
		},
	];
}

export function workloadRows(workload: Workload): number {
	return workload.transactions * workload.rowsPerTransaction;
}

/** Makes table, procedure and publication in an empty database. */
export async function prepareDatabase(sql: pg.Client): Promise<void> {
	// Autovacuum off on this table alone: it would take one of the cores at a moment of its own choosing.
	await sql.query(`
		CREATE TABLE ${TABLE} (
			id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			user_id integer NOT NULL,
			title text NOT NULL,
			done boolean NOT NULL DEFAULT false,
			updated_at timestamptz NOT NULL DEFAULT now()
		) WITH (autovacuum_enabled = false);
		CREATE PUBLICATION ${PUBLICATION} FOR TABLE ${TABLE};
		CREATE PROCEDURE bench_load(transactions integer, rows_per_transaction integer, users integer)
		LANGUAGE plpgsql AS $$
		BEGIN
			FOR number IN 1..transactions LOOP
				INSERT INTO ${TABLE} (user_id, title)
				SELECT 1 + floor(random() * users)::integer, 'item ' || n || ' of transaction ' || number || ' of a load'
				FROM generate_series(1, rows_per_transaction) AS n;
				COMMIT;
			END LOOP;
		END
		$$;
	`);
}

/**
 * Writes one workload; user_id is random over 1 … `users`. Answers where it ends, once the log is flushed to there.
 * The commits are asynchronous, which changes nothing in the log that readers see, and makes the writer fast enough
 * to be out of the way.
 */
export async function writeLoad(sql: pg.Client, workload: Workload, users: number): Promise<Lsn> {
	await sql.query("SET synchronous_commit = off");
	await sql.query(`CALL bench_load(${workload.transactions}, ${workload.rowsPerTransaction}, ${users})`);
	const end = await sql.query<{ lsn: string }>("SELECT pg_current_wal_insert_lsn()::text AS lsn");
	await sql.query("SET synchronous_commit = on");
	await sql.query("SELECT pg_logical_emit_message(true, 'bench', 'end of load')");
	return parseLsn(end.rows[0]?.lsn ?? "");
}

/**
 * After a load that is read later: the checkpoint keeps the server's own writing out of the measurement, and the
 * record behind it lets slots forget what lies before; without it the next start would decode the last load again.
 */
export async function settle(sql: pg.Client): Promise<void> {
	await sql.query("CHECKPOINT");
	await sql.query("SELECT pg_log_standby_snapshot()");
}

/** The present end of the log. */
export async function currentLsn(sql: pg.Client): Promise<Lsn> {
	const result = await sql.query<{ lsn: string }>("SELECT pg_current_wal_lsn()::text AS lsn");
	return parseLsn(result.rows[0]?.lsn ?? "");
}
