/**
 * The life of shapes: finding, creating, opening and removing them. Owns the registry and the registrar's words
 * of the shape table; one shape for one definition, however many ask at once. Must never be on the path of a
 * row. Exposed to the HTTP threads (RegistrarShapeControl); called by the registrar and the reconciler.
 */

import { isDeepStrictEqual } from "node:util";
import { SluiceError } from "../../shared/errors.ts";
import { shapeDirectory } from "../../shared/log-layout.ts";
import type { LaneEvent, RegistrarShapeControl, ResolvedShape, ShapeRequest } from "../../shared/messages.ts";
import type { ShapeDefinition, TableInfo } from "../../shared/shape-definition.ts";
import {
	INVALIDATED_NO,
	INVALIDATED_REPLICA_IDENTITY,
	INVALIDATED_SCHEMA,
	readClockSeconds,
	SLOT_CREATING,
} from "../../shared/shape-table.ts";
import type { StoredShape } from "./catalogue-rows.ts";
import { sqlStateOf } from "./database.ts";
import type { Inspector } from "./inspector.ts";
import type { LaneConnection } from "./lanes.ts";
import { schemaHeader } from "./schema-header.ts";
import { laneOfShape } from "./shape-assigner.ts";
import { assignmentOf, type CreationRooms, ShapeCreation } from "./shape-creation.ts";
import { requestDigest, shapeIdentity } from "./shape-identity.ts";
import { type Shape, ShapeRegistry } from "./shape-registry.ts";
import { type RemovalReason, type RemovalRooms, ShapeRemoval } from "./shape-removal.ts";
import type { ShapeRequests } from "./shape-request.ts";
import { placeStored } from "./stored-shapes.ts";
import { tableDrift } from "./table-drift.ts";

/** A shape that is removed while a request waits for it is looked for again this often. */
const RESOLVE_ATTEMPTS = 3;
const END_TABLE_WAIT_MS = 10_000;

export interface ShapesRooms extends CreationRooms, RemovalRooms {
	readonly requests: ShapeRequests;
	readonly inspector: Inspector;
	readonly dataDir: string;
	readonly laneCount: number;
	/** Null when shapes may be made now, else why not. */
	readonly obstacle: () => SluiceError | null;
	/** Resolves when no purge is under way, and lanes have heard of the last one. */
	readonly purgeOver: () => Promise<void>;
}

export class Shapes implements Omit<RegistrarShapeControl, "querySubset" | "cancelSubset"> {
	readonly #rooms: ShapesRooms;
	readonly #creation: ShapeCreation;
	readonly #registry = new ShapeRegistry();
	readonly #removal: ShapeRemoval;

	constructor(rooms: ShapesRooms) {
		this.#rooms = rooms;
		this.#creation = new ShapeCreation(rooms);
		this.#removal = new ShapeRemoval(rooms, this.#registry);
	}

	get count(): number {
		return this.#registry.size;
	}

	all(): readonly Shape[] {
		return this.#registry.all();
	}

