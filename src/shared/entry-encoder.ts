/**
 * Rows to the JSON items that clients receive: snapshot rows and log entries of one shape. Owns the bytes of
 * an item; must never build a string per row, and never look at the `where`. Bound to one relation's column
 * order at a time. Called by the lane and by the snapshot task; the form is that of the Shape API, section 9.
 *
 * Every item ends with `}}` and `headers` is its last member, so that sealing a transaction's last entry
 * inserts {@link LAST_MARK} before these two bytes.
 */

import { invariant } from "./assert.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { appendKeyValues, relationKeyPrefix } from "./row-key.ts";
import type { ShapeDefinition } from "./shape-definition.ts";
import { LENGTH_NULL, LENGTH_UNCHANGED, sameColumn, type Tuple } from "./tuple.ts";

/** Inserted before the closing `}}` of the last entry of a transaction in a shape. */
export const LAST_MARK: Buffer = Buffer.from(',"last":true', "latin1");
/** What every item ends with. */
export const ITEM_END: Buffer = Buffer.from("}}", "latin1");

/** Answer of {@link EntryEncoder.compare}: a selected column differs. */
export const CHANGED_SELECTED = 1;
/** Answer of {@link EntryEncoder.compare}: a key column differs. */
export const CHANGED_KEY = 2;

const NULL_TEXT = Buffer.from("null", "latin1");
const QUOTE = 0x22;
const COMMA = 0x2c;
const TXIDS = Buffer.from(',"txids":[', "latin1");
const LSN = Buffer.from('],"lsn":"', "latin1");
const OP_POSITION = Buffer.from('","op_position":', "latin1");
const OLD_VALUE = Buffer.from('},"old_value":{', "latin1");
const VALUE = Buffer.from('","value":{', "latin1");
const KEY_CHANGE_TO = Buffer.from(',"key_change_to":"', "latin1");
const KEY_CHANGE_FROM = Buffer.from(',"key_change_from":"', "latin1");

/** Which columns of a row go into `value`. */
const WHOLE = 0;
const KEYS_ONLY = 1;
const KEYS_AND_CHANGED = 2;
const CHANGED_ONLY = 3;

/**
 * Writes the headers that all entries of a transaction share into `stamp` (cleared first).
 * @param xid of Begin, 32 bits without epoch
 */
export function writeTransactionStamp(stamp: ByteWriter, xid: number, lsnHigh: number, lsnLow: number): void {
	stamp.clear();
	stamp.bytes(TXIDS);
	stamp.decimal(xid);
	stamp.bytes(LSN);
	if (lsnHigh < 0x20_0000) {
		stamp.decimal(lsnHigh * 0x1_0000_0000 + lsnLow);
	} else {
		stamp.ascii(((BigInt(lsnHigh) << 32n) | BigInt(lsnLow)).toString());
	}
	stamp.bytes(OP_POSITION);
}

/** The member of `headers` that says which subset a row belongs to. */
export function snapshotMarkHeader(mark: number): Buffer {
	return Buffer.from(`,"snapshot_mark":${mark}`, "latin1");
}

/** The selection, keys and replica mode of a definition, whatever its `where`: shapes with one text share an encoder. */
export function encoderIdentity(definition: ShapeDefinition): string {
	const { table, selectedColumns, keyColumns, hasPrimaryKey, replica } = definition;
	return JSON.stringify([table.schema, table.name, selectedColumns, keyColumns, hasPrimaryKey, replica]);
}

export class EntryEncoder {
	readonly #selectedNames: readonly string[];
	readonly #keyNames: readonly string[];
	readonly #full: boolean;
	/** `{"key":"` and the relation's part of the key. */
	readonly #open: Buffer;
	/** The relation's part alone, as it stands in `key_change_to`. */
	readonly #keyPrefix: Buffer;
	/** `"name":` of each selected column. */
	readonly #names: readonly Buffer[];
	/** From the end of `value` up to the relation header, by operation. */
	readonly #insertHeaders: Buffer;
	readonly #updateHeaders: Buffer;
	readonly #deleteHeaders: Buffer;
	/** Position in the tuple of each selected and of each key column. */
	readonly #selected: Int32Array;
	readonly #keys: Int32Array;
	readonly #selectedIsKey: Uint8Array;
	/** Key columns that are not selected have to be compared on their own. */
	readonly #keysNotSelected: Int32Array;
	readonly #changed: Uint8Array;
	#bound = false;

