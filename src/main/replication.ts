/**
 * One replication connection after another: connect, agree with the registrar where to start, stream, and on
 * a disconnect do it again with a growing, jittered delay. Owns the link at hand and the epoch; must never
 * wait while streaming: the link's events go straight into the flow. Wired by the daemon.
 */

import { SluiceError } from "../shared/errors.ts";
import type { Logger } from "../shared/logging.ts";
import { formatLsn } from "../shared/lsn.ts";
import type { LinkFacts, ServerObservation } from "../shared/messages.ts";
import type { LinkState, Status } from "../shared/status.ts";
import { Acknowledgement } from "./acknowledgement.ts";
import { RETRY_DELAY_FIRST_MS, retryDelayMs, stayAwayMs, Wait } from "./between-links.ts";
import type { Flow } from "./flow/flow.ts";
import { judgePause } from "./flow/pause-limit.ts";
import { type LinkEvents, type LinkOptions, ReplicationLink } from "./link/stream.ts";

export interface ReplicationOptions {
	readonly link: Omit<LinkOptions, "log" | "discardSlot" | "signal">;
	readonly flow: Flow;
	/** See pause-limit.ts. */
	readonly pauseLimitMs: number;
	readonly reconcile: (
		facts: LinkFacts,
		receivedLsn: bigint | null,
	) => Promise<{ readonly startLsn: bigint; readonly purged: boolean }>;
	readonly storeAcknowledged: (lsn: bigint) => Promise<void>;
	/** A position was acknowledged. */
	readonly onAcknowledged?: () => void;
	/** Streaming began or ended. */
	readonly onStreaming: (streaming: boolean) => void;
	/** Every shape was dropped; `epoch` is the first one that counts. */
	readonly onPurge: (epoch: number) => void;
	/** With nothing outstanding, every commit at or below is in the logs. */
	readonly onIdleLsn: (lsn: bigint) => void;
	/** Trying again cannot help. */
	readonly onFatal: (error: SluiceError) => void;
	readonly log: Logger;
}

/** A pause is looked at this often. */
const PAUSE_CHECK_INTERVAL_MS = 500;
/** So many looks in a row at a slot that nobody makes, while we wait for it to be made: the answer is lost. */
const UNSEEN_CREATIONS_MAX = 5;
/** For the last position to be stored when the service stops. */
const SETTLE_DEADLINE_MS = 2_000;
/**
 * A connection that lasted this long, or that moved the acknowledged position, counts as a success: the next delay
 * starts small again. A row of short outages must not add up to long ones.
 */
const SUCCESS_AFTER_MS = 5_000;

export class Replication {
	readonly #options: ReplicationOptions;
	readonly #acknowledgement: Acknowledgement;
	#link: ReplicationLink | null = null;
	#state: LinkState = "connecting";
	#step = "starting";
	#lastError: SluiceError | null = null;
	#epoch = 0;
	#connects = 0;
	readonly #stop = new AbortController();
	readonly #wait = new Wait();
	#running: Promise<void> = Promise.resolve();
	/** Sums over earlier connections. */
	#sentBefore = 0;
	#receivedBytesBefore = 0;
	#largestGapMs = 0;
	#malformedAt: bigint | null = null;
	/** The slot has a gap: the next connection replaces it. */
	#discardSlot = false;
	#detaches = 0;
	#server: ServerObservation | null = null;
	/** Remembered from connection to connection: one that attaches for a moment may end before the server is looked at. */
	#idleSlotTimeoutMs: number | null = null;
	#serverIsLeaving = false;
	#unseenCreations = 0;
	/** Why nothing may be followed now, or null. */
	#forbidden: string | null = null;
	/** Of the connection before: the server may not have noticed its end. */
	#formerWalsenderPid: number | null = null;
	/** Ends the connection at hand with this error. */
	#end: (error: SluiceError) => void = () => undefined;

