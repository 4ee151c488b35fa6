/**
 * The messages of pgoutput, protocol version 1, as frames of a batch carry them: one function a message. Owns
 * their layouts; must do nothing with what it reads. Rows become ranges in two tuples that are used again for
 * the next row. Called by the lane's batch processor.
 * Source: PostgreSQL manual, "Logical Replication Message Formats"; `src/backend/replication/logical/proto.c`.
 */

import {
	type BeginMessage,
	OLD_KEY,
	OLD_NONE,
	OLD_WHOLE,
	type OldKind,
	type StreamDecoder,
} from "../../shared/decoding.ts";
import type { Relation, RelationColumn } from "../../shared/matching.ts";
import { Tuple } from "../../shared/tuple.ts";
import { malformed } from "./malformed.ts";
import { MessageReader } from "./message-reader.ts";
import { fillUnchanged, hasUnchanged, readTupleData } from "./tuple-data.ts";

const PART_NEW = 0x4e;
const PART_KEY = 0x4b;
const PART_OLD = 0x4f;

/** Tag, relation oid, part byte: what every row message begins with. */
const ROW_PREFIX_BYTES = 6;
const BEGIN_BYTES = 21;
const COMMIT_BYTES = 26;

export class PgoutputDecoder implements StreamDecoder {
	readonly oldTuple: Tuple = new Tuple();
	readonly newTuple: Tuple = new Tuple();
	readonly #reader = new MessageReader();

	/** Begin: Int64 final_lsn (the LSN of the commit record), Int64 commit time, Int32 xid. */
	readBegin(buffer: Buffer, start: number, end: number, into: BeginMessage): void {
		if (end - start !== BEGIN_BYTES) {
			throw malformed(buffer[start] ?? 0, end - start, "a Begin of another length");
		}
		into.finalLsnHigh = readUint32(buffer, start + 1);
		into.finalLsnLow = readUint32(buffer, start + 5);
		into.xid = readUint32(buffer, start + 17);
	}

	/** Commit: Int8 flags, Int64 commit_lsn, Int64 end_lsn, Int64 commit time. A lane knows them from elsewhere. */
	checkCommit(buffer: Buffer, start: number, end: number): void {
		if (end - start !== COMMIT_BYTES) {
			throw malformed(buffer[start] ?? 0, end - start, "a Commit of another length");
		}
	}

	/**
	 * Relation: Int32 oid, String namespace, String name, Int8 replica identity, Int16 n, and for each column Int8
	 * flags (1 = part of the key), String name, Int32 type oid, Int32 typmod. An empty namespace is pg_catalog.
	 */
	readRelation(buffer: Buffer, start: number, end: number): Relation {
		const reader = this.#reader;
		reader.begin(buffer, start, end);
		const oid = reader.uint32();
		const schema = reader.text();
		const name = reader.text();
		const replicaIdentity = String.fromCharCode(reader.uint8());
		const count = reader.uint16();
		const columns: RelationColumn[] = [];
		for (let index = 0; index < count; index += 1) {
			const flags = reader.uint8();
			const columnName = reader.text();
			columns.push({
				name: columnName,
				typeOid: reader.uint32(),
				typmod: reader.int32(),
				partOfKey: (flags & 1) === 1,
			});
		}
		reader.finish();
		return { oid, schema: schema === "" ? "pg_catalog" : schema, name, replicaIdentity, columns };
	}

	/** The oid of a Relation, Insert, Update or Delete. */
	readRelationOid(buffer: Buffer, start: number, end: number): number {
		if (end - start < ROW_PREFIX_BYTES) {
			throw malformed(buffer[start] ?? 0, end - start, "the message ends before its relation");
		}
		return readUint32(buffer, start + 1);
	}

	/** Truncate: Int32 n, Int8 options, n × Int32 oid. Returns the oids. */
	readTruncate(buffer: Buffer, start: number, end: number): readonly number[] {
		const reader = this.#reader;
		reader.begin(buffer, start, end);
		const count = reader.uint32();
		reader.uint8();
		if (count * 4 > end - start) {
			throw reader.problem("more relations than the message holds");
		}
		const oids: number[] = [];
		for (let index = 0; index < count; index += 1) {
			oids.push(reader.uint32());
		}
		reader.finish();
		return oids;
	}

	/** Insert: Int32 oid, `N`, TupleData. Fills `newTuple`. */
	readInsert(buffer: Buffer, start: number, end: number, columnCount: number): void {
		if (buffer[start + 5] !== PART_NEW) {
			throw malformed(buffer[start] ?? 0, 5, "an Insert without its new row");
		}
		const at = readTupleData(buffer, start, start + ROW_PREFIX_BYTES, end, columnCount, this.newTuple);
		if (at !== end) {
			throw malformed(buffer[start] ?? 0, at - start, "bytes after the end of the message");
		}
		if (hasUnchanged(this.newTuple)) {
			throw malformed(buffer[start] ?? 0, ROW_PREFIX_BYTES, "an Insert with an unchanged value");
		}
	}

	/**
	 * Update: Int32 oid, optionally `K` or `O` and TupleData, `N` and TupleData. Fills `newTuple`, and `oldTuple`
	 * when the answer is {@link OLD_WHOLE}: then unchanged values of the new row are filled in from the old one.
	 */
	readUpdate(buffer: Buffer, start: number, end: number, columnCount: number): OldKind {
		let at = start + 5;
		let oldKind: OldKind = OLD_NONE;
		const part = buffer[at];
		if (part === PART_KEY || part === PART_OLD) {
			oldKind = part === PART_OLD ? OLD_WHOLE : OLD_KEY;
			at = readTupleData(buffer, start, at + 1, end, columnCount, this.oldTuple);
		}
		if (at >= end || buffer[at] !== PART_NEW) {
			throw malformed(buffer[start] ?? 0, at - start, "an Update without its new row");
		}
		at = readTupleData(buffer, start, at + 1, end, columnCount, this.newTuple);
		if (at !== end) {
			throw malformed(buffer[start] ?? 0, at - start, "bytes after the end of the message");
		}
		if (oldKind === OLD_WHOLE) {
			if (hasUnchanged(this.oldTuple)) {
				throw malformed(buffer[start] ?? 0, ROW_PREFIX_BYTES, "an old row with an unchanged value");
			}
			fillUnchanged(this.newTuple, this.oldTuple);
		}
		return oldKind;
	}

	/** Delete: Int32 oid, `K` or `O`, TupleData. Fills `oldTuple`. */
	readDelete(buffer: Buffer, start: number, end: number, columnCount: number): OldKind {
		const part = buffer[start + 5];
		if (part !== PART_KEY && part !== PART_OLD) {
			throw malformed(buffer[start] ?? 0, 5, "a Delete without its old row");
		}
		const at = readTupleData(buffer, start, start + ROW_PREFIX_BYTES, end, columnCount, this.oldTuple);
		if (at !== end) {
			throw malformed(buffer[start] ?? 0, at - start, "bytes after the end of the message");
		}
		if (part === PART_OLD && hasUnchanged(this.oldTuple)) {
			throw malformed(buffer[start] ?? 0, ROW_PREFIX_BYTES, "an old row with an unchanged value");
		}
		return part === PART_OLD ? OLD_WHOLE : OLD_KEY;
	}
}

/** Plain shifts: faster than Buffer's readers, which check their arguments. The caller has checked the length. */
function readUint32(buffer: Buffer, at: number): number {
	return (
		(((buffer[at] as number) << 24) |
			((buffer[at + 1] as number) << 16) |
			((buffer[at + 2] as number) << 8) |
			(buffer[at + 3] as number)) >>>
		0
	);
}
