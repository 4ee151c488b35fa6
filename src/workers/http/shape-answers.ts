/**
 * The successful answers of /v1/shape: which body, which offset, up to date or not, and which LSN the client may
 * believe. Owns the composed bodies that waiters share. Must never call a response up to date that does not reach
 * the end of the view it was made from. Called by the shape request. Source: shape-http-api.md 6.4, 6.6, 7, 11.2.
 */

import type { Config } from "../../shared/config.ts";
import type { ResolvedShape } from "../../shared/messages.ts";
import { compareOffsets, type LogOffset } from "../../shared/offset.ts";
import type { Compression, Encoding } from "./compression.ts";
import { nextCursor } from "./cursor.ts";
import { encodedEtag, matchingEtag, shapeEtag, type UniqueTags } from "./etag.ts";
import type { Exchange } from "./exchange.ts";
import type { ByteRun, LogReader } from "./log-reader.ts";
import type { ReadParameters } from "./parameters.ts";
import { highestSeen } from "./read-plan.ts";
import { formatPosition, formatRequestOffset } from "./request-offset.ts";
import { type Headers, shapeAnswerHeaders } from "./response-headers.ts";
import type { ShapeView } from "./shape-view.ts";

export interface AnswerTarget {
	readonly exchange: Exchange;
	readonly parameters: ReadParameters;
	readonly shape: ResolvedShape;
}

interface AnswerFacts {
	/** `electric-offset`. */
	readonly offset: string;
	readonly upToDate: boolean;
	/** False: a response without changes, whose tag is unique. */
	readonly hasData: boolean;
}

const PREFIX = Buffer.from("[");
const SUFFIX = Buffer.from("]");

/** The control message that closes a body which reaches the end of the log. */
export function upToDateMessage(lsn: bigint): string {
	return `{"headers":{"control":"up-to-date","global_last_seen_lsn":"${lsn}"}}`;
}

export class ShapeAnswers {
	readonly #config: Config;
	readonly #reader: LogReader;
	readonly #tags: UniqueTags;
	readonly #compression: Compression;
	/** The body that was last composed around shared bytes. */
	readonly #composed = new WeakMap<Buffer, { readonly suffix: string; readonly body: Buffer }>();

	constructor(rooms: {
		readonly config: Config;
		readonly reader: LogReader;
		readonly tags: UniqueTags;
		readonly compression: Compression;
	}) {
		this.#config = rooms.config;
		this.#reader = rooms.reader;
		this.#tags = rooms.tags;
		this.#compression = rooms.compression;
	}

