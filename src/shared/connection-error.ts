/**
 * From whatever pg, TLS or the socket threw to a SluiceError that says what happened, what Sluice does and what to
 * run. Pure; must never carry a password, a URL or a row value on. Called by the link and by the registrar's
 * connections.
 */

import {
	type Classification,
	type ConnectionNames,
	type ConnectionPhase,
	classifyServerReport,
	type ServerReport,
} from "./database-errors.ts";
import { SluiceError } from "./errors.ts";

const TEXT_LENGTH_MAX = 500;

/** What TLS says, in an operator's words. */
const TLS_PROBLEMS: Readonly<Record<string, string>> = {
	CERT_HAS_EXPIRED: "the server's certificate has expired",
	CERT_NOT_YET_VALID: "the server's certificate is not valid yet: compare the clocks",
	ERR_TLS_CERT_ALTNAME_INVALID: "the server's certificate is for another host name than DATABASE_URL's",
	DEPTH_ZERO_SELF_SIGNED_CERT: "the server's certificate is not trusted: give its CA with sslrootcert",
	SELF_SIGNED_CERT_IN_CHAIN: "the server's certificate is not trusted: sslrootcert is another CA's",
	UNABLE_TO_GET_ISSUER_CERT: "the server's certificate is not trusted: its issuer is not in sslrootcert",
	UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the server's certificate is not trusted: its issuer is not in sslrootcert",
	UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the server's certificate is not trusted: its issuer is not in sslrootcert",
	CERT_SIGNATURE_FAILURE: "the server's certificate is not trusted: another CA of the same name has signed it",
};

/** TLS alerts by which a server refuses our certificate or the want of one. */
const CERTIFICATE_ALERT = /^ERR_SSL_.*ALERT.*(CERT|UNKNOWN_CA|ACCESS_DENIED)/;

/** Where and for whom. */
export interface ConnectionErrorFacts {
	readonly phase: ConnectionPhase;
	/** Rung of the handshake, "streaming", or the connection's purpose. */
	readonly step: string;
	/** What an operator should run, when the caller knows better than the table. */
	readonly statement?: string;
	readonly names?: ConnectionNames;
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

/** The SluiceError for a server's report, with `{ sqlState, serverMessage, step, problem?, statement? }`. */
export function errorFromReport(report: ServerReport, facts: ConnectionErrorFacts, cause?: unknown): SluiceError {
	const { phase, names, ...named } = facts;
	const { code, ...notes } = classifyServerReport(report, phase, names);
	return new SluiceError(code, {
		sqlState: report.code ?? null,
		serverMessage: (report.message ?? "").slice(0, TEXT_LENGTH_MAX),
		...(report.detail === undefined ? {} : { serverDetail: report.detail.slice(0, TEXT_LENGTH_MAX) }),
		...notes,
		...named,
		...(cause === undefined ? {} : { cause }),
	});
}

/** The SluiceError for anything that pg or the socket threw; a SluiceError stays what it is. */
export function errorFromThrown(thrown: unknown, facts: ConnectionErrorFacts): SluiceError {
	if (thrown instanceof SluiceError) {
		return thrown;
	}
	if (isServerReport(thrown)) {
		return errorFromReport(thrown, facts);
	}
	const systemCode = systemCodeOf(thrown);
	const { code, ...notes } = classifyLocalError(systemCode, thrown instanceof Error ? thrown.message : "", facts.phase);
	return new SluiceError(code, { systemCode, step: facts.step, ...notes, cause: thrown });
}

/** Classifies an error of our side of the socket: system, TLS, or pg's own. */
function classifyLocalError(systemCode: string | null, message: string, phase: ConnectionPhase): Classification {
	const tlsProblem = systemCode === null ? undefined : TLS_PROBLEMS[systemCode];
	if (tlsProblem !== undefined) {
		return { code: "SLUICE_LINK_REFUSED", problem: tlsProblem };
	}
	if (phase === "connect" && systemCode !== null && CERTIFICATE_ALERT.test(systemCode)) {
		return { code: "SLUICE_LINK_REFUSED", problem: "the server does not accept our certificate (sslcert, sslkey)" };
	}
	if (/does not support SSL/.test(message)) {
		return { code: "SLUICE_LINK_REFUSED", problem: "the server has no TLS and sslmode demands it" };
	}
	if (/^SASL: |client password must be/.test(message)) {
		return { code: "SLUICE_LINK_REFUSED", problem: "the password exchange failed: is the password given and right?" };
	}
	return { code: phase === "connect" ? "SLUICE_LINK_UNREACHABLE" : "SLUICE_LINK_CLOSED" };
}

/** What pg's client throws while it is made: the URL itself is in some of these errors, so neither cause nor message goes on. */
export function unusableTarget(thrown: unknown): SluiceError {
	const problem =
		systemCodeOf(thrown) === "ENOENT" || systemCodeOf(thrown) === "EACCES"
			? "a certificate or key file that the URL names cannot be read"
			: "the database URL cannot be used";
	return new SluiceError("SLUICE_LINK_REFUSED", { step: "connect", systemCode: systemCodeOf(thrown), problem });
}

function systemCodeOf(thrown: unknown): string | null {
	return thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" ? thrown.code : null;
}
