/**
 * Which shape is this? Remembers the registrar's answers by definition and by handle, and asks again when the
 * shape table says that an answer is no longer true. Owns two bounded caches and the calls in flight; must never
 * answer with a shape that the table does not hold. Called by the shape request.
 */

import { createHash } from "node:crypto";
import type { RegistrarShapeControl, ResolvedShape, ShapeRequest } from "../../shared/messages.ts";
import type { ShapeTable } from "../../shared/shape-table.ts";
import { isGone } from "./shape-view.ts";

export type ShapeRegistry = Pick<RegistrarShapeControl, "resolveShape" | "findHandle">;

export class ShapeDirectory {
	readonly #table: ShapeTable;
	readonly #registry: ShapeRegistry;
	readonly #byDefinition: RecentMap<ResolvedShape>;
	readonly #byHandle: RecentMap<ResolvedShape>;
	readonly #resolving = new Map<string, Promise<ResolvedShape>>();
	readonly #finding = new Map<string, Promise<ResolvedShape | null>>();

	constructor(table: ShapeTable, registry: ShapeRegistry, entriesMax: number) {
		this.#table = table;
		this.#registry = registry;
		this.#byDefinition = new RecentMap(entriesMax);
		this.#byHandle = new RecentMap(entriesMax);
	}

	/** What this thread knows already, or null. */
	knownDefinition(key: string): ResolvedShape | null {
		return this.#valid(this.#byDefinition, key);
	}

	knownHandle(handle: string): ResolvedShape | null {
		return this.#valid(this.#byHandle, handle);
	}

	/** Asks the registrar; concurrent calls for one definition share one. @throws SluiceError as `resolveShape` */
	resolve(key: string, request: ShapeRequest): Promise<ResolvedShape> {
		return shared(this.#resolving, key, async () => {
			const shape = await this.#registry.resolveShape(request);
			this.#byDefinition.set(key, shape);
			this.#byHandle.set(shape.handle, shape);
			return shape;
		});
	}

	/** Asks the registrar for a handle. */
	find(handle: string): Promise<ResolvedShape | null> {
		return shared(this.#finding, handle, async () => {
			const shape = await this.#registry.findHandle(handle);
			if (shape !== null) {
				this.#byHandle.set(handle, shape);
			}
			return shape;
		});
	}

	#valid(map: RecentMap<ResolvedShape>, key: string): ResolvedShape | null {
		const shape = map.get(key);
		if (shape === undefined) {
			return null;
		}
		if (isGone(this.#table, shape) || this.#table.schemaVersion(shape.slot) !== shape.schemaVersion) {
			map.delete(key);
			return null;
		}
		return shape;
	}
}

/** Longer keys are kept as their digest: a client could fill the memory with spellings of one long condition. */
const KEY_CHARACTERS_MAX = 256;

/** One spelling for one definition as a client gives it. */
export function definitionKey(request: ShapeRequest): string {
	const params = Object.entries(request.params).sort(([left], [right]) => (left < right ? -1 : 1));
	const key = JSON.stringify([request.table, request.where, params, request.columns, request.replica, request.log]);
	return key.length > KEY_CHARACTERS_MAX ? createHash("sha256").update(key).digest("base64") : key;
}

function shared<T>(calls: Map<string, Promise<T>>, key: string, start: () => Promise<T>): Promise<T> {
	const present = calls.get(key);
	if (present !== undefined) {
		return present;
	}
	const call = start().finally(() => calls.delete(key));
	calls.set(key, call);
	return call;
}

/** A map that forgets what was not used for longest. */
class RecentMap<T> {
	readonly #entries = new Map<string, T>();
	readonly #entriesMax: number;

	constructor(entriesMax: number) {
		this.#entriesMax = entriesMax;
	}

	get(key: string): T | undefined {
		const value = this.#entries.get(key);
		if (value !== undefined) {
			this.#entries.delete(key);
			this.#entries.set(key, value);
		}
		return value;
	}

	set(key: string, value: T): void {
		this.#entries.delete(key);
		this.#entries.set(key, value);
		if (this.#entries.size > this.#entriesMax) {
			for (const oldest of this.#entries.keys()) {
				this.#entries.delete(oldest);
				break;
			}
		}
	}

	delete(key: string): void {
		this.#entries.delete(key);
	}
}
