/**
 * The load: connections that write generated transactions all the time, through whatever happens to the server, and
 * hold still when the run wants to compare. Owns those connections. Called by run.ts.
 */

import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { runTransaction } from "../support/generated-workload.ts";
import type { Random } from "../support/random.ts";

const RECONNECT_MS = 200;
/** Between transactions: the load is there to be disturbed, not to fill the machine. */
const PACE_MS = 8;

export class Writers {
	committed = 0;
	/** Transactions that a fault ended. */
	interrupted = 0;
	readonly #url: () => string;
	readonly #randoms: readonly Random[];
	#holding = false;
	#ending = false;
	#idle = 0;
	#loops: readonly Promise<void>[] = [];

	constructor(url: () => string, randoms: readonly Random[]) {
		this.#url = url;
		this.#randoms = randoms;
	}

	start(): void {
		this.#loops = this.#randoms.map((random) => this.#write(random));
	}

	/** Resolves when no transaction is open; {@link release} lets them go on. */
	async hold(): Promise<void> {
		this.#holding = true;
		while (this.#idle < this.#randoms.length) {
			await delay(20);
		}
	}

	release(): void {
		this.#holding = false;
	}

	async end(): Promise<void> {
		this.#ending = true;
		await Promise.all(this.#loops);
	}

	async #write(random: Random): Promise<void> {
		while (!this.#ending) {
			let client: pg.Client | null = null;
			try {
				client = await connectWriter(this.#url());
				await this.#writeOn(client, random);
			} catch {
				this.interrupted += 1;
				await delay(RECONNECT_MS);
			} finally {
				await client?.end().catch(() => undefined);
			}
		}
	}

	async #writeOn(client: pg.Client, random: Random): Promise<void> {
		while (!this.#ending) {
			if (this.#holding) {
				this.#idle += 1;
				while (this.#holding && !this.#ending) {
					await delay(20);
				}
				this.#idle -= 1;
			}
			await runTransaction(client, random);
			this.committed += 1;
			await delay(PACE_MS);
		}
	}
}

/** A connection with the settings under which PostgreSQL's text equals what Sluice sends. */
export async function connectWriter(url: string): Promise<pg.Client> {
	const client = new pg.Client({
		connectionString: url,
		connectionTimeoutMillis: 5_000,
		// A frozen server must not hold the run for ever.
		query_timeout: 120_000,
		options: "-c timezone=UTC -c datestyle=ISO,DMY -c deadlock_timeout=200ms",
	});
	client.on("error", () => undefined);
	await client.connect();
	return client;
}
