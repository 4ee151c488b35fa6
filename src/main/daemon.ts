/**
 * The composition root of the service: starts the threads in order, wires the stages to each other, stops them
 * in reverse. Owns every thread and nothing else; must never do a stage's work. Called by the command line
 * and by tests.
 */

import { randomUUID } from "node:crypto";
import { type Config, probePrefix, publicationName, slotName } from "../shared/config.ts";
import { withTransfer } from "../shared/control-call.ts";
import { databaseUrlSource } from "../shared/database-url.ts";
import { SluiceError } from "../shared/errors.ts";
import { type Fault, NO_FAULTS } from "../shared/fault-points.ts";
import { createLogger, type Logger } from "../shared/logging.ts";
import { formatLsn } from "../shared/lsn.ts";
import type {
	MainControl,
	RegistrarControl,
	RegistrarEvent,
	RegistrarInit,
	RegistrarOpened,
	ThreadSample,
} from "../shared/messages.ts";
import { LEVEL_ACTIVE, LEVEL_READ_ONLY, NO_SLOT, ShapeTable, type StatusLevel } from "../shared/shape-table.ts";
import { type LaneState, PROGRESS_STATES, type Status } from "../shared/status.ts";
import { startDelayHistogram } from "../shared/thread-sample.ts";
import { Flow } from "./flow/flow.ts";
import { laneBatch } from "./lane-batch.ts";
import { LockGrace } from "./lock-grace.ts";
import { HttpThreads } from "./pool/http-threads.ts";
import { Lanes } from "./pool/lanes.ts";
import { ServiceThread } from "./pool/service-thread.ts";
import { Supervisor } from "./progress/supervisor.ts";
import { Replication } from "./replication.ts";
import { SlotCreationPatience } from "./slot-creation.ts";
import { StatusMonitor } from "./status/status-monitor.ts";
import { describeStatus } from "./status-document.ts";

export interface DaemonOptions {
	readonly config: Config & { readonly databaseUrl: string };
	/** Does not follow another daemon that has the data directory, whose end would be the end of the database too. */
	readonly exclusive?: boolean;
	/** Planned faults: tests only. */
	readonly faults?: readonly Fault[];
	/** Tests only: proves that the keepalive is what holds the link. */
	readonly disableKeepalive?: boolean;
}

type RegistrarThread = ServiceThread<RegistrarInit, RegistrarControl, RegistrarEvent>;

const WATCHDOG_INTERVAL_MS = 1_000;
const LANES_STOP_DEADLINE_MS = 10_000;
const THREAD_STOP_DEADLINE_MS = 5_000;
const LEVEL_NAMES: Record<StatusLevel, Status["level"]> = { 0: "starting", 1: "read-only", 2: "active" };

