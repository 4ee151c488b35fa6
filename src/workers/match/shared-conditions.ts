/**
 * What many shapes on one relation have in common: parts of conditions, and values that conditions compute. Each is
 * compiled once and evaluated once a row. Owns those parts and how many shapes use each. Called by filter-index.ts.
 */

import type { Tuple } from "../../shared/tuple.ts";
import type { Operand, WhereNode } from "../../shared/where-tree.ts";
import { compileAnd, compileOr, compileWhere, negate } from "./compile.ts";
import type { ColumnBinder, ColumnPosition, Predicate, SharedValue } from "./truth.ts";
import { UNEVALUABLE } from "./values.ts";

/** What was compiled, and what to give to {@link SharedConditions.release} when nobody needs it any more. */
export interface Shared<T> {
	readonly made: T;
	readonly identities: readonly string[];
}

interface Part<T> {
	readonly made: T;
	users: number;
}

/** Computing it has failed. */
const NONE = Symbol("no outcome");

export class SharedConditions {
	/** What parts are compiled with: it shares the values that they compute. */
	readonly scope: ColumnBinder;
	readonly #conditions = new Map<string, Part<Predicate>>();
	readonly #values = new Map<string, Part<SharedValue>>();
	/** Counts rows, so that an outcome is known to be of the row at hand. */
	readonly #row = { number: 0 };
	#collecting: string[] = [];

	constructor(bind: (name: string) => ColumnPosition) {
		this.scope = Object.assign((name: string) => bind(name), {
			share: (operand: Operand, make: () => SharedValue) =>
				this.#part(this.#values, JSON.stringify(operand), () => this.#remembered(make())),
		});
	}

	/** Parts that are known. */
	get size(): number {
		return this.#conditions.size + this.#values.size;
	}

	/** Call before the predicates see another row. */
	nextRow(): void {
		this.#row.number += 1;
	}

	compile(tree: WhereNode): Shared<Predicate> {
		return this.collect(() => this.#compile(tree));
	}

	/** Runs `make`, which compiles with {@link scope}, and notes what it shares. */
	collect<T>(make: () => T): Shared<T> {
		const identities: string[] = [];
		this.#collecting = identities;
		return { made: make(), identities };
	}

	release(identities: readonly string[]): void {
		for (const identity of identities) {
			for (const parts of [this.#conditions, this.#values]) {
				const part = parts.get(identity);
				if (part !== undefined) {
					part.users -= 1;
					if (part.users === 0) {
						parts.delete(identity);
					}
				}
			}
		}
	}

	#compile(tree: WhereNode): Predicate {
		switch (tree.kind) {
			case "and":
				return compileAnd(tree.nodes.map((node) => this.#compile(node)));
			case "or":
				return compileOr(tree.nodes.map((node) => this.#compile(node)));
			case "not": {
				const inner = this.#compile(tree.node);
				return (tuple) => negate(inner(tuple));
			}
			default:
				return this.#part(this.#conditions, JSON.stringify(tree), () => {
					const compiled = compileWhere(tree, this.scope);
					return isCheap(tree) ? compiled : this.#remembered(compiled);
				});
		}
	}

	#part<T>(parts: Map<string, Part<T>>, identity: string, make: () => T): T {
		this.#collecting.push(identity);
		const known = parts.get(identity);
		if (known !== undefined) {
			known.users += 1;
			return known.made;
		}
		const made = make();
		parts.set(identity, { made, users: 1 });
		return made;
	}

	/** Computes once a row. A row that has no outcome has none the second time either. */
	#remembered<T>(compute: (tuple: Tuple) => T): (tuple: Tuple) => T {
		const row = this.#row;
		let of = -1;
		let outcome: T | typeof NONE = NONE;
		return (tuple) => {
			if (of !== row.number) {
				of = row.number;
				outcome = NONE;
				outcome = compute(tuple);
			}
			if (outcome === NONE) {
				throw UNEVALUABLE;
			}
			return outcome;
		};
	}
}

/** What costs no more than remembering it. */
function isCheap(tree: WhereNode): boolean {
	return tree.kind === "constant" || tree.kind === "boolean" || tree.kind === "isNull";
}