	constructor(options: ReplicationOptions) {
		this.#options = options;
		this.#acknowledgement = new Acknowledgement({
			store: options.storeAcknowledged,
			onAcknowledged: () => {
				this.#link?.acknowledge();
				options.onAcknowledged?.();
			},
			log: options.log,
		});
	}

	/** Begins to connect; returns at once. */
	start(): void {
		this.#running = this.#run();
	}

	/** A link that is starting is still read: its answer to START_REPLICATION has to be. */
	pauseReading(): void {
		if (this.#state === "streaming") {
			this.#link?.pause();
		}
	}

	resumeReading(): void {
		this.#link?.resume();
		if (this.#state === "detached") {
			this.#wait.end();
		}
	}

	/** What the side connection saw. */
	observed(server: ServerObservation): void {
		this.#server = server;
		this.#idleSlotTimeoutMs = server.idleSlotTimeoutMs;
		this.#checkPause();
		// Making a slot may take any time, and the connection says nothing meanwhile; the server names who makes it.
		this.#unseenCreations = this.#step === "slot-create" && !server.walsenderActive ? this.#unseenCreations + 1 : 0;
		if (this.#unseenCreations >= UNSEEN_CREATIONS_MAX) {
			this.#end(
				new SluiceError("SLUICE_LINK_CLOSED", { step: this.#step, reason: "the server is not making the slot" }),
			);
		}
	}

	/** The server ends sessions. A link that is read notices by itself; a paused one cannot. */
	serverLeaving(): void {
		this.#serverIsLeaving = true;
		this.#checkPause();
	}

	get acknowledgedLsn(): bigint {
		return this.#acknowledgement.acknowledged;
	}

	/** Nothing comes out of the stream although it is there: makes another connection. */
	reconnect(unseenForMs: number): void {
		this.#end(new SluiceError("SLUICE_LINK_DEAF", { unseenForMs }));
	}

	/** Closes the link in order and connects no more until `allow`: somebody else may follow the slot now. */
	forbid(reason: string): void {
		this.#forbidden = reason;
		this.#end(new SluiceError("SLUICE_LINK_DETACHED", { reason }));
	}

	allow(): void {
		this.#forbidden = null;
		if (this.#state === "detached") {
			this.#wait.end();
		}
	}

	/** The flow says that this much may be acknowledged. */
	acknowledgeable(lsn: bigint): void {
		this.#acknowledgement.want(lsn);
	}

	/** Reads nothing more; what was received goes on to the lanes. */
	stopReading(): void {
		this.#stop.abort();
		this.#options.flow.setReason("shutdown", true);
	}

	/** Sends what became durable, closes the link, ends the loop. */
	async stop(): Promise<void> {
		this.#stop.abort();
		await this.#acknowledgement.settle(SETTLE_DEADLINE_MS);
		const link = this.#link;
		this.#wait.end();
		this.#end(new SluiceError("SLUICE_LINK_CLOSED"));
		await link?.close();
		await this.#running;
		this.#setState("stopped", "stopped");
	}

	status(): Status["link"] {
		const { flow } = this.#options;
		const statistics = this.#link?.statistics;
		return {
			state: this.#state,
			step: this.#step,
			lastError: this.#lastError === null ? null : { code: this.#lastError.code, message: this.#lastError.message },
			walsenderPid: this.#link?.facts.walsenderPid ?? null,
			connects: this.#connects,
			paused: flow.gate.paused,
			pauseReasons: flow.gate.reasons,
			pauses: flow.gate.pauses,
			pausedForMs: Math.round(flow.gate.pausedForMs(performance.now()) ?? 0),
			detaches: this.#detaches,
			receivedLsn: formatLsn(flow.ack.received),
			durableLsn: formatLsn(flow.ack.durableLsn),
			acknowledgedLsn: formatLsn(this.#acknowledgement.acknowledged),
			receivedBytes: this.#receivedBytesBefore + (statistics?.receivedBytes ?? 0),
			reads: statistics?.reads ?? 0,
			keepalive: {
				intervalMs: statistics?.intervalMs ?? 0,
				sent: this.#sentBefore + (statistics?.sent ?? 0),
				largestGapMs: Math.max(this.#largestGapMs, statistics?.largestGapMs ?? 0),
			},
		};
	}

	async #run(): Promise<void> {
		let attempt = 0;
		while (!this.#stop.signal.aborted) {
			if (this.#forbidden !== null) {
				await this.#waitForRoom(new SluiceError("SLUICE_LINK_DETACHED", { reason: this.#forbidden }));
				continue;
			}
			const startedMs = performance.now();
			const { acknowledged } = this.#acknowledgement;
			const error = await this.#connectAndStream();
			if (this.#stop.signal.aborted) {
				return;
			}
			this.#lastError = error;
			this.#discardSlot ||= error.code === "SLUICE_SLOT_LOST";
			if (error.code === "SLUICE_LINK_DETACHED") {
				attempt = 0;
				await this.#waitForRoom(error);
				continue;
			}
			if (this.#isFatal(error)) {
				this.#options.onFatal(error);
				return;
			}
			const hasAdvanced = this.#acknowledgement.acknowledged > acknowledged;
			attempt = hasAdvanced || performance.now() - startedMs > SUCCESS_AFTER_MS ? 0 : attempt;
			const delayMs = retryDelayMs(attempt, error.retry !== "retry", Math.random());
			attempt += 1;
			this.#setState("waiting", `reconnecting after ${error.code}`);
			this.#options.log.warn({ err: error, delayMs, attempt }, "replication link is down, reconnecting");
			await this.#wait.for(delayMs);
		}
	}

	/** Returns, with the reason, when the connection has ended. */
	async #connectAndStream(): Promise<SluiceError> {
		this.#setState("connecting", "connecting");
		const { flow, log } = this.#options;
		let ended: (error: SluiceError) => void = () => undefined;
		const end = new Promise<SluiceError>((resolve) => {
			ended = resolve;
		});
		const attempt = new AbortController();
		this.#end = (error) => {
			ended(error);
			attempt.abort(error);
		};
		this.#server = null;
		this.#unseenCreations = 0;
		this.#serverIsLeaving = false;
		const pauseTimer = setInterval(() => this.#checkPause(), PAUSE_CHECK_INTERVAL_MS);
		let link: ReplicationLink | null = null;
		try {
			link = await ReplicationLink.connect(
				{
					...this.#options.link,
					// A slot whose stream has a gap is replaced; the registrar then drops what was built on it.
					discardSlot: this.#discardSlot,
					formerWalsenderPid: this.#formerWalsenderPid,
					signal: AbortSignal.any([this.#stop.signal, attempt.signal]),
					log,
				},
				this.#events(ended),
			);
			if (this.#stop.signal.aborted) {
				await link.close();
				return new SluiceError("SLUICE_LINK_CLOSED");
			}
			if (this.#forbidden !== null) {
				return new SluiceError("SLUICE_LINK_DETACHED", { reason: this.#forbidden });
			}
			// A store under way belongs to the last connection; the registrar decides with it finished.
			await this.#acknowledgement.hold();
			const { startLsn, purged } = await this.#options.reconcile(
				link.facts,
				this.#epoch === 0 ? null : flow.ack.received,
			);
			this.#discardSlot = false;
			const fresh = purged || this.#epoch === 0;
			this.#epoch += 1;
			if (fresh && this.#epoch > 1) {
				this.#options.onPurge(this.#epoch);
			}
			this.#acknowledgement.begin(startLsn);
			flow.begin(startLsn, this.#epoch, fresh);
			this.#link = link;
			this.#formerWalsenderPid = link.facts.walsenderPid;
			await link.start(startLsn);
			this.#connects += 1;
			this.#setState("streaming", "streaming");
			if (flow.gate.paused) {
				link.pause();
			}
			this.#options.onStreaming(true);
			log.info(
				{ startLsn: formatLsn(startLsn), purged, walsenderPid: link.facts.walsenderPid, connects: this.#connects },
				"replication is streaming",
			);
			return await end;
		} catch (error) {
			if (attempt.signal.reason instanceof SluiceError) {
				return attempt.signal.reason;
			}
			return error instanceof SluiceError ? error : new SluiceError("SLUICE_INTERNAL", { cause: error });
		} finally {
			clearInterval(pauseTimer);
			this.#end = () => undefined;
			this.#options.onStreaming(false);
			this.#link = null;
			if (link !== null) {
				this.#sentBefore += link.statistics.sent;
				this.#receivedBytesBefore += link.statistics.receivedBytes;
				this.#largestGapMs = Math.max(this.#largestGapMs, link.statistics.largestGapMs);
				await link.close();
			}
			flow.disconnected();
		}
	}

	#events(ended: (error: SluiceError) => void): LinkEvents {
		const { flow } = this.#options;
		let failed = false;
		return {
			onFrame: (message) => {
				if (failed) {
					return;
				}
				try {
					flow.frame(message);
				} catch (error) {
					failed = true;
					ended(error instanceof SluiceError ? error : new SluiceError("SLUICE_INTERNAL", { cause: error }));
				}
			},
			onKeepalive: (walEnd) => {
				if (!failed) {
					flow.keepalive(walEnd);
				}
			},
			onReadEnd: () => {
				if (!failed) {
					flow.readEnd();
					this.#reportIdle();
				}
			},
			positions: () => ({ write: flow.ack.received, flush: this.#acknowledgement.acknowledged }),
			onClosed: ended,
			onStep: (step) => {
				this.#step = step;
			},
		};
	}

	/** A quiet shape must still show how far the stream has come. A commit at `received` itself may follow. */
	#reportIdle(): void {
		const { flow } = this.#options;
		if (flow.heldBytes === 0 && flow.ack.received > 0n) {
			this.#options.onIdleLsn(flow.ack.received - 1n);
		}
	}

	/**
	 * What is set up wrong ends the process at its start. Once it has streamed it goes on serving reads and waits for an
	 * operator: a role that lost its rights must not take the readers' data away.
	 */
	#waitsForOperator(error: SluiceError): boolean {
		return error.code === "SLUICE_LINK_MISCONFIGURED" && this.#connects > 0;
	}

	/** Malformed bytes once are a bad connection; twice at one position they are in the stream itself. */
	#isFatal(error: SluiceError): boolean {
		if (error.code !== "SLUICE_FRAME_MALFORMED") {
			this.#malformedAt = null;
			return error.retry === "fatal" && !this.#waitsForOperator(error);
		}
		const position = this.#options.flow.ack.received;
		const again = this.#malformedAt === position;
		this.#malformedAt = position;
		return again;
	}

	#checkPause(): void {
		if (this.#link === null) {
			return;
		}
		const reason = judgePause({
			pausedForMs: this.#options.flow.gate.pausedForMs(performance.now()),
			limitMs: this.#options.pauseLimitMs,
			server: this.#server,
			serverIsLeaving: this.#serverIsLeaving,
		});
		if (reason !== null) {
			this.#end(new SluiceError("SLUICE_LINK_DETACHED", { reason }));
		}
	}

	/**
	 * Detached: the slot keeps what comes, nothing on the server waits for us. Where the server invalidates slots that
	 * nobody uses (idle_replication_slot_timeout), it attaches for a moment in good time, room or not.
	 */
	async #waitForRoom(error: SluiceError): Promise<void> {
		const idleTimeoutMs = this.#idleSlotTimeoutMs;
		const untilMs = idleTimeoutMs === null ? Number.POSITIVE_INFINITY : performance.now() + idleTimeoutMs / 2;
		this.#detaches += 1;
		this.#setState("detached", String(error.context["reason"]));
		this.#options.log.warn({ err: error }, "replication link is detached");
		await this.#wait.for(RETRY_DELAY_FIRST_MS);
		while (!this.#stop.signal.aborted) {
			const delayMs = stayAwayMs({
				isForbidden: this.#forbidden !== null,
				isPaused: this.#options.flow.gate.paused,
				idleLeftMs: untilMs - performance.now(),
			});
			if (delayMs === null) {
				return;
			}
			await this.#wait.for(delayMs);
		}
	}

	#setState(state: LinkState, step: string): void {
		this.#state = state;
		this.#step = step;
	}
}
