/**
 * PostgreSQL in a container, for runs with `SLUICE_TEST_DOCKER=true` on a machine with a container engine.
 * Loads testcontainers only then. Called by postgres.ts.
 */

export interface RunningContainer {
	/** Superuser's URL. */
	readonly url: string;
	readonly stop: () => Promise<unknown>;
}

/** @throws whatever testcontainers throws when no engine answers */
export async function startContainer(
	version: number,
	settings: Readonly<Record<string, string>>,
): Promise<RunningContainer> {
	const { PostgreSqlContainer } = await import("@testcontainers/postgresql");
	const all = {
		wal_level: "logical",
		max_wal_senders: "24",
		max_replication_slots: "24",
		max_connections: "200",
		fsync: "off",
		...settings,
	};
	const container = await new PostgreSqlContainer(`postgres:${version}`)
		.withUsername("postgres")
		.withDatabase("postgres")
		.withCommand(["postgres", ...Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`])])
		.start();
	return { url: container.getConnectionUri(), stop: () => container.stop() };
}
