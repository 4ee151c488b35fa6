/**
 * The conditions of all shapes on one relation, arranged so that a row finds its shapes without asking each of
 * them: a tree of equality tables, and short lists of what has to be evaluated. Owns that tree; must find exactly
 * the shapes whose condition is true. Called by shape-matcher.ts.
 */

import { invariant } from "../../shared/assert.ts";
import type { RelationColumn } from "../../shared/matching.ts";
import type { ColumnInfo } from "../../shared/shape-definition.ts";
import { LENGTH_NULL, type Tuple } from "../../shared/tuple.ts";
import { columnsOfWhere, type WhereNode } from "../../shared/where-tree.ts";
import { ByteTable } from "./byte-table.ts";
import { compileWhere } from "./compile.ts";
import { type KeyForm, keyEnd } from "./key-form.ts";
import { branchesOf, type EqualityStep } from "./registration.ts";
import { type ColumnPosition, type Predicate, TRUE } from "./truth.ts";
import { UNEVALUABLE } from "./values.ts";

/** Called for each place where a shape is found; a shape may be found more than once. */
export type FoundSink = (slot: number) => void;

/** A shape at one place of the tree. */
interface Registration {
	readonly entry: Entry;
	readonly node: IndexNode;
	/** Null: being here is enough. */
	readonly predicate: Predicate | null;
	/** Position in the node's list. */
	at: number;
}

/** A shape on this relation. */
interface Entry {
	readonly slot: number;
	readonly registrations: Registration[];
	/** Columns that the condition reads, with their types when the shape was made. */
	readonly columns: readonly { readonly name: string; readonly typeOid: number | null }[];
	/** The relation no longer has these columns: no row can be evaluated. */
	unbound: boolean;
}

class IndexNode {
	/** Shapes that every row which comes here belongs to. */
	readonly always: Registration[] = [];
	/** Shapes with something left to evaluate. */
	readonly evaluated: Registration[] = [];
	readonly tables: EqualityTable[] = [];
	readonly parent: EqualityTable | null;
	readonly key: Uint8Array | null;

	constructor(parent: EqualityTable | null, key: Uint8Array | null) {
		this.parent = parent;
		this.key = key;
	}

	get isEmpty(): boolean {
		return this.always.length === 0 && this.evaluated.length === 0 && this.tables.length === 0;
	}
}

/** The values of one column at one node. */
class EqualityTable {
	readonly owner: IndexNode;
	readonly column: string;
	readonly form: KeyForm;
	readonly position: ColumnPosition;
	readonly nodes = new ByteTable<IndexNode>();

	constructor(owner: IndexNode, column: string, form: KeyForm, position: ColumnPosition) {
		this.owner = owner;
		this.column = column;
		this.form = form;
		this.position = position;
	}
}

export class FilterIndex {
	readonly #root = new IndexNode(null, null);
	readonly #entries = new Map<number, Entry>();
	readonly #positions = new Map<string, ColumnPosition>();
	#columns: readonly RelationColumn[] | null = null;
	#hasUnbound = false;

	get size(): number {
		return this.#entries.size;
	}

