/**
 * Failures of file operations, put into the words of the error table. Owns the mapping; must never swallow a
 * failure. Called by the lane and its log room, the snapshot tasks and the catalogue.
 */

import { SluiceError } from "./errors.ts";

/** The `code` of a system error ("ENOSPC"), or null. */
export function systemCodeOf(error: unknown): string | null {
	const isSystemError = error instanceof Error && !(error instanceof SluiceError) && "code" in error;
	return isSystemError && typeof error.code === "string" && /^E[A-Z0-9]+$/.test(error.code) ? error.code : null;
}

/**
 * No space is waited for; everything else that the disk or the limits of the process refuse is tried again. Errors
 * that are none of these are returned as they are.
 */
export function writeError(error: unknown, operation: string): unknown {
	const systemCode = systemCodeOf(error);
	switch (systemCode) {
		case null:
			return error;
		case "ENOSPC":
		case "EDQUOT":
			return new SluiceError("SLUICE_DISK_FULL", { operation, systemCode, cause: error });
		default:
			return new SluiceError("SLUICE_DISK_FAILED", { operation, systemCode, cause: error });
	}
}

/** As {@link writeError}, for a log: a file that should be there and is not means that the log is damaged. */
export function diskError(error: unknown, operation: string): unknown {
	const systemCode = systemCodeOf(error);
	return systemCode === "ENOENT" || systemCode === "ENOTDIR"
		? new SluiceError("SLUICE_LOG_CORRUPT", { operation, systemCode, cause: error })
		: writeError(error, operation);
}
