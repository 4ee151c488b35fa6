/**
 * The registrar: data directory, catalogue, lock, position, and the attaching of lanes and HTTP threads. Owns
 * the order in which its rooms start and stop; must never be on the path of a row. Called by main
 * (RegistrarControl) through the entry, src/workers/registrar.ts.
 */

import type { MessagePort } from "node:worker_threads";
import { must } from "../../shared/assert.ts";
import { probePrefix } from "../../shared/config.ts";
import { exposeControl } from "../../shared/control-call.ts";
import { SluiceError } from "../../shared/errors.ts";
import { formatLsn } from "../../shared/lsn.ts";
import type {
	LinkFacts,
	ProbeEmission,
	RegistrarControl,
	RegistrarOpened,
	ShapeRequest,
	StoredPosition,
} from "../../shared/messages.ts";
import { ShapeTable } from "../../shared/shape-table.ts";
import { waitMs } from "./backoff.ts";
import { DataDirectory } from "./data-directory.ts";
import type { FollowedShapes } from "./followed-shapes.ts";
import { Following } from "./following.ts";
import { Lanes } from "./lanes.ts";
import type { StreamLock } from "./lock.ts";
import { decidePosition } from "./position.ts";
import type { Reconciler } from "./reconciler.ts";
import { assembleRooms, cataloguePath, type RegistrarOptions, type RegistrarRooms } from "./rooms.ts";
import type { Shapes } from "./shapes.ts";
import { takeUpShapes } from "./take-up.ts";

/** A position waits for the removals before it; main tries again later. */
const REMOVALS_WAIT_MS = 5_000;
/**
 * After a purge lanes still hold batches of the old history until main has told them to skip those; a shape that came
 * to a lane before that would get them. Main tells them at once when it is told of the purge.
 */
const PURGE_REST_MS = 1_000;

export class Registrar implements RegistrarControl {
	readonly #options: RegistrarOptions;
	readonly #lanes = new Lanes();
	readonly #httpPorts: MessagePort[] = [];
	readonly #stopping = new AbortController();
	#opened: RegistrarRooms | null = null;
	/** As long as another daemon writes the data directory. */
	#following: Following | null = null;
	/** Set by reconcilePosition; before it nobody knows whether shapes can be continued. */
	#position: StoredPosition | null = null;
	/** What is there was compared with the database since the start: shapes may be made. */
	#compared = false;
	#purgeOver: Promise<unknown> = Promise.resolve();
	#countScheduled = false;

	constructor(options: RegistrarOptions) {
		this.#options = options;
	}

	/** Between open and stop. */
	get shapes(): Shapes {
		return this.#rooms.shapes;
	}

	get reconciler(): Reconciler {
		return this.#rooms.reconciler;
	}

	// --- RegistrarControl

