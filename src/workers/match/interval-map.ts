/**
 * Intervals of an ordered type, each with something behind it, so that a value finds all the intervals it lies in
 * without looking at the others. A treap by lower bound in which every place knows the highest upper bound below
 * it. Owns that order; knows nothing of columns. Adding, removing and, beside the hits, finding cost the logarithm
 * of the number of intervals. Called by index-tables.ts.
 */

/** One end. `value` null: there is none on this side. */
export interface Bound<T> {
	readonly value: T | null;
	readonly inclusive: boolean;
}

export interface Interval<T> {
	readonly low: Bound<T>;
	readonly high: Bound<T>;
}

interface Place<T, V> {
	readonly interval: Interval<T>;
	readonly value: V;
	readonly priority: number;
	left: Place<T, V> | null;
	right: Place<T, V> | null;
	/** The highest upper bound of this place and all below it. */
	top: Bound<T>;
}

export class IntervalMap<T, V> {
	readonly #compare: (left: T, right: T) => number;
	#root: Place<T, V> | null = null;
	#size = 0;
	#seed = 0x9e3779b9 | 0;

	constructor(compare: (left: T, right: T) => number) {
		this.#compare = compare;
	}

	get size(): number {
		return this.#size;
	}

	get(interval: Interval<T>): V | undefined {
		let place = this.#root;
		while (place !== null) {
			const order = this.#order(interval, place.interval);
			if (order === 0) {
				return place.value;
			}
			place = order < 0 ? place.left : place.right;
		}
		return undefined;
	}

	/** The interval must not be there yet. */
	add(interval: Interval<T>, value: V): void {
		const place = { interval, value, priority: this.#draw(), left: null, right: null, top: interval.high };
		this.#root = this.#insert(this.#root, place);
		this.#size += 1;
	}

	delete(interval: Interval<T>): void {
		this.#root = this.#remove(this.#root, interval);
	}

	/** Calls `visit` for everything behind an interval that holds `value`. */
	stab(value: T, visit: (found: V) => void): void {
		this.#stab(this.#root, value, visit);
	}

	#stab(place: Place<T, V> | null, value: T, visit: (found: V) => void): void {
		let at = place;
		while (at !== null && !this.#isAbove(value, at.top)) {
			this.#stab(at.left, value, visit);
			if (this.#isBelow(value, at.interval.low)) {
				return;
			}
			if (!this.#isAbove(value, at.interval.high)) {
				visit(at.value);
			}
			at = at.right;
		}
	}

	/** Whether the value lies beyond an upper bound. */
	#isAbove(value: T, bound: Bound<T>): boolean {
		if (bound.value === null) {
			return false;
		}
		const order = this.#compare(value, bound.value);
		return order > 0 || (order === 0 && !bound.inclusive);
	}

	/** Whether the value lies before a lower bound. */
	#isBelow(value: T, bound: Bound<T>): boolean {
		if (bound.value === null) {
			return false;
		}
		const order = this.#compare(value, bound.value);
		return order < 0 || (order === 0 && !bound.inclusive);
	}

	/** By lower bound, then by upper bound. */
	#order(left: Interval<T>, right: Interval<T>): number {
		return this.#orderOfLows(left.low, right.low) || this.#orderOfHighs(left.high, right.high);
	}

	/** None comes first; at one value the one that includes it. */
	#orderOfLows(left: Bound<T>, right: Bound<T>): number {
		if (left.value === null || right.value === null) {
			return Number(right.value === null) - Number(left.value === null);
		}
		return this.#compare(left.value, right.value) || Number(right.inclusive) - Number(left.inclusive);
	}

	/** None comes last; at one value the one that includes it. */
	#orderOfHighs(left: Bound<T>, right: Bound<T>): number {
		if (left.value === null || right.value === null) {
			return Number(left.value === null) - Number(right.value === null);
		}
		return this.#compare(left.value, right.value) || Number(left.inclusive) - Number(right.inclusive);
	}

	#insert(root: Place<T, V> | null, place: Place<T, V>): Place<T, V> {
		if (root === null) {
			return place;
		}
		if (place.priority > root.priority) {
			const [left, right] = this.#split(root, place.interval);
			place.left = left;
			place.right = right;
			this.#settle(place);
			return place;
		}
		if (this.#order(place.interval, root.interval) < 0) {
			root.left = this.#insert(root.left, place);
		} else {
			root.right = this.#insert(root.right, place);
		}
		this.#settle(root);
		return root;
	}

	/** What comes before the interval, and what comes after it. */
	#split(root: Place<T, V> | null, interval: Interval<T>): [Place<T, V> | null, Place<T, V> | null] {
		if (root === null) {
			return [null, null];
		}
		if (this.#order(interval, root.interval) < 0) {
			const [before, after] = this.#split(root.left, interval);
			root.left = after;
			this.#settle(root);
			return [before, root];
		}
		const [before, after] = this.#split(root.right, interval);
		root.right = before;
		this.#settle(root);
		return [root, after];
	}

	#remove(root: Place<T, V> | null, interval: Interval<T>): Place<T, V> | null {
		if (root === null) {
			return null;
		}
		const order = this.#order(interval, root.interval);
		if (order === 0) {
			this.#size -= 1;
			return this.#join(root.left, root.right);
		}
		if (order < 0) {
			root.left = this.#remove(root.left, interval);
		} else {
			root.right = this.#remove(root.right, interval);
		}
		this.#settle(root);
		return root;
	}

	/** Everything of `left` comes before everything of `right`. */
	#join(left: Place<T, V> | null, right: Place<T, V> | null): Place<T, V> | null {
		if (left === null || right === null) {
			return left ?? right;
		}
		if (left.priority > right.priority) {
			left.right = this.#join(left.right, right);
			this.#settle(left);
			return left;
		}
		right.left = this.#join(left, right.left);
		this.#settle(right);
		return right;
	}

	#settle(place: Place<T, V>): void {
		let { high: top } = place.interval;
		for (const below of [place.left, place.right]) {
			if (below !== null && this.#orderOfHighs(below.top, top) > 0) {
				({ top } = below);
			}
		}
		place.top = top;
	}

	/** A generator of its own, so that a tree's form depends on nothing but what was done to it. */
	#draw(): number {
		this.#seed = (this.#seed + 0x6d2b79f5) | 0;
		let mixed = Math.imul(this.#seed ^ (this.#seed >>> 15), this.#seed | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return mixed ^ (mixed >>> 14);
	}
}
