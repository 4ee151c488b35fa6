/**
 * An HTTP thread, put together: the rooms of this directory, wired to the shared table, the announcements of changed
 * slots, the registrar and main. Owns start and stop order. Made by the thread's entry, and by tests in process.
 */

import { BroadcastChannel } from "node:worker_threads";
import type { Config } from "../../shared/config.ts";
import { connectionsMax, descriptorLimit } from "../../shared/descriptors.ts";
import {
	HTTP_BODIES_BYTES_MAX,
	HTTP_COMPRESSIONS_MAX,
	HTTP_DIRECTORY_ENTRIES_MAX,
	HTTP_READ_MARK_INTERVAL_MS,
	HTTP_SSE_KEEP_ALIVE_MS,
	HTTP_SSE_LIFETIME_MS,
	HTTP_SUBSETS_BYTES_MAX,
} from "../../shared/limits.ts";
import type { Logger } from "../../shared/logging.ts";
import {
	type HttpControl,
	type MainControl,
	type RegistrarShapeControl,
	type SlotsChanged,
	slotsChannelName,
} from "../../shared/messages.ts";
import { readClockSeconds, type ShapeTable } from "../../shared/shape-table.ts";
import { AdminServer } from "./admin-server.ts";
import { Admission, type AdmissionKind } from "./admission.ts";
import { ApiServer } from "./api-server.ts";
import { BodyBudget } from "./body-budget.ts";
import { Compression } from "./compression.ts";
import { UniqueTags } from "./etag.ts";
import type { EventTimes } from "./event-stream.ts";
import { LevelWatch } from "./level-watch.ts";
import { LogReader } from "./log-reader.ts";
import { type HttpMeasures, httpGauges, RequestCounters } from "./metrics.ts";
import { BODY_LIMITS, type BodyLimits } from "./request-body.ts";
import { SecretCheck } from "./secret.ts";
import { ShapeAnswers } from "./shape-answers.ts";
import { ShapeDirectory } from "./shape-directory.ts";
import { ShapeResolver } from "./shape-resolver.ts";
import { SlotWaiters } from "./waiters.ts";

export interface HttpThreadOptions {
	readonly httpThread: number;
	readonly config: Config;
	readonly instanceId: string;
	readonly table: ShapeTable;
	readonly registrar: RegistrarShapeControl;
	readonly main: MainControl;
	readonly logger: Logger;
	readonly servesAdmin: boolean;
	readonly port: number;
	/** Of the whole service; every thread gets its share. */
	readonly admissionLimits?: Readonly<Record<AdmissionKind, number>>;
	/** Bytes of request bodies in this thread, and the limits of one of them. */
	readonly bodiesBytesMax?: number;
	readonly bodyLimits?: BodyLimits;
	/** Bytes of subset responses that their readers have not taken, in this thread. */
	readonly subsetsBytesMax?: number;
	/** Of this thread; derived from the process's limit of open files when absent. */
	readonly connectionsMax?: number;
	readonly connectionRequestsMax?: number;
	readonly connectionTimes?: { readonly headersMs: number; readonly checkMs: number };
	readonly eventTimes?: EventTimes;
	readonly readinessWaitMs?: number;
	readonly resolveWaitMs?: number;
}

const EVENT_TIMES = { keepAliveMs: HTTP_SSE_KEEP_ALIVE_MS, lifetimeMs: HTTP_SSE_LIFETIME_MS };

export class HttpThread implements HttpControl {
	readonly #options: HttpThreadOptions;
	readonly #api: ApiServer;
	readonly #admin: AdminServer | null;
	readonly #measures: HttpMeasures;
	readonly #changes: BroadcastChannel;
	readonly #readMarks: NodeJS.Timeout;

