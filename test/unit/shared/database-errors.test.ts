import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { meansPublicationMissing } from "../../../src/main/link/missing-publication.ts";
import { errorFromReport, errorFromThrown } from "../../../src/shared/connection-error.ts";
import {
	classifyServerReport,
	databaseErrorTable,
	type ConnectionPhase as LinkPhase,
	meansUnavailable,
	type ServerReport,
} from "../../../src/shared/database-errors.ts";
import { ERROR_TABLE } from "../../../src/shared/errors.ts";

function report(code: string, message = "", detail?: string): ServerReport {
	return { code, message, detail, severity: "ERROR", file: undefined, routine: undefined };
}

describe("classifyServerReport", () => {
	const cases: readonly [LinkPhase, string, string, string | undefined, string][] = [
		["connect", "28P01", "password authentication failed for user", undefined, "SLUICE_LINK_REFUSED"],
		["connect", "28000", "no pg_hba.conf entry for replication connection", undefined, "SLUICE_LINK_REFUSED"],
		["connect", "28000", "branch br-1 is starting", undefined, "SLUICE_LINK_UNAVAILABLE"],
		["connect", "3D000", 'database "x" does not exist', undefined, "SLUICE_LINK_REFUSED"],
		[
			"connect",
			"42501",
			"must be superuser or replication role to start walsender",
			undefined,
			"SLUICE_LINK_MISCONFIGURED",
		],
		["connect", "53300", "sorry, too many clients already", undefined, "SLUICE_LINK_UNAVAILABLE"],
		["connect", "57P03", "the database system is starting up", undefined, "SLUICE_LINK_UNAVAILABLE"],
		["connect", "08P01", "unsupported startup parameter: replication", undefined, "SLUICE_LINK_REFUSED"],
		["connect", "XX000", "ERROR: endpoint ep-1 could not be found", undefined, "SLUICE_LINK_REFUSED"],
		["connect", "XX000", "Couldn't connect to compute node", undefined, "SLUICE_LINK_UNAVAILABLE"],
		["setup", "55000", "logical decoding requires wal_level >= logical", undefined, "SLUICE_LINK_MISCONFIGURED"],
		["setup", "55000", 'logical decoding requires "wal_level" >= "logical"', undefined, "SLUICE_LINK_MISCONFIGURED"],
		["setup", "55006", 'replication slot "s" is active for PID 7', undefined, "SLUICE_SLOT_IN_USE"],
		["setup", "53400", "all replication slots are in use", undefined, "SLUICE_LINK_UNAVAILABLE"],
		["setup", "42710", 'replication slot "s" already exists', undefined, "SLUICE_LINK_UNAVAILABLE"],
		["setup", "42501", "permission denied for database x", undefined, "SLUICE_LINK_MISCONFIGURED"],
		["setup", "57014", "canceling statement due to user request", undefined, "SLUICE_LINK_UNAVAILABLE"],
		["stream", "42704", 'publication "p" does not exist', undefined, "SLUICE_SLOT_LOST"],
		["stream", "42704", 'replication slot "s" does not exist', undefined, "SLUICE_SLOT_LOST"],
		[
			"stream",
			"55000",
			'cannot read from logical replication slot "s"',
			"This slot has been invalidated because it exceeded the maximum reserved size.",
			"SLUICE_SLOT_LOST",
		],
		[
			"stream",
			"55000",
			'can no longer access replication slot "s"',
			'This replication slot has been invalidated due to "wal_removed".',
			"SLUICE_SLOT_LOST",
		],
		[
			"stream",
			"55000",
			'replication slot "s" was not created in this database',
			undefined,
			"SLUICE_LINK_MISCONFIGURED",
		],
		["stream", "57P01", "terminating connection due to administrator command", undefined, "SLUICE_LINK_CLOSED"],
		["stream", "53100", "could not extend file: No space left on device", undefined, "SLUICE_LINK_UNAVAILABLE"],
	];

	it.each(cases)("%s %s (%s) %s → %s", (phase, code, message, detail, expected) => {
		const classification = classifyServerReport(report(code, message, detail), phase);
		expect(classification.code).toBe(expected);
		expect(classification.unclassified).toBeUndefined();
	});

	it("retries what it does not know, and says so", () => {
		const classification = classifyServerReport(report("99999"), "stream");
		expect(classification).toEqual({ code: "SLUICE_LINK_UNAVAILABLE", unclassified: true });
		expect(ERROR_TABLE[classification.code].retry).toBe("retry");
	});
});

