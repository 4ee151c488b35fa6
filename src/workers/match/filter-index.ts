/**
 * The conditions of all shapes on one relation, arranged so that a row finds its shapes without asking each of
 * them: a tree of tables (equal bytes, array elements, intervals), and short lists of what has to be evaluated.
 * Owns that tree; must find exactly the shapes whose condition is true. Called by shape-matcher.ts.
 */

import { invariant } from "../../shared/assert.ts";
import type { RelationColumn } from "../../shared/matching.ts";
import type { ColumnInfo } from "../../shared/shape-definition.ts";
import { LENGTH_NULL, Tuple } from "../../shared/tuple.ts";
import { columnsOfWhere, type WhereNode } from "../../shared/where-tree.ts";
import { type Entry, IndexNode, takeDown } from "./index-node.ts";
import { ElementTable, EqualityTable, type RangeTable } from "./index-tables.ts";
import { keyEnd } from "./key-form.ts";
import { createRangeTableFor } from "./range-form.ts";
import { branchesOf, type RangeStep, type Step } from "./registration.ts";
import { SharedConditions } from "./shared-conditions.ts";
import { type ColumnPosition, type Predicate, TRUE } from "./truth.ts";
import { UNEVALUABLE } from "./values.ts";

/** From this many shapes with something to evaluate at one place on, others are led further. */
const CROWDED = 16;

/** Called for each place where a shape is found; a shape may be found more than once. */
export type FoundSink = (slot: number) => void;

export class FilterIndex {
	readonly #root = new IndexNode(null);
	readonly #entries = new Map<number, Entry>();
	readonly #positions = new Map<string, ColumnPosition>();
	readonly #conditions: SharedConditions;
	#columns: readonly RelationColumn[] | null = null;
	#hasUnbound = false;
	/** The row at hand and where its shapes go. */
	#tuple = new Tuple(0);
	#found: FoundSink = () => undefined;

	constructor() {
		this.#conditions = new SharedConditions(this.#bind);
	}

	get size(): number {
		return this.#entries.size;
	}

	slots(): number[] {
		return [...this.#entries.keys()];
	}

	add(slot: number, tree: WhereNode | null, columns: readonly ColumnInfo[]): void {
		invariant(!this.#entries.has(slot), "a slot is added twice");
		const names = tree === null ? [] : columnsOfWhere(tree);
		// Compiled before anything is hung: what throws leaves no trace.
		const conditions: string[] = [];
		const compiled = branchesOf(tree).map((branch) => ({
			branch,
			predicate: this.#compile(branch.rest, conditions),
		}));
		const entry: Entry = {
			slot,
			registrations: [],
			columns: names.map((name) => ({
				name,
				typeOid: columns.find((column) => column.name === name)?.typeOid ?? null,
			})),
			conditions,
			unbound: false,
		};
		for (const { branch, predicate } of compiled) {
			for (const node of this.#follow(this.#root, branch.steps, 0)) {
				if (branch.onward === null || node.evaluated.length < CROWDED) {
					node.hang(entry, predicate);
				} else {
					const onward = this.#compile(branch.onward.rest, conditions);
					for (const further of this.#follow(node, branch.onward.steps, 0)) {
						further.hang(entry, onward);
					}
				}
			}
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
			takeDown(registration);
		}
		this.#conditions.release(entry.conditions);
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
		this.#tuple = tuple;
		this.#found = found;
		this.#conditions.nextRow();
		this.#enter(this.#root);
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

	#compile(rest: WhereNode | null, conditions: string[]): Predicate | null {
		if (rest === null) {
			return null;
		}
		const { made, identities } = this.#conditions.compile(rest);
		conditions.push(...identities);
		return made;
	}

	/** The nodes at the end of the steps, made where they are not there. */
	#follow(node: IndexNode, steps: readonly Step[], depth: number): readonly IndexNode[] {
		const step = steps[depth];
		return step === undefined
			? [node]
			: this.#nodesBelow(node, step).flatMap((child) => this.#follow(child, steps, depth + 1));
	}

	#nodesBelow(node: IndexNode, step: Step): IndexNode[] {
		if (step.kind === "range") {
			const table = this.#rangeTable(node, step);
			return step.intervals.map((interval) => table.node(interval));
		}
		const known = node.tables.find(
			(table) => table.kind === step.kind && table.column === step.column && table.form === step.form,
		);
		if (known !== undefined && known.kind !== "range") {
			return known.nodesOf(step);
		}
		const Table = step.kind === "equality" ? EqualityTable : ElementTable;
		const table = new Table(node, step.column, step.form, this.#bind(step.column));
		node.addTable(table);
		return table.nodesOf(step);
	}

	#rangeTable(node: IndexNode, step: RangeStep): RangeTable {
		const identity = `${step.comparison} ${JSON.stringify(step.operand)}`;
		for (const table of node.tables) {
			if (table.kind === "range" && table.identity === identity) {
				return table;
			}
		}
		const { made, identities } = this.#conditions.collect(() =>
			createRangeTableFor(node, identity, step, this.#conditions.scope, () => this.#conditions.release(identities)),
		);
		node.addTable(made);
		return made;
	}

	readonly #enter = (node: IndexNode): void => {
		const tuple = this.#tuple;
		for (const registration of node.always) {
			if (!registration.entry.unbound) {
				this.#found(registration.entry.slot);
			}
		}
		for (const registration of node.evaluated) {
			if (!registration.entry.unbound && isTrue(registration.predicate, tuple)) {
				this.#found(registration.entry.slot);
			}
		}
		for (const table of node.tables) {
			if (table.kind === "equality") {
				this.#enterEqual(table, tuple);
			} else {
				enterAll(table, tuple, this.#enter);
			}
		}
	};

	#enterEqual({ form, nodes, position }: EqualityTable, tuple: Tuple): void {
		const { index } = position;
		const length = index >= 0 && index < tuple.columnCount ? (tuple.length[index] ?? LENGTH_NULL) : LENGTH_NULL;
		if (length <= LENGTH_NULL) {
			return;
		}
		const { buffer } = tuple;
		const start = tuple.start[index] ?? 0;
		const place = nodes.find(buffer, start, keyEnd(form, buffer, start, start + length));
		const note = place < 0 ? 0 : nodes.noteAt(place);
		// When every shape's columns are there, a place that stands for one shape needs no look at it.
		if (note > 0 && !this.#hasUnbound) {
			this.#found(note - 1);
		} else if (place >= 0) {
			const child = nodes.valueAt(place);
			if (child !== undefined) {
				this.#enter(child);
			}
		}
	}
}

/** A value that cannot be evaluated leads nowhere: PostgreSQL would have refused the row. */
function enterAll(table: ElementTable | RangeTable, tuple: Tuple, enter: (node: IndexNode) => void): void {
	try {
		table.visit(tuple, enter);
	} catch (error) {
		if (error !== UNEVALUABLE) {
			throw error;
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
