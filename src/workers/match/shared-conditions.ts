/**
 * What is left of the conditions behind the index, compiled so that a part which many shapes have in common is
 * compiled once, and evaluated once a row. Owns those parts and how many shapes use each. Called by filter-index.ts.
 */

import type { Tuple } from "../../shared/tuple.ts";
import type { WhereNode } from "../../shared/where-tree.ts";
import { compileAnd, compileOr, compileWhere, negate } from "./compile.ts";
import type { ColumnBinder, Predicate, Truth } from "./truth.ts";
import { UNEVALUABLE } from "./values.ts";

/** A compiled condition, and what to give to {@link SharedConditions.release} when nobody needs it any more. */
export interface SharedCondition {
	readonly predicate: Predicate;
	readonly identities: readonly string[];
}

interface Part {
	readonly predicate: Predicate;
	users: number;
}

/** The outcome for a row that has none. */
const FAILED = 3;

export class SharedConditions {
	readonly #bind: ColumnBinder;
	readonly #parts = new Map<string, Part>();
	/** Counts rows, so that an outcome is known to be of the row at hand. */
	readonly #row = { number: 0 };

	constructor(bind: ColumnBinder) {
		this.#bind = bind;
	}

	/** Parts that are known. */
	get size(): number {
		return this.#parts.size;
	}

	/** Call before the predicates see another row. */
	nextRow(): void {
		this.#row.number += 1;
	}

	compile(tree: WhereNode): SharedCondition {
		const identities: string[] = [];
		return { predicate: this.#compile(tree, identities), identities };
	}

	release(identities: readonly string[]): void {
		for (const identity of identities) {
			const part = this.#parts.get(identity);
			if (part !== undefined) {
				part.users -= 1;
				if (part.users === 0) {
					this.#parts.delete(identity);
				}
			}
		}
	}

	#compile(tree: WhereNode, identities: string[]): Predicate {
		switch (tree.kind) {
			case "and":
				return compileAnd(tree.nodes.map((node) => this.#compile(node, identities)));
			case "or":
				return compileOr(tree.nodes.map((node) => this.#compile(node, identities)));
			case "not": {
				const inner = this.#compile(tree.node, identities);
				return (tuple) => negate(inner(tuple));
			}
			default: {
				const identity = JSON.stringify(tree);
				identities.push(identity);
				return this.#part(identity, tree);
			}
		}
	}

	#part(identity: string, tree: WhereNode): Predicate {
		const known = this.#parts.get(identity);
		if (known !== undefined) {
			known.users += 1;
			return known.predicate;
		}
		const compiled = compileWhere(tree, this.#bind);
		const predicate = isCheap(tree) ? compiled : this.#remembered(compiled);
		this.#parts.set(identity, { predicate, users: 1 });
		return predicate;
	}

	#remembered(predicate: Predicate): Predicate {
		const row = this.#row;
		let of = -1;
		let outcome: Truth | typeof FAILED = FAILED;
		return (tuple: Tuple) => {
			if (of !== row.number) {
				of = row.number;
				outcome = FAILED;
				outcome = predicate(tuple);
			}
			if (outcome === FAILED) {
				throw UNEVALUABLE;
			}
			return outcome;
		};
	}
}

/** What costs no more than remembering it. */
function isCheap(tree: WhereNode): boolean {
	switch (tree.kind) {
		case "constant":
		case "boolean":
		case "isNull":
			return true;
		default:
			return false;
	}
}
