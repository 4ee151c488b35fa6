/**
 * The transactions that changed a relation lately: what the splice's hole check looks at (replication.md 5.4,
 * step 3). Owns a bounded list in chunks; a mark taken by a new shape shares the chunks, so that a thousand
 * shapes added at once cost one list. Must never allocate for a transaction. Called by the batch processor once
 * for each (transaction, relation).
 */

import { SPLICE_RING_TRANSACTIONS } from "../../shared/limits.ts";

const CHUNK_TRANSACTIONS = 1024;
const WORDS = 3;
const CHUNKS_MAX = SPLICE_RING_TRANSACTIONS / CHUNK_TRANSACTIONS;

/** A chunk is only ever added to, so whoever remembers its count may keep it. */
interface Chunk {
	readonly words: Uint32Array;
	count: number;
}

/** The transactions that the list held at one moment. */
export interface TransactionMark {
	readonly chunks: readonly Chunk[];
	readonly lastCount: number;
}

export class RecentTransactions {
	#chunks: Chunk[] = [];
	#last: Chunk | null = null;

	push(xid: number, lsnHigh: number, lsnLow: number): void {
		let chunk = this.#last;
		if (chunk === null || chunk.count === CHUNK_TRANSACTIONS) {
			chunk = { words: new Uint32Array(CHUNK_TRANSACTIONS * WORDS), count: 0 };
			this.#last = chunk;
			// A new array: marks hold the old one.
			this.#chunks = [...this.#chunks, chunk].slice(-CHUNKS_MAX);
		}
		const base = chunk.count * WORDS;
		chunk.words[base] = xid;
		chunk.words[base + 1] = lsnHigh;
		chunk.words[base + 2] = lsnLow;
		chunk.count += 1;
	}

	mark(): TransactionMark {
		return { chunks: this.#chunks, lastCount: this.#last?.count ?? 0 };
	}
}

/** True when `test` holds for all transactions of the mark. */
export function everyTransaction(
	mark: TransactionMark,
	test: (xid: number, lsnHigh: number, lsnLow: number) => boolean,
): boolean {
	return mark.chunks.every((chunk, index) => {
		const count = index === mark.chunks.length - 1 ? mark.lastCount : chunk.count;
		for (let number = 0; number < count; number += 1) {
			const base = number * WORDS;
			const words = chunk.words;
			if (!test(words[base] as number, words[base + 1] as number, words[base + 2] as number)) {
				return false;
			}
		}
		return true;
	});
}