	/** `offset=now`: where the log ends, at once. */
	now(target: AnswerTarget, plan: { readonly end: LogOffset; readonly lsn: bigint }): void {
		const facts = { offset: formatPosition(plan.end), upToDate: true, hasData: false };
		target.exchange.send(200, this.#headers(target, 200, facts), `[${upToDateMessage(plan.lsn)}]`);
	}

	/** Never up to date, not even the last one: the log follows. */
	async snapshotChunk(target: AnswerTarget, chunk: number): Promise<void> {
		const facts = { offset: `0_${chunk}`, upToDate: false, hasData: true };
		if (this.#sendNotModified(target, facts)) {
			return;
		}
		const run = await this.#reader.readSnapshotChunk(target.shape, chunk);
		await this.#sendRun(target, facts, { run, suffix: SUFFIX });
	}

	async log(target: AnswerTarget, view: ShapeView, after: LogOffset): Promise<void> {
		const answer = await this.#reader.readLog(target.shape, view.log, after);
		const upToDate = compareOffsets(answer.end, view.log.lastOffset) >= 0;
		const facts = { offset: formatPosition(answer.end), upToDate, hasData: true };
		if (this.#sendNotModified(target, facts)) {
			return;
		}
		// A live client resumes at this LSN: it must not be beyond what it got.
		const lsn = target.parameters.live ? answer.end.tx : maxOf(answer.end.tx, view.processedLsn);
		const suffix = upToDate ? Buffer.from(`,${upToDateMessage(lsn)}]`) : SUFFIX;
		await this.#sendRun(target, facts, { run: answer, suffix });
	}

	/** Nothing after the offset, and the client does not want to wait (or has this answer already). */
	atEnd(target: AnswerTarget, view: ShapeView, end: LogOffset): void {
		const facts = { offset: formatPosition(end), upToDate: true, hasData: true };
		if (!this.#sendNotModified(target, facts)) {
			const body = `[${upToDateMessage(highestSeen(view))}]`;
			target.exchange.send(200, this.#headers(target, 200, facts), body);
		}
	}

	/** A long-poll without news. */
	timedOut(target: AnswerTarget, view: ShapeView, end: LogOffset): void {
		const facts = { offset: formatPosition(end), upToDate: true, hasData: false };
		target.exchange.send(200, this.#headers(target, 200, facts), `[${upToDateMessage(highestSeen(view))}]`);
	}

	/**
	 * Begins an event stream. With data ahead the stream's offset is the requested one: a client that loses the
	 * stream before the first batch must not continue behind what it never got.
	 * @param end where the log ends, when the request is there; else null
	 */
	beginEvents(target: AnswerTarget, end: LogOffset | null): void {
		const offset = end === null ? formatRequestOffset(target.parameters.offset) : formatPosition(end);
		const headers = this.#headers(target, 200, { offset, upToDate: end !== null, hasData: true });
		// Node says `connection: keep-alive`, unless the client does not want that.
		target.exchange.writeHead(200, headers, null);
		target.exchange.response.flushHeaders();
	}

	isNotModified(target: AnswerTarget, end: LogOffset): boolean {
		const etag = this.#etag(target, { offset: formatPosition(end), upToDate: true, hasData: true });
		return matchingEtag(target.exchange.request.headers["if-none-match"], etag) !== null;
	}

	#sendNotModified(target: AnswerTarget, facts: AnswerFacts): boolean {
		const matching = matchingEtag(target.exchange.request.headers["if-none-match"], this.#etag(target, facts));
		if (matching === null) {
			return false;
		}
		// The form that the client has stays the form it is told of.
		target.exchange.send(304, { ...this.#headers(target, 304, facts), etag: matching }, null);
		return true;
	}

	async #sendRun(
		target: AnswerTarget,
		facts: AnswerFacts,
		body: { readonly run: ByteRun; readonly suffix: Buffer },
	): Promise<void> {
		const { run, suffix } = body;
		const { exchange } = target;
		const bytes = PREFIX.length + run.length + suffix.length;
		const encoding = this.#compression.choose(exchange.request.headers["accept-encoding"], bytes);
		const headers = this.#headers(target, 200, facts, encoding);
		if (run.bytes !== null) {
			exchange.send(200, headers, await this.#compression.whole(this.#compose(run.bytes, suffix), encoding));
			return;
		}
		const { path, position, length } = run;
		const compressor = this.#compression.stream(encoding);
		try {
			const file = { prefix: PREFIX, path, position, length, suffix };
			await exchange.sendFile(200, headers, file, compressor?.transform ?? null);
		} finally {
			compressor?.release();
		}
	}

	/** The same bytes and end give the same buffer, whoever asks. */
	#compose(bytes: Buffer, suffix: Buffer): Buffer {
		const suffixText = suffix.toString("latin1");
		const present = this.#composed.get(bytes);
		if (present?.suffix === suffixText) {
			return present.body;
		}
		const body = Buffer.concat([PREFIX, bytes, suffix]);
		this.#composed.set(bytes, { suffix: suffixText, body });
		return body;
	}

	#headers(target: AnswerTarget, status: number, facts: AnswerFacts, encoding: Encoding = "identity"): Headers {
		const { parameters, shape, exchange } = target;
		const { live, sse } = parameters;
		return shapeAnswerHeaders(
			{
				method: exchange.method,
				status,
				hasHandle: true,
				initial: parameters.offset.kind === "before-all",
				live,
				sse: sse && status === 200,
				handle: shape.handle,
				offset: facts.offset,
				schema: shape.schemaHeader,
				etag: encodedEtag(this.#etag(target, facts), encoding),
				encoding,
				upToDate: facts.upToDate,
				hasData: facts.hasData,
				cursor: live ? nextCursor(this.#config.longPollTimeoutMs, Date.now(), parameters.cursor) : "",
			},
			this.#config,
		);
	}

	#etag(target: AnswerTarget, facts: AnswerFacts): string {
		const requested = formatRequestOffset(target.parameters.offset);
		return facts.hasData
			? shapeEtag(target.shape.handle, requested, facts.offset)
			: this.#tags.shapeEtag(target.shape.handle, requested, facts.offset);
	}
}

function maxOf(left: bigint, right: bigint): bigint {
	return left > right ? left : right;
}