	constructor(definition: ShapeDefinition) {
		const { table } = definition;
		this.#selectedNames = definition.selectedColumns;
		this.#keyNames = definition.keyColumns;
		this.#full = definition.replica === "full";
		this.#keyPrefix = Buffer.from(JSON.stringify(relationKeyPrefix(table.schema, table.name)).slice(1, -1));
		this.#open = Buffer.concat([Buffer.from('{"key":"', "latin1"), this.#keyPrefix]);
		this.#names = definition.selectedColumns.map((name) => Buffer.from(`${JSON.stringify(name)}:`));
		const relation = JSON.stringify([table.schema, table.name]);
		const headers = (operation: string): Buffer =>
			Buffer.from(`},"headers":{"operation":"${operation}","relation":${relation}`);
		this.#insertHeaders = headers("insert");
		this.#updateHeaders = headers("update");
		this.#deleteHeaders = headers("delete");
		const keys = new Set(definition.keyColumns);
		this.#selected = new Int32Array(definition.selectedColumns.length);
		this.#keys = new Int32Array(definition.keyColumns.length);
		this.#selectedIsKey = Uint8Array.from(definition.selectedColumns, (name) => (keys.has(name) ? 1 : 0));
		const selected = new Set(definition.selectedColumns);
		this.#keysNotSelected = new Int32Array(definition.keyColumns.filter((name) => !selected.has(name)).length);
		this.#changed = new Uint8Array(definition.selectedColumns.length);
	}