	/** Puts the shapes of an earlier run into the table. Their logs are opened when somebody asks. */
	restore(stored: readonly StoredShape[]): void {
		this.adopt(stored.map((shape) => placeStored(shape, this.#rooms)));
	}

	/** Shapes that are in the table already: from now on they are written here. */
	adopt(shapes: readonly Shape[]): void {
		for (const shape of shapes) {
			this.#registry.add(shape);
		}
		this.#rooms.onCount(this.#registry.size);
	}

	/** The shape in this life, once readers may read. @throws SluiceError `SLUICE_SHAPE_GONE` */
	async readable(handle: string, generation: number): Promise<Shape> {
		const shape = this.#registry.byHandle(handle);
		if (shape === null || shape.generation !== generation) {
			throw new SluiceError("SLUICE_SHAPE_GONE");
		}
		await shape.ready;
		return shape;
	}

	// --- RegistrarShapeControl

	async resolveShape(request: ShapeRequest): Promise<ResolvedShape> {
		const digest = requestDigest(request);
		for (let attempt = 1; ; attempt += 1) {
			const shape = this.#registry.byRequest(digest) ?? (await this.#findOrCreate(request, digest));
			try {
				await shape.ready;
				return await this.#open(shape);
			} catch (error) {
				const gone = error instanceof SluiceError && error.code === "SLUICE_SHAPE_GONE";
				if (!gone || attempt >= RESOLVE_ATTEMPTS) {
					throw error;
				}
			}
		}
	}

	async findHandle(handle: string): Promise<ResolvedShape | null> {
		const shape = this.#registry.byHandle(handle);
		if (shape === null) {
			return null;
		}
		try {
			await shape.ready;
			return await this.#open(shape);
		} catch (error) {
			if (shape.state === "removed") {
				return null;
			}
			throw error;
		}
	}

	async deleteShape(request: {
		readonly definition: ShapeRequest | null;
		readonly handle: string | null;
	}): Promise<void> {
		const { definition, handle } = request;
		if (definition === null && handle === null) {
			throw new SluiceError("SLUICE_REQUEST_INVALID", {
				errors: { handle: ["can't be blank when shape definition is missing"] },
			});
		}
		const shape =
			definition === null
				? this.#registry.byHandle(handle ?? "")
				: (this.#registry.byRequest(requestDigest(definition)) ??
					this.#registry.byIdentity(shapeIdentity(await this.#rooms.requests.check(definition))));
		if (shape === null) {
			throw new SluiceError("SLUICE_SHAPE_UNKNOWN");
		}
		if (handle !== null && shape.handle !== handle) {
			throw new SluiceError("SLUICE_REQUEST_INVALID", { mismatch: true });
		}
		await this.remove(shape, "deleted");
	}

	async reportCorrupt(handle: string, generation: number): Promise<void> {
		const shape = this.#registry.byHandle(handle);
		if (shape !== null && shape.generation === generation) {
			this.#rooms.logger.error({ handle }, "a reader found a shape's log damaged, dropping the shape");
			this.#removal.removeSoon(shape, "invalidated");
		}
	}

	// --- lanes

	/** A lane has (re)started: gives it its complete shapes; those it was creating are lost with its memory. */
	async restoreLane(connection: LaneConnection): Promise<void> {
		const { table, lanes } = this.#rooms;
		const complete: Shape[] = [];
		for (const shape of this.#registry.all()) {
			if (shape.lane !== connection.lane) {
				continue;
			}
			table.repairSequence(shape.slot);
			shape.opening = null;
			if (table.invalidated(shape.slot) !== INVALIDATED_NO) {
				// The lane's last life did not get to say so.
				this.#removal.removeSoon(shape, "invalidated");
			} else if (shape.state === "active") {
				complete.push(shape);
			} else if (shape.connection !== null) {
				this.#removal.removeSoon(shape, "lane-died");
			}
		}
		await connection.control.restore(complete.map(assignmentOf));
		lanes.restored(connection);
	}

	onLaneEvent(event: Extract<LaneEvent, { kind: "invalidated" }>): void {
		const shape = this.#registry.bySlot(event.slot);
		if (shape === null || shape.generation !== event.generation) {
			return;
		}
		const { table } = shape.definition;
		if (event.reason === INVALIDATED_SCHEMA || event.reason === INVALIDATED_REPLICA_IDENTITY) {
			this.#rooms.inspector.invalidate(table);
			this.#rooms.publication.forget(table.oid);
		}
		this.#rooms.logger.info({ handle: shape.handle, reason: event.reason }, "a lane has invalidated a shape");
		this.#removal.removeSoon(shape, "invalidated");
	}

	// --- removal

	/** Readers are told at once. Resolves when the removal is durable; the files go afterwards. */
	remove(shape: Shape, reason: RemovalReason): Promise<void> {
		return this.#removal.remove(shape, reason);
	}

	/** Every shape: there is a gap in the stream. Resolves when the catalogue holds none of them. */
	purge(): Promise<void> {
		return this.#removal.purge();
	}

	/** Every shape of a table, those being created too. Resolves when the catalogue holds none of them. */
	async endTable(tableOid: number): Promise<void> {
		const ended = this.#registry.all().filter((shape) => shape.definition.table.oid === tableOid);
		await Promise.all(ended.map((shape) => this.#removal.remove(shape, "table-changed")));
		// Those whose removal had begun before.
		await this.#removal.durable(END_TABLE_WAIT_MS);
	}

	/** Resolves once every removal that has begun is durable. @throws SluiceError `SLUICE_DISK_FAILED` */
	removalsDurable(deadlineMs: number): Promise<void> {
		return this.#removal.durable(deadlineMs);
	}

	/** Waits until removed shapes and their files are gone. */
	settled(): Promise<void> {
		return this.#removal.settled();
	}

	/** The registrar stops: ends what is being created; it is started over after the next start. */
	async stop(): Promise<void> {
		const creating = this.#registry.all().filter((shape) => shape.state === "creating");
		for (const shape of creating) {
			shape.abort.abort(new SluiceError("SLUICE_NOT_ACTIVE"));
		}
		await Promise.allSettled(creating.map((shape) => shape.built));
		await this.#removal.settled();
	}

	// --- creation

	async #findOrCreate(request: ShapeRequest, digest: string): Promise<Shape> {
		this.#checkObstacle();
		let definition = await this.#rooms.requests.check(request);
		if (this.#isDescribedOtherwise(definition)) {
			// One of the two descriptions is out of date: only one that is read now tells which.
			this.#rooms.inspector.invalidate(definition.table);
			definition = await this.#rooms.requests.check(request);
		}
		await this.#rooms.purgeOver();
		const identity = shapeIdentity(definition);
		const shape = this.#alive(identity, definition) ?? this.#create(identity, definition);
		if (this.#registry.addRequest(shape, digest) && shape.state === "active") {
			// Only saves a look at the database after a restart: nobody waits for it.
			this.#rooms.catalogue.addRequest(digest, shape.handle).catch(() => {});
		}
		return shape;
	}

	#isDescribedOtherwise(definition: ShapeDefinition): boolean {
		const shape = this.#registry.byIdentity(shapeIdentity(definition));
		return (
			shape !== null &&
			(shape.schemaHeader !== schemaHeader(definition) || tableDrift(shape.definition, definition.table) !== null)
		);
	}

	/** The shape of the definition, unless its table has changed since in a way that nobody else has noticed yet. */
	#alive(identity: string, definition: ShapeDefinition): Shape | null {
		const shape = this.#registry.byIdentity(identity);
		if (shape === null || shape.state !== "active") {
			return shape;
		}
		const drift = tableDrift(shape.definition, definition.table);
		if (drift === null) {
			this.renewTable(shape, definition.table);
			return shape;
		}
		this.#rooms.logger.info({ handle: shape.handle, drift }, "a shape's table has changed, dropping the shape");
		if (drift === "printed") {
			this.#rooms.publication.awaitWriters(shape.definition.table.oid);
		}
		this.#removal.removeSoon(shape, "table-changed");
		return null;
	}

	/**
	 * The shape's table, as it is now, no longer has the description that the shape was made with, and the difference does
	 * not end the shape: new readers get the header that is true now, and later comparisons begin here, also after a
	 * restart.
	 */
	renewTable(shape: Shape, table: TableInfo): void {
		if (shape.state !== "active" || shape.definition.table === table) {
			return;
		}
		const header = schemaHeader({ ...shape.definition, table });
		const isSameHeader = header === shape.schemaHeader;
		const { fingerprint } = table;
		if (isSameHeader && isDeepStrictEqual(shape.definition.table.fingerprint, fingerprint)) {
			return;
		}
		const described = isSameHeader && fingerprint !== undefined ? { ...shape.definition.table, fingerprint } : table;
		const definition = { ...shape.definition, table: this.#rooms.inspector.intern(described) };
		shape.definition = definition;
		if (!isSameHeader) {
			shape.schemaHeader = header;
			this.#rooms.table.outdateSchema(shape.slot);
		}
		this.#rooms.catalogue.describeShape(shape.handle, definition, header).catch((err: unknown) => {
			this.#rooms.logger.warn({ err, handle: shape.handle }, "the new description of a shape's table was not stored");
		});
	}

	/** @throws SluiceError when shapes cannot be made now */
	#checkObstacle(): void {
		const obstacle = this.#rooms.obstacle();
		if (obstacle !== null) {
			throw obstacle;
		}
	}

	#create(identity: string, definition: ShapeDefinition): Shape {
		this.#checkObstacle();
		const { slots, table, catalogue, announcer, onCount, dataDir, laneCount } = this.#rooms;
		const slot = slots.take();
		const lane = laneOfShape(identity, laneCount);
		const handle = catalogue.newHandle(identity);
		const ready = Promise.withResolvers<void>();
		// A failure is also told to those who wait for it; nobody may.
		ready.promise.catch(() => {});
		const shape: Shape = {
			handle,
			identity,
			definition,
			schemaHeader: schemaHeader(definition),
			slot,
			generation: table.assign(slot, lane, SLOT_CREATING),
			lane,
			directory: shapeDirectory(dataDir, handle),
			requests: new Set(),
			abort: new AbortController(),
			ready: ready.promise,
			built: Promise.resolve(),
			state: "creating",
			snapshot: null,
			connection: null,
			opening: null,
		};
		this.#registry.add(shape);
		table.markRead(slot, readClockSeconds());
		announcer.changed(slot);
		onCount(this.#registry.size);
		shape.built = this.#creation.build(shape, ready.resolve);
		shape.built.catch((cause: unknown) => {
			const error = this.#creationError(shape, cause);
			ready.reject(error);
			if (shape.state !== "removed") {
				this.#rooms.logger.warn({ err: error, handle }, "a shape could not be created");
				this.#removal.removeSoon(shape, "failed");
			}
		});
		return shape;
	}

	#creationError(shape: Shape, cause: unknown): unknown {
		if (shape.abort.signal.aborted) {
			return new SluiceError("SLUICE_SHAPE_GONE");
		}
		if (cause instanceof SluiceError && cause.code === "SLUICE_THREAD_GONE") {
			return new SluiceError("SLUICE_NOT_ACTIVE", { lane: shape.lane, cause });
		}
		const code = cause instanceof SluiceError ? cause.code : null;
		if (code === "SLUICE_TABLE_CHANGED" || code === "SLUICE_TABLE_NOT_READY") {
			this.#rooms.inspector.invalidate(shape.definition.table);
		}
		if (code === "SLUICE_TABLE_CHANGED") {
			// Whoever waits asks again, and gets a shape of the table as it is now.
			return new SluiceError("SLUICE_SHAPE_GONE", { cause });
		}
		const sqlState = cause instanceof SluiceError ? cause.context["sqlState"] : sqlStateOf(cause);
		// undefined_table, undefined_column: what we know of the table is out of date.
		if (sqlState === "42P01" || sqlState === "42703") {
			this.#rooms.inspector.invalidate(shape.definition.table);
		}
		return cause;
	}

