/**
 * Entity tags of shape responses, and what `If-None-Match` says about them. A response without changes gets a
 * tag that no other response has, so it can never be revalidated. Source: shape-http-api.md 7.
 */

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

/** Split at commas, trimmed, quotes stripped; a `W/` prefix is not understood. */
export function matchesEtag(ifNoneMatch: string | undefined, etag: string): boolean {
	if (ifNoneMatch === undefined || ifNoneMatch === "") {
		return false;
	}
	const wanted = etag.replaceAll('"', "");
	return ifNoneMatch.split(",").some((candidate) => candidate.trim().replaceAll('"', "") === wanted);
}
