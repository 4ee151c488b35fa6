/**
 * How a database URL wants to be connected to, in order: with TLS, without, or first one and then the other.
 * Gives `sslmode` the meaning that libpq documents (pg gives it another: "prefer" never falls back, "require"
 * verifies). Pure; must never open a connection, and never put the URL into an error. Called by every room that connects.
 * Source: PostgreSQL manual, "SSL Support", table 32.1 (SSL Mode Descriptions).
 */

import { SluiceError } from "./errors.ts";

export interface ConnectAttempt {
	/** For pg, with the TLS parameters rewritten for its libpq-compatible mode. */
	readonly connectionString: string;
	readonly tls: boolean;
}

/**
 * As libpq with sslmode=prefer: no TLS there, a handshake that breaks off, or a login refused because of TLS.
 * @param error what pg threw for the attempt with TLS
 */
export function maySucceedWithoutTls(error: unknown): boolean {
	if (!(error instanceof Error)) {
		return false;
	}
	const code = "code" in error ? error.code : null;
	return (
		code === REFUSED_LOGIN ||
		code === "ECONNRESET" ||
		/does not support SSL|establishing an SSL|terminated unexpectedly/.test(error.message)
	);
}

/** Of two failed attempts the one to report: a login that is refused both ways is not refused for want of TLS. */
export function firstOfTwo(withTls: unknown, plain: unknown): unknown {
	const refused = (error: unknown): boolean =>
		error instanceof Error && "code" in error && error.code === REFUSED_LOGIN;
	return refused(withTls) && refused(plain) ? withTls : plain;
}

/** invalid_authorization_specification */
const REFUSED_LOGIN = "28000";

const TLS_PARAMETERS = ["sslmode", "ssl", "uselibpqcompat", "sslcert", "sslkey", "sslrootcert", "sslnegotiation"];

/**
 * One or two attempts. Without `sslmode` it is "prefer" (TLS unverified, then plain), or "verify-full" when a CA
 * file is given.
 * @throws SluiceError `SLUICE_CONFIG_INVALID`
 */
export function connectAttempts(databaseUrl: string): readonly [ConnectAttempt, ...ConnectAttempt[]] {
	const cut = databaseUrl.indexOf("?");
	const base = cut < 0 ? databaseUrl : databaseUrl.slice(0, cut);
	const parameters = new URLSearchParams(cut < 0 ? "" : databaseUrl.slice(cut + 1));
	const mode = parameters.get("sslmode") ?? modeFromFlag(parameters);

	const plain: ConnectAttempt = { connectionString: withoutTls(base, parameters), tls: false };
	if (isUnixSocket(base, parameters)) {
		return [plain];
	}
	switch (mode) {
		case "disable":
			if (parameters.has("sslrootcert")) {
				throw invalid("sslmode=disable contradicts sslrootcert");
			}
			return [plain];
		case "allow":
		case "prefer":
			return [withTls(base, parameters, "prefer"), plain];
		case "no-verify":
			return [withTls(base, parameters, "prefer")];
		case "require":
		case "verify-full":
			return [withTls(base, parameters, mode)];
		case "verify-ca":
			if (!parameters.has("sslrootcert")) {
				throw invalid("sslmode=verify-ca needs sslrootcert");
			}
			return [withTls(base, parameters, mode)];
		default:
			throw invalid("sslmode must be disable, allow, prefer, require, no-verify, verify-ca or verify-full");
	}
}

/** pg's `ssl` parameter, or the default. */
function modeFromFlag(parameters: URLSearchParams): string {
	switch (parameters.get("ssl")) {
		case "true":
		case "1":
			return parameters.has("sslrootcert") ? "verify-full" : "require";
		case "false":
		case "0":
			return "disable";
		case "no-verify":
			return "no-verify";
		default:
			return parameters.has("sslrootcert") ? "verify-full" : "prefer";
	}
}

function withTls(base: string, parameters: URLSearchParams, mode: string): ConnectAttempt {
	const rewritten = new URLSearchParams(parameters);
	rewritten.delete("ssl");
	rewritten.set("sslmode", mode);
	rewritten.set("uselibpqcompat", "true");
	return { connectionString: join(base, rewritten), tls: true };
}

function withoutTls(base: string, parameters: URLSearchParams): string {
	const rewritten = new URLSearchParams(parameters);
	for (const name of TLS_PARAMETERS) {
		rewritten.delete(name);
	}
	return join(base, rewritten);
}

function join(base: string, parameters: URLSearchParams): string {
	// pg reads a "+" in the query as a space, as URLSearchParams writes it.
	return parameters.size === 0 ? base : `${base}?${parameters}`;
}

function isUnixSocket(base: string, parameters: URLSearchParams): boolean {
	return (parameters.get("host") ?? "").startsWith("/") || /^[a-z]+:\/\/([^/]*@)?%2f/i.test(base);
}

function invalid(problem: string): SluiceError {
	return new SluiceError("SLUICE_CONFIG_INVALID", { problems: [`DATABASE_URL: ${problem}`] });
}
