/**
 * What an error of the replication connection means for us: from SQLSTATE, phase and, where the code alone does
 * not tell, the text, to a code of the error table (whose retry class says what happens next). Pure; must never
 * carry a password, a URL or a row value. Called by connect, handshake and stream.
 * Source: PostgreSQL manual, "PostgreSQL Error Codes".
 */

import { type ErrorCode, SluiceError } from "../../shared/errors.ts";

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

/** Where on the connection's life the error came. */
export type LinkPhase = "connect" | "setup" | "stream";

export interface Classification {
	readonly code: ErrorCode;
	/** What to tell the operator beyond code and server message. */
	readonly problem?: string;
	/** Nothing in our list: treated as passing, and worth a line in the log. */
	readonly unclassified?: true;
}

const TEXT_LENGTH_MAX = 500;

/** Hosted providers report these under XX000; waiting does not help. */
const PROVIDER_REFUSAL = /endpoint .*not (be )?found|quota|password authentication failed/i;

/** Classifies an error that the server reported. */
export function classifyServerReport(report: ServerReport, phase: LinkPhase): Classification {
	const sqlState = report.code ?? "";
	const text = `${report.message ?? ""}\n${report.detail ?? ""}`;
	switch (sqlState) {
		case "55000":
			return classifyPrerequisite(text);
		case "55006":
			return { code: "SLUICE_SLOT_IN_USE" };
		case "42704":
			// The publication was missing at some point of the WAL, or the slot is gone: a gap either way.
			return { code: "SLUICE_SLOT_LOST" };
		case "42501":
			return phase === "connect"
				? { code: "SLUICE_LINK_MISCONFIGURED", problem: "the role may not open a replication connection" }
				: { code: "SLUICE_LINK_MISCONFIGURED", problem: "the role lacks a privilege" };
		case "42601":
		case "0A000":
		case "22023":
			return { code: "SLUICE_LINK_MISCONFIGURED", problem: "the server does not know a command that Sluice needs" };
		case "28000":
			// A hosted provider's "branch … is starting" comes under the code of a refused login.
			return /\bbranch\b/i.test(text) ? { code: "SLUICE_LINK_UNAVAILABLE" } : { code: "SLUICE_LINK_REFUSED" };
		case "28P01":
		case "3D000":
			return { code: "SLUICE_LINK_REFUSED" };
		case "08P01":
			return phase === "connect" && /startup parameter|replication/i.test(text)
				? { code: "SLUICE_LINK_REFUSED", problem: "a connection pooler is in front of PostgreSQL: use a direct URL" }
				: { code: "SLUICE_LINK_UNAVAILABLE" };
		case "XX000":
			return PROVIDER_REFUSAL.test(text) ? { code: "SLUICE_LINK_REFUSED" } : { code: "SLUICE_LINK_UNAVAILABLE" };
		case "57P01":
		case "57P02":
			return { code: phase === "stream" ? "SLUICE_LINK_CLOSED" : "SLUICE_LINK_UNAVAILABLE" };
		default:
			break;
	}
	switch (sqlState.slice(0, 2)) {
		case "08": // connection
		case "40": // transaction rolled back
		case "42": // object races: 42710 and the like
		case "53": // resources: connections, walsenders, slots, disk
		case "57": // cancelled, starting up, shutting down
		case "58": // the server's operating system
			return { code: "SLUICE_LINK_UNAVAILABLE" };
		default:
			return { code: "SLUICE_LINK_UNAVAILABLE", unclassified: true };
	}
}

/** 55000 covers four different things; versions 15 to 18 word them differently. */
function classifyPrerequisite(text: string): Classification {
	if (/wal_level/.test(text)) {
		return { code: "SLUICE_LINK_MISCONFIGURED", problem: "wal_level is not logical" };
	}
	if (/not created in this database/.test(text)) {
		return { code: "SLUICE_LINK_MISCONFIGURED", problem: "the slot belongs to another database" };
	}
	if (/replication slot/.test(text) && /invalidated|no longer|cannot read|conflicting/.test(text)) {
		return { code: "SLUICE_SLOT_LOST" };
	}
	return { code: "SLUICE_LINK_UNAVAILABLE", unclassified: true };
}