	async open(): Promise<RegistrarOpened> {
		const directory = DataDirectory.open(this.#options.init.config.dataDir);
		let opened: RegistrarRooms | null = null;
		try {
			const isOurs = directory.tryLock();
			opened = this.#assemble(directory);
			if (isOurs) {
				opened.catalogue.open();
				const begun = await this.#beginWriting(opened, null);
				this.#opened = opened;
				return begun;
			}
			this.#following = this.#follow(opened);
			this.#following.start();
			this.#opened = opened;
			const shapeCount = this.#following.shapes.count;
			this.#options.logger.info({ shapes: shapeCount }, "another daemon writes the data directory, reading along");
			return { role: "follower", position: null, shapeCount };
		} catch (error) {
			await this.#following?.close();
			opened?.catalogue.close();
			directory.close();
			throw error;
		}
	}

	async takeOver(): Promise<RegistrarOpened> {
		const following = must(this.#following, "only a registrar that follows takes over");
		await following.untilOurs();
		const opened = this.#rooms;
		const beganMs = performance.now();
		opened.catalogue.open();
		await following.finish();
		const begun = await this.#beginWriting(opened, following.shapes);
		this.#following = null;
		const tookMs = Math.round(performance.now() - beganMs);
		this.#options.logger.info({ ...begun, position: undefined, tookMs }, "the data directory is ours now");
		return begun;
	}

	async #beginWriting(opened: RegistrarRooms, followed: FollowedShapes | null): Promise<RegistrarOpened> {
		const { logger, init } = this.#options;
		const shapeCount = await takeUpShapes(
			{ ...opened, dataDir: init.config.dataDir, logger },
			followed,
			this.#stopping.signal,
		);
		opened.expiry.restore();
		opened.reconciler.start();
		opened.expiry.start();
		return { role: "writer", position: opened.catalogue.position(), shapeCount };
	}

	#follow({ directory, slots, announcer, requests }: RegistrarRooms): Following {
		const { init, followLog, logger } = this.#options;
		return new Following({
			directory,
			cataloguePath: cataloguePath(init.config.dataDir),
			followLog,
			slots,
			announcer,
			requests,
			table: new ShapeTable(init.shapeTable),
			dataDir: init.config.dataDir,
			laneCount: init.config.workers,
			onCount: () => this.#announceCount(),
			logger,
			signal: this.#stopping.signal,
		});
	}

	async acquireLock(): Promise<void> {
		this.#rooms.breaker.start();
		await this.#rooms.lock.acquire();
		this.#rooms.watch.start();
	}

	async reconcilePosition(
		facts: LinkFacts,
		receivedLsn: bigint | null = null,
	): Promise<{ readonly startLsn: bigint; readonly purged: boolean }> {
		const { catalogue, shapes, inspector, publication, reconciler, continuity } = this.#rooms;
		const stored = catalogue.position();
		const decision = decidePosition(stored, facts, receivedLsn);
		if (decision.purge !== null) {
			const over = Promise.withResolvers<void>();
			if (this.#position !== null) {
				this.#purgeOver = over.promise.then(() => waitMs(PURGE_REST_MS, this.#stopping.signal));
			}
			if (shapes.count > 0) {
				this.#options.logger.warn(
					{
						reason: decision.purge,
						shapes: shapes.count,
						storedLsn: stored === null ? null : formatLsn(stored.acknowledgedLsn),
						slotLsn: formatLsn(facts.confirmedFlushLsn),
					},
					"the stream has a gap, dropping every shape",
				);
			}
			inspector.clear();
			publication.forgetAll();
			continuity.reset();
			// Durable before the position moves: a crash in between must not leave old shapes behind a new position.
			await shapes.purge().finally(over.resolve);
		}
		const { systemIdentifier, timeline, slotName: slot } = facts;
		this.#position = { systemIdentifier, timeline, slotName: slot, acknowledgedLsn: decision.startLsn };
		catalogue.storePosition(this.#position);
		if (!this.#compared) {
			// A table that left the publication while nobody looked must not be put back first.
			await reconciler.checkAll();
			this.#compared = true;
		}
		return { startLsn: decision.startLsn, purged: decision.purge !== null };
	}