	slots(): number[] {
		return [...this.#entries.keys()];
	}

	add(slot: number, tree: WhereNode | null, columns: readonly ColumnInfo[]): void {
		invariant(!this.#entries.has(slot), "a slot is added twice");
		const names = tree === null ? [] : columnsOfWhere(tree);
		const entry: Entry = {
			slot,
			registrations: [],
			columns: names.map((name) => ({
				name,
				typeOid: columns.find((column) => column.name === name)?.typeOid ?? null,
			})),
			unbound: false,
		};
		// Compiled before anything is hung: what throws leaves no trace.
		const branches = branchesOf(tree).map(({ steps, rest }) => ({
			steps,
			predicate: rest === null ? null : compileWhere(rest, this.#bind),
		}));
		for (const { steps, predicate } of branches) {
			this.#hang(this.#root, steps, 0, entry, predicate);
		}
		entry.unbound = this.#isUnbound(entry);
		this.#hasUnbound ||= entry.unbound;
		this.#entries.set(slot, entry);
	}

	/** Removes a shape in time proportional to its own registrations. */
	remove(slot: number): void {
		const entry = this.#entries.get(slot);
		if (entry === undefined) {
			return;
		}
		this.#entries.delete(slot);
		for (const registration of entry.registrations) {
			unhang(registration);
		}
	}

	/** The relation's columns from here on. */
	bind(columns: readonly RelationColumn[]): void {
		this.#columns = columns;
		for (const [name, position] of this.#positions) {
			position.index = columns.findIndex((column) => column.name === name);
		}
		this.#hasUnbound = false;
		for (const entry of this.#entries.values()) {
			entry.unbound = this.#isUnbound(entry);
			this.#hasUnbound ||= entry.unbound;
		}
	}

	/** Finds the shapes that the row is inside of. */
	find(tuple: Tuple, found: FoundSink): void {
		visit(this.#root, tuple, found, !this.#hasUnbound);
	}

	readonly #bind = (name: string): ColumnPosition => {
		const known = this.#positions.get(name);
		if (known !== undefined) {
			return known;
		}
		const index = this.#columns === null ? -1 : this.#columns.findIndex((column) => column.name === name);
		const position = { index };
		this.#positions.set(name, position);
		return position;
	};

	#isUnbound(entry: Entry): boolean {
		const columns = this.#columns;
		return entry.columns.some(
			({ name, typeOid }) => columns?.some((column) => column.name === name && column.typeOid === typeOid) !== true,
		);
	}

	#hang(
		node: IndexNode,
		steps: readonly EqualityStep[],
		depth: number,
		entry: Entry,
		predicate: Predicate | null,
	): void {
		const step = steps[depth];
		if (step === undefined) {
			const list = predicate === null ? node.always : node.evaluated;
			const registration: Registration = { entry, node, predicate, at: list.length };
			list.push(registration);
			entry.registrations.push(registration);
			noteSoleShape(node);
			return;
		}
		const table = this.#tableFor(node, step);
		for (const key of step.keys) {
			let child = table.nodes.get(key);
			if (child === undefined) {
				child = new IndexNode(table, key);
				table.nodes.set(key, child);
			}
			this.#hang(child, steps, depth + 1, entry, predicate);
		}
	}

	#tableFor(node: IndexNode, step: EqualityStep): EqualityTable {
		const known = node.tables.find((table) => table.column === step.column && table.form === step.form);
		if (known !== undefined) {
			return known;
		}
		const table = new EqualityTable(node, step.column, step.form, this.#bind(step.column));
		node.tables.push(table);
		noteSoleShape(node);
		return table;
	}
}

/** `trustsNotes`: every shape's columns are there, so that a place that stands for one shape needs no look at it. */
function visit(node: IndexNode, tuple: Tuple, found: FoundSink, trustsNotes: boolean): void {
	for (const registration of node.always) {
		if (!registration.entry.unbound) {
			found(registration.entry.slot);
		}
	}
	for (const registration of node.evaluated) {
		if (!registration.entry.unbound && isTrue(registration.predicate, tuple)) {
			found(registration.entry.slot);
		}
	}
	const { buffer } = tuple;
	for (const { form, nodes, position } of node.tables) {
		const { index } = position;
		const length = index >= 0 && index < tuple.columnCount ? (tuple.length[index] ?? LENGTH_NULL) : LENGTH_NULL;
		if (length > LENGTH_NULL) {
			const start = tuple.start[index] ?? 0;
			const place = nodes.find(buffer, start, keyEnd(form, buffer, start, start + length));
			const note = place < 0 ? 0 : nodes.noteAt(place);
			if (note > 0 && trustsNotes) {
				found(note - 1);
			} else if (place >= 0) {
				const child = nodes.valueAt(place);
				if (child !== undefined) {
					visit(child, tuple, found, trustsNotes);
				}
			}
		}
	}
}

/** A value that cannot be evaluated: PostgreSQL would have refused the row, so it is not inside. */
function isTrue(predicate: Predicate | null, tuple: Tuple): boolean {
	try {
		return predicate === null || predicate(tuple) === TRUE;
	} catch (error) {
		if (error === UNEVALUABLE) {
			return false;
		}
		throw error;
	}
}

/** Takes a registration out of its list, and nodes and tables that became empty out of the tree. */
function unhang(registration: Registration): void {
	let node: IndexNode = registration.node;
	const list = registration.predicate === null ? node.always : node.evaluated;
	const last = list.pop();
	if (last !== undefined && last !== registration) {
		list[registration.at] = last;
		last.at = registration.at;
	}
	noteSoleShape(node);
	while (node.isEmpty && node.parent !== null && node.key !== null) {
		const table = node.parent;
		table.nodes.delete(node.key);
		if (table.nodes.size > 0) {
			return;
		}
		node = table.owner;
		node.tables.splice(node.tables.indexOf(table), 1);
		noteSoleShape(node);
	}
}

/** Leaves, beside the key that leads to the node, the slot plus 1 of the only shape there, if that is all there is. */
function noteSoleShape(node: IndexNode): void {
	if (node.parent !== null && node.key !== null) {
		const [only] = node.always;
		const isSole = node.always.length === 1 && node.evaluated.length === 0 && node.tables.length === 0;
		node.parent.nodes.setNote(node.key, isSole && only !== undefined ? only.entry.slot + 1 : 0);
	}
}
