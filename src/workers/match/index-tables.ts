/**
 * The three ways from a node of a filter index to the nodes below it: a column's bytes, the elements of an array, the
 * intervals that a value lies in. Each owns its nodes; must lead a row to every node whose step it satisfies and to no
 * other. Called by filter-index.ts.
 */

import { must } from "../../shared/assert.ts";
import { parseArrayText } from "../../shared/sql/array-text.ts";
import { LENGTH_NULL, type Tuple } from "../../shared/tuple.ts";
import type { LiteralOperand } from "../../shared/where-tree.ts";
import { ByteTable, sameBytes } from "./byte-table.ts";
import { IndexNode, type NodeParent } from "./index-node.ts";
import { type Bound, type Interval, IntervalMap } from "./interval-map.ts";
import { type KeyForm, keyEnd } from "./key-form.ts";
import type { Getter } from "./operands.ts";
import type { ColumnPosition } from "./truth.ts";

export type EnterNode = (node: IndexNode) => void;

/** Nodes by bytes of one column. */
class ByteNodes implements NodeParent {
	readonly owner: IndexNode;
	readonly column: string;
	readonly form: KeyForm;
	readonly position: ColumnPosition;
	readonly nodes = new ByteTable<IndexNode>();
	readonly #keys = new Map<IndexNode, Uint8Array>();

	constructor(owner: IndexNode, column: string, form: KeyForm, position: ColumnPosition) {
		this.owner = owner;
		this.column = column;
		this.form = form;
		this.position = position;
	}

	/** The nodes of a step, made when they are not there. Where a row needs all keys, the one with the fewest shapes. */
	nodesOf({ keys, needs }: { readonly keys: readonly Uint8Array[]; readonly needs?: "any" | "all" }): IndexNode[] {
		if (needs !== "all") {
			return keys.map((key) => this.#node(key));
		}
		const loads = keys.map((key) => this.nodes.get(key)?.load ?? 0);
		const lightest = keys[loads.indexOf(Math.min(...loads))];
		return lightest === undefined ? [] : [this.#node(lightest)];
	}

	#node(key: Uint8Array): IndexNode {
		let node = this.nodes.get(key);
		if (node === undefined) {
			node = new IndexNode(this);
			this.nodes.set(key, node);
			this.#keys.set(node, key);
		}
		return node;
	}

	drop(node: IndexNode): boolean {
		this.nodes.delete(this.#keyOf(node));
		this.#keys.delete(node);
		return this.nodes.size === 0;
	}

	noteSole(node: IndexNode, slot: number | null): void {
		this.nodes.setNote(this.#keyOf(node), slot === null ? 0 : slot + 1);
	}

	#keyOf(node: IndexNode): Uint8Array {
		return must(this.#keys.get(node), "a node of another table");
	}
}

/** The values of one column. */
export class EqualityTable extends ByteNodes {
	readonly kind = "equality";
}

const OPEN = 0x7b;
const CLOSE = 0x7d;
const COMMA = 0x2c;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NULL_ELEMENT = Buffer.from("NULL");

/** The elements of one array column. */
export class ElementTable extends ByteNodes {
	readonly kind = "element";

	/** An element that occurs twice leads twice to its node. */
	visit(tuple: Tuple, enter: EnterNode): void {
		const { index } = this.position;
		const length = index >= 0 && index < tuple.columnCount ? (tuple.length[index] ?? LENGTH_NULL) : LENGTH_NULL;
		if (length <= LENGTH_NULL) {
			return;
		}
		const start = tuple.start[index] ?? 0;
		if (!this.#visitPlain(tuple.buffer, start, start + length, enter)) {
			this.#visitQuoted(tuple.buffer.toString("utf8", start, start + length), enter);
		}
	}

	/** `{a,b}` without quotes and nesting, where it lies; false, before anything is entered, when it is not that. */
	#visitPlain(buffer: Buffer, start: number, end: number, enter: EnterNode): boolean {
		if (buffer[start] !== OPEN || buffer[end - 1] !== CLOSE) {
			return false;
		}
		for (let at = start + 1; at < end - 1; at += 1) {
			const byte = buffer[at];
			if (byte === QUOTE || byte === BACKSLASH || byte === OPEN) {
				return false;
			}
		}
		let from = start + 1;
		for (let at = from; at < end; at += 1) {
			if ((buffer[at] === COMMA || at === end - 1) && at > from) {
				// A text that reads so is quoted.
				if (!sameBytes(NULL_ELEMENT, buffer, from, at)) {
					this.#enter(buffer, from, at, enter);
				}
				from = at + 1;
			}
		}
		return true;
	}

	#visitQuoted(text: string, enter: EnterNode): void {
		for (const element of parseArrayText(text)?.elements ?? []) {
			if (element !== null) {
				const bytes = Buffer.from(element, "utf8");
				this.#enter(bytes, 0, bytes.length, enter);
			}
		}
	}

	#enter(buffer: Buffer, start: number, end: number, enter: EnterNode): void {
		const place = this.nodes.find(buffer, start, keyEnd(this.form, buffer, start, end));
		const node = place < 0 ? undefined : this.nodes.valueAt(place);
		if (node !== undefined) {
			enter(node);
		}
	}
}

/** How the values of a range table are read and ordered. */
export interface RangeForm<T> {
	readonly get: Getter<T>;
	readonly compare: (left: T, right: T) => number;
	readonly constant: (literal: LiteralOperand) => T;
	/** The table was taken out of the tree. */
	readonly whenEnded: () => void;
}

/** The intervals of one value, computed once a row for all the shapes that ask for it. */
export interface RangeTable extends NodeParent {
	readonly kind: "range";
	/** Which value: equal for equal operands under one comparison. */
	readonly identity: string;
	node(interval: Interval<LiteralOperand>): IndexNode;
	/** @throws UNEVALUABLE when the row has no such value */
	visit(tuple: Tuple, enter: EnterNode): void;
}

export function createRangeTable<T>(owner: IndexNode, identity: string, form: RangeForm<T>): RangeTable {
	const nodes = new IntervalMap<T, IndexNode>(form.compare);
	const intervals = new Map<IndexNode, Interval<T>>();
	const boundOf = ({ value, inclusive }: Bound<LiteralOperand>): Bound<T> => ({
		value: value === null ? null : form.constant(value),
		inclusive,
	});
	const table: RangeTable = {
		kind: "range",
		owner,
		identity,
		node: (wanted) => {
			const interval = { low: boundOf(wanted.low), high: boundOf(wanted.high) };
			let node = nodes.get(interval);
			if (node === undefined) {
				node = new IndexNode(table);
				nodes.add(interval, node);
				intervals.set(node, interval);
			}
			return node;
		},
		visit: (tuple, enter) => {
			const value = form.get(tuple);
			if (value !== null) {
				nodes.stab(value, enter);
			}
		},
		drop: (node) => {
			nodes.delete(must(intervals.get(node), "a node of another table"));
			intervals.delete(node);
			if (nodes.size === 0) {
				form.whenEnded();
			}
			return nodes.size === 0;
		},
		noteSole: () => undefined,
	};
	return table;
}
