/**
 * Replication slots of the reference readers. Called by the readers.
 */

import type pg from "pg";

/** Makes a logical slot at the present end of the log; replaces the one with this name. */
export async function createSlot(sql: pg.Client, name: string): Promise<void> {
	await sql.query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", [name]);
	await sql.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [name]);
}
