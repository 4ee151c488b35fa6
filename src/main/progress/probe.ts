/**
 * The probe: proof that what is written to the database comes out at the other end. When no transaction has shown it
 * for a while, a small logical message is written to the database; it travels to the walsender, to main, through
 * every lane, and counts as home when its position is acknowledged. Owns the one probe under way and the decision
 * what its lateness means; must never act on the link or a lane itself. Called by the supervisor. Source: PostgreSQL
 * `pg_logical_emit_message`; the message is about 100 bytes of WAL.
 */

import { PROBE_LATE_MS, PROBE_RECONNECT_AFTER_MS, PROBE_RECONNECT_MAX_MS } from "../../shared/limits.ts";
import type { Logger } from "../../shared/logging.ts";
import type { ProbeEmission } from "../../shared/messages.ts";
import type { ProbeStage, Status } from "../../shared/status.ts";

/** What the supervisor sees when it looks. LSNs as received. */
export interface ProbeView {
	readonly nowMs: number;
	readonly linkStreaming: boolean;
	/** The socket is not read: nothing can come. */
	readonly paused: boolean;
	/** Messages of the stream so far: a stream that moves is not deaf, only long. */
	readonly frameCount: number;
	/** The walsender waits for nothing: it decodes. */
	readonly walsenderBusy: boolean;
	/** Every lane has written up to this batch. */
	readonly writtenByAll: number;
	/** end_lsn of the newest transaction that lanes were given. */
	readonly handedOutLsn: bigint;
	readonly receivedLsn: bigint;
	readonly acknowledgedLsn: bigint;
}

export interface ProbeFacts {
	/** 0: never probe. */
	readonly intervalMs: number;
	/** Since something last came all the way, or since the link began to stream. */
	readonly unprovenForMs: number;
	/** Since the server last refused to take a probe; null when it never did on this connection. */
	readonly refusedForMs: number | null;
	readonly canProbe: boolean;
	/** Null when no probe is under way. */
	readonly stage: ProbeStage | null;
	/** Time in that stage that counts: not while paused, and from the newest message of the stream on. */
	readonly stageForMs: number;
	readonly walsenderBusy: boolean;
	/** Reconnects in a row that brought no probe home. */
	readonly reconnects: number;
}

export interface ProbeDecision {
	readonly emit: boolean;
	readonly problem: { readonly state: "blind" | "stalled"; readonly cause: string } | null;
	/** The link should be made anew. */
	readonly reconnect: boolean;
}

/** A refusal (a missing privilege) is asked about again after this many intervals. */
const REFUSAL_INTERVALS = 60;

/** Pure: whether to probe now, and what the probe under way says. */
export function decideProbe(facts: ProbeFacts): ProbeDecision {
	const { intervalMs, stage, stageForMs, refusedForMs, canProbe } = facts;
	if (stage === null) {
		const refused = refusedForMs !== null && refusedForMs < REFUSAL_INTERVALS * intervalMs;
		const due = intervalMs > 0 && facts.unprovenForMs >= intervalMs;
		return { emit: canProbe && due && !refused, problem: null, reconnect: false };
	}
	const problem = stageForMs < PROBE_LATE_MS ? null : { ...PROBLEMS[stage] };
	const patienceMs = Math.min(PROBE_RECONNECT_MAX_MS, PROBE_RECONNECT_AFTER_MS * 2 ** facts.reconnects);
	// A walsender that decodes would only begin again: a new connection starts where the old one did.
	const reconnect = stage === "sent" && stageForMs >= patienceMs && canProbe && !facts.walsenderBusy;
	return { emit: false, problem, reconnect };
}

const PROBLEMS = {
	emitting: { state: "blind", cause: "the database does not take a probe" },
	sent: { state: "blind", cause: "a probe written to the database does not come out of the stream" },
	received: { state: "stalled", cause: "lanes do not write what was received" },
	written: { state: "stalled", cause: "what lanes have written is not acknowledged" },
} as const satisfies Record<ProbeStage, ProbeDecision["problem"]>;

interface Underway {
	readonly content: string;
	readonly beganMs: number;
	stage: ProbeStage;
	stageSinceMs: number;
	receivedMs: number;
	/** Of the batch that carries it. */
	sequence: number;
	/** Received when it came: home when this is acknowledged. */
	lsn: bigint;
}

export interface ProbeOptions {
	readonly intervalMs: number;
	/** Makes contents unlike those of other lives of the daemon, which the stream may repeat. */
	readonly instanceId: string;
	readonly emit: (content: string) => Promise<ProbeEmission>;
	readonly log: Logger;
}

export class Probe {
	readonly #options: ProbeOptions;
	#underway: Underway | null = null;
	#count = 0;
	#lost = 0;
	#reconnects = 0;
	#refusedAtMs: number | null = null;
	#wasStreaming = false;
	#provenAtMs = performance.now();
	#everProven = false;
	#frameCount = 0;
	/** A transaction on its way: what it proves needs no probe. */
	#transaction = { lsn: 0n, waiting: false };
	#roundTripMs: number | null = null;
	#receiveMs: number | null = null;

	constructor(options: ProbeOptions) {
		this.#options = options;
	}

	/** Ours came with the stream, in batch `sequence`. @param lsn received so far, the probe's own included */
	received(content: string, sequence: number, lsn: bigint): void {
		const probe = this.#underway;
		if (probe !== null && probe.content === content && probe.stage !== "received") {
			probe.receivedMs = performance.now();
			probe.sequence = sequence;
			probe.lsn = lsn;
			this.#enter(probe, "received");
		}
	}

