/**
 * Entity tags of shape responses, and what `If-None-Match` says about them. A response without changes gets a
 * tag that no other response has, so it can never be revalidated. Source: shape-http-api.md 7.
 */

import type { Encoding } from "./compression.ts";

/** Threads that may serve one address at a time; makes the counters of two threads differ. */
const THREAD_STRIDE = 1_024n;

export function shapeEtag(handle: string, requested: string, answered: string): string {
	return `"${handle}:${requested}:${answered}"`;
}

/** Strictly increasing in this process, and different in each thread. */
export class UniqueTags {
	readonly #thread: bigint;
	#last = 0n;

	constructor(thread: number) {
		this.#thread = BigInt(thread);
	}

	shapeEtag(handle: string, requested: string, answered: string): string {
		const now = process.hrtime.bigint();
		this.#last = now > this.#last ? now : this.#last + 1n;
		return `"${handle}:${requested}:${answered}:${this.#last * THREAD_STRIDE + this.#thread}"`;
	}
}

/** The tag of a compressed form: other bytes, so another tag. That of the plain form stays as the protocol has it. */
export function encodedEtag(etag: string, encoding: Encoding): string {
	return encoding === "identity" ? etag : `${etag.slice(0, -1)}-${encoding}"`;
}

const ENCODING_SUFFIX = /-(gzip|br|zstd)$/;

/**
 * The client's tag that names the same content as `etag` (of the plain form), in whatever encoding, quoted; null when
 * there is none.
 */
export function matchingEtag(ifNoneMatch: string | undefined, etag: string): string | null {
	const matching = candidates(ifNoneMatch).find(
		(candidate) => candidate.replace(ENCODING_SUFFIX, "") === etag.replaceAll('"', ""),
	);
	return matching === undefined ? null : `"${matching}"`;
}

/** Split at commas, trimmed, quotes stripped; a `W/` prefix is not understood. */
function candidates(ifNoneMatch: string | undefined): readonly string[] {
	return ifNoneMatch === undefined || ifNoneMatch === ""
		? []
		: ifNoneMatch.split(",").map((candidate) => candidate.trim().replaceAll('"', ""));
}
