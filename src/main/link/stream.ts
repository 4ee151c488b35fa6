/**
 * The replication link as the main thread sees it: it connects, streams, keeps alive, pauses and resumes, and
 * sends what may be acknowledged. Owns the socket, the keepalive timer and the order of events; must never decode
 * a row, touch a file, or know who consumes its frames. Called by the composition root.
 *
 * Life: `ready` (ladder climbed) → `starting` (START_REPLICATION sent) → `streaming` → `closed`. `#fail` and
 * `close` are the only ways into `closed`. Source: PostgreSQL manual, "Streaming Replication Protocol".
 */

import { serialize } from "pg-protocol";
import { invariant } from "../../shared/assert.ts";
import { TAG_TRUNCATE } from "../../shared/batch-layout.ts";
import { errorFromReport, errorFromThrown } from "../../shared/connection-error.ts";
import type { ConnectionPhase, ServerReport } from "../../shared/database-errors.ts";
import { logFallback } from "../../shared/database-socket.ts";
import { SluiceError } from "../../shared/errors.ts";
import {
	ACKNOWLEDGE_SPACING_MS,
	FRAME_BYTES_MAX,
	LINK_CLOSE_TIMEOUT_MS,
	LINK_STEP_TIMEOUT_MS,
} from "../../shared/limits.ts";
import type { Logger } from "../../shared/logging.ts";
import { formatLsn } from "../../shared/lsn.ts";
import { quoteIdentifier, quoteLiteral } from "../../shared/sql-quoting.ts";
import { openSession } from "./connect.ts";
import { FrameReader } from "./framing.ts";
import { climbLadder, type HandshakeFacts } from "./handshake.ts";
import { decideTick, type LivenessTimings, livenessTimings } from "./keepalive.ts";
import type { LinkEvents, LinkOptions, LinkStatistics } from "./link-contract.ts";
import { meansPublicationMissing } from "./missing-publication.ts";
import { PacedSocket } from "./paced-socket.ts";
import type { RawSocket } from "./raw-socket.ts";
import { PACING } from "./read-pacing.ts";
import { encodeStatusUpdate } from "./status-update.ts";

export type { LinkEvents, LinkOptions, LinkStatistics } from "./link-contract.ts";

type LinkState = "ready" | "starting" | "streaming" | "closed";

export class ReplicationLink implements AsyncDisposable {
	readonly facts: HandshakeFacts;
	readonly #options: LinkOptions;
	readonly #events: LinkEvents;
	readonly #log: Logger;
	readonly #timings: LivenessTimings;
	readonly #socket: PacedSocket;
	readonly #frames: FrameReader;
	#state: LinkState = "ready";
	#failure: SluiceError | null = null;
	#starting: PromiseWithResolvers<void> | null = null;
	#closing: Promise<void> | null = null;
	#paused = false;

	#tick: NodeJS.Timeout | null = null;
	#tickDueMs = 0;
	#lastInboundMs = 0;
	#inboundWindowStartMs = 0;
	#firstAskMs: number | null = null;

	#replyWanted = false;
	#acknowledgeTimer: NodeJS.Timeout | null = null;
	#lastSentMs = 0;
	#lastSentFlush = -1n;
	#sent = 0;
	#largestGapMs = 0;

	/**
	 * Connects and climbs the whole ladder up to, but excluding, START_REPLICATION.
	 * @throws SluiceError see connect.ts and handshake.ts; the context names the `step`
	 */
	static async connect(options: LinkOptions, events: LinkEvents): Promise<ReplicationLink> {
		const timeoutMs = options.connectTimeoutMs ?? LINK_STEP_TIMEOUT_MS;
		const onStep = (step: string): void => {
			options.log.debug({ step }, "link step");
			events.onStep?.(step);
		};
		onStep("connect");
		const session = await openSession({
			databaseUrl: options.databaseUrl,
			timeoutMs,
			onFallback: logFallback(options.log, "replication"),
			...(options.signal === undefined ? {} : { signal: options.signal }),
		});
		try {
			const facts = await climbLadder(session, {
				slotName: options.slotName,
				publicationName: options.publicationName,
				discardSlot: options.discardSlot ?? false,
				formerWalsenderPid: options.formerWalsenderPid ?? null,
				slotFailover: options.slotFailover ?? false,
				stepTimeoutMs: timeoutMs,
				onStep,
			});
			return new ReplicationLink(options, events, facts, session.takeSocket());
		} catch (error) {
			session.destroy();
			throw error;
		}
	}

