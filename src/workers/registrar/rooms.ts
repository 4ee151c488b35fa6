/**
 * Puts the registrar's rooms together. Owns who gets what; starts nothing, opens nothing and connects to nothing.
 * Called by the registrar, once.
 */

import { join } from "node:path";
import { publicationName, slotName } from "../../shared/config.ts";
import type { SluiceError } from "../../shared/errors.ts";
import { shapesDirectory } from "../../shared/log-layout.ts";
import type { FollowLog } from "../../shared/log-store.ts";
import type { Logger } from "../../shared/logging.ts";
import type { RegistrarEvent, RegistrarInit } from "../../shared/messages.ts";
import { ShapeTable } from "../../shared/shape-table.ts";
import { Catalogue } from "./catalogue.ts";
import { makeConnections } from "./connections.ts";
import { Continuity } from "./continuity.ts";
import type { DataDirectory } from "./data-directory.ts";
import type { Database } from "./database.ts";
import { ShapeExpiry } from "./expiry.ts";
import { Inspector } from "./inspector.ts";
import type { Lanes } from "./lanes.ts";
import { StreamLock } from "./lock.ts";
import { LockBreaker } from "./lock-breaker.ts";
import { Publication } from "./publication.ts";
import { Reconciler } from "./reconciler.ts";
import { ServerWatch } from "./server-watch.ts";
import { ShapeRequests, type WhereParser } from "./shape-request.ts";
import { Shapes } from "./shapes.ts";
import { SlotAnnouncer, Slots } from "./slots.ts";
import { SnapshotPool } from "./snapshots.ts";
import { type OrderByParser, SubsetQueries } from "./subset-query.ts";

export interface RegistrarOptions {
	readonly init: Pick<RegistrarInit, "config" | "instanceId" | "shapeTable">;
	readonly whereParser: WhereParser & OrderByParser;
	/** Reads along in a log that another daemon writes. */
	readonly followLog: FollowLog;
	readonly logger: Logger;
	readonly onEvent: (event: RegistrarEvent) => void;
	/** The registrar cannot go on: its thread should end. */
	readonly onFatal: (error: unknown) => void;
}

/** What the rooms need of the registrar itself. */
export interface RegistrarLinks extends RegistrarOptions {
	readonly lanes: Lanes;
	/** Aborted when the registrar stops. */
	readonly signal: AbortSignal;
	/** Why no shape can be made now, or null. */
	readonly obstacle: (lock: StreamLock) => SluiceError | null;
	readonly purgeOver: () => Promise<void>;
	/** The position was reconciled with the slot. */
	readonly isPositioned: () => boolean;
	readonly onCount: () => void;
	readonly readableShape: Shapes["readable"];
}

/** What exists between open and stop. */
export interface RegistrarRooms {
	readonly directory: DataDirectory;
	readonly catalogue: Catalogue;
	readonly database: Database;
	/** The same, or through a pooler. */
	readonly queries: Database;
	readonly inspector: Inspector;
	readonly publication: Publication;
	readonly snapshots: SnapshotPool;
	readonly continuity: Continuity;
	readonly announcer: SlotAnnouncer;
	readonly slots: Slots;
	readonly requests: ShapeRequests;
	readonly shapes: Shapes;
	readonly subsets: SubsetQueries;
	readonly lock: StreamLock;
	readonly breaker: LockBreaker;
	readonly watch: ServerWatch;
	readonly reconciler: Reconciler;
	readonly expiry: ShapeExpiry;
}

export function assembleRooms(directory: DataDirectory, links: RegistrarLinks): RegistrarRooms {
	const { init, whereParser, logger, onEvent, onFatal, signal } = links;
	const { config, instanceId } = init;
	const catalogue = new Catalogue(cataloguePath(config.dataDir), shapesDirectory(config.dataDir));
	const connections = makeConnections(config, logger);
	const { target, database, queries } = connections;
	const inspector = new Inspector(queries, undefined, database);
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
	const slots = new Slots();
	const requests = new ShapeRequests(inspector, whereParser);
	const breaker = new LockBreaker({
		session: database,
		slotName: slotName(config),
		waiting: () => lock.reachable && !lock.held,
		logger,
	});
	const shapes = new Shapes({
		table: new ShapeTable(init.shapeTable),
		announcer,
		lanes: links.lanes,
		publication,
		snapshots,
		continuity,
		catalogue,
		slots,
		requests,
		inspector,
		logger,
		dataDir: config.dataDir,
		laneCount: config.workers,
		obstacle: () => links.obstacle(lock),
		purgeOver: links.purgeOver,
		onCount: links.onCount,
		signal,
	});
	const subsets = new SubsetQueries({
		readableShape: links.readableShape,
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
		enabled: () => lock.held && links.isPositioned(),
	});
	const expiry = new ShapeExpiry({
		table: new ShapeTable(init.shapeTable),
		shapes,
		catalogue,
		logger,
		maxShapes: config.maxShapes,
		idleSeconds: config.shapeIdleSeconds,
		enabled: () => lock.held && links.isPositioned(),
	});
	return {
		directory,
		catalogue,
		database,
		queries,
		inspector,
		publication,
		snapshots,
		continuity,
		announcer,
		slots,
		requests,
		shapes,
		subsets,
		lock,
		breaker,
		watch,
		reconciler,
		expiry,
	};
}

export function cataloguePath(dataDir: string): string {
	return join(dataDir, "catalogue.sqlite");
}
