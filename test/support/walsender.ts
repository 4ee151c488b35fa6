/**
 * Which walsender serves a daemon: the same one before and after means that the link never broke. Called by
 * test/faults.
 */

import type { TestDaemon } from "./daemon.ts";
import type { TestDatabase } from "./postgres.ts";

interface Walsender {
	readonly pid: number;
	readonly backend_start: Date;
}

/** Undefined while none is active. */
export async function walsender(database: TestDatabase, daemon: TestDaemon): Promise<Walsender | undefined> {
	const rows = await database.sql<{ pid: number; backend_start: Date }>(
		`select a.pid, a.backend_start from pg_replication_slots s join pg_stat_activity a on a.pid = s.active_pid
		where s.slot_name = $1`,
		[daemon.slotName],
	);
	return rows[0];
}
