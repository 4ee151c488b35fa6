/**
 * GET, HEAD and POST of /v1/shape after authentication: admission, body, parameters, resolution, and the loop that
 * looks at the shape, decides and answers or waits. The order of the steps decides which error wins
 * (shape-http-api.md 2). Owns no state beyond one request. Called by the API server.
 */

import type { Config } from "../../shared/config.ts";
import { diskError } from "../../shared/disk-error.ts";
import { SluiceError } from "../../shared/errors.ts";
import { HTTP_PREPARE_WAIT_MS } from "../../shared/limits.ts";
import type { Logger } from "../../shared/logging.ts";
import type { RegistrarShapeControl, ResolvedShape } from "../../shared/messages.ts";
import type { LogOffset } from "../../shared/offset.ts";
import { LEVEL_ACTIVE, LEVEL_READ_ONLY, readClockSeconds, type ShapeTable } from "../../shared/shape-table.ts";
import { type Admission, admissionRetryAfter, type Permit } from "./admission.ts";
import type { BodyBudget } from "./body-budget.ts";
import { EventStream, type EventTimes } from "./event-stream.ts";
import type { Exchange } from "./exchange.ts";
import {
	admissionRefused,
	describeError,
	type Failure,
	invalidRequest,
	logBehind,
	notPrepared,
	outOfBounds,
	stopping,
} from "./failures.ts";
import type { LogReader } from "./log-reader.ts";
import { checkReadRequest, type ReadParameters, renameColumnErrors } from "./parameters.ts";
import type { Query } from "./query.ts";
import { planRead, type ReadPlan } from "./read-plan.ts";
import { type BodyLimits, type BodyResult, readRequestBody } from "./request-body.ts";
import { refetchHeaders } from "./response-headers.ts";
import type { AnswerTarget, ShapeAnswers } from "./shape-answers.ts";
import type { Resolution, ShapeResolver } from "./shape-resolver.ts";
import { type ShapeView, viewShape } from "./shape-view.ts";
import { answerSubset, type SubsetAnswerRooms } from "./subset-answer.ts";
import type { SlotWaiters, Waiter } from "./waiters.ts";

export interface ShapeRequestRooms extends SubsetAnswerRooms {
	readonly config: Config;
	readonly table: ShapeTable;
	readonly admission: Admission;
	readonly admissionLimits: Readonly<Record<"initial" | "existing", number>>;
	readonly bodies: BodyBudget;
	readonly bodyLimits: BodyLimits;
	readonly resolver: ShapeResolver;
	readonly reader: LogReader;
	readonly waiters: SlotWaiters;
	readonly answers: ShapeAnswers;
	readonly eventTimes: EventTimes;
	readonly registrar: Pick<RegistrarShapeControl, "reportCorrupt" | "querySubset" | "cancelSubset">;
	readonly logger: Logger;
}

const REFETCH_BODY = '[{"headers":{"control":"must-refetch"}}]';

/** Answers the request, errors included; never rejects. */
export async function serveShape(rooms: ShapeRequestRooms, exchange: Exchange, query: Query): Promise<void> {
	const permit = admit(rooms, exchange, query);
	if (permit === null) {
		return;
	}
	let parameters: ReadParameters | null = null;
	try {
		const body = await receiveBody(rooms, exchange);
		if (!body.ok) {
			if (body.endsConnection) {
				exchange.endConnection();
			}
			exchange.fail(body.failure);
			return;
		}
		const checked = checkReadRequest(query, body.subset);
		if (!checked.ok) {
			exchange.fail(invalidRequest(checked.errors));
			return;
		}
		parameters = checked.value;
		const resolution = await rooms.resolver.resolve(parameters, permit);
		if (exchange.closed) {
			return;
		}
		await answerResolution(rooms, exchange, { parameters, permit, resolution });
	} catch (error) {
		const renames = parameters?.columnsFromQueryable === true;
		exchange.fail(describeError(error, rooms.table.statusLevel(), renames ? renameColumnErrors : undefined), error);
	} finally {
		// When both the work and the response are over: a client that goes away does not make room for more work.
		exchange.onEnd(() => permit.release());
	}
}

async function receiveBody(rooms: ShapeRequestRooms, exchange: Exchange): Promise<BodyResult> {
	if (exchange.method !== "POST") {
		return { ok: true, subset: null };
	}
	const lease = rooms.bodies.lease();
	exchange.onEnd(() => lease.release());
	return readRequestBody(exchange.request, lease, rooms.bodyLimits);
}

