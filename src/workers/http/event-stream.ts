/**
 * A live request as server-sent events: follows the shape's log to its end, whatever the chunks, until the stream's
 * time is over, the shape is gone, or the client is. Owns one open response. Must never name an LSN beyond what it
 * has sent: the client resumes there. Called by the shape request once the shape can be read.
 * Source: shape-http-api.md 11.3, with its hazards resolved.
 */

import { compareOffsets } from "../../shared/offset.ts";
import type { ShapeTable } from "../../shared/shape-table.ts";
import { PieceSource, writeOut } from "./body-writer.ts";
import { EventFramer, eventOf } from "./event-framer.ts";
import type { ByteRun, LogReader } from "./log-reader.ts";
import { planRead } from "./read-plan.ts";
import type { RequestOffset } from "./request-offset.ts";
import { type AnswerTarget, upToDateMessage } from "./shape-answers.ts";
import { isGone, type ShapeView, viewShape } from "./shape-view.ts";
import type { Waiter } from "./waiters.ts";

export interface EventTimes {
	readonly keepAliveMs: number;
	readonly lifetimeMs: number;
}

const KEEP_ALIVE = ": keep-alive\n\n";
const NOTHING = Buffer.alloc(0);

export class EventStream {
	readonly #target: AnswerTarget;
	readonly #table: ShapeTable;
	readonly #reader: LogReader;
	readonly #waiter: Waiter;
	readonly #times: EventTimes;
	#offset: RequestOffset;

	constructor(
		target: AnswerTarget,
		rooms: {
			readonly table: ShapeTable;
			readonly reader: LogReader;
			readonly waiter: Waiter;
			readonly times: EventTimes;
		},
	) {
		this.#target = target;
		this.#table = rooms.table;
		this.#reader = rooms.reader;
		this.#waiter = rooms.waiter;
		this.#times = rooms.times;
		this.#offset = target.parameters.offset;
	}

	/** Runs until the stream ends; the head is sent already. @throws what reading the files throws */
	async run(): Promise<void> {
		const { exchange, shape } = this.#target;
		const end = performance.now() + this.#times.lifetimeMs;
		try {
			let open = true;
			while (open && !exchange.closed && !exchange.stopping && performance.now() < end) {
				open = await this.#step(end);
			}
		} catch (error) {
			if (!isGone(this.#table, shape)) {
				throw error;
			}
		}
		exchange.response.end();
	}

	/** False when the stream ends. */
	async #step(end: number): Promise<boolean> {
		const view = viewShape(this.#table, this.#target.shape);
		const plan = planRead(this.#offset, view);
		switch (plan.kind) {
			case "chunk":
				return this.#sendChunk(plan.chunk);
			case "log":
				return this.#sendLog(view, plan.after);
			case "at-end":
			case "not-ready":
				return this.#idle(end);
			default:
				// Gone: the next request gets the 409.
				return false;
		}
	}

	async #sendChunk(chunk: number): Promise<boolean> {
		const run = await this.#reader.readSnapshotChunk(this.#target.shape, chunk);
		this.#offset = { kind: "position", at: { tx: 0n, op: chunk } };
		return this.#sendRun(run, "");
	}

	async #sendLog(view: ShapeView, after: { readonly tx: bigint; readonly op: number }): Promise<boolean> {
		const answer = await this.#reader.readLog(this.#target.shape, view.log, after);
		this.#offset = { kind: "position", at: answer.end };
		const upToDate = compareOffsets(answer.end, view.log.lastOffset) >= 0;
		return this.#sendRun(answer, upToDate ? eventOf(upToDateMessage(answer.end.tx)) : "");
	}

	async #sendRun(run: ByteRun, last: string): Promise<boolean> {
		const { response } = this.#target.exchange;
		const framer = new EventFramer();
		if (run.bytes !== null) {
			return writeOut(response, Buffer.concat([framer.frame(run.bytes), framer.end(), Buffer.from(last)]));
		}
		const { path, position, length } = run;
		const source = await PieceSource.open({ path, position, length, prefix: NOTHING, suffix: NOTHING });
		try {
			for (let piece = await source.next(); piece !== null; piece = await source.next()) {
				if (!(await writeOut(response, framer.frame(piece)))) {
					return false;
				}
			}
		} finally {
			await source.close();
		}
		return writeOut(response, Buffer.concat([framer.end(), Buffer.from(last)]));
	}

	async #idle(end: number): Promise<boolean> {
		const untilEnd = end - performance.now();
		const wake = await this.#waiter.wait(Math.min(untilEnd, this.#times.keepAliveMs));
		if (wake !== "timeout" || untilEnd <= this.#times.keepAliveMs) {
			return wake !== "ended";
		}
		return writeOut(this.#target.exchange.response, KEEP_ALIVE);
	}
}
