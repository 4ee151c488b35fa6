/**
 * The registrar: data directory, catalogue, lock, position, and the attaching of lanes and HTTP threads. Owns
 * the order in which its rooms start and stop; must never be on the path of a row. Called by main
 * (RegistrarControl) through the entry, src/workers/registrar.ts.
 */

import { join } from "node:path";
import type { MessagePort } from "node:worker_threads";
import { must } from "../../shared/assert.ts";
import { probePrefix, publicationName, slotName } from "../../shared/config.ts";
import { exposeControl } from "../../shared/control-call.ts";
import { SluiceError } from "../../shared/errors.ts";
import { shapesDirectory } from "../../shared/log-layout.ts";
import type { Logger } from "../../shared/logging.ts";
import { formatLsn } from "../../shared/lsn.ts";
import type {
	LinkFacts,
	ProbeEmission,
	RegistrarControl,
	RegistrarEvent,
	RegistrarInit,
	StoredPosition,
} from "../../shared/messages.ts";
import { ShapeTable } from "../../shared/shape-table.ts";
import { waitMs } from "./backoff.ts";
import { Catalogue, type StoredShape } from "./catalogue.ts";
import { makeConnections } from "./connections.ts";
import { Continuity } from "./continuity.ts";
import { type DataDirectoryLock, lockDataDirectory } from "./data-directory.ts";
import type { Database } from "./database.ts";
import { Inspector } from "./inspector.ts";
import { Lanes } from "./lanes.ts";
import { StreamLock } from "./lock.ts";
import { existingDirectories, removeOrphans } from "./orphans.ts";
import { decidePosition } from "./position.ts";
import { Publication } from "./publication.ts";
import { Reconciler } from "./reconciler.ts";
import { ServerWatch } from "./server-watch.ts";
import { ShapeRequests, type WhereParser } from "./shape-request.ts";
import { Shapes } from "./shapes.ts";
import { SlotAnnouncer, Slots } from "./slots.ts";
import { SnapshotPool } from "./snapshots.ts";
import { type OrderByParser, SubsetQueries } from "./subset-query.ts";

/** A position waits for the removals before it; main tries again later. */
const REMOVALS_WAIT_MS = 5_000;
/**
 * After a purge lanes still hold batches of the old history until main has told them to skip those; a shape that came
 * to a lane before that would get them. Main tells them at once when it is told of the purge.
 */
const PURGE_REST_MS = 1_000;

export interface RegistrarOptions {
	readonly init: Pick<RegistrarInit, "config" | "instanceId" | "shapeTable">;
	readonly whereParser: WhereParser & OrderByParser;
	readonly logger: Logger;
	readonly onEvent: (event: RegistrarEvent) => void;
	/** The registrar cannot go on: its thread should end. */
	readonly onFatal: (error: unknown) => void;
}

/** What exists between open and stop. */
interface Opened {
	readonly directoryLock: DataDirectoryLock;
	readonly catalogue: Catalogue;
	readonly database: Database;
	/** The same, or through a pooler. */
	readonly queries: Database;
	readonly inspector: Inspector;
	readonly publication: Publication;
	readonly snapshots: SnapshotPool;
	readonly continuity: Continuity;
	readonly announcer: SlotAnnouncer;
	readonly shapes: Shapes;
	readonly subsets: SubsetQueries;
	readonly lock: StreamLock;
	readonly watch: ServerWatch;
	readonly reconciler: Reconciler;
}

export class Registrar implements RegistrarControl {
	readonly #options: RegistrarOptions;
	readonly #lanes = new Lanes();
	readonly #httpPorts: MessagePort[] = [];
	readonly #stopping = new AbortController();
	#opened: Opened | null = null;
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

	async open(): Promise<{ readonly position: StoredPosition | null; readonly shapeCount: number }> {
		const { config } = this.#options.init;
		const directoryLock = lockDataDirectory(config.dataDir);
		let catalogue: Catalogue | null = null;
		try {
			catalogue = new Catalogue(join(config.dataDir, "catalogue.sqlite"), shapesDirectory(config.dataDir));
			const stored = catalogue.shapes();
			const opened = this.#assemble(directoryLock, catalogue);
			const shapeCount = await this.#restore(opened, stored);
			this.#opened = opened;
			opened.reconciler.start();
			return { position: catalogue.position(), shapeCount };
		} catch (error) {
			catalogue?.close();
			directoryLock.release();
			throw error;
		}
	}

