/**
 * What an error of PostgreSQL means for us, wherever it is met: one table from SQLSTATE (and, where the code alone
 * does not tell, the text) to a code of the error table, what happened, and what an operator should run. Owns that
 * table, of which the README's is made; must never hold a password, a URL or a row value. Called by the link and by
 * the registrar's connections. Source: PostgreSQL manual, "PostgreSQL Error Codes"; replication.md 4.6 and 7.
 */

import type { ErrorCode } from "./errors.ts";
import { quoteIdentifier } from "./sql-quoting.ts";

/** Fields of an ErrorResponse or NoticeResponse that matter here. */
export interface ServerReport {
	readonly message: string | undefined;
	readonly severity: string | undefined;
	/** SQLSTATE. */
	readonly code: string | undefined;
	readonly detail: string | undefined;
	/** C source file and function that raised it: the only texts that no `lc_messages` translates. */
	readonly file: string | undefined;
	readonly routine: string | undefined;
}

/** Where on a connection's life the error came. */
export type ConnectionPhase = "connect" | "setup" | "stream";

/** Who and what the connection is for, as far as the caller knows; they go into the statement. */
export interface ConnectionNames {
	readonly role?: string;
	readonly database?: string;
	readonly slot?: string;
}

export interface Classification {
	readonly code: ErrorCode;
	/** What happened, beyond code and server message. */
	readonly problem?: string;
	/** What an operator should run. */
	readonly statement?: string;
	/** Nothing in our list: treated as passing, and worth a line in the log. */
	readonly unclassified?: true;
}

interface Row {
	/** A SQLSTATE, or the two characters of a class. */
	readonly state: string;
	/** In these phases only. */
	readonly phases?: readonly ConnectionPhase[];
	/** Looked for in message, detail and routine. */
	readonly text?: RegExp;
	readonly code: ErrorCode;
	readonly problem: string;
	readonly statement?: (names: Required<ConnectionNames>) => string;
	/** Says nothing about the statement that met it, only that the database cannot be asked (now). */
	readonly session?: true;
}

const CONNECT: readonly ConnectionPhase[] = ["connect"];
const ALLOW_REPLICATION = ({ role }: Required<ConnectionNames>): string =>
	`ALTER ROLE ${quoteIdentifier(role)} WITH REPLICATION`;