	/** It was received and is on its way through the lanes. */
	get isComing(): boolean {
		return this.#underway !== null && this.#underway.stage !== "emitting" && this.#underway.stage !== "sent";
	}

	/** Looks at everything; answers what is wrong. To be called once a second, and when something moved. */
	look(view: ProbeView): ProbeDecision {
		this.#followConnection(view);
		this.#followTransactions(view);
		this.#followProbe(view);
		const probe = this.#underway;
		const decision = decideProbe({
			intervalMs: this.#options.intervalMs,
			unprovenForMs: view.nowMs - this.#provenAtMs,
			refusedForMs: this.#refusedAtMs === null ? null : view.nowMs - this.#refusedAtMs,
			canProbe: view.linkStreaming && !view.paused,
			stage: probe?.stage ?? null,
			stageForMs: probe === null ? 0 : view.nowMs - probe.stageSinceMs,
			walsenderBusy: view.walsenderBusy,
			reconnects: this.#reconnects,
		});
		if (decision.emit) {
			this.#begin();
		}
		if (decision.reconnect) {
			this.#lost += 1;
			this.#reconnects += 1;
			this.#underway = null;
		}
		return decision;
	}

	status(): Status["progress"]["probe"] {
		const nowMs = performance.now();
		return {
			intervalMs: this.#options.intervalMs,
			provenAgeMs: this.#everProven ? Math.round(nowMs - this.#provenAtMs) : null,
			roundTripMs: this.#roundTripMs,
			receiveMs: this.#receiveMs,
			stage: this.#underway?.stage ?? null,
			stageAgeMs: this.#underway === null ? 0 : Math.round(nowMs - this.#underway.stageSinceMs),
			sent: this.#count,
			lost: this.#lost,
			refused: this.#refusedAtMs !== null,
		};
	}

	/** A probe of an earlier connection was written before its end and comes again, or is behind a new slot: let go. */
	#followConnection({ linkStreaming, nowMs }: ProbeView): void {
		if (linkStreaming && !this.#wasStreaming) {
			this.#provenAtMs = nowMs;
			this.#refusedAtMs = null;
		}
		if (!linkStreaming) {
			this.#underway = null;
			this.#transaction.waiting = false;
		}
		this.#wasStreaming = linkStreaming;
	}

	/** A transaction that was received and is acknowledged has come all the way. */
	#followTransactions({ handedOutLsn, acknowledgedLsn, nowMs }: ProbeView): void {
		const transaction = this.#transaction;
		if (transaction.waiting && acknowledgedLsn >= transaction.lsn) {
			transaction.waiting = false;
			this.#proven(nowMs);
		}
		if (!transaction.waiting && handedOutLsn !== transaction.lsn) {
			transaction.lsn = handedOutLsn;
			transaction.waiting = handedOutLsn > acknowledgedLsn;
			if (!transaction.waiting) {
				this.#proven(nowMs);
			}
		}
	}

	#followProbe({ paused, frameCount, writtenByAll, acknowledgedLsn, nowMs }: ProbeView): void {
		const probe = this.#underway;
		const moves = frameCount !== this.#frameCount;
		this.#frameCount = frameCount;
		if (probe === null) {
			return;
		}
		if (probe.stage === "sent" && (paused || moves)) {
			probe.stageSinceMs = nowMs;
		}
		if (probe.stage === "received" && writtenByAll >= probe.sequence) {
			this.#enter(probe, "written");
		}
		if (probe.stage === "written" && acknowledgedLsn >= probe.lsn) {
			this.#underway = null;
			this.#reconnects = 0;
			this.#receiveMs = Math.round(probe.receivedMs - probe.beganMs);
			this.#roundTripMs = Math.round(nowMs - probe.beganMs);
			this.#proven(nowMs);
		}
	}

	#proven(nowMs: number): void {
		this.#provenAtMs = nowMs;
		this.#everProven = true;
	}

	#enter(probe: Underway, stage: ProbeStage): void {
		probe.stage = stage;
		probe.stageSinceMs = performance.now();
	}

	#begin(): void {
		this.#count += 1;
		const beganMs = performance.now();
		const content = `${this.#options.instanceId}:${this.#count}`;
		const probe: Underway = {
			content,
			beganMs,
			stage: "emitting",
			stageSinceMs: beganMs,
			receivedMs: 0,
			sequence: 0,
			lsn: 0n,
		};
		this.#underway = probe;
		this.#options.emit(content).then(
			(emission) => this.#emitted(probe, emission),
			() => this.#emitted(probe, { kind: "unavailable" }),
		);
	}

	/** It may have come with the stream before we are told that it was written. */
	#emitted(probe: Underway, emission: ProbeEmission): void {
		if (this.#underway !== probe || probe.stage !== "emitting") {
			return;
		}
		if (emission.kind === "written") {
			this.#enter(probe, "sent");
			return;
		}
		this.#underway = null;
		// Not at once again: the next one comes an interval later.
		this.#provenAtMs = performance.now();
		if (emission.kind === "refused") {
			if (this.#refusedAtMs === null) {
				this.#options.log.warn(
					{ sqlState: emission.sqlState, remedy: "GRANT EXECUTE ON FUNCTION pg_logical_emit_message TO the role" },
					"the role may not write probes: a stream that stands still on an idle database would not be noticed",
				);
			}
			this.#refusedAtMs = performance.now();
		}
	}
}