	// --- opening

	async #open(shape: Shape): Promise<ResolvedShape> {
		const { table, lanes } = this.#rooms;
		if (shape.state !== "removed" && !table.logState(shape.slot).opened) {
			shape.opening ??= lanes
				.ready(shape.lane)
				.then((connection) => connection.control.openShape(shape.slot, shape.generation))
				.finally(() => {
					shape.opening = null;
				});
			await shape.opening.catch((error: unknown) => this.#openFailed(shape, error));
		}
		if (shape.abort.signal.aborted) {
			throw new SluiceError("SLUICE_SHAPE_GONE");
		}
		return {
			handle: shape.handle,
			slot: shape.slot,
			generation: shape.generation,
			directory: shape.directory,
			schemaVersion: table.schemaVersion(shape.slot),
			schemaHeader: shape.schemaHeader,
		};
	}

	#openFailed(shape: Shape, error: unknown): never {
		if (error instanceof SluiceError && error.code === "SLUICE_LOG_CORRUPT") {
			this.#rooms.logger.error({ err: error, handle: shape.handle }, "a shape's log is damaged, dropping the shape");
			this.#removal.removeSoon(shape, "invalidated");
			throw new SluiceError("SLUICE_SHAPE_GONE", { cause: error });
		}
		if (error instanceof SluiceError && error.code === "SLUICE_THREAD_GONE") {
			throw new SluiceError("SLUICE_NOT_ACTIVE", { lane: shape.lane, cause: error });
		}
		throw error;
	}
}