	constructor(options: HttpThreadOptions) {
		this.#options = options;
		const { config, table, registrar, logger } = options;
		const limits = options.admissionLimits ?? {
			initial: config.maxInitialRequests,
			existing: config.maxExistingRequests,
		};
		const share = (limit: number): number => Math.ceil(limit / config.httpThreads);
		const admission = new Admission({ initial: share(limits.initial), existing: share(limits.existing) });
		const waiters = new SlotWaiters();
		const reader = new LogReader();
		const levels = new LevelWatch(table);
		const counters = new RequestCounters();
		const directory = new ShapeDirectory(table, registrar, HTTP_DIRECTORY_ENTRIES_MAX);
		const waits = {
			...(options.readinessWaitMs === undefined ? {} : { readinessWaitMs: options.readinessWaitMs }),
			...(options.resolveWaitMs === undefined ? {} : { resolveWaitMs: options.resolveWaitMs }),
		};
		const compression = new Compression(Math.max(1, Math.floor(HTTP_COMPRESSIONS_MAX / config.httpThreads)));
		const bodies = new BodyBudget(options.bodiesBytesMax ?? HTTP_BODIES_BYTES_MAX);
		const subsetBodies = new BodyBudget(options.subsetsBytesMax ?? HTTP_SUBSETS_BYTES_MAX);
		this.#measures = { counters, admission, waiters, reader, bodies, compression };
		this.#api = new ApiServer({
			shape: {
				config,
				table,
				admission,
				admissionLimits: limits,
				bodies,
				subsetBodies,
				bodyLimits: options.bodyLimits ?? BODY_LIMITS,
				resolver: new ShapeResolver({ directory, levels, table, ...waits }),
				reader,
				waiters,
				eventTimes: options.eventTimes ?? EVENT_TIMES,
				answers: new ShapeAnswers({ config, reader, tags: new UniqueTags(options.httpThread), compression }),
				compression,
				registrar,
				logger,
			},
			deletion: { config, table, levels, registrar, ...waits },
			secret: new SecretCheck(config.secret),
			logger,
			counters,
			...(options.connectionRequestsMax === undefined ? {} : { connectionRequestsMax: options.connectionRequestsMax }),
			...(options.connectionTimes === undefined ? {} : { connectionTimes: options.connectionTimes }),
			connectionsMax: options.connectionsMax ?? connectionsMax(descriptorLimit(), config.httpThreads),
		});
		this.#admin = options.servesAdmin
			? new AdminServer({ config, table, main: options.main, measures: this.#measures, logger })
			: null;
		// Before the first request: an announcement that nobody hears is a client that waits its whole time-out.
		this.#changes = new BroadcastChannel(slotsChannelName(options.instanceId));
		// Whoever is parked, or takes a body slowly, is reading all the time.
		this.#readMarks = setInterval(() => {
			const now = readClockSeconds();
			for (const slot of waiters.slots) {
				table.markRead(slot, now);
			}
		}, HTTP_READ_MARK_INTERVAL_MS);
		this.#readMarks.unref();
		this.#changes.onmessage = (event) => {
			waiters.wake((event as unknown as { readonly data: SlotsChanged }).data.slots);
		};
	}

	gauges(): Readonly<Record<string, number>> {
		return httpGauges(this.#measures);
	}

	/** File reads made, and answers that were given from another request's. */
	get readCounters(): { readonly reads: number; readonly sharedHits: number } {
		return this.#measures.reader.counters;
	}

	/** @throws SluiceError SLUICE_PORT_IN_USE */
	async listen(): Promise<{ readonly port: number; readonly adminPort: number | null }> {
		const { config } = this.#options;
		const shared = config.httpThreads > 1 && process.platform === "linux";
		const port = await this.#api.listen({ host: config.host, port: this.#options.port, shared });
		const adminPort = this.#admin === null ? null : await this.#admin.listen();
		this.#options.logger.info({ host: config.host, port, adminPort }, "listening");
		return { port, adminPort };
	}

	async stop(): Promise<void> {
		await Promise.all([this.#api.stop(), this.#admin?.stop()]);
		clearInterval(this.#readMarks);
		this.#changes.close();
	}
}