	/** Fills the shape table with what is still there, and clears away what nobody owns. */
	async #restore(opened: Opened, stored: readonly StoredShape[]): Promise<number> {
		const { logger, init } = this.#options;
		const existing = existingDirectories(init.config.dataDir);
		const kept = stored.filter((shape) => existing.has(shape.handle));
		for (const shape of stored.filter((each) => !existing.has(each.handle))) {
			logger.warn({ handle: shape.handle }, "a shape's directory is missing, dropping the shape");
			await opened.catalogue.removeShape(shape.handle);
		}
		for (const shape of kept) {
			opened.inspector.intern(shape.definition.table);
		}
		opened.shapes.restore(kept);
		const owned = new Set(kept.map((shape) => shape.handle));
		const orphans = [...existing].filter((name) => !owned.has(name));
		void removeOrphans(init.config.dataDir, orphans, this.#stopping.signal, logger);
		logger.info({ shapes: kept.length, orphans: orphans.length }, "the catalogue is open");
		return kept.length;
	}

	async acquireLock(): Promise<void> {
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
		const { shapes, reconciler } = this.#rooms;
		const { lane, control, events } = attachment;
		const connection = this.#lanes.attach(lane, control, events, (event) => {
			if (event.kind === "invalidated") {
				shapes.onLaneEvent(event);
			} else {
				reconciler.checkPartitionedSoon();
			}
		});
		await shapes.restoreLane(connection);
	}

	async attachHttp(attachment: { readonly port: MessagePort }): Promise<void> {
		const { shapes, subsets } = this.#rooms;
		this.#httpPorts.push(attachment.port);
		exposeControl(
			{
				resolveShape: shapes.resolveShape.bind(shapes),
				findHandle: shapes.findHandle.bind(shapes),
				deleteShape: shapes.deleteShape.bind(shapes),
				reportCorrupt: shapes.reportCorrupt.bind(shapes),
				querySubset: subsets.query.bind(subsets),
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
		await opened.reconciler.stop();
		await opened.shapes.stop();
		for (const port of this.#httpPorts) {
			port.close();
		}
		await opened.snapshots.close();
		this.#lanes.close();
		await opened.watch.close();
		await opened.lock.close();
		await opened.database.close();
		await opened.queries.close();
		opened.announcer.close();
		opened.catalogue.close();
		opened.directoryLock.release();
	}

	// --- assembly

	get #rooms(): Opened {
		if (this.#opened === null) {
			throw new SluiceError("SLUICE_NOT_ACTIVE");
		}
		return this.#opened;
	}

	#assemble(directoryLock: DataDirectoryLock, catalogue: Catalogue): Opened {
		const { init, whereParser, logger, onEvent, onFatal } = this.#options;
		const { config, instanceId } = init;
		const { signal } = this.#stopping;
		const connections = makeConnections(config, logger);
		const { target, database, queries } = connections;
		const inspector = new Inspector(queries);
		const publication = new Publication({
			database,
			memberships: catalogue,
			name: publicationName(config),
			manual: config.manualTablePublishing,
			endShapes: (tableOid) => shapes.endTable(tableOid),
			signal,
		});
		const snapshots = new SnapshotPool(connections.snapshotUrl, config.chunkBytes, onFatal);
		const continuity = new Continuity(database);
		const announcer = new SlotAnnouncer(instanceId);
		const lock = new StreamLock({
			target,
			slotName: slotName(config),
			logger,
			onReachable: (reachable, problem) => onEvent({ kind: "database", reachable, problem: problem?.code ?? null }),
			onHeld: (held) => onEvent({ kind: "lock", held }),
		});
		const watch = new ServerWatch({
			target,
			slotName: slotName(config),
			onObservation: (observation) => onEvent({ kind: "server", observation }),
			onLeaving: () => onEvent({ kind: "server-leaving" }),
			logger,
		});
		const shapes = new Shapes({
			table: new ShapeTable(init.shapeTable),
			announcer,
			lanes: this.#lanes,
			publication,
			snapshots,
			continuity,
			catalogue,
			slots: new Slots(),
			requests: new ShapeRequests(inspector, whereParser),
			inspector,
			logger,
			dataDir: config.dataDir,
			laneCount: config.workers,
			obstacle: () => this.#obstacle(lock),
			purgeOver: () => this.#untilPurgeOver(),
			onCount: () => this.#announceCount(),
			signal,
		});
		const subsets = new SubsetQueries({
			readableShape: (handle, generation) => shapes.readable(handle, generation),
			caseFolding: async () => (await inspector.facts()).caseFolding,
			parser: whereParser,
			snapshots,
		});
		const reconciler = new Reconciler({
			session: queries,
			inspector,
			publication,
			publicationName: publicationName(config),
			memberships: catalogue,
			shapes,
			logger,
			intervalMs: config.reconcileIntervalMs,
			enabled: () => lock.held && this.#position !== null,
		});
		return {
			directoryLock,
			catalogue,
			database,
			queries,
			inspector,
			publication,
			snapshots,
			continuity,
			announcer,
			shapes,
			subsets,
			lock,
			watch,
			reconciler,
		};
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
					this.#options.onEvent({ kind: "shapes", count: this.#opened.shapes.count });
				}
			});
		}
	}
}