/** The first row that fits counts. */
const ROWS: readonly Row[] = [
	// --- who may connect
	{ state: "28P01", session: true, code: "SLUICE_LINK_REFUSED", problem: "the password is wrong or was changed" },
	// A hosted provider's "branch … is starting" comes under the code of a refused login.
	{
		state: "28000",
		text: /\bbranch\b/i,
		session: true,
		code: "SLUICE_LINK_UNAVAILABLE",
		problem: "the hosted database is starting",
	},
	{
		state: "28000",
		text: /not permitted to log in/,
		session: true,
		code: "SLUICE_LINK_REFUSED",
		problem: "the role may not log in",
		statement: ({ role }) => `ALTER ROLE ${quoteIdentifier(role)} WITH LOGIN`,
	},
	{
		state: "28000",
		text: /role .* does not exist/,
		session: true,
		code: "SLUICE_LINK_REFUSED",
		problem: "the role does not exist",
		statement: ({ role }) => `CREATE ROLE ${quoteIdentifier(role)} WITH LOGIN REPLICATION PASSWORD '…'`,
	},
	{
		state: "28000",
		text: /no encryption|SSL off/,
		session: true,
		code: "SLUICE_LINK_REFUSED",
		problem: "pg_hba.conf does not let the role in without TLS: use sslmode=require or stricter, or add a line",
	},
	{
		state: "28",
		session: true,
		code: "SLUICE_LINK_REFUSED",
		problem: "pg_hba.conf does not let the role in from here: add a line for it and run the statement",
		statement: () => "SELECT pg_reload_conf()",
	},
	{
		state: "3D000",
		session: true,
		code: "SLUICE_LINK_REFUSED",
		problem: "the database does not exist",
		statement: ({ database }) => `CREATE DATABASE ${quoteIdentifier(database)}`,
	},
	{
		state: "42501",
		phases: CONNECT,
		text: /for database|CheckMyDatabase/,
		code: "SLUICE_LINK_REFUSED",
		problem: "the role may not connect to the database",
		statement: ({ role, database }) =>
			`GRANT CONNECT ON DATABASE ${quoteIdentifier(database)} TO ${quoteIdentifier(role)}`,
	},
	{
		state: "42501",
		phases: CONNECT,
		code: "SLUICE_LINK_MISCONFIGURED",
		problem: "the role may not open a replication connection",
		statement: ALLOW_REPLICATION,
	},
	{
		state: "42501",
		text: /replication slots|REPLICATION/,
		code: "SLUICE_LINK_MISCONFIGURED",
		problem: "the role may not use replication slots",
		statement: ALLOW_REPLICATION,
	},
	{ state: "42501", code: "SLUICE_LINK_MISCONFIGURED", problem: "the role lacks a privilege" },
	// --- limits: they pass, and the operator may help
	{
		state: "53300",
		text: /for role|InitializeSessionUserId/,
		session: true,
		code: "SLUICE_LINK_UNAVAILABLE",
		problem: "the role's connection limit is reached",
		statement: ({ role }) => `ALTER ROLE ${quoteIdentifier(role)} CONNECTION LIMIT -1`,
	},
	{
		state: "53300",
		text: /for database|CheckMyDatabase/,
		session: true,
		code: "SLUICE_LINK_UNAVAILABLE",
		problem: "the database's connection limit is reached",
		statement: ({ database }) => `ALTER DATABASE ${quoteIdentifier(database)} CONNECTION LIMIT -1`,
	},
	{
		state: "53300",
		text: /max_wal_senders/,
		session: true,
		code: "SLUICE_LINK_UNAVAILABLE",
		problem: "every walsender is taken: end a standby or consumer, or allow more (needs a restart of PostgreSQL)",
		statement: () => "ALTER SYSTEM SET max_wal_senders = 20",
	},
	{
		state: "53300",
		session: true,
		code: "SLUICE_LINK_UNAVAILABLE",
		problem: "PostgreSQL has no connection left: end some, or allow more (needs a restart of PostgreSQL)",
		statement: () => "ALTER SYSTEM SET max_connections = 200",
	},
	{
		state: "53400",
		text: /slots/,
		code: "SLUICE_LINK_UNAVAILABLE",
		problem: "every replication slot is taken: drop one that nobody uses, or raise max_replication_slots",
		statement: () => "SELECT slot_name, plugin, active, restart_lsn FROM pg_replication_slots ORDER BY active",
	},
	{
		state: "53",
		session: true,
		code: "SLUICE_LINK_UNAVAILABLE",
		problem: "PostgreSQL is short of memory, disk or connections",
	},
	{
		state: "XX000",
		text: /remaining connection slots are reserved/,
		session: true,
		code: "SLUICE_LINK_UNAVAILABLE",
		problem: "the connections that are left are reserved",
	},
	// Hosted providers report these under XX000; waiting does not help.
	{
		state: "XX000",
		phases: ["connect", "setup"],
		text: /endpoint .*not (be )?found|quota|password authentication failed/i,
		code: "SLUICE_LINK_REFUSED",
		problem: "the hosting provider refuses the connection",
	},
	{ state: "XX000", code: "SLUICE_LINK_UNAVAILABLE", problem: "PostgreSQL or what is in front of it has failed" },
	// --- what is set up
	{
		state: "55000",
		text: /wal_level/,
		code: "SLUICE_LINK_MISCONFIGURED",
		problem: "wal_level is not logical; PostgreSQL must be restarted after the statement",
		statement: () => "ALTER SYSTEM SET wal_level = 'logical'",
	},
	{
		state: "55000",
		text: /not created in this database/,
		code: "SLUICE_LINK_MISCONFIGURED",
		problem: "the slot belongs to another database",
		statement: ({ slot }) => `SELECT pg_drop_replication_slot('${slot}')`,
	},
	// 15: cannot read from; 16, 17: can no longer get changes from; 18: can no longer access.
	{
		state: "55000",
		text: /^(?=[\s\S]*replication slot)[\s\S]*(invalidated|no longer|cannot read|conflicting)/,
		code: "SLUICE_SLOT_LOST",
		problem: "the slot was invalidated",
	},
	{ state: "55006", code: "SLUICE_SLOT_IN_USE", problem: "another session uses the slot" },
	// The publication was missing at some point of the WAL, or the slot is gone: a gap either way.
	{ state: "42704", code: "SLUICE_SLOT_LOST", problem: "the slot or the publication is gone" },
	{
		state: "42601",
		code: "SLUICE_LINK_MISCONFIGURED",
		problem: "the server does not know a command that Sluice needs",
	},
	{
		state: "0A000",
		code: "SLUICE_LINK_MISCONFIGURED",
		problem: "the server does not know a command that Sluice needs",
	},
	{
		state: "22023",
		code: "SLUICE_LINK_MISCONFIGURED",
		problem: "the server does not know a command that Sluice needs",
	},
	{
		state: "25006",
		code: "SLUICE_LINK_REFUSED",
		problem: "the server is a standby: DATABASE_URL must name the primary",
		statement: () => "SELECT pg_is_in_recovery()",
	},
	// --- poolers
	{
		state: "08P01",
		phases: CONNECT,
		text: /startup parameter|replication/i,
		session: true,
		code: "SLUICE_LINK_REFUSED",
		problem:
			"a connection pooler is in front of PostgreSQL: DATABASE_URL must be direct, a pooler's belongs into SLUICE_POOLED_DATABASE_URL",
	},
	// --- the server comes and goes
	{
		state: "57P01",
		phases: ["stream"],
		session: true,
		code: "SLUICE_LINK_CLOSED",
		problem: "the server shuts down, or somebody ended the session",
	},
	{
		state: "57P02",
		phases: ["stream"],
		session: true,
		code: "SLUICE_LINK_CLOSED",
		problem: "a server process has crashed",
	},
	{
		state: "57P03",
		session: true,
		code: "SLUICE_LINK_UNAVAILABLE",
		problem: "the server is starting or shutting down",
	},
	{
		state: "57",
		session: true,
		code: "SLUICE_LINK_UNAVAILABLE",
		problem: "the session or its statement was ended on the server",
	},
	{ state: "08", session: true, code: "SLUICE_LINK_UNAVAILABLE", problem: "the connection failed on the way" },
	{ state: "58", code: "SLUICE_LINK_UNAVAILABLE", problem: "the server's operating system failed it" },
	{ state: "40", code: "SLUICE_LINK_UNAVAILABLE", problem: "another transaction was in the way" },
	{
		state: "42",
		phases: ["setup", "stream"],
		code: "SLUICE_LINK_UNAVAILABLE",
		problem: "another session changed an object meanwhile",
	},
];

