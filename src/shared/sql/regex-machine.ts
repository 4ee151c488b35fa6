/**
 * Matches a parsed regular expression against a text in time proportional to the text: all alternatives advance
 * together, one character at a time, and what a set of states becomes on a character is remembered. Owns the
 * machine; never goes back in the text. Called by the evaluator; made once a condition.
 */

import { invariant } from "../assert.ts";
import { REGEX_REMEMBERED_SETS_MAX } from "../limits.ts";
import type { RegexNode } from "./regex-pattern.ts";

/** A state: consumes one character of `classes`, or passes on for free, when its assertion holds. */
interface State {
	/** Character classes that lead to `next[0]`; null: it consumes nothing. */
	readonly classes: ReadonlySet<number> | null;
	readonly assertion: "begin" | "end" | null;
	next: number[];
}

/** A set of states between two characters. */
interface StateSet {
	readonly ids: readonly number[];
	readonly matches: boolean;
	/** By character class. */
	readonly following: (StateSet | undefined)[];
	matchesAtEnd: boolean | undefined;
	readonly isFirst: boolean;
}

/** Makes the matcher of a pattern: whether any part of a text matches. */
export function regexMatcher(node: RegexNode): (text: string) => boolean {
	const machine = new Machine(node);
	return (text) => machine.matches(text);
}

const ASCII_SIZE = 128;

class Machine {
	/** First code point of each character class but the first, which begins at 0. */
	readonly #borders: readonly number[];
	readonly #asciiClass = new Uint16Array(ASCII_SIZE);
	readonly #states: State[] = [];
	readonly #start: number;
	readonly #accept: number;
	readonly #remembered = new Map<string, StateSet>();
	readonly #first: StateSet;
	readonly #visited: Uint32Array;
	#visit = 0;

	constructor(node: RegexNode) {
		this.#borders = bordersOf(node);
		for (let code = 0; code < ASCII_SIZE; code += 1) {
			this.#asciiClass[code] = this.#search(code);
		}
		this.#accept = this.#state(null, null, []);
		this.#start = this.#build(node, this.#accept);
		this.#visited = new Uint32Array(this.#states.length);
		this.#first = this.#make(this.#closure([this.#start], true, false), true);
	}

	matches(text: string): boolean {
		let current = this.#first;
		for (let index = 0; index < text.length; index += 1) {
			if (current.matches) {
				return true;
			}
			if (current.ids.length === 0) {
				return false;
			}
			let code = text.charCodeAt(index);
			if (code >= 0xd800 && code < 0xdc00) {
				code = text.codePointAt(index) ?? 0;
				index += 1;
			}
			const kind = code < ASCII_SIZE ? (this.#asciiClass[code] ?? 0) : this.#search(code);
			current = current.following[kind] ?? this.#advance(current, kind);
		}
		current.matchesAtEnd ??=
			current.matches || this.#closure(current.ids, current.isFirst, true).includes(this.#accept);
		return current.matchesAtEnd;
	}

	/** The class of a code point: how many borders are not above it. */
	#search(code: number): number {
		let low = 0;
		let high = this.#borders.length;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if ((this.#borders[middle] ?? 0) <= code) {
				low = middle + 1;
			} else {
				high = middle;
			}
		}
		return low;
	}

	#advance(from: StateSet, kind: number): StateSet {
		const reached: number[] = [this.#start];
		for (const id of from.ids) {
			const state = this.#states[id];
			if (state?.classes?.has(kind) === true) {
				reached.push(...state.next);
			}
		}
		const ids = this.#closure(reached, false, false);
		const key = ids.join();
		const known = this.#remembered.get(key);
		const set = known ?? this.#make(ids, false);
		if (known === undefined) {
			if (this.#remembered.size >= REGEX_REMEMBERED_SETS_MAX) {
				this.#forget();
			}
			this.#remembered.set(key, set);
		}
		from.following[kind] = set;
		return set;
	}

	/** What was remembered points at each other: all of it goes, or nothing would. */
	#forget(): void {
		for (const set of [...this.#remembered.values(), this.#first]) {
			set.following.length = 0;
		}
		this.#remembered.clear();
	}

	#make(ids: readonly number[], isFirst: boolean): StateSet {
		return { ids, matches: ids.includes(this.#accept), following: [], matchesAtEnd: undefined, isFirst };
	}

	/** What can be reached for free: states that wait for a character or for the end, and the accepting one. Sorted. */
	#closure(from: readonly number[], atBegin: boolean, atEnd: boolean): readonly number[] {
		this.#visit += 1;
		const stack = [...from];
		const waiting: number[] = [];
		for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
			if (this.#visited[id] === this.#visit) {
				continue;
			}
			this.#visited[id] = this.#visit;
			const state = this.#states[id];
			invariant(state !== undefined, "a state that is not there");
			const waits = state.classes !== null || (state.assertion === "end" && !atEnd) || id === this.#accept;
			if (waits) {
				waiting.push(id);
			} else if (state.assertion !== "begin" || atBegin) {
				stack.push(...state.next);
			}
		}
		return waiting.sort((left, right) => left - right);
	}

	#state(classes: ReadonlySet<number> | null, assertion: State["assertion"], next: number[]): number {
		this.#states.push({ classes, assertion, next });
		return this.#states.length - 1;
	}

	/** Builds backwards: the states of `node`, going on to `next`. Returns its first. */
	#build(node: RegexNode, next: number): number {
		switch (node.kind) {
			case "set": {
				const classes = new Set<number>();
				for (const [first, last] of node.ranges) {
					for (let kind = this.#search(first); kind <= this.#search(last); kind += 1) {
						classes.add(kind);
					}
				}
				return this.#state(classes, null, [next]);
			}
			case "begin":
			case "end":
				return this.#state(null, node.kind, [next]);
			case "sequence":
				return node.nodes.reduceRight((following, child) => this.#build(child, following), next);
			case "choice":
				return this.#state(
					null,
					null,
					node.nodes.map((child) => this.#build(child, next)),
				);
			case "repeat":
				return this.#repeat(node, next);
		}
	}

	#repeat({ node, min, max }: Extract<RegexNode, { kind: "repeat" }>, next: number): number {
		let following = next;
		if (max === null) {
			const loop = this.#state(null, null, [next]);
			this.#states[loop]?.next.push(this.#build(node, loop));
			following = loop;
		} else {
			for (let count = min; count < max; count += 1) {
				following = this.#state(null, null, [next, this.#build(node, following)]);
			}
		}
		for (let count = 0; count < min; count += 1) {
			following = this.#build(node, following);
		}
		return following;
	}
}

/** Where sets of the pattern begin or have ended: between two borders all characters behave alike. */
function bordersOf(node: RegexNode): readonly number[] {
	const borders = new Set<number>();
	const visit = (part: RegexNode): void => {
		if (part.kind === "set") {
			for (const [first, last] of part.ranges) {
				borders.add(first);
				borders.add(last + 1);
			}
		} else if (part.kind === "repeat") {
			visit(part.node);
		} else if (part.kind === "sequence" || part.kind === "choice") {
			part.nodes.forEach(visit);
		}
	};
	visit(node);
	borders.delete(0);
	return [...borders].sort((left, right) => left - right);
}
