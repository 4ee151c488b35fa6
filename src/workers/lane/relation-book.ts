/**
 * The relations as the stream has described them last. Owns one entry for each oid, made anew when a Relation
 * message differs from the one before; a repeated one costs a comparison of bytes. Must know nothing of shapes
 * beyond who is not up to date with an entry. Called by the batch processor.
 */

import type { StreamDecoder } from "../../shared/decoding.ts";
import type { Relation } from "../../shared/matching.ts";
import type { LaneShape } from "./lane-shape.ts";
import { RecentTransactions } from "./recent-transactions.ts";
import type { StreamPosition } from "./stream-position.ts";

export interface RelationEntry {
	readonly oid: number;
	readonly relation: Relation;
	readonly columnNames: readonly string[];
	/** The message, to recognise a repetition. */
	readonly message: Buffer;
	recent: RecentTransactions;
	/** Serial of the transaction that `recent` got last. */
	recentSerial: number;
	/**
	 * Shapes that this entry does not fit, but whose snapshot may hold every change described by it. Null when
	 * there are none, which is nearly always so.
	 */
	stale: Set<LaneShape> | null;
}

export class RelationBook {
	readonly #entries = new Map<number, RelationEntry>();
	#last: RelationEntry | null = null;

	/** Undefined when the stream has not described it. */
	find(oid: number): RelationEntry | undefined {
		if (this.#last !== null && this.#last.oid === oid) {
			return this.#last;
		}
		const entry = this.#entries.get(oid);
		if (entry !== undefined) {
			this.#last = entry;
		}
		return entry;
	}

	/** Takes a Relation message; answers the new entry, or null when it says nothing new. */
	take(decoder: StreamDecoder, buffer: Buffer, start: number, end: number): RelationEntry | null {
		const oid = decoder.readRelationOid(buffer, start, end);
		const known = this.find(oid);
		if (known !== undefined && isSame(known.message, buffer, start, end)) {
			return null;
		}
		const relation = decoder.readRelation(buffer, start, end);
		const entry: RelationEntry = {
			oid,
			relation,
			columnNames: relation.columns.map((column) => column.name),
			message: Buffer.from(buffer.subarray(start, end)),
			recent: known?.recent ?? new RecentTransactions(),
			recentSerial: known?.recentSerial ?? -1,
			stale: null,
		};
		this.#entries.set(oid, entry);
		this.#last = entry;
		return entry;
	}

	/** The open transaction changes the relation. */
	noteTransaction(entry: RelationEntry, position: StreamPosition): void {
		entry.recentSerial = position.serial;
		entry.recent.push(position.xid, position.lsnHigh, position.lsnLow);
	}

	/** There is a gap in the stream: what was delivered before it says nothing about snapshots after it. */
	forgetTransactions(): void {
		for (const entry of this.#entries.values()) {
			entry.recent = new RecentTransactions();
			entry.recentSerial = -1;
		}
	}

	all(): IterableIterator<RelationEntry> {
		return this.#entries.values();
	}
}

function isSame(message: Buffer, buffer: Buffer, start: number, end: number): boolean {
	return message.length === end - start && buffer.compare(message, 0, message.length, start, end) === 0;
}
