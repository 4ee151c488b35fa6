/**
 * The process's limit of open files and how it is shared out: logs, client connections, and a reserve for all else.
 * Pure but for the one look at the limit. Called by the lanes' log room and by the HTTP threads.
 */

import { readFileSync } from "node:fs";

/** Left for sockets, databases and the other threads. */
const RESERVED_DESCRIPTORS = 512;
/** Of what remains, what all lanes together may hold. */
const LOGS_SHARE = 0.75;
const FALLBACK_LIMIT = 1024;
const PAIRS_MIN = 8;
/** More would cost kernel memory and gain nothing. */
const PAIRS_MAX = 65_536;
/** Of the reserve, what connections may use too: the other half is for files that HTTP threads read, and databases. */
const CONNECTIONS_RESERVE_SHARE = 0.5;
const CONNECTIONS_MIN = 32;

/** How many logs (two files each) a lane may keep open. */
export function openLogsMax(limit: number, lanes: number): number {
	const share = Math.floor(((limit - RESERVED_DESCRIPTORS) * LOGS_SHARE) / lanes / 2);
	return Math.max(PAIRS_MIN, Math.min(PAIRS_MAX, share));
}

/** How many clients may be connected to one HTTP thread: what the logs leave. */
export function connectionsMax(limit: number, httpThreads: number): number {
	const rest = (limit - RESERVED_DESCRIPTORS) * (1 - LOGS_SHARE) + RESERVED_DESCRIPTORS * CONNECTIONS_RESERVE_SHARE;
	return Math.max(CONNECTIONS_MIN, Math.floor(rest / httpThreads));
}

/** The process's soft limit of open files (Node raises it to the hard one at its start). */
export function descriptorLimit(): number {
	try {
		const match = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"));
		if (match !== null) {
			return Number(match[1]);
		}
	} catch {
		// Not Linux: ask Node below.
	}
	const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: number | string } } };
	const soft = Number(report.userLimits?.open_files?.soft);
	return Number.isFinite(soft) && soft > 0 ? soft : FALLBACK_LIMIT;
}
