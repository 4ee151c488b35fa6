/**
 * From checked parameters to a shape, a redirect or a reason why not: the table of shape-http-api.md 5, with the
 * readiness wait and the admission class that a new shape needs. Owns the deadlines of calls to the registrar.
 * Called by the shape request.
 */

import { SluiceError } from "../../shared/errors.ts";
import { HTTP_READINESS_WAIT_MS, HTTP_RESOLVE_WAIT_MS } from "../../shared/limits.ts";
import type { ResolvedShape, ShapeRequest } from "../../shared/messages.ts";
import type { ShapeTable } from "../../shared/shape-table.ts";
import type { AdmissionKind, Permit } from "./admission.ts";
import { before, TIMED_OUT } from "./deadline.ts";
import { type Failure, notReady, slowStart } from "./failures.ts";
import type { LevelWatch } from "./level-watch.ts";
import type { ReadParameters } from "./parameters.ts";
import type { Query } from "./query.ts";
import { definitionKey, type ShapeDirectory } from "./shape-directory.ts";

export type Resolution =
	| { readonly kind: "shape"; readonly shape: ResolvedShape }
	/** The handle is not that of the definition's shape: 409 with this one. */
	| { readonly kind: "redirect"; readonly handle: string }
	/** It may create a shape and there is no room for that. */
	| { readonly kind: "refused" }
	| { readonly kind: "failure"; readonly failure: Failure };

export class ShapeResolver {
	readonly #directory: ShapeDirectory;
	readonly #levels: LevelWatch;
	readonly #table: ShapeTable;
	readonly #readinessWaitMs: number;
	readonly #resolveWaitMs: number;

	constructor(options: {
		readonly directory: ShapeDirectory;
		readonly levels: LevelWatch;
		readonly table: ShapeTable;
		readonly readinessWaitMs?: number;
		readonly resolveWaitMs?: number;
	}) {
		this.#directory = options.directory;
		this.#levels = options.levels;
		this.#table = options.table;
		this.#readinessWaitMs = options.readinessWaitMs ?? HTTP_READINESS_WAIT_MS;
		this.#resolveWaitMs = options.resolveWaitMs ?? HTTP_RESOLVE_WAIT_MS;
	}

	/**
	 * Without a handle a request may create a shape. With one it counts as existing until {@link resolve} has
	 * asked whether the handle is known: clients that come back after a restart are not new.
	 */
	admissionKind(query: Query): AdmissionKind {
		const handle = query.get("handle");
		return typeof handle === "string" && handle.trim() !== "" ? "existing" : "initial";
	}

	/** @throws SluiceError as RegistrarShapeControl.resolveShape */
	async resolve(parameters: ReadParameters, permit: Permit): Promise<Resolution> {
		const { definition, handle, givenHandle } = parameters;
		const key = definitionKey(definition);
		const known = this.#directory.knownDefinition(key);
		if (known !== null) {
			return withHandle(known, handle);
		}
		const deadline = performance.now() + this.#readinessWaitMs;
		if (permit.kind === "existing") {
			const found = await this.#findHandle(givenHandle, deadline);
			if (found === "unready") {
				return { kind: "failure", failure: notReady(this.#table.statusLevel()) };
			}
			if (found === "unknown" && !permit.become("initial")) {
				return { kind: "refused" };
			}
		}
		return this.#resolveNew(key, parameters, deadline);
	}

	async #findHandle(handle: string | null, deadline: number): Promise<"known" | "unknown" | "unready"> {
		if (handle === null) {
			return "unknown";
		}
		if (this.#directory.knownHandle(handle) !== null) {
			return "known";
		}
		const waitMs = this.#levels.active ? this.#resolveWaitMs : deadline - performance.now();
		const found = await before(this.#directory.find(handle), waitMs);
		if (found === TIMED_OUT) {
			return "unready";
		}
		return found === null ? "unknown" : "known";
	}

	async #resolveNew(key: string, parameters: ReadParameters, deadline: number): Promise<Resolution> {
		const first = await this.#ask(key, parameters.definition, deadline);
		if (first !== "unready") {
			return first === "slow" ? { kind: "failure", failure: slowStart() } : withHandle(first, parameters.handle);
		}
		// An existing shape would have been found: a new one needs the whole service.
		if (await this.#levels.whenActive(deadline - performance.now())) {
			const second = await this.#ask(key, parameters.definition, deadline);
			if (second === "slow") {
				return { kind: "failure", failure: slowStart() };
			}
			if (second !== "unready") {
				return withHandle(second, parameters.handle);
			}
		}
		return { kind: "failure", failure: notReady(this.#table.statusLevel()) };
	}

	async #ask(key: string, definition: ShapeRequest, deadline: number): Promise<ResolvedShape | "unready" | "slow"> {
		const wasActive = this.#levels.active;
		try {
			const waitMs = wasActive ? this.#resolveWaitMs : deadline - performance.now();
			const shape = await before(this.#directory.resolve(key, definition), waitMs);
			if (shape === TIMED_OUT) {
				return wasActive ? "slow" : "unready";
			}
			return shape;
		} catch (error) {
			const becauseUnready =
				error instanceof SluiceError &&
				(error.code === "SLUICE_NOT_ACTIVE" || (!wasActive && error.code === "SLUICE_DATABASE_UNAVAILABLE"));
			if (becauseUnready) {
				return "unready";
			}
			throw error;
		}
	}
}

function withHandle(shape: ResolvedShape, handle: string | null): Resolution {
	return handle === null || handle === shape.handle
		? { kind: "shape", shape }
		: { kind: "redirect", handle: shape.handle };
}