	async storeAcknowledged(lsn: bigint): Promise<void> {
		await this.#rooms.shapes.removalsDurable(REMOVALS_WAIT_MS);
		const position = must(this.#position, "the position is reconciled before anything is acknowledged");
		if (lsn > position.acknowledgedLsn) {
			const next = { ...position, acknowledgedLsn: lsn };
			this.#rooms.catalogue.storePosition(next);
			this.#position = next;
		}
	}

	async attachLane(attachment: {
		readonly lane: number;
		readonly control: MessagePort;
		readonly events: MessagePort;
	}): Promise<void> {
		const { shapes, reconciler, continuity } = this.#rooms;
		const { lane, control, events } = attachment;
		const connection = this.#lanes.attach(lane, control, events, (event) => {
			if (event.kind === "invalidated") {
				shapes.onLaneEvent(event);
			} else {
				reconciler.checkPartitionedSoon();
			}
		});
		continuity.begin(connection);
		await shapes.restoreLane(connection);
	}

	async attachHttp(attachment: { readonly port: MessagePort }): Promise<void> {
		const { subsets } = this.#rooms;
		this.#httpPorts.push(attachment.port);
		exposeControl(
			{
				resolveShape: (request: ShapeRequest) => this.readable.resolveShape(request),
				findHandle: (handle: string) => this.readable.findHandle(handle),
				deleteShape: (request: Parameters<Shapes["deleteShape"]>[0]) => this.readable.deleteShape(request),
				reportCorrupt: (handle: string, generation: number) => this.readable.reportCorrupt(handle, generation),
				querySubset: subsets.query.bind(subsets),
				cancelSubset: subsets.cancel.bind(subsets),
			},
			attachment.port,
		);
	}

	async nudgeSlotCreation(): Promise<void> {
		try {
			await this.#rooms.database.query("SELECT pg_catalog.pg_log_standby_snapshot()");
		} catch (err) {
			// Before 16 there is no such function, and by default it is a superuser's.
			this.#options.logger.debug({ err }, "the server could not be asked to log its running transactions");
		}
	}

	async emitProbe(content: string): Promise<ProbeEmission> {
		return this.#rooms.watch.emitProbe(probePrefix(this.#options.init.config), content);
	}

	async stop(): Promise<void> {
		const opened = this.#opened;
		this.#stopping.abort();
		if (opened === null) {
			return;
		}
		this.#opened = null;
		await this.#following?.close();
		await opened.reconciler.stop();
		await opened.expiry.stop();
		await opened.shapes.stop();
		for (const port of this.#httpPorts) {
			port.close();
		}
		await opened.snapshots.close();
		this.#lanes.close();
		await opened.watch.close();
		await opened.breaker.close();
		await opened.lock.close();
		await opened.database.close();
		await opened.queries.close();
		opened.announcer.close();
		opened.catalogue.close();
		opened.directory.close();
	}

	// --- assembly

	get #rooms(): RegistrarRooms {
		if (this.#opened === null) {
			throw new SluiceError("SLUICE_NOT_ACTIVE");
		}
		return this.#opened;
	}

	/** Of the process that writes: ours, or the other one as we see it. */
	get readable(): Shapes | FollowedShapes {
		return this.#following?.shapes ?? this.#rooms.shapes;
	}

	#assemble(directory: DataDirectory): RegistrarRooms {
		const isPositioned = (): boolean => this.#position !== null;
		return assembleRooms(directory, {
			...this.#options,
			lanes: this.#lanes,
			signal: this.#stopping.signal,
			obstacle: (lock) => this.#obstacle(lock),
			purgeOver: () => this.#untilPurgeOver(),
			isPositioned,
			onCount: () => this.#announceCount(),
			readableShape: (handle, generation) => this.readable.readable(handle, generation),
		});
	}

	/** Why no shape can be made now. */
	#obstacle(lock: StreamLock): SluiceError | null {
		if (this.#stopping.signal.aborted) {
			return new SluiceError("SLUICE_NOT_ACTIVE");
		}
		if (!lock.held) {
			return new SluiceError(lock.reachable ? "SLUICE_NOT_ACTIVE" : "SLUICE_DATABASE_UNAVAILABLE");
		}
		return this.#compared ? null : new SluiceError("SLUICE_NOT_ACTIVE");
	}

	async #untilPurgeOver(): Promise<void> {
		let awaited: Promise<unknown> | null = null;
		// Another one may begin meanwhile.
		while (awaited !== this.#purgeOver) {
			awaited = this.#purgeOver;
			await awaited;
		}
	}

	#announceCount(): void {
		if (!this.#countScheduled) {
			this.#countScheduled = true;
			setImmediate(() => {
				this.#countScheduled = false;
				if (this.#opened !== null) {
					this.#options.onEvent({ kind: "shapes", count: this.readable.count });
				}
			});
		}
	}
}