it("knows the warning of a missing publication by code and routine, in any language", () => {
	const warning = { ...report("55000", "Publikation übersprungen"), routine: "LoadPublications" };
	expect(meansPublicationMissing(warning)).toBe(true);
	expect(meansPublicationMissing(report("55000", 'skipped loading publication "p"'))).toBe(true);
	expect(meansPublicationMissing(report("55000", "something else"))).toBe(false);
	expect(meansPublicationMissing({ ...warning, code: "01000" })).toBe(false);
});

it("carries SQLSTATE, the server's words, the step and what to run", () => {
	const error = errorFromReport(report("42501", "permission denied"), {
		phase: "setup",
		step: "publication-create",
		statement: "CREATE PUBLICATION p",
	});
	expect(error.context).toEqual({
		sqlState: "42501",
		serverMessage: "permission denied",
		step: "publication-create",
		statement: "CREATE PUBLICATION p",
		problem: "the role lacks a privilege",
	});
});

describe("errorFromThrown", () => {
	const thrown = (code: string, message = "") => Object.assign(new Error(message), { code });

	it.each([
		["connect", thrown("ECONNREFUSED"), "SLUICE_LINK_UNREACHABLE"],
		["connect", thrown("ENOTFOUND"), "SLUICE_LINK_UNREACHABLE"],
		["connect", new Error("timeout expired"), "SLUICE_LINK_UNREACHABLE"],
		["connect", thrown("DEPTH_ZERO_SELF_SIGNED_CERT"), "SLUICE_LINK_REFUSED"],
		["connect", new Error("The server does not support SSL connections"), "SLUICE_LINK_REFUSED"],
		["connect", new Error("SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string"), "SLUICE_LINK_REFUSED"],
		["stream", thrown("ECONNRESET"), "SLUICE_LINK_CLOSED"],
		["stream", thrown("EPIPE"), "SLUICE_LINK_CLOSED"],
		["setup", new Error("Connection terminated unexpectedly"), "SLUICE_LINK_CLOSED"],
	] as const)("%s %s → %s", (phase, error, code) => {
		expect(errorFromThrown(error, { phase, step: "s" }).code).toBe(code);
	});

	it("leaves one of ours as it is", () => {
		const ours = errorFromThrown(new Error("x"), { phase: "stream", step: "streaming" });
		expect(errorFromThrown(ours, { phase: "connect", step: "connect" })).toBe(ours);
	});
});

describe("what an operator reads", () => {
	const names = { role: "Sync", database: "app", slot: "sluice_slot_default" };

	it.each([
		["28000", 'role "Sync" is not permitted to log in', 'ALTER ROLE "Sync" WITH LOGIN'],
		["42501", "permission denied to start WAL sender", 'ALTER ROLE "Sync" WITH REPLICATION'],
		["42501", 'permission denied for database "app"', 'GRANT CONNECT ON DATABASE "app" TO "Sync"'],
		["3D000", 'database "app" does not exist', 'CREATE DATABASE "app"'],
		["53300", 'too many connections for role "Sync"', 'ALTER ROLE "Sync" CONNECTION LIMIT -1'],
		["53300", 'too many connections for database "app"', 'ALTER DATABASE "app" CONNECTION LIMIT -1'],
		["53300", "sorry, too many clients already", "ALTER SYSTEM SET max_connections = 200"],
		["55000", 'logical decoding requires "wal_level" >= "logical"', "ALTER SYSTEM SET wal_level = 'logical'"],
		[
			"55000",
			"replication slot was not created in this database",
			"SELECT pg_drop_replication_slot('sluice_slot_default')",
		],
	])("%s %s → %s", (code, message, statement) => {
		expect(classifyServerReport(report(code, message), "connect", names)).toMatchObject({ statement });
	});

	it("is in the README, as the table makes it", () => {
		const readme = readFileSync("README.md", "utf8");
		const [, shown] = /<!-- database-errors:begin -->\n([\s\S]*?)\n<!-- database-errors:end -->/.exec(readme) ?? [];
		expect(shown).toBe(databaseErrorTable());
	});

	it("never ends a process for what passes or what a password or certificate mends", () => {
		for (const code of ["28P01", "28000", "53300", "53400", "57P03", "3D000", "08006", "99999"]) {
			expect(ERROR_TABLE[classifyServerReport(report(code, "replication slots"), "connect").code].retry).not.toBe(
				"fatal",
			);
		}
	});
});

it("tells errors of the connection from errors of the statement", () => {
	for (const code of ["57P01", "57P03", "57014", "53300", "28P01", "08006", "3D000"]) {
		expect(meansUnavailable(report(code)), code).toBe(true);
	}
	for (const code of ["42501", "42P01", "55P03", "40P01", "22012", "XX000", "42704"]) {
		expect(meansUnavailable(report(code)), code).toBe(false);
	}
});