/** Classifies an error that the server reported. */
export function classifyServerReport(
	report: Pick<ServerReport, "code" | "message" | "detail" | "routine">,
	phase: ConnectionPhase,
	names: ConnectionNames = {},
): Classification {
	const row = rowFor(report, phase);
	if (row === null) {
		return { code: "SLUICE_LINK_UNAVAILABLE", unclassified: true };
	}
	const statement = row.statement?.({ role: "…", database: "…", slot: "…", ...names });
	return { code: row.code, problem: row.problem, ...(statement === undefined ? {} : { statement }) };
}

/** Whether the error says nothing about the statement, only that the database could not be asked. */
export function meansUnavailable(report: Pick<ServerReport, "code" | "message" | "detail" | "routine">): boolean {
	return rowFor(report, "connect")?.session === true;
}

function rowFor(
	report: Pick<ServerReport, "code" | "message" | "detail" | "routine">,
	phase: ConnectionPhase,
): Row | null {
	const state = report.code ?? "";
	const text = [report.message, report.detail, report.routine].join("\n");
	return (
		ROWS.find(
			(row) =>
				state.startsWith(row.state) &&
				row.phases?.includes(phase) !== false &&
				(row.text === undefined || row.text.test(text)),
		) ?? null
	);
}

const ACTIONS: Readonly<Partial<Record<ErrorCode, string>>> = {
	SLUICE_LINK_UNAVAILABLE: "tries again after 0.5 to 10 s",
	SLUICE_LINK_CLOSED: "connects again after 0.5 to 10 s",
	SLUICE_SLOT_IN_USE: "tries again after 0.5 to 10 s, names the process that has it",
	SLUICE_SLOT_LOST: "makes a new slot; clients start anew",
	SLUICE_LINK_REFUSED: "tries again every 10 s, serves reads meanwhile",
	SLUICE_LINK_MISCONFIGURED: "ends at start; once it has streamed: as above",
};

/** The README's table, in Markdown. A test fails when the README differs. */
export function databaseErrorTable(): string {
	const rows = ROWS.map((row) => {
		const state = row.state.length === 5 ? row.state : `${row.state}xxx`;
		const statement = row.statement?.({ role: "role", database: "database", slot: "slot" });
		const shown = statement === undefined ? "–" : `\`${statement}\``;
		return `| ${state} | ${row.problem} | ${ACTIONS[row.code] ?? ""} | ${shown} |`;
	});
	return ["| SQLSTATE | What happened | What Sluice does | What to run |", "|---|---|---|---|", ...rows].join("\n");
}