/** Starts the service; resolves when it listens. What fails later ends {@link Daemon.finished}. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
	const daemon = new Daemon(options);
	try {
		await daemon.start();
	} catch (error) {
		await daemon.stop();
		throw error;
	}
	return daemon;
}

export class Daemon {
	/** Resolves when the service was stopped; rejects when it had to stop. */
	readonly finished: Promise<void>;
	readonly #config: DaemonOptions["config"];
	readonly #exclusive: boolean;
	readonly #log: Logger;
	readonly #instanceId = randomUUID();
	readonly #shapeTable = ShapeTable.create();
	readonly #status: StatusMonitor;
	readonly #flow: Flow;
	readonly #lanes: Lanes;
	readonly #replication: Replication;
	readonly #registrar: RegistrarThread;
	readonly #http: HttpThreads;
	readonly #supervisor: Supervisor;
	readonly #slotCreation = new SlotCreationPatience();
	readonly #lockGrace = new LockGrace(() => {
		this.#log.warn("the stream's lock was lost and not regained, giving the slot up");
		this.#replication.forbid("lock-lost");
	});
	readonly #delay = startDelayHistogram();
	readonly #samples = new Map<string, ThreadSample>();
	readonly #startedMs = performance.now();
	#finish: (error: Error | null) => void = () => undefined;
	#shapeCount = 0;
	#ports = { port: 0, adminPort: 0 };
	#acknowledgedAtStart = 0n;
	#stopping: Promise<void> | null = null;
	#databaseProblem: string | null = null;
	#watchdog: NodeJS.Timeout | undefined;
	#streamedBefore = false;

	constructor(options: DaemonOptions) {
		const { config } = options;
		this.#config = config;
		this.#exclusive = options.exclusive ?? false;
		this.#log = createLogger(config.logLevel, "main");
		this.finished = new Promise((resolve, reject) => {
			this.#finish = (error) => (error === null ? resolve() : reject(error));
		});
		// Whoever does not wait for the end must not be ended by an unheard rejection.
		this.finished.catch(() => undefined);
		this.#status = new StatusMonitor((level) => this.#levelChanged(level));
		this.#flow = new Flow({
			windowBytes: config.windowBytes,
			lanes: config.workers,
			probePrefix: probePrefix(config),
			events: {
				probe: (content, sequence) => this.#supervisor.probeReceived(content, sequence),
				dispatch: (batch) => this.#lanes.dispatch(laneBatch(batch)),
				pause: () => this.#replication.pauseReading(),
				resume: () => this.#replication.resumeReading(),
				acknowledgeable: (lsn) => this.#replication.acknowledgeable(lsn),
			},
		});
		this.#registrar = new ServiceThread<RegistrarInit, RegistrarControl, RegistrarEvent>({
			entry: "registrar",
			init: { config, instanceId: this.#instanceId, shapeTable: this.#shapeTable.memory },
			transfer: [],
			onEvent: (event) => this.#registrarEvent(event),
			onDied: (error) => this.#fatal(error),
		});
		this.#lanes = this.#createLanes(options.faults ?? NO_FAULTS);
		this.#http = new HttpThreads({
			config,
			instanceId: this.#instanceId,
			shapeTable: this.#shapeTable.memory,
			mainControl: this.#mainControl(),
			attachToRegistrar: (port) => this.#registrar.control.attachHttp(withTransfer({ port }, [port])),
			onSample: (thread, sample) => this.#samples.set(thread, sample),
			onFatal: (error) => this.#fatal(error),
			log: this.#log,
		});
		this.#replication = new Replication({
			link: {
				databaseUrl: databaseUrlSource(config.databaseUrl, config.databaseUrlFile),
				slotName: slotName(config),
				publicationName: publicationName(config),
				slotFailover: config.slotFailover,
				testHooks: { disableKeepalive: options.disableKeepalive ?? false },
			},
			flow: this.#flow,
			pauseLimitMs: config.pauseLimitMs,
			onPurge: (epoch) => this.#lanes.purge(epoch),
			reconcile: (facts, receivedLsn) => this.#registrar.control.reconcilePosition(facts, receivedLsn),
			storeAcknowledged: (lsn) => this.#registrar.control.storeAcknowledged(lsn),
			onAcknowledged: () => this.#supervisor.advanced(),
			onStreaming: (streaming) => this.#streaming(streaming),
			onIdleLsn: (lsn) => this.#shapeTable.setIdleLsn(lsn),
			onFatal: (error) => this.#fatal(error),
			log: this.#log,
		});
		this.#supervisor = this.#createSupervisor();
	}

	/** Where it listens. */
	get ports(): { readonly port: number; readonly adminPort: number } {
		return this.#ports;
	}

	/**
	 * Opens the data directory and listens. When the directory is ours, restores the shapes, then connects in the
	 * background; when another daemon writes it, serves what there is, and does the same once that one has ended.
	 * @throws SluiceError what the registrar's `open` and the HTTP threads' `listen` throw; `SLUICE_DATA_DIR_LOCKED`
	 */
	async start(): Promise<void> {
		const opened = await this.#registrar.control.open();
		if (opened.role === "follower" && this.#exclusive) {
			throw new SluiceError("SLUICE_DATA_DIR_LOCKED", { dataDir: this.#config.dataDir });
		}
		this.#shapeCount = opened.shapeCount;
		this.#status.set("catalogue", true);
		this.#ports = await this.#http.start();
		this.#status.set("http", true);
		if (opened.role === "writer") {
			await this.#lead(opened);
			return;
		}
		this.#status.set("following", true);
		this.#log.info({ ...this.#ports, shapes: opened.shapeCount }, "sluice is listening, and follows another daemon");
		this.#takeOver().catch((error: unknown) => this.#fatal(asSluiceError(error)));
	}

	/** However long the other daemon lives. Readers keep reading, and waiting, all the while. */
	async #takeOver(): Promise<void> {
		const opened = await Promise.race([this.#registrar.control.takeOver(), this.finished]);
		if (opened !== undefined && this.#stopping === null) {
			this.#log.info("the other daemon has ended, taking over");
			await this.#lead(opened);
		}
	}

	/** The data directory is ours: its shapes are taken up by lanes, and the stream by the link. */
	async #lead({ position, shapeCount }: RegistrarOpened): Promise<void> {
		this.#acknowledgedAtStart = position?.acknowledgedLsn ?? 0n;
		this.#shapeCount = shapeCount;
		// Lanes that cannot start make the service end instead; then nobody answers this.
		await Promise.race([this.#lanes.start(), this.finished]);
		if (this.#stopping !== null) {
			return;
		}
		this.#status.set("following", false);
		this.#watchdog = setInterval(() => this.#watch(), WATCHDOG_INTERVAL_MS);
		this.#log.info(
			{
				...this.#ports,
				workers: this.#config.workers,
				httpThreads: this.#config.httpThreads,
				shapes: shapeCount,
				acknowledgedLsn: formatLsn(this.#acknowledgedAtStart),
			},
			"sluice is listening",
		);
		this.#connect();
	}

	status(): Promise<Status> {
		return describeStatus({
			level: LEVEL_NAMES[this.#status.level],
			supervisor: this.#supervisor,
			link: this.#replication.status(),
			flow: this.#flow,
			lanes: this.#lanes,
			workers: [["registrar", this.#registrar.worker] as const, ...this.#http.workers],
			samples: this.#samples,
			delay: this.#delay,
			shapeCount: this.#shapeCount,
			startedMs: this.#startedMs,
		});
	}

	suspendLanes(lane: number | null): Promise<void> {
		return this.#lanes.suspend(lane);
	}

	resumeLanes(lane: number | null): Promise<void> {
		return this.#lanes.resume(lane);
	}

	/** Ends everything in order: requests, reading, lanes (with a checkpoint), the link, the registrar. */
	stop(): Promise<void> {
		this.#stopping ??= this.#stop().then(() => this.#finish(null));
		return this.#stopping;
	}

	async #stop(): Promise<void> {
		this.#log.info("sluice is stopping");
		clearInterval(this.#watchdog);
		this.#lockGrace.stop();
		this.#replication.stopReading();
		await this.#http.stop(THREAD_STOP_DEADLINE_MS);
		await this.#lanes.stop(LANES_STOP_DEADLINE_MS);
		this.#flow.pump();
		await this.#replication.stop();
		await this.#registrar.stop(() => this.#registrar.control.stop(), THREAD_STOP_DEADLINE_MS);
		this.#flow.stop();
		this.#delay.disable();
		this.#log.info("sluice has stopped");
	}

	#createLanes(faults: readonly Fault[]): Lanes {
		return new Lanes({
			task: {
				config: this.#config,
				instanceId: this.#instanceId,
				shapeTable: this.#shapeTable.memory,
				segments: this.#flow.window.segments,
				faults,
			},
			resume: (lane) => this.#flow.resumeOf(lane, this.#acknowledgedAtStart),
			lastSequence: () => this.#flow.lastSequence,
			workingOn: (lane) => this.#slotInWork(lane),
			batchesFrom: (sequence) => this.#flow.window.from(sequence).map(laneBatch),
			attachToRegistrar: (lane, ports) =>
				this.#registrar.control.attachLane(withTransfer({ lane, ...ports }, [ports.control, ports.events])),
			untilActive: (deadlineMs) => this.#status.waitFor(LEVEL_ACTIVE, { deadlineMs }).catch(() => undefined),
			log: this.#log,
			events: {
				written: (lane, sequence) => {
					this.#flow.written(lane, sequence);
					this.#supervisor.advanced();
				},
				durable: (lane, lsn, streamEpoch) => this.#flow.durable(lane, lsn, streamEpoch),
				sample: (lane, sample) => this.#samples.set(`lane-${lane}`, sample),
				states: (states) => this.#laneStates(states),
				fatal: (error) => this.#fatal(error),
			},
		});
	}

	#createSupervisor(): Supervisor {
		const { ack } = this.#flow;
		return new Supervisor({
			probeIntervalMs: this.#config.probeIntervalMs,
			instanceId: this.#instanceId,
			lanes: () => this.#lanes.progress(),
			link: () => this.#replication.status(),
			flow: () => ({
				frameCount: this.#flow.frameCount,
				writtenByAll: this.#flow.writtenByAll,
				handedOutLsn: ack.handedOut,
				receivedLsn: ack.received,
				acknowledgedLsn: this.#replication.acknowledgedLsn,
			}),
			databaseProblem: () => this.#databaseProblem,
			emitProbe: (content) => this.#registrar.control.emitProbe(content),
			endStuck: (lanes) => this.#lanes.endStuck(lanes, this.#config.lanePatienceMs),
			reconnect: (unseenForMs) => this.#replication.reconnect(unseenForMs),
			onState: (state) => this.#shapeTable.setProgress(PROGRESS_STATES.indexOf(state)),
			log: this.#log,
		});
	}

	#slotInWork(lane: number): number | null {
		const slot = this.#shapeTable.laneWorkingOn(lane);
		return slot === NO_SLOT ? null : slot;
	}

	#laneStates(states: readonly LaneState[]): void {
		const starting = states.some((state) => state === "restarting" || state === "starting");
		this.#status.set("lanes", !starting);
		this.#flow.setReason("lane", states.includes("restarting"));
		this.#flow.setReason("not-ready", states.includes("retrying"));
	}

	#mainControl(): MainControl {
		return {
			status: () => this.status(),
			suspendLanes: (lane) => this.suspendLanes(lane),
			resumeLanes: (lane) => this.resumeLanes(lane),
			profileLane: (lane, seconds) => this.#profileLane(lane, seconds),
		};
	}

	/** From outside the thread: a busy lane is profiled without its help. */
	async #profileLane(lane: number, seconds: number): Promise<string> {
		const worker = this.#lanes.thread(lane);
		if (worker === null) {
			throw new SluiceError("SLUICE_THREAD_GONE", { lane });
		}
		const profile = await worker.startCpuProfile();
		await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
		return profile.stop();
	}

	/** Once a second: does everything advance, and does a lane have to be ended? */
	#watch(): void {
		this.#supervisor.tick();
		if (this.#slotCreation.isDue(this.#replication.status().step, performance.now())) {
			this.#log.warn("the slot cannot be created yet: open transactions have to end first");
			this.#registrar.control.nudgeSlotCreation().catch(() => undefined);
		}
	}

	#connect(): void {
		this.#registrar.control.acquireLock().then(
			() => {
				this.#lockChanged(true);
				if (this.#stopping === null) {
					this.#replication.start();
				}
			},
			(error: unknown) => this.#fatal(asSluiceError(error)),
		);
	}

	#streaming(streaming: boolean): void {
		this.#status.set("link", streaming);
		if (streaming && !this.#streamedBefore) {
			// Start-up is not load: the delays that count begin here.
			this.#streamedBefore = true;
			this.#delay.reset();
		}
	}

	#registrarEvent(event: RegistrarEvent): void {
		switch (event.kind) {
			case "shapes":
				this.#shapeCount = event.count;
				return;
			case "sample":
				this.#samples.set("registrar", event);
				return;
			case "server":
				this.#supervisor.observed(event.observation);
				this.#replication.observed(event.observation);
				return;
			case "server-leaving":
				this.#log.warn("the server is ending sessions: it shuts down");
				this.#replication.serverLeaving();
				return;
			case "lock":
				this.#lockChanged(event.held);
				return;
			case "database":
				this.#databaseProblem = event.problem;
				this.#log.info({ reachable: event.reachable }, "database reachability changed");
		}
	}

	/**
	 * Without the lock another daemon may be waiting for our slot. The connection that held it is usually back at
	 * once; if not, the link is closed, so that whoever holds the lock now can follow the slot.
	 */
	#lockChanged(held: boolean): void {
		this.#status.set("lock", held);
		if (held) {
			this.#lockGrace.held();
			this.#replication.allow();
		} else if (this.#stopping === null) {
			this.#lockGrace.lost();
		}
	}

	#levelChanged(level: StatusLevel): void {
		this.#shapeTable.setStatusLevel(level);
		const missing = this.#status.missing;
		if (level === LEVEL_ACTIVE) {
			this.#log.info({ serviceLevel: LEVEL_NAMES[level] }, "service level changed");
		} else if (level === LEVEL_READ_ONLY || this.#stopping === null) {
			this.#log.info({ serviceLevel: LEVEL_NAMES[level], missing }, "service level changed");
		}
	}

	#fatal(error: SluiceError): void {
		if (this.#stopping !== null) {
			return;
		}
		this.#log.fatal({ err: error }, "sluice has to stop");
		this.#finish(error);
		this.stop().catch(() => undefined);
	}
}

function asSluiceError(error: unknown): SluiceError {
	return error instanceof SluiceError ? error : new SluiceError("SLUICE_INTERNAL", { cause: error });
}
