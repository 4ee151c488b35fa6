/**
 * Whether the service advances, and if not, why: "alive but not advancing" is a state with a cause and an age,
 * not a silence. The judgement is pure; the record keeps since when it holds and tells the log on each change.
 * Must never act on what it sees (lanes.ts ends stuck lanes, replication.ts detaches). Called by the supervisor.
 */

import type { Logger } from "../../shared/logging.ts";
import type { LaneState, LinkState, PauseReason, ProgressState, Status } from "../../shared/status.ts";

export interface LaneProgress {
	readonly id: number;
	readonly state: LaneState;
	/** For how long it has had work and reported nothing. */
	readonly waitingForMs: number;
	/** Code of the error for which it retries, or null. */
	readonly retryCode: string | null;
}

export interface ProgressObservation {
	readonly linkState: LinkState;
	readonly linkStep: string;
	readonly lastErrorCode: string | null;
	readonly pauseReasons: readonly PauseReason[];
	readonly lanes: readonly LaneProgress[];
	/** See probe.ts. */
	readonly probeProblem: Judgement | null;
	/** WAL that the server has and we have not received; 0 when unknown. */
	readonly behindBytes: number;
}

export interface Judgement {
	readonly state: ProgressState;
	/** What to look at: a rung, an error code, "lane 1 is suspended", … Null while streaming. */
	readonly cause: string | null;
}

/** Work that waits this long for a lane is a stall, not a delay. */
export const STALLED_AFTER_MS = 10_000;
/** Beyond this much unread WAL the service is behind, even if it advances. */
export const BEHIND_BYTES = 64 * 1024 * 1024;

/** Pure. The first that holds of: blind, stalled, backpressured, what a late probe means, behind, streaming. */
export function judgeProgress(observation: ProgressObservation): Judgement {
	const { linkState, linkStep, lastErrorCode, pauseReasons, lanes, probeProblem, behindBytes } = observation;
	if (linkState !== "streaming") {
		return { state: "blind", cause: lastErrorCode === null ? linkStep : `${linkStep}: ${lastErrorCode}` };
	}
	const stalled = lanes.find((lane) => lane.waitingForMs >= STALLED_AFTER_MS);
	if (stalled !== undefined) {
		const why = stalled.retryCode === null ? stalled.state : `${stalled.state}: ${stalled.retryCode}`;
		return { state: "stalled", cause: `lane ${stalled.id} is ${why}` };
	}
	if (pauseReasons.length > 0) {
		return { state: "backpressured", cause: pauseReasons.join(", ") };
	}
	if (probeProblem !== null) {
		return probeProblem;
	}
	if (behindBytes >= BEHIND_BYTES) {
		return { state: "behind", cause: "the server writes faster than Sluice reads, or an old transaction is open" };
	}
	return { state: "streaming", cause: null };
}

export class ProgressRecord {
	readonly #log: Logger;
	#judgement: Judgement = { state: "blind", cause: "starting" };
	#sinceMs = performance.now();
	#sinceLsn = "0/0";

	constructor(log: Logger) {
		this.#log = log;
	}

	/** @param receivedLsn text of the newest position received */
	observe(observation: ProgressObservation, receivedLsn: string): void {
		const next = judgeProgress(observation);
		const { state, cause } = this.#judgement;
		if (next.state === state && next.cause === cause) {
			return;
		}
		if (next.state !== state) {
			const fields = { from: state, to: next.state, cause: next.cause, afterMs: this.#ageMs(), receivedLsn };
			if (next.state === "stalled" || (next.state === "blind" && state !== "blind")) {
				this.#log.warn(fields, "progress changed");
			} else {
				this.#log.info(fields, "progress changed");
			}
			this.#sinceMs = performance.now();
			this.#sinceLsn = receivedLsn;
		}
		this.#judgement = next;
	}

	get state(): ProgressState {
		return this.#judgement.state;
	}

	status(): Omit<Status["progress"], "probe"> {
		return { ...this.#judgement, ageMs: this.#ageMs(), sinceLsn: this.#sinceLsn };
	}

	#ageMs(): number {
		return Math.round(performance.now() - this.#sinceMs);
	}
}
