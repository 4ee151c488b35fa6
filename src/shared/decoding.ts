/**
 * The seam between the lane and the decode room: what the lane asks about the messages of a batch. Plain types;
 * no state. Implemented by workers/decode, called by workers/lane for every frame, so nothing here allocates
 * for a row.
 */

import type { Relation } from "./matching.ts";
import type { Tuple } from "./tuple.ts";

/** No old row came with a change, only its replica identity, or the whole of it. */
export const OLD_NONE = 0;
export const OLD_KEY = 1;
export const OLD_WHOLE = 2;
export type OldKind = typeof OLD_NONE | typeof OLD_KEY | typeof OLD_WHOLE;

export interface BeginMessage {
	/** The LSN of the commit record, as halves. */
	finalLsnHigh: number;
	finalLsnLow: number;
	xid: number;
}

/**
 * Reads messages that lie from `start` (the tag byte) to `end` in `buffer`.
 * All methods throw SluiceError `SLUICE_TUPLE_MALFORMED` when the bytes are not such a message.
 */
export interface StreamDecoder {
	/** Filled by the row readers; they hold until the next one. */
	readonly oldTuple: Tuple;
	readonly newTuple: Tuple;
	readBegin(buffer: Buffer, start: number, end: number, into: BeginMessage): void;
	checkCommit(buffer: Buffer, start: number, end: number): void;
	readRelation(buffer: Buffer, start: number, end: number): Relation;
	/** Of a Relation, Insert, Update or Delete. */
	readRelationOid(buffer: Buffer, start: number, end: number): number;
	readTruncate(buffer: Buffer, start: number, end: number): readonly number[];
	/** Fills `newTuple`. */
	readInsert(buffer: Buffer, start: number, end: number, columnCount: number): void;
	/** Fills `newTuple`, and with OLD_WHOLE also `oldTuple`; then the new one is complete too. */
	readUpdate(buffer: Buffer, start: number, end: number, columnCount: number): OldKind;
	/** Fills `oldTuple`. */
	readDelete(buffer: Buffer, start: number, end: number, columnCount: number): OldKind;
}