/**
 * True for the warning by which PostgreSQL 18 says that the publication is missing and that changes are being
 * left out (`LoadPublications` in pgoutput.c); up to 17 it is an error.
 */
export function meansPublicationMissing(report: ServerReport): boolean {
	return (
		report.code === "55000" &&
		(report.routine === "LoadPublications" || /skipped loading publication/.test(report.message ?? ""))
	);
}

/** System and TLS codes that mean "not now" before a session exists. */
const REFUSED_BY_TLS = new Set([
	"CERT_HAS_EXPIRED",
	"CERT_NOT_YET_VALID",
	"DEPTH_ZERO_SELF_SIGNED_CERT",
	"SELF_SIGNED_CERT_IN_CHAIN",
	"UNABLE_TO_GET_ISSUER_CERT",
	"UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
	"UNABLE_TO_VERIFY_LEAF_SIGNATURE",
	"ERR_TLS_CERT_ALTNAME_INVALID",
]);

/** Classifies an error of our side of the socket: system, TLS, or pg's own. */
export function classifyLocalError(systemCode: string | null, message: string, phase: LinkPhase): Classification {
	if (systemCode !== null && REFUSED_BY_TLS.has(systemCode)) {
		return { code: "SLUICE_LINK_REFUSED", problem: "the server's certificate is not trusted" };
	}
	if (/does not support SSL/.test(message)) {
		return { code: "SLUICE_LINK_REFUSED", problem: "the server has no TLS and sslmode demands it" };
	}
	if (/^SASL: |client password must be/.test(message)) {
		return { code: "SLUICE_LINK_REFUSED", problem: "the password exchange failed: is the password given and right?" };
	}
	return { code: phase === "connect" ? "SLUICE_LINK_UNREACHABLE" : "SLUICE_LINK_CLOSED" };
}

/** True for what pg and pg-protocol throw for an ErrorResponse: an Error with SQLSTATE and severity. */
export function isServerReport(thrown: unknown): thrown is Error & ServerReport {
	return (
		thrown instanceof Error &&
		"severity" in thrown &&
		"code" in thrown &&
		typeof thrown.code === "string" &&
		/^[0-9A-Z]{5}$/.test(thrown.code)
	);
}

export interface LinkErrorFacts {
	readonly phase: LinkPhase;
	/** Rung of the handshake, or "streaming". */
	readonly step: string;
	/** What an operator should run, when the caller knows better than the table. */
	readonly statement?: string;
}

/** The SluiceError for a server's report, with `{ sqlState, serverMessage, step, statement? }`. */
export function errorFromReport(report: ServerReport, facts: LinkErrorFacts, cause?: unknown): SluiceError {
	const { code, ...notes } = classifyServerReport(report, facts.phase);
	const { phase, ...named } = facts;
	return new SluiceError(code, {
		sqlState: report.code ?? null,
		serverMessage: (report.message ?? "").slice(0, TEXT_LENGTH_MAX),
		...(report.detail === undefined ? {} : { serverDetail: report.detail.slice(0, TEXT_LENGTH_MAX) }),
		...named,
		...notes,
		...(cause === undefined ? {} : { cause }),
	});
}

/** The SluiceError for anything that pg or the socket threw; a SluiceError stays what it is. */
export function errorFromThrown(thrown: unknown, facts: LinkErrorFacts): SluiceError {
	if (thrown instanceof SluiceError) {
		return thrown;
	}
	if (isServerReport(thrown)) {
		return errorFromReport(thrown, facts);
	}
	const systemCode = systemCodeOf(thrown);
	const { code, ...notes } = classifyLocalError(systemCode, thrown instanceof Error ? thrown.message : "", facts.phase);
	const { phase, statement, ...named } = facts;
	return new SluiceError(code, { systemCode, ...named, ...notes, cause: thrown });
}

function systemCodeOf(thrown: unknown): string | null {
	return thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" ? thrown.code : null;
}