	/**
	 * Maps the columns of the tuples to come, which may hold more than the shape needs.
	 * @throws InvariantError when a column of the shape is missing: the caller checks the schema first
	 */
	bindColumns(names: readonly string[]): void {
		const positions = new Map(names.map((name, position) => [name, position]));
		const locate = (name: string): number => {
			const position = positions.get(name);
			invariant(position !== undefined, "the tuples lack a column of the shape");
			return position;
		};
		this.#selectedNames.forEach((name, index) => {
			this.#selected[index] = locate(name);
		});
		let notSelected = 0;
		this.#keyNames.forEach((name, index) => {
			this.#keys[index] = locate(name);
			if (!this.#selectedNames.includes(name)) {
				this.#keysNotSelected[notSelected] = locate(name);
				notSelected += 1;
			}
		});
		this.#bound = true;
	}

	/** A row of the initial snapshot: no transaction, no position. */
	appendSnapshotRow(out: ByteWriter, tuple: Tuple): void {
		this.#appendOpen(out, tuple, WHOLE);
		out.bytes(this.#insertHeaders);
		out.bytes(ITEM_END);
	}

	/**
	 * A row of a subset: as one of the initial snapshot, with a mark in its headers.
	 * @param mark from {@link snapshotMarkHeader}
	 */
	appendSubsetRow(out: ByteWriter, tuple: Tuple, mark: Buffer): void {
		this.#appendOpen(out, tuple, WHOLE);
		out.bytes(this.#insertHeaders);
		out.bytes(mark);
		out.bytes(ITEM_END);
	}

	/** A row that came into the shape. `stamp` from {@link writeTransactionStamp}. */
	appendInsert(out: ByteWriter, stamp: ByteWriter, op: number, tuple: Tuple): void {
		this.#appendOpen(out, tuple, WHOLE);
		out.bytes(this.#insertHeaders);
		appendClose(out, stamp, op);
	}

	/** A row that left the shape: the key columns, or in full mode the whole old row. */
	appendDelete(out: ByteWriter, stamp: ByteWriter, op: number, oldTuple: Tuple): void {
		this.#appendOpen(out, oldTuple, this.#full ? WHOLE : KEYS_ONLY);
		out.bytes(this.#deleteHeaders);
		appendClose(out, stamp, op);
	}

	/** A row that stayed in the shape under its key. {@link compare} must have been called with these tuples. */
	appendUpdate(out: ByteWriter, stamp: ByteWriter, op: number, oldTuple: Tuple, newTuple: Tuple): void {
		this.#appendOpen(out, newTuple, this.#full ? WHOLE : KEYS_AND_CHANGED);
		if (this.#full) {
			out.bytes(OLD_VALUE);
			this.#appendValue(out, oldTuple, CHANGED_ONLY);
		}
		out.bytes(this.#updateHeaders);
		appendClose(out, stamp, op);
	}

	/** First half of a key change, at the change's own op. */
	appendKeyChangeDelete(out: ByteWriter, stamp: ByteWriter, op: number, oldTuple: Tuple, newTuple: Tuple): void {
		this.#appendOpen(out, oldTuple, this.#full ? WHOLE : KEYS_ONLY);
		out.bytes(this.#deleteHeaders);
		this.#appendKeyHeader(out, KEY_CHANGE_TO, newTuple);
		appendClose(out, stamp, op);
	}

	/** Second half of a key change, at the change's op + 1. */
	appendKeyChangeInsert(out: ByteWriter, stamp: ByteWriter, op: number, oldTuple: Tuple, newTuple: Tuple): void {
		this.#appendOpen(out, newTuple, WHOLE);
		out.bytes(this.#insertHeaders);
		this.#appendKeyHeader(out, KEY_CHANGE_FROM, oldTuple);
		appendClose(out, stamp, op);
	}

	/**
	 * What differs, textually, between two versions of a row: {@link CHANGED_SELECTED} | {@link CHANGED_KEY}.
	 * Remembers the changed columns for {@link appendUpdate}.
	 */
	compare(oldTuple: Tuple, newTuple: Tuple): number {
		invariant(this.#bound, "an encoder that is not bound to a relation");
		let answer = 0;
		for (let index = 0; index < this.#selected.length; index += 1) {
			const column = this.#selected[index] as number;
			if (isSame(oldTuple, newTuple, column)) {
				this.#changed[index] = 0;
			} else {
				this.#changed[index] = 1;
				answer |= this.#selectedIsKey[index] === 1 ? CHANGED_SELECTED | CHANGED_KEY : CHANGED_SELECTED;
			}
		}
		for (let index = 0; index < this.#keysNotSelected.length; index += 1) {
			if (!isSame(oldTuple, newTuple, this.#keysNotSelected[index] as number)) {
				answer |= CHANGED_KEY;
			}
		}
		return answer;
	}

	#appendOpen(out: ByteWriter, tuple: Tuple, columns: number): void {
		out.bytes(this.#open);
		appendKeyValues(out, tuple, this.#keys);
		out.bytes(VALUE);
		this.#appendValue(out, tuple, columns);
	}

	#appendValue(out: ByteWriter, tuple: Tuple, columns: number): void {
		invariant(this.#bound, "an encoder that is not bound to a relation");
		let isFirst = true;
		for (let index = 0; index < this.#selected.length; index += 1) {
			if (columns !== WHOLE) {
				const isWanted =
					(columns !== CHANGED_ONLY && this.#selectedIsKey[index] === 1) ||
					(columns !== KEYS_ONLY && this.#changed[index] === 1);
				if (!isWanted) {
					continue;
				}
			}
			if (!isFirst) {
				out.byte(COMMA);
			}
			isFirst = false;
			out.bytes(this.#names[index] as Buffer);
			const column = this.#selected[index] as number;
			const length = tuple.length[column] as number;
			if (length === LENGTH_NULL) {
				out.bytes(NULL_TEXT);
				continue;
			}
			invariant(length !== LENGTH_UNCHANGED, "a value that the stream did not repeat was not filled in");
			const start = tuple.start[column] as number;
			out.byte(QUOTE);
			out.jsonText(tuple.buffer, start, start + length);
			out.byte(QUOTE);
		}
	}

	#appendKeyHeader(out: ByteWriter, name: Buffer, tuple: Tuple): void {
		out.bytes(name);
		out.bytes(this.#keyPrefix);
		appendKeyValues(out, tuple, this.#keys);
		out.byte(QUOTE);
	}
}

function appendClose(out: ByteWriter, stamp: ByteWriter, op: number): void {
	out.range(stamp.buffer, 0, stamp.length);
	out.decimal(op);
	out.bytes(ITEM_END);
}

/** {@link sameColumn} without a call for short values and for values filled in from the old tuple. */
function isSame(left: Tuple, right: Tuple, column: number): boolean {
	const length = left.length[column] as number;
	if (length !== right.length[column]) {
		return false;
	}
	if (length > 32) {
		return sameColumn(left, right, column);
	}
	const leftStart = left.start[column] as number;
	const rightStart = right.start[column] as number;
	for (let index = 0; index < length; index += 1) {
		if (left.buffer[leftStart + index] !== right.buffer[rightStart + index]) {
			return false;
		}
	}
	return true;
}
