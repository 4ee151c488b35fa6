/**
 * A hash table whose keys are byte ranges, so that a row's column can be looked up where it lies, without
 * making a string of it. Owns its memory layout: what a lookup touches is in two flat arrays (a record a place,
 * and the keys' bytes), because with many keys the cost is cache misses, not instructions. Open addressing,
 * linear probing, deletion by shifting back: no tombstones, so removal leaves no trace. Called by
 * index-tables.ts and compile.ts.
 */

const CAPACITY_MIN = 8;

/** Int32 words of a place. */
const WORDS = 4;
const HASH = 0;
/** Length of the key plus 1; 0: the place is free. */
const LENGTH = 1;
/** Where the key's bytes begin in the arena. */
const KEY = 2;
/** A small number beside the value, for the caller. */
const NOTE = 3;

const ABSENT = -1;

export class ByteTable<V> {
	#size = 0;
	#mask = CAPACITY_MIN - 1;
	#places = new Int32Array(CAPACITY_MIN * WORDS);
	#values: (V | undefined)[] = new Array<V | undefined>(CAPACITY_MIN).fill(undefined);
	#arena = new Uint8Array(64);
	#arenaEnd = 0;
	/** Bytes of the arena below its end that belong to no key any more. */
	#arenaFree = 0;

	get size(): number {
		return this.#size;
	}

	/**
	 * The place of the key `bytes[start, end)`, or a negative number. Valid until the table is changed. Allocates
	 * nothing.
	 */
	find(bytes: Uint8Array, start: number, end: number): number {
		const position = this.#probe(bytes, start, end, hashBytes(bytes, start, end));
		return this.#places[position * WORDS + LENGTH] === 0 ? ABSENT : position;
	}

	valueAt(place: number): V | undefined {
		return this.#values[place];
	}

	/** The number that {@link setNote} left at the place; 0 at first. */
	noteAt(place: number): number {
		return this.#places[place * WORDS + NOTE] ?? 0;
	}

	get(key: Uint8Array): V | undefined {
		const place = this.find(key, 0, key.length);
		return place < 0 ? undefined : this.#values[place];
	}

	set(key: Uint8Array, value: V): void {
		const hash = hashBytes(key, 0, key.length);
		const position = this.#probe(key, 0, key.length, hash);
		this.#values[position] = value;
		const word = position * WORDS;
		if (this.#places[word + LENGTH] !== 0) {
			return;
		}
		const stored = this.#store(key);
		this.#places[word + HASH] = hash;
		this.#places[word + LENGTH] = key.length + 1;
		this.#places[word + KEY] = stored;
		this.#places[word + NOTE] = 0;
		this.#size += 1;
		if (this.#size * 3 > this.#mask * 2) {
			this.#resize((this.#mask + 1) * 2);
		}
	}

	/** Sets the number beside a key that is there. */
	setNote(key: Uint8Array, note: number): void {
		const place = this.find(key, 0, key.length);
		if (place >= 0) {
			this.#places[place * WORDS + NOTE] = note;
		}
	}

	delete(key: Uint8Array): void {
		let hole = this.find(key, 0, key.length);
		if (hole < 0) {
			return;
		}
		this.#size -= 1;
		this.#arenaFree += key.length;
		const places = this.#places;
		// Whatever was pushed past the hole, and would not be found across it any more, moves into it.
		for (let next = (hole + 1) & this.#mask; places[next * WORDS + LENGTH] !== 0; next = (next + 1) & this.#mask) {
			const home = (places[next * WORDS + HASH] ?? 0) & this.#mask;
			if (((next - home) & this.#mask) >= ((next - hole) & this.#mask)) {
				places.copyWithin(hole * WORDS, next * WORDS, (next + 1) * WORDS);
				this.#values[hole] = this.#values[next];
				hole = next;
			}
		}
		places.fill(0, hole * WORDS, (hole + 1) * WORDS);
		this.#values[hole] = undefined;
		const isSparse = this.#mask >= CAPACITY_MIN && this.#size * 8 < this.#mask;
		if (isSparse) {
			this.#resize((this.#mask + 1) / 2);
		}
	}

	/** Where the key is, or the free place where it would go. */
	#probe(bytes: Uint8Array, start: number, end: number, hash: number): number {
		const places = this.#places;
		const mask = this.#mask;
		const length = end - start + 1;
		let position = hash & mask;
		for (;;) {
			const word = position * WORDS;
			const found = places[word + LENGTH] ?? 0;
			if (
				found === 0 ||
				(places[word + HASH] === hash && found === length && this.#holds(places[word + KEY] ?? 0, bytes, start, end))
			) {
				return position;
			}
			position = (position + 1) & mask;
		}
	}

	#holds(key: number, bytes: Uint8Array, start: number, end: number): boolean {
		const arena = this.#arena;
		const shift = key - start;
		for (let index = start; index < end; index += 1) {
			if (arena[index + shift] !== bytes[index]) {
				return false;
			}
		}
		return true;
	}

	#store(key: Uint8Array): number {
		if (this.#arenaEnd + key.length > this.#arena.length) {
			this.#compact(key.length);
		}
		const at = this.#arenaEnd;
		this.#arena.set(key, at);
		this.#arenaEnd += key.length;
		return at;
	}

	/** A new arena with room for `extra` bytes more, without what is free. */
	#compact(extra: number): void {
		const used = this.#arenaEnd - this.#arenaFree;
		const arena = new Uint8Array(Math.max(64, (used + extra) * 2));
		let end = 0;
		for (let word = 0; word < this.#places.length; word += WORDS) {
			const length = (this.#places[word + LENGTH] ?? 0) - 1;
			const key = this.#places[word + KEY] ?? 0;
			if (length > 0) {
				arena.set(this.#arena.subarray(key, key + length), end);
				this.#places[word + KEY] = end;
				end += length;
			}
		}
		this.#arena = arena;
		this.#arenaEnd = end;
		this.#arenaFree = 0;
	}

	#resize(capacity: number): void {
		const places = this.#places;
		const values = this.#values;
		this.#mask = capacity - 1;
		this.#places = new Int32Array(capacity * WORDS);
		this.#values = new Array<V | undefined>(capacity).fill(undefined);
		for (let old = 0; old < values.length; old += 1) {
			if (places[old * WORDS + LENGTH] !== 0) {
				let position = (places[old * WORDS + HASH] ?? 0) & this.#mask;
				while (this.#places[position * WORDS + LENGTH] !== 0) {
					position = (position + 1) & this.#mask;
				}
				this.#places.set(places.subarray(old * WORDS, (old + 1) * WORDS), position * WORDS);
				this.#values[position] = values[old];
			}
		}
	}
}

/** Whether `key` holds exactly the bytes `bytes[start, end)`. */
export function sameBytes(key: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
	const { length } = key;
	if (length !== end - start) {
		return false;
	}
	for (let index = 0; index < length; index += 1) {
		if (key[index] !== bytes[start + index]) {
			return false;
		}
	}
	return true;
}

/** FNV-1a, then mixed so that the low bits, which choose the place, depend on all of it. */
function hashBytes(bytes: Uint8Array, start: number, end: number): number {
	let hash = 0x811c9dc5 | 0;
	for (let index = start; index < end; index += 1) {
		hash = Math.imul(hash ^ (bytes[index] ?? 0), 0x01000193);
	}
	hash ^= hash >>> 15;
	hash = Math.imul(hash, 0x2c1b3c6d);
	return hash ^ (hash >>> 13);
}
