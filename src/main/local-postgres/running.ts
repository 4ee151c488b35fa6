/**
 * Finds the embedded PostgreSQL that `npm start` runs, from another process. Owns nothing. Called by the
 * command line (`sluice sql`).
 */

import { SluiceError } from "../../shared/errors.ts";
import { readPostmasterFile } from "./postmaster-file.ts";

/** @throws SluiceError SLUICE_LOCAL_POSTGRES_FAILED when none runs in that data directory */
export async function runningLocalPostgresUrl(dataDirectory: string): Promise<string> {
	const facts = await readPostmasterFile(dataDirectory);
	if (facts === null || facts.port === null) {
		throw new SluiceError("SLUICE_LOCAL_POSTGRES_FAILED", { reason: "not running", dataDirectory });
	}
	return `postgresql://postgres@127.0.0.1:${facts.port}/postgres`;
}
