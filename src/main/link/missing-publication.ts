/**
 * Recognises the one notice of the stream that means lost changes. Pure; must never act. Called by the stream.
 */

import type { ServerReport } from "../../shared/database-errors.ts";

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