	private constructor(options: LinkOptions, events: LinkEvents, facts: HandshakeFacts, raw: RawSocket) {
		this.#options = options;
		this.#events = events;
		this.#log = options.log;
		this.facts = facts;
		this.#timings = livenessTimings(facts.walSenderTimeoutMs);
		this.#frames = new FrameReader({
			xlogData: (message) => {
				if (this.#state === "streaming") {
					this.#events.onFrame(message);
				}
			},
			oversizeChange: (relationOid, declaredBytes) => {
				if (this.#state === "streaming") {
					this.#log.error({ relationOid, declaredBytes, limitBytes: FRAME_BYTES_MAX }, OVERSIZE_CHANGE);
					this.#events.onFrame(truncateOf(relationOid));
				}
			},
			keepalive: (walEnd, replyRequested) => {
				if (this.#state === "streaming") {
					this.#events.onKeepalive(walEnd);
					this.#replyWanted ||= replyRequested;
				}
			},
			copyBothStarted: () => this.#onStreaming(),
			serverError: (report) => this.#fail(errorFromReport(report, this.#where())),
			serverNotice: (report) => this.#onNotice(report),
			streamEnded: (message) =>
				this.#fail(new SluiceError("SLUICE_LINK_CLOSED", { reason: "the server ended the stream", message })),
		});
		this.#socket = new PacedSocket(raw, options.testHooks?.pacing ?? PACING, {
			read: (chunk) => this.#onRead(chunk),
			gone: (error) => this.#onGone(error),
		});
	}

	get paused(): boolean {
		return this.#paused;
	}

	get statistics(): LinkStatistics {
		return {
			intervalMs: this.#timings.intervalMs,
			sent: this.#sent,
			largestGapMs: this.#largestGapMs,
			receivedBytes: this.#socket.receivedBytes,
			reads: this.#socket.reads,
		};
	}

	/**
	 * START_REPLICATION from `startLsn`. Frames may come before the promise's continuation runs.
	 * @throws SluiceError SLUICE_SLOT_IN_USE, SLUICE_SLOT_LOST, SLUICE_LINK_CLOSED, … with step
	 * "start-replication"; the link is dead then and `onClosed` is not called
	 */
	async start(startLsn: bigint): Promise<void> {
		if (this.#failure !== null) {
			throw this.#failure;
		}
		invariant(this.#state === "ready", "start comes once, before close");
		this.#state = "starting";
		this.#events.onStep?.("start-replication");
		const starting = Promise.withResolvers<void>();
		this.#starting = starting;
		const { slotName, publicationName, connectTimeoutMs } = this.#options;
		this.#socket.write(
			serialize.query(
				`START_REPLICATION SLOT ${quoteIdentifier(slotName)} LOGICAL ${formatLsn(startLsn)} ` +
					`(proto_version '1', publication_names ${quoteLiteral(quoteIdentifier(publicationName))}, messages 'true')`,
			),
		);
		const timer = setTimeout(
			() =>
				this.#fail(new SluiceError("SLUICE_LINK_CLOSED", { step: "start-replication", reason: "no answer in time" })),
			connectTimeoutMs ?? LINK_STEP_TIMEOUT_MS,
		);
		try {
			await starting.promise;
		} finally {
			clearTimeout(timer);
		}
	}

	/** Stops reading. Keepalives go on. Idempotent. */
	pause(): void {
		if (!this.#paused) {
			this.#paused = true;
			this.#socket.hold();
		}
	}

	/** Reads on. Silence so far was our own doing and does not count. Idempotent. */
	resume(): void {
		if (this.#paused) {
			this.#paused = false;
			this.#inboundWindowStartMs = performance.now();
			this.#firstAskMs = null;
			this.#socket.release();
		}
	}

	/** The flush position grew: it is sent soon, once for all calls of a tick, and not more often than needed. */
	acknowledge(): void {
		if (this.#state !== "streaming" || this.#acknowledgeTimer !== null) {
			return;
		}
		const waitMs = Math.max(0, ACKNOWLEDGE_SPACING_MS - (performance.now() - this.#lastSentMs));
		this.#acknowledgeTimer = setTimeout(() => {
			this.#acknowledgeTimer = null;
			if (this.#state === "streaming" && this.#events.positions().flush > this.#lastSentFlush) {
				this.#sendStatus(false);
			}
		}, waitMs);
	}

	/**
	 * Final status update, Terminate, half-close; destroyed after at most LINK_CLOSE_TIMEOUT_MS. The slot stays.
	 * Safe while paused with unread input. Idempotent.
	 */
	close(): Promise<void> {
		this.#closing ??= this.#close();
		return this.#closing;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.close();
	}

	async #close(): Promise<void> {
		if (this.#state === "closed") {
			return;
		}
		const terminate = serialize.end();
		const farewell = this.#state === "streaming" ? Buffer.concat([this.#buildStatus(false), terminate]) : terminate;
		this.#enterClosed();
		this.#starting?.reject(
			new SluiceError("SLUICE_LINK_CLOSED", { step: "start-replication", reason: "closed by us" }),
		);
		await this.#socket.farewell(farewell, LINK_CLOSE_TIMEOUT_MS);
	}

	#onRead(chunk: Buffer): void {
		this.#lastInboundMs = performance.now();
		this.#firstAskMs = null;
		const failure = this.#frames.feed(chunk);
		if (this.#state === "streaming") {
			this.#events.onReadEnd();
		}
		if (failure !== null) {
			this.#fail(failure);
		} else if (this.#replyWanted && this.#state === "streaming") {
			// In the same tick, and after the consumer has seen all that came before the request.
			this.#sendStatus(false);
		}
	}

	#onStreaming(): void {
		if (this.#state !== "starting") {
			this.#fail(new SluiceError("SLUICE_FRAME_MALFORMED", { part: "order", reason: "a second CopyBothResponse" }));
			return;
		}
		this.#state = "streaming";
		const nowMs = performance.now();
		this.#lastInboundMs = nowMs;
		this.#inboundWindowStartMs = nowMs;
		this.#lastSentMs = nowMs;
		if (this.#options.testHooks?.disableKeepalive !== true) {
			this.#tickDueMs = nowMs + this.#timings.intervalMs;
			this.#tick = setInterval(() => this.#onTick(), this.#timings.intervalMs);
		}
		this.#events.onStep?.("streaming");
		this.#starting?.resolve();
		this.#starting = null;
	}

	#onTick(): void {
		const nowMs = performance.now();
		const decision = decideTick(
			{
				nowMs,
				dueMs: this.#tickDueMs,
				lastInboundMs: this.#lastInboundMs,
				windowStartMs: this.#inboundWindowStartMs,
				firstAskMs: this.#firstAskMs,
				paused: this.#paused,
			},
			this.#timings,
		);
		const lateByMs = Math.round(nowMs - this.#tickDueMs);
		this.#tickDueMs = nowMs + this.#timings.intervalMs;
		if (decision.late) {
			this.#log.warn({ lateByMs, ...this.#timings }, "the keepalive timer fired too late: the main thread was blocked");
		}
		if (decision.silent) {
			const silentForMs = Math.round(nowMs - this.#lastInboundMs);
			this.#fail(new SluiceError("SLUICE_LINK_SILENT", { silentForMs, limitMs: this.#timings.silenceLimitMs }));
			return;
		}
		if (decision.askReply) {
			this.#firstAskMs ??= nowMs;
		}
		this.#sendStatus(decision.askReply);
	}

	#buildStatus(replyRequested: boolean): Buffer {
		const nowMs = performance.now();
		const { write, flush } = this.#events.positions();
		this.#largestGapMs = Math.max(this.#largestGapMs, nowMs - this.#lastSentMs);
		this.#lastSentMs = nowMs;
		this.#lastSentFlush = flush;
		this.#sent += 1;
		this.#replyWanted = false;
		return encodeStatusUpdate({ write, flush, clientTimeMs: Date.now(), replyRequested });
	}

	#sendStatus(replyRequested: boolean): void {
		this.#socket.write(this.#buildStatus(replyRequested));
	}

	#onNotice(report: ServerReport): void {
		if (meansPublicationMissing(report)) {
			const { code, message } = report;
			this.#fail(
				new SluiceError("SLUICE_SLOT_LOST", {
					step: this.#where().step,
					sqlState: code ?? null,
					serverMessage: message ?? "",
					problem: "the publication is missing: changes have been left out",
				}),
			);
			return;
		}
		this.#log.info(
			{ severity: report.severity, sqlState: report.code, serverMessage: report.message },
			"server notice",
		);
	}

	#onGone(error: Error | null): void {
		if (error !== null) {
			this.#fail(errorFromThrown(error, this.#where()));
			return;
		}
		this.#fail(
			new SluiceError("SLUICE_LINK_CLOSED", {
				step: this.#where().step,
				reason: "end of stream",
				cutFrameBytes: this.#frames.pendingBytes,
			}),
		);
	}

	#where(): { phase: ConnectionPhase; step: string } {
		return this.#state === "streaming"
			? { phase: "stream", step: "streaming" }
			: { phase: "setup", step: this.#state === "starting" ? "start-replication" : "ready" };
	}

	/** The link is dead: tells whoever waits, once. */
	#fail(error: SluiceError): void {
		if (this.#state === "closed") {
			return;
		}
		const was = this.#state;
		this.#failure = error;
		this.#enterClosed();
		this.#socket.destroy();
		if (was === "streaming") {
			this.#events.onClosed(error);
		} else {
			this.#starting?.reject(error);
		}
	}

	#enterClosed(): void {
		this.#state = "closed";
		if (this.#tick !== null) {
			clearInterval(this.#tick);
		}
		if (this.#acknowledgeTimer !== null) {
			clearTimeout(this.#acknowledgeTimer);
		}
	}
}

const OVERSIZE_CHANGE = "a row change is beyond the limit: the shapes of its table are made anew";

/** Truncate: Int32 n, Int8 options, n × Int32 oid. For lanes it means that a relation's shapes end here. */
function truncateOf(relationOid: number): Buffer {
	const message = Buffer.alloc(10);
	message.writeUInt8(TAG_TRUNCATE, 0);
	message.writeUInt32BE(1, 1);
	message.writeUInt32BE(relationOid, 6);
	return message;
}
