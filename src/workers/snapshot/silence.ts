/**
 * Notices that a COPY brings nothing because the other end is gone: asks, on a connection of its own, what the server
 * says of our session. A query that rightly takes long is left alone. Owns one timer; must never touch the COPY
 * itself. Called by the snapshot task.
 */

import type pg from "pg";
import { breakConnection } from "../../shared/break-connection.ts";
import { releaseConnection, takeConnection, withinTime } from "./connections.ts";

/** A COPY that is silent this long is asked about, again and again. */
const SILENCE_MS = 30_000;

/** What the server says of a session; null when it has none of that pid. */
export interface SessionSight {
	readonly state: string | null;
	readonly wait: string | null;
}

/**
 * Pure: whether the server has given us, or is waiting to give us, what we do not get. After `SILENCE_MS` without a
 * byte nothing else explains a session that is gone, has ended its statement, or waits for its client.
 */
function isDeaf(sight: SessionSight | null): boolean {
	return sight === null || sight.state?.startsWith("idle") === true || sight.wait === "ClientWrite";
}

const SIGHT = "SELECT state, wait_event AS wait FROM pg_catalog.pg_stat_activity WHERE pid = ";

export class SilenceWatch {
	readonly #databaseUrl: string;
	readonly #pid: number;
	readonly #giveUp: () => void;
	readonly #timer: NodeJS.Timeout;
	#heard = 0;
	#reading = true;
	#over = false;

	/** @param giveUp called once, when the other end is gone */
	constructor(databaseUrl: string, pid: number, giveUp: () => void, silenceMs = SILENCE_MS) {
		this.#databaseUrl = databaseUrl;
		this.#pid = pid;
		this.#giveUp = giveUp;
		this.#timer = setTimeout(() => void this.#ask(), silenceMs);
	}

	/** A piece has come, and the next one is wanted: silence counts from now. */
	heard(): void {
		this.#heard += 1;
		this.#reading = true;
		this.#timer.refresh();
	}

	/** We do not read for a while: silence is our own doing. */
	hold(): void {
		this.#reading = false;
	}

	end(): void {
		this.#over = true;
		clearTimeout(this.#timer);
	}

	async #ask(): Promise<void> {
		const heardBefore = this.#heard;
		let sight: SessionSight | null;
		try {
			sight = await this.#look();
		} catch {
			// Nobody can be asked: no news.
			sight = { state: "active", wait: null };
		}
		if (this.#over || this.#heard !== heardBefore) {
			return;
		}
		if (this.#reading && isDeaf(sight)) {
			this.end();
			this.#giveUp();
		} else {
			this.#timer.refresh();
		}
	}

	async #look(): Promise<SessionSight | null> {
		const client = await takeConnection(this.#databaseUrl);
		try {
			const { rows } = (await client.query(withinTime(SIGHT + this.#pid))) as pg.QueryResult<SessionSight>;
			releaseConnection(this.#databaseUrl, client);
			return rows[0] ?? null;
		} catch (error) {
			breakConnection(client);
			throw error;
		}
	}
}
