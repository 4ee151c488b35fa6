/**
 * Errors of a snapshot in the words that clients get. Pure. Owns the mapping from SQLSTATE to message; must
 * never pass a row's value on. Called by the snapshot task. Source: shape-http-api.md 16.
 */

import pg from "pg";
import { InvariantError } from "../../shared/assert.ts";
import { SluiceError } from "../../shared/errors.ts";
import type { QualifiedName } from "../../shared/identifiers.ts";
import { quoteIdentifier, quoteQualified } from "../../shared/sql-quoting.ts";

/** For whom and what, for the statement that an operator should run. */
export interface SnapshotSubject {
	readonly table: QualifiedName;
	/** Null when it is not known. */
	readonly role: string | null;
}

/** Always a SluiceError, except for bugs of ours. */
export function snapshotError(error: unknown, subject?: SnapshotSubject): unknown {
	if (error instanceof SluiceError || error instanceof InvariantError || error instanceof TypeError) {
		return error;
	}
	if (error instanceof pg.DatabaseError && error.code !== undefined) {
		return new SluiceError("SLUICE_SNAPSHOT_FAILED", {
			sqlState: error.code,
			serverMessage: serverMessage(error.code, error.message),
			...(error.code === "42501" && subject !== undefined ? { statement: grant(subject) } : {}),
		});
	}
	return new SluiceError("SLUICE_SNAPSHOT_FAILED", {
		sqlState: null,
		serverMessage: "Database connection not available",
		cause: error,
	});
}

function grant({ table, role }: SnapshotSubject): string {
	return `GRANT SELECT ON ${quoteQualified(table)} TO ${role === null ? "…" : quoteIdentifier(role)}`;
}

function serverMessage(sqlState: string, message: string): string {
	if (sqlState === "55P03") {
		return "Snapshot timed out while waiting for a table lock";
	}
	if (sqlState.startsWith("57P") || sqlState.startsWith("08")) {
		return "Database connection not available";
	}
	if (sqlState === "42501") {
		return `Unable to create initial snapshot: ${message}`;
	}
	// Data exceptions quote the value they stumbled over, at the end or before the rest: perhaps that of a row which the
	// reader may not see, since the planner chooses which condition it looks at first.
	return sqlState.startsWith("22") ? message.replace(/: ".*$/s, "").replace(/".*"/s, "…") : message;
}
