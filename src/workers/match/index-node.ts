/**
 * A place in a filter index: the shapes that every row which comes here belongs to, those with something left to
 * evaluate, and the tables that lead further down. Owns how shapes are hung up and taken down; finds nothing itself.
 * Called by filter-index.ts.
 */

import type { ElementTable, EqualityTable, RangeTable } from "./index-tables.ts";
import type { Predicate } from "./truth.ts";

/** A shape on one relation. */
export interface Entry {
	readonly slot: number;
	readonly registrations: Registration[];
	/** Columns that the condition reads, with their types when the shape was made. */
	readonly columns: readonly { readonly name: string; readonly typeOid: number | null }[];
	/** Conditions that it shares with others; see shared-conditions.ts. */
	readonly conditions: readonly string[];
	/** The relation no longer has these columns: no row can be evaluated. */
	unbound: boolean;
}

/** A shape at one place of the tree. */
export interface Registration {
	readonly entry: Entry;
	readonly node: IndexNode;
	/** Null: being here is enough. */
	readonly predicate: Predicate | null;
	/** Position in the node's list. */
	at: number;
}

export type IndexTable = EqualityTable | ElementTable | RangeTable;

/** What a node asks of the table that leads to it. */
export interface NodeParent {
	readonly owner: IndexNode;
	/** Takes the node out. Answers whether the table is now empty. */
	drop(node: IndexNode): boolean;
	/** The node stands for this slot alone, or (null) it does not. */
	noteSole(node: IndexNode, slot: number | null): void;
}

export class IndexNode {
	readonly always: Registration[] = [];
	readonly evaluated: Registration[] = [];
	readonly tables: IndexTable[] = [];
	/** Null at the root. */
	readonly parent: NodeParent | null;

	constructor(parent: NodeParent | null) {
		this.parent = parent;
	}

	hang(entry: Entry, predicate: Predicate | null): void {
		const list = predicate === null ? this.always : this.evaluated;
		const registration: Registration = { entry, node: this, predicate, at: list.length };
		list.push(registration);
		entry.registrations.push(registration);
		this.noteSole();
	}

	addTable(table: IndexTable): void {
		this.tables.push(table);
		this.noteSole();
	}

	/** Tells the table above whether the node is one shape and nothing else: then a row need not come down here. */
	noteSole(): void {
		const [only] = this.always;
		const isSole = this.always.length === 1 && this.evaluated.length === 0 && this.tables.length === 0;
		this.parent?.noteSole(this, isSole && only !== undefined ? only.entry.slot : null);
	}

	/** What a row costs that comes here, roughly. */
	get load(): number {
		return this.always.length + this.evaluated.length + this.tables.length;
	}

	get isEmpty(): boolean {
		return this.load === 0;
	}
}

/** Takes a registration out of its list, and nodes and tables that became empty out of the tree. */
export function takeDown(registration: Registration): void {
	let { node } = registration;
	const list = registration.predicate === null ? node.always : node.evaluated;
	const last = list.pop();
	if (last !== undefined && last !== registration) {
		list[registration.at] = last;
		last.at = registration.at;
	}
	node.noteSole();
	while (node.isEmpty && node.parent !== null) {
		const table = node.parent;
		if (!table.drop(node)) {
			return;
		}
		node = table.owner;
		const tables: readonly NodeParent[] = node.tables;
		node.tables.splice(tables.indexOf(table), 1);
		node.noteSole();
	}
}
