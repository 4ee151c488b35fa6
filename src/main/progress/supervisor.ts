/**
 * Once a second: does everything advance? Puts together what lanes, link, probe and server say, tells the log on
 * each change, and has stuck lanes ended and a deaf link made anew. Owns the record, the probe and the window of
 * retained WAL; must never wait for anything. Called by the daemon, whose parts it sees only through its options.
 */

import { RETENTION_WARN_INTERVAL_MS } from "../../shared/limits.ts";
import type { Logger } from "../../shared/logging.ts";
import type { ProbeEmission, ServerObservation } from "../../shared/messages.ts";
import type { ProgressState, Status } from "../../shared/status.ts";
import { Probe, type ProbeDecision, type ProbeView } from "./probe.ts";
import { type LaneProgress, ProgressRecord } from "./progress.ts";
import { describeRetention, RetainedWalWindow, retentionWarnings } from "./retained-wal.ts";

/** What the flow says, in numbers. */
export type FlowView = Pick<
	ProbeView,
	"frameCount" | "writtenByAll" | "handedOutLsn" | "receivedLsn" | "acknowledgedLsn"
>;

export interface SupervisorOptions {
	readonly probeIntervalMs: number;
	readonly instanceId: string;
	readonly lanes: () => readonly LaneProgress[];
	readonly link: () => Status["link"];
	readonly flow: () => FlowView;
	/** Code of the error while the database is not reachable. */
	readonly databaseProblem: () => string | null;
	readonly emitProbe: (content: string) => Promise<ProbeEmission>;
	readonly endStuck: (lanes: readonly LaneProgress[]) => void;
	/** Ends the connection at hand, so that another is made. */
	readonly reconnect: (unseenForMs: number) => void;
	/** For HTTP threads, which tell it to health checks. */
	readonly onState: (state: ProgressState) => void;
	readonly log: Logger;
}

export class Supervisor {
	readonly #options: SupervisorOptions;
	readonly #record: ProgressRecord;
	readonly #probe: Probe;
	readonly #retained = new RetainedWalWindow();
	readonly #warnedAtMs = new Map<string, number>();
	#server: ServerObservation | null = null;

	constructor(options: SupervisorOptions) {
		this.#options = options;
		this.#record = new ProgressRecord(options.log);
		this.#probe = new Probe({
			intervalMs: options.probeIntervalMs,
			instanceId: options.instanceId,
			emit: options.emitProbe,
			log: options.log,
		});
	}

	get server(): ServerObservation | null {
		return this.#server;
	}

	/** The side connection has looked at the server. */
	observed(server: ServerObservation): void {
		this.#server = server;
		this.#retained.add(performance.now(), server.retainedWalBytes);
		this.#warn(server);
	}

	/** See Probe. */
	probeReceived(content: string, sequence: number): void {
		this.#probe.received(content, sequence, this.#options.flow().receivedLsn);
	}

	/** Lanes have written, or a position was acknowledged: perhaps a probe is home. Cheap. */
	advanced(): void {
		if (this.#probe.isComing) {
			this.#lookAtProbe(this.#options.link());
		}
	}

	tick(): void {
		const lanes = this.#options.lanes();
		const link = this.#options.link();
		const decision = this.#lookAtProbe(link);
		this.#record.observe(
			{
				linkState: link.state,
				linkStep: link.step,
				lastErrorCode: link.lastError?.code ?? this.#options.databaseProblem(),
				pauseReasons: link.pauseReasons,
				lanes,
				probeProblem: decision.problem,
				behindBytes: this.behindBytes,
			},
			link.receivedLsn,
		);
		this.#options.onState(this.#record.state);
		this.#options.endStuck(lanes);
	}

	/** WAL that the server has and we have not received; 0 when unknown. */
	get behindBytes(): number {
		const behind = (this.#server?.walLsn ?? 0n) - this.#options.flow().receivedLsn;
		return behind > 0n ? Number(behind) : 0;
	}

	progressStatus(): Status["progress"] {
		return { ...this.#record.status(), probe: this.#probe.status() };
	}

	serverStatus(): Status["server"] {
		const server = this.#server;
		return server === null
			? null
			: {
					walStatus: server.walStatus,
					safeWalBytes: server.safeWalBytes,
					retainedWalBytes: server.retainedWalBytes,
					behindBytes: this.behindBytes,
					syncState: server.syncState,
				};
	}

	walStatus(): Status["wal"] {
		return this.#server === null ? null : describeRetention(this.#server, this.#retained);
	}

	#lookAtProbe(link: Status["link"]): ProbeDecision {
		const decision = this.#probe.look({
			...this.#options.flow(),
			nowMs: performance.now(),
			linkStreaming: link.state === "streaming",
			paused: link.paused,
			walsenderBusy: this.#server?.walsenderActive === true && this.#server.walsenderWaitEvent === null,
		});
		if (decision.reconnect) {
			this.#options.reconnect(this.#probe.status().stageAgeMs);
		}
		return decision;
	}

	#warn(server: ServerObservation): void {
		const nowMs = performance.now();
		const wal = this.walStatus();
		for (const { kind, message, remedy } of retentionWarnings(wal, server.syncState)) {
			if (nowMs - (this.#warnedAtMs.get(kind) ?? Number.NEGATIVE_INFINITY) >= RETENTION_WARN_INTERVAL_MS) {
				this.#warnedAtMs.set(kind, nowMs);
				this.#options.log.warn({ ...wal, syncState: server.syncState, remedy }, message);
			}
		}
	}
}
