/**
 * The shapes that live, by everything they are looked up by. Owns the maps and nothing that happens to a shape;
 * must never hold a removed one. Called by shapes.
 */

import { invariant } from "../../shared/assert.ts";
import type { ShapeDefinition, SnapshotInfo } from "../../shared/shape-definition.ts";

/**
 * One life of a shape. `creating`: until its snapshot is complete and stored. `active`: survives a restart.
 * `removed`: readers are told, its files are going.
 */
export interface Shape {
	readonly handle: string;
	/** Hexadecimal digest of the definition. */
	readonly identity: string;
	/** Its table's description is renewed when that changes nothing but the header below. */
	definition: ShapeDefinition;
	schemaHeader: string;
	readonly slot: number;
	readonly generation: number;
	readonly lane: number;
	readonly directory: string;
	/** Digests of requests that lead here. */
	readonly requests: Set<string>;
	/** Aborted when the shape is removed. */
	readonly abort: AbortController;
	/** Resolves once readers may read: the snapshot has started and the stream is joined to it. */
	ready: Promise<void>;
	/** Settles when nothing works on the shape's files any more. */
	built: Promise<void>;
	state: "creating" | "active" | "removed";
	snapshot: SnapshotInfo | null;
	/** The life of the lane that holds it while it is created. */
	connection: object | null;
	/** A call that opens its log. */
	opening: Promise<void> | null;
}

/** Requests spelled in more ways than this are checked each time. */
const REQUESTS_PER_SHAPE_MAX = 64;

export class ShapeRegistry {
	readonly #byIdentity = new Map<string, Shape>();
	readonly #byHandle = new Map<string, Shape>();
	readonly #bySlot = new Map<number, Shape>();
	readonly #byRequest = new Map<string, Shape>();

	get size(): number {
		return this.#byHandle.size;
	}

	add(shape: Shape): void {
		invariant(!this.#byIdentity.has(shape.identity), "one shape for each identity");
		invariant(!this.#byHandle.has(shape.handle), "a handle is given out once");
		this.#byIdentity.set(shape.identity, shape);
		this.#byHandle.set(shape.handle, shape);
		this.#bySlot.set(shape.slot, shape);
		for (const request of shape.requests) {
			this.#byRequest.set(request, shape);
		}
	}

	delete(shape: Shape): void {
		this.#byIdentity.delete(shape.identity);
		this.#byHandle.delete(shape.handle);
		this.#bySlot.delete(shape.slot);
		for (const request of shape.requests) {
			if (this.#byRequest.get(request) === shape) {
				this.#byRequest.delete(request);
			}
		}
	}

	/** Remembers that a request leads to the shape. False when it does already, or too many do. */
	addRequest(shape: Shape, request: string): boolean {
		if (shape.state === "removed" || shape.requests.has(request) || shape.requests.size >= REQUESTS_PER_SHAPE_MAX) {
			return false;
		}
		// The same words may mean another shape since the table was altered.
		this.#byRequest.get(request)?.requests.delete(request);
		shape.requests.add(request);
		this.#byRequest.set(request, shape);
		return true;
	}

	byIdentity(identity: string): Shape | null {
		return this.#byIdentity.get(identity) ?? null;
	}

	byHandle(handle: string): Shape | null {
		return this.#byHandle.get(handle) ?? null;
	}

	bySlot(slot: number): Shape | null {
		return this.#bySlot.get(slot) ?? null;
	}

	byRequest(request: string): Shape | null {
		return this.#byRequest.get(request) ?? null;
	}

	all(): Shape[] {
		return [...this.#byHandle.values()];
	}
}
