/**
 * The encoder that shapes with one selection share, and the entries it made of the row change at hand: a change
 * that a thousand such shapes receive is encoded once. Owns an encoder for each relation (a partition may have
 * its own column order); must be told when the next change begins, which `changeSerial` does. Called by the batch
 * processor.
 */

import { must } from "../../shared/assert.ts";
import type { ByteWriter } from "../../shared/byte-writer.ts";
import { EntryEncoder, encoderIdentity } from "../../shared/entry-encoder.ts";
import type { ShapeDefinition } from "../../shared/shape-definition.ts";
import type { Tuple } from "../../shared/tuple.ts";
import { DELETE, INSERT, UPDATE } from "./change-decision.ts";
import type { RelationEntry } from "./relation-book.ts";

/** Entries beside INSERT, UPDATE and DELETE: the halves of a key change. */
export const KEY_CHANGE_DELETE = 4;
export const KEY_CHANGE_INSERT = 5;
export type EntryKind =
	| typeof INSERT
	| typeof UPDATE
	| typeof DELETE
	| typeof KEY_CHANGE_DELETE
	| typeof KEY_CHANGE_INSERT;

const KINDS = 6;
const NOT_ENCODED = -1;

export class EncoderGroup {
	readonly #definition: ShapeDefinition;
	readonly #encoders = new Map<RelationEntry, EntryEncoder>();
	#encoder: EntryEncoder | null = null;
	#relation: RelationEntry | null = null;
	#changeSerial = -1;
	#changed = NOT_ENCODED;
	readonly #start = new Int32Array(KINDS);
	readonly #length = new Int32Array(KINDS);

	constructor(definition: ShapeDefinition) {
		this.#definition = definition;
	}

	/** Looks at a row change; cheap when it is still the same one. */
	turnTo(changeSerial: number, relation: RelationEntry): void {
		if (changeSerial === this.#changeSerial) {
			return;
		}
		this.#changeSerial = changeSerial;
		this.#changed = NOT_ENCODED;
		this.#start.fill(NOT_ENCODED);
		if (relation !== this.#relation) {
			this.#relation = relation;
			this.#encoder = this.#encoderFor(relation);
		}
	}

	/** What differs between the rows, as EntryEncoder.compare answers. */
	compare(oldTuple: Tuple, newTuple: Tuple): number {
		if (this.#changed === NOT_ENCODED) {
			this.#changed = this.#bound.compare(oldTuple, newTuple);
		}
		return this.#changed;
	}

	/** Makes sure that the entry is in `out`; {@link start} and {@link length} say where. */
	encode(kind: EntryKind, out: ByteWriter, stamp: ByteWriter, op: number, oldTuple: Tuple, newTuple: Tuple): void {
		if (this.#start[kind] !== NOT_ENCODED) {
			return;
		}
		const start = out.length;
		const encoder = this.#bound;
		try {
			switch (kind) {
				case INSERT:
					encoder.appendInsert(out, stamp, op, newTuple);
					break;
				case UPDATE:
					encoder.appendUpdate(out, stamp, op, oldTuple, newTuple);
					break;
				case DELETE:
					encoder.appendDelete(out, stamp, op, oldTuple);
					break;
				case KEY_CHANGE_DELETE:
					encoder.appendKeyChangeDelete(out, stamp, op, oldTuple, newTuple);
					break;
				case KEY_CHANGE_INSERT:
					encoder.appendKeyChangeInsert(out, stamp, op, oldTuple, newTuple);
					break;
			}
		} catch (error) {
			out.length = start;
			throw error;
		}
		this.#start[kind] = start;
		this.#length[kind] = out.length - start;
	}

	start(kind: EntryKind): number {
		return this.#start[kind] as number;
	}

	length(kind: EntryKind): number {
		return this.#length[kind] as number;
	}

	get #bound(): EntryEncoder {
		return must(this.#encoder, "an encoder group that was not turned to a change");
	}

	#encoderFor(relation: RelationEntry): EntryEncoder {
		const present = this.#encoders.get(relation);
		if (present !== undefined) {
			return present;
		}
		const encoder = new EntryEncoder(this.#definition);
		encoder.bindColumns(relation.columnNames);
		// An entry of the book is made anew when the relation changes: the old one's encoder goes.
		for (const known of this.#encoders.keys()) {
			if (known.oid === relation.oid) {
				this.#encoders.delete(known);
			}
		}
		this.#encoders.set(relation, encoder);
		return encoder;
	}
}

/** Finds the group of a definition; forgets it with its last shape. */
export class EncoderGroups {
	readonly #groups = new Map<string, { readonly group: EncoderGroup; users: number }>();

	join(definition: ShapeDefinition): EncoderGroup {
		const identity = encoderIdentity(definition);
		let entry = this.#groups.get(identity);
		if (entry === undefined) {
			entry = { group: new EncoderGroup(definition), users: 0 };
			this.#groups.set(identity, entry);
		}
		entry.users += 1;
		return entry.group;
	}

	leave(definition: ShapeDefinition): void {
		const identity = encoderIdentity(definition);
		const entry = this.#groups.get(identity);
		if (entry !== undefined) {
			entry.users -= 1;
			if (entry.users === 0) {
				this.#groups.delete(identity);
			}
		}
	}
}