/** Null when the request was refused (and answered). */
function admit(rooms: ShapeRequestRooms, exchange: Exchange, query: Query): Permit | null {
	const kind = rooms.resolver.admissionKind(query);
	const permit = rooms.admission.tryAcquire(kind);
	if (permit === null) {
		exchange.fail(admissionRefused(kind, rooms.admissionLimits[kind], admissionRetryAfter()));
		return null;
	}
	return permit;
}

async function answerResolution(
	rooms: ShapeRequestRooms,
	exchange: Exchange,
	resolved: { readonly parameters: ReadParameters; readonly permit: Permit; readonly resolution: Resolution },
): Promise<void> {
	const { parameters, permit, resolution } = resolved;
	switch (resolution.kind) {
		case "failure":
			exchange.fail(resolution.failure);
			return;
		case "refused":
			rooms.admission.countRejection("initial");
			exchange.fail(admissionRefused("initial", rooms.admissionLimits.initial, admissionRetryAfter()));
			return;
		case "redirect":
			exchange.send(409, refetchHeaders(exchange.method, resolution.handle, rooms.config), REFETCH_BODY);
			return;
		case "shape":
			permit.become("existing");
			await answerShape(rooms, { exchange, parameters, shape: resolution.shape });
	}
}

async function answerShape(rooms: ShapeRequestRooms, target: AnswerTarget): Promise<void> {
	const { exchange, parameters, shape } = target;
	rooms.table.markRead(shape.slot, readClockSeconds());
	if (parameters.subset === null) {
		await new ShapeReading(rooms, exchange, { parameters, shape }).run();
		return;
	}
	// A shape whose subset is being read is in use, however long the query waits for its turn.
	const waiter = rooms.waiters.subscribe(shape.slot);
	try {
		if ((await answerSubset(rooms, target, parameters.subset)) === "gone") {
			answerGone(rooms, exchange);
		}
	} finally {
		waiter.close();
	}
}

/** No successor is known here: the client's next request finds it. */
function answerGone(rooms: ShapeRequestRooms, exchange: Exchange): void {
	exchange.send(409, refetchHeaders(exchange.method, null, rooms.config), REFETCH_BODY);
}

/** The loop: look, decide, answer or wait for news. */
class ShapeReading {
	readonly #rooms: ShapeRequestRooms;
	readonly #exchange: Exchange;
	readonly #parameters: ReadParameters;
	readonly #shape: ResolvedShape;
	/** End of each kind of wait, once it has begun. */
	readonly #deadlines = new Map<ReadPlan["kind"], number>();

	constructor(
		rooms: ShapeRequestRooms,
		exchange: Exchange,
		read: { readonly parameters: ReadParameters; readonly shape: ResolvedShape },
	) {
		this.#rooms = rooms;
		this.#exchange = exchange;
		this.#parameters = read.parameters;
		this.#shape = read.shape;
	}

