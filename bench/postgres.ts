/**
 * The benchmark's private PostgreSQL: one cluster in a temporary directory on loopback, with a production server's
 * settings. Owns the server from start to stop; must never touch any other server. Called by run.ts.
 */

import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import pg from "pg";
import { type LocalPostgres, startLocalPostgres } from "../src/main/local-postgres/local-postgres.ts";

/** What a production server would have; fsync stays on and wal_sender_timeout at its default. */
const SETTINGS: Readonly<Record<string, string>> = {
	shared_buffers: "256MB",
	// No checkpoint while a reader is being measured: a load that is read later ends with an explicit one.
	max_wal_size: "16GB",
	checkpoint_timeout: "1h",
	max_wal_senders: "20",
	max_replication_slots: "40",
	max_connections: "100",
	log_min_messages: "warning",
};

const USER = "postgres";

/** Where a PostgreSQL is. */
export interface PostgresAddress {
	readonly host: string;
	readonly port: number;
	readonly user: string;
}

export class BenchPostgres {
	readonly address: PostgresAddress;
	readonly #server: LocalPostgres;

	private constructor(server: LocalPostgres) {
		this.#server = server;
		this.address = { host: "127.0.0.1", port: server.port, user: USER };
	}

	/**
	 * Creates and starts a cluster below `directory`; the kernel ends it should this process die.
	 * @throws SluiceError `SLUICE_LOCAL_POSTGRES_FAILED`
	 */
	static async start(directory: string): Promise<BenchPostgres> {
		const server = await startLocalPostgres({
			dataDirectory: join(directory, "postgres"),
			version: 18,
			settings: SETTINGS,
			// The readers' own client knows no passwords.
			access: ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"],
			dieWithParent: true,
		});
		return new BenchPostgres(server);
	}

	url(database: string): string {
		return `postgresql://${this.address.user}@${this.address.host}:${this.address.port}/${database}`;
	}

	/** A connected client; the caller ends it. */
	async connect(database: string): Promise<pg.Client> {
		const client = new pg.Client({ ...this.address, database, application_name: "sluice-bench" });
		// Lost connections show in the next query.
		client.on("error", () => {});
		await client.connect();
		return client;
	}

	async version(): Promise<string> {
		const client = await this.connect("postgres");
		try {
			const result = await client.query<{ server_version: string }>("SHOW server_version");
			return result.rows[0]?.server_version ?? "unknown";
		} finally {
			await client.end();
		}
	}

	/** Nothing here is worth a shutdown checkpoint, and a consumer that is left over cannot hold this up. */
	async stop(): Promise<void> {
		await this.#server.stop("immediate");
	}
}

/** A TCP port that was free a moment ago. */
export async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve, reject) => {
		server.once("error", reject);
		server.listen(0, "127.0.0.1", resolve);
	});
	const address = server.address();
	await new Promise<void>((resolve) => server.close(() => resolve()));
	if (address === null || typeof address === "string") {
		throw new Error("no TCP port to be had");
	}
	return address.port;
}

/** User and system CPU time of a process in milliseconds, from /proc; null where there is none. Resolution 10 ms. */
export async function processCpuMs(pid: number): Promise<number | null> {
	try {
		const text = await readFile(`/proc/${pid}/stat`, "utf8");
		// proc(5): fields 14 and 15 are utime and stime in clock ticks, counted after the parenthesised name.
		const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
		return (Number(fields[11]) + Number(fields[12])) * 10;
	} catch {
		return null;
	}
}
