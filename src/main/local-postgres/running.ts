/**
 * Finds the embedded PostgreSQL that `npm start` runs, from another process. Owns nothing. Called by the
 * command line (`sluice sql`).
 */

import { SluiceError } from "../../shared/errors.ts";
import { superuserUrl } from "./data-directory.ts";
import { readPostmasterFile } from "./postmaster-file.ts";

/** The superuser's URL. May hold a password: not for logs. @throws SluiceError SLUICE_LOCAL_POSTGRES_STOPPED when none runs in that data directory */
export async function runningLocalPostgresUrl(dataDirectory: string): Promise<string> {
	const facts = await readPostmasterFile(dataDirectory);
	if (facts === null || facts.port === null) {
		throw new SluiceError("SLUICE_LOCAL_POSTGRES_STOPPED", { dataDirectory });
	}
	return superuserUrl(dataDirectory, facts.port);
}
