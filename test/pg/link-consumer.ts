/**
 * The other side of a ReplicationLink in tests: counts messages, keeps positions as the composition root does,
 * and lets a test wait for what it expects. Called by link*.pg.test.ts and the link's unit tests.
 */

import { type LinkEvents, type LinkOptions, ReplicationLink } from "../../src/main/link/stream.ts";
import type { DatabaseUrl } from "../../src/shared/database-url.ts";
import type { SluiceError } from "../../src/shared/errors.ts";
import { createLogger, type Logger } from "../../src/shared/logging.ts";
import { maxLsn } from "../../src/shared/lsn.ts";
import { waitFor } from "../support/wait-for.ts";

export class Consumer implements LinkEvents {
	begins = 0;
	commits = 0;
	inserts = 0;
	keepalives = 0;
	readEnds = 0;
	/** Of the newest Commit. */
	commitEndLsn = 0n;
	received = 0n;
	/** Sent as flush. A test that sets it acknowledges. */
	flush = 0n;
	/** Acknowledges each commit and keepalive as soon as it comes. */
	acknowledgesAtOnce = false;
	error: SluiceError | null = null;
	readonly steps: string[] = [];
	/** Text of the first column of each insert, in stream order. */
	readonly ids: string[] = [];
	keepsIds = false;
	#link: ReplicationLink | null = null;
	#inside = false;

	attach(link: ReplicationLink): void {
		this.#link = link;
	}

	onFrame(message: Buffer): void {
		switch (message.toString("latin1", 0, 1)) {
			case "B":
				this.begins += 1;
				this.#inside = true;
				break;
			case "C":
				this.commits += 1;
				this.#inside = false;
				this.commitEndLsn = message.readBigUInt64BE(10);
				this.#receive(this.commitEndLsn);
				break;
			case "I":
				this.inserts += 1;
				if (this.keepsIds) {
					this.ids.push(message.toString("utf8", 13, 13 + message.readUInt32BE(9)));
				}
				break;
			default:
				break;
		}
	}

	onKeepalive(walEnd: bigint): void {
		this.keepalives += 1;
		this.#receive(walEnd);
	}

	onReadEnd(): void {
		this.readEnds += 1;
	}

	positions(): { write: bigint; flush: bigint } {
		return { write: this.received, flush: this.flush };
	}

	onClosed(error: SluiceError): void {
		this.error = error;
	}

	onStep(step: string): void {
		this.steps.push(step);
	}

	async closed(): Promise<SluiceError> {
		return await waitFor("the link to close", () => this.error);
	}

	async committed(commits: number): Promise<void> {
		await waitFor(`${commits} commits`, () => {
			if (this.error !== null) {
				throw this.error;
			}
			return this.commits >= commits;
		});
	}

	#receive(lsn: bigint): void {
		this.received = maxLsn(this.received, lsn);
		if (this.acknowledgesAtOnce && !this.#inside) {
			this.flush = this.received;
			this.#link?.acknowledge();
		}
	}
}

export type TestLinkOptions = Omit<LinkOptions, "log" | "databaseUrl"> & {
	readonly databaseUrl: string | DatabaseUrl;
	readonly log?: Logger;
	readonly startLsn?: bigint;
};

/** Connects; does not start. */
export async function connectLink(consumer: Consumer, options: TestLinkOptions): Promise<ReplicationLink> {
	const { databaseUrl } = options;
	const link = await ReplicationLink.connect(
		{
			log: createLogger("silent", "test"),
			...options,
			databaseUrl: typeof databaseUrl === "string" ? () => Promise.resolve(databaseUrl) : databaseUrl,
		},
		consumer,
	);
	consumer.attach(link);
	return link;
}

/** Connects and starts, from the slot's own position unless told otherwise. */
export async function startLink(consumer: Consumer, options: TestLinkOptions): Promise<ReplicationLink> {
	const link = await connectLink(consumer, options);
	await link.start(options.startLsn ?? link.facts.confirmedFlushLsn);
	return link;
}
