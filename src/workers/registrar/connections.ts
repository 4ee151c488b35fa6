/**
 * Which connection goes where. Direct: the stream's lock, the watch, edits of the publication and what belongs to
 * them. Through `SLUICE_POOLED_DATABASE_URL`, when there is one: looking things up, first data, subsets; none of them
 * leaves anything behind in a session. Must never open a connection itself. Called by the registrar.
 */

import { must } from "../../shared/assert.ts";
import type { Config } from "../../shared/config.ts";
import { type DatabaseUrl, databaseUrlSource } from "../../shared/database-url.ts";
import { SluiceError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logging.ts";
import { ConnectionTarget } from "./connection-target.ts";
import { Database } from "./database.ts";

export interface Connections {
	/** Past any pooler. */
	readonly target: ConnectionTarget;
	readonly database: Database;
	/** The same one when there is no pooler. */
	readonly queries: Database;
	/** For a task of the snapshot pool that begins now. */
	readonly snapshotUrl: DatabaseUrl;
}

export function makeConnections(config: Config, logger: Logger): Connections {
	const url = must(config.databaseUrl, "the registrar is started with a database URL");
	const target = new ConnectionTarget(databaseUrlSource(url, config.databaseUrlFile), logger);
	const database = new Database({ target, applicationName: "sluice-registrar", pooled: false });
	const { pooledDatabaseUrl } = config;
	if (pooledDatabaseUrl === undefined) {
		return { target, database, queries: database, snapshotUrl: () => urlOf(target) };
	}
	const pooled = new ConnectionTarget(() => Promise.resolve(pooledDatabaseUrl), logger);
	return {
		target,
		database,
		queries: new Database({ target: pooled, applicationName: "sluice-registrar", pooled: true }),
		snapshotUrl: () => urlOf(pooled),
	};
}

async function urlOf(target: ConnectionTarget): Promise<string> {
	try {
		return await target.connectionString();
	} catch (cause) {
		throw new SluiceError("SLUICE_DATABASE_UNAVAILABLE", { cause });
	}
}