	async run(): Promise<void> {
		const { waiters, table } = this.#rooms;
		// Before the first look: what is published in between finds a waiter to wake.
		const waiter = waiters.subscribe(this.#shape.slot);
		this.#exchange.onEnd(() => waiter.close());
		try {
			let answered = false;
			while (!answered && !this.#exchange.closed) {
				const view = viewShape(table, this.#shape);
				answered = await this.#step(
					planRead(this.#parameters.offset, view, this.#parameters.definition.log === "changes_only"),
					view,
					waiter,
				);
			}
		} finally {
			waiter.close();
		}
	}

	/** True once the request is answered. */
	async #step(plan: ReadPlan, view: ShapeView, waiter: Waiter): Promise<boolean> {
		const streams = plan.kind === "chunk" || plan.kind === "log" || plan.kind === "at-end";
		if (this.#parameters.sse && streams) {
			await this.#read(() => this.#stream(waiter, plan.kind === "at-end" ? plan.end : null));
			return true;
		}
		return this.#answer(plan, view, waiter);
	}

	async #stream(waiter: Waiter, end: LogOffset | null): Promise<void> {
		const { answers, table, reader, eventTimes } = this.#rooms;
		const target = { exchange: this.#exchange, parameters: this.#parameters, shape: this.#shape };
		answers.beginEvents(target, end);
		if (this.#exchange.isHead) {
			this.#exchange.response.end();
		} else {
			await new EventStream(target, { table, reader, waiter, times: eventTimes }).run();
		}
	}

	async #answer(plan: ReadPlan, view: ShapeView, waiter: Waiter): Promise<boolean> {
		const { config, answers } = this.#rooms;
		const target = { exchange: this.#exchange, parameters: this.#parameters, shape: this.#shape };
		switch (plan.kind) {
			case "gone":
				answerGone(this.#rooms, this.#exchange);
				return true;
			case "now":
				answers.now(target, plan);
				return true;
			case "chunk":
				return this.#read(() => answers.snapshotChunk(target, plan.chunk));
			case "log":
				return this.#read(() => answers.log(target, view, plan.after));
			case "at-end":
				if (!this.#parameters.live || answers.isNotModified(target, plan.end)) {
					answers.atEnd(target, view, plan.end);
					return true;
				}
				if (await this.#park(plan.kind, waiter, config.longPollTimeoutMs)) {
					return false;
				}
				answers.timedOut(target, view, plan.end);
				return true;
			case "out-of-bounds":
				if (await this.#park(plan.kind, waiter, config.longPollTimeoutMs / 2)) {
					return false;
				}
				this.#exchange.fail(this.#exchange.stopping ? stopping() : this.#beyondEnd(view));
				return true;
			case "not-ready":
				if (await this.#park(plan.kind, waiter, HTTP_PREPARE_WAIT_MS)) {
					return false;
				}
				this.#exchange.fail(this.#exchange.stopping ? stopping() : notPrepared());
				return true;
		}
	}

	/**
	 * A log that PostgreSQL is sending again after a crash is behind what its readers have seen. Only a lane that has
	 * processed the client's transaction can say that the shape never had it: a 400 ends the published client.
	 */
	#beyondEnd(view: ShapeView): Failure {
		const { offset } = this.#parameters;
		const isPast = offset.kind === "position" && view.processedLsn >= offset.at.tx;
		return this.#rooms.table.statusLevel() === LEVEL_ACTIVE && isPast ? outOfBounds() : logBehind();
	}

	/**
	 * Waits for news. False when the time for this kind of wait is over: the caller answers with the view it has,
	 * which was taken after the time was over.
	 */
	async #park(kind: ReadPlan["kind"], waiter: Waiter, timeoutMs: number): Promise<boolean> {
		const now = performance.now();
		const deadline = this.#deadlines.get(kind) ?? now + timeoutMs;
		this.#deadlines.set(kind, deadline);
		if (now >= deadline || this.#exchange.stopping) {
			return false;
		}
		await waiter.wait(deadline - now);
		return true;
	}

	/** Files of a shape that was removed meanwhile may be gone: that is a 409, not an error. */
	async #read(answer: () => Promise<void>): Promise<boolean> {
		try {
			await answer();
		} catch (error) {
			if (viewShape(this.#rooms.table, this.#shape).gone && !this.#exchange.response.headersSent) {
				answerGone(this.#rooms, this.#exchange);
				return true;
			}
			const failure = diskError(error, "read");
			const isReported = await this.#reportedCorrupt(failure);
			if (this.#exchange.response.headersSent) {
				throw failure;
			}
			if (isReported) {
				answerGone(this.#rooms, this.#exchange);
			} else if (this.#rooms.table.statusLevel() === LEVEL_READ_ONLY) {
				// Another daemon writes these files: what it is changing now will hold in a moment.
				this.#exchange.fail(logBehind());
			} else {
				throw failure;
			}
		}
		return true;
	}

	/** True when the shape's files are damaged and the registrar has dropped the shape for that. */
	async #reportedCorrupt(failure: unknown): Promise<boolean> {
		if (!(failure instanceof SluiceError) || failure.code !== "SLUICE_LOG_CORRUPT") {
			return false;
		}
		const { handle, generation } = this.#shape;
		const { registrar, logger } = this.#rooms;
		logger.error({ err: failure, handle }, "a shape's log cannot be read as it was written");
		try {
			await registrar.reportCorrupt(handle, generation);
			return true;
		} catch (err) {
			logger.warn({ err, handle }, "the registrar could not be told of a damaged log");
			return false;
		}
	}
}
