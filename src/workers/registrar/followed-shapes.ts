/**
 * The shapes of a daemon that reads along while another one writes: found by request and by handle, never made,
 * never ended of our own accord. Owns their registry and the registrar's words of the shape table, until they are handed
 * to the shapes that are written here. Must never change a file or the catalogue. Exposed to the HTTP threads as
 * long as another daemon writes; called by the follower and the registrar.
 */

import { SluiceError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logging.ts";
import type { RegistrarShapeControl, ResolvedShape, ShapeRequest } from "../../shared/messages.ts";
import { SLOT_REMOVED } from "../../shared/shape-table.ts";
import type { StoredShape } from "./catalogue-rows.ts";
import { requestDigest, shapeIdentity } from "./shape-identity.ts";
import { type Shape, ShapeRegistry } from "./shape-registry.ts";
import type { ShapeRequests } from "./shape-request.ts";
import type { SlotAnnouncer } from "./slots.ts";
import { type PlacementRooms, placeStored } from "./stored-shapes.ts";

/** Looks into the writer's files on behalf of a request. */
export interface Follow {
	/** Learns of shapes that came and went. @throws SluiceError `SLUICE_CATALOGUE_UNREADABLE` */
	refresh(): void;
	/** The handle that a request leads to by now, or null. */
	handleOf(requestDigest: string): string | null;
	/** Shows readers what the shape's log holds. @throws SluiceError `SLUICE_NOT_ACTIVE` */
	open(shape: Shape): void;
}

export interface FollowedShapesRooms extends PlacementRooms {
	readonly announcer: Pick<SlotAnnouncer, "changed">;
	readonly requests: ShapeRequests;
	readonly logger: Logger;
	readonly onCount: (count: number) => void;
}

export class FollowedShapes implements Omit<RegistrarShapeControl, "querySubset" | "cancelSubset"> {
	readonly #rooms: FollowedShapesRooms;
	readonly #follow: Follow;
	readonly #registry = new ShapeRegistry();

	constructor(rooms: FollowedShapesRooms, follow: Follow) {
		this.#rooms = rooms;
		this.#follow = follow;
	}

	get count(): number {
		return this.#registry.size;
	}

	all(): readonly Shape[] {
		return this.#registry.all();
	}

	// --- what the writer did

	/** `electric-schema` of each shape, by handle. */
	known(): ReadonlyMap<string, string> {
		return new Map(this.#registry.all().map((shape) => [shape.handle, shape.schemaHeader]));
	}

	add(stored: readonly StoredShape[]): void {
		for (const shape of stored) {
			this.#registry.add(placeStored(shape, this.#rooms));
		}
		this.#rooms.onCount(this.#registry.size);
	}

	/** The writer has described the shape's table anew. */
	renew(stored: StoredShape): void {
		const shape = this.#registry.byHandle(stored.handle);
		if (shape !== null) {
			shape.definition = stored.definition;
			shape.schemaHeader = stored.schemaHeader;
			this.#rooms.table.outdateSchema(shape.slot);
		}
	}

	/** The writer has ended the shape: readers are told. */
	withdraw(handle: string): void {
		const shape = this.#registry.byHandle(handle);
		if (shape === null) {
			return;
		}
		const { table, announcer, slots, onCount } = this.#rooms;
		shape.state = "removed";
		this.#registry.delete(shape);
		table.setState(shape.slot, SLOT_REMOVED);
		announcer.changed(shape.slot);
		shape.abort.abort(new SluiceError("SLUICE_SHAPE_GONE"));
		slots.giveBack(shape.slot);
		onCount(this.#registry.size);
	}

	// --- RegistrarShapeControl

	async resolveShape(request: ShapeRequest): Promise<ResolvedShape> {
		const shape = this.#byRequest(request) ?? (await this.#byDefinition(request));
		if (shape === null) {
			// It has to be made, which only a daemon that writes can do: the client waits for that, or comes again.
			throw new SluiceError("SLUICE_NOT_ACTIVE");
		}
		return this.#opened(shape);
	}

	async findHandle(handle: string): Promise<ResolvedShape | null> {
		const known = this.#registry.byHandle(handle);
		if (known !== null) {
			return this.#opened(known);
		}
		this.#refresh();
		const found = this.#registry.byHandle(handle);
		return found === null ? null : this.#opened(found);
	}

	async deleteShape(): Promise<void> {
		throw new SluiceError("SLUICE_NOT_ACTIVE");
	}

	/** Resolves when the shape is gone; whether one that is not is damaged the writer has to find out. */
	async reportCorrupt(handle: string, generation: number): Promise<void> {
		this.#refresh();
		const shape = this.#registry.byHandle(handle);
		if (shape?.generation === generation) {
			// What the writer took back for a moment, because its disk was full, is no longer shown.
			this.#follow.open(shape);
			throw new SluiceError("SLUICE_NOT_ACTIVE", { handle });
		}
	}

	/** The shape in this life. @throws SluiceError `SLUICE_SHAPE_GONE` */
	async readable(handle: string, generation: number): Promise<Shape> {
		const shape = this.#registry.byHandle(handle);
		if (shape === null || shape.generation !== generation) {
			throw new SluiceError("SLUICE_SHAPE_GONE");
		}
		return shape;
	}

	// --- looking for a shape

	#byRequest(request: ShapeRequest): Shape | null {
		const digest = requestDigest(request);
		const known = this.#registry.byRequest(digest);
		if (known !== null) {
			return known;
		}
		this.#refresh();
		const handle = this.#follow.handleOf(digest);
		return handle === null ? null : this.#registry.byHandle(handle);
	}

	/** What is wrong with a request is said at once, as if we were writing. */
	async #byDefinition(request: ShapeRequest): Promise<Shape | null> {
		const identity = shapeIdentity(await this.#rooms.requests.check(request));
		this.#refresh();
		const shape = this.#registry.byIdentity(identity);
		// While the database was asked, the takeover may have come; whoever writes then, which is us, ends shapes elsewhere.
		return shape?.state === "removed" ? null : shape;
	}

	/** A catalogue that cannot be read now is told of by the follower's own looks. */
	#refresh(): void {
		try {
			this.#follow.refresh();
		} catch (err) {
			this.#rooms.logger.debug({ err }, "the catalogue cannot be read along now");
		}
	}

	#opened(shape: Shape): ResolvedShape {
		const { table } = this.#rooms;
		if (!table.logState(shape.slot).opened) {
			this.#follow.open(shape);
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
}
