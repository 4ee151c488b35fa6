/**
 * A hash table whose keys are byte ranges, so that a row's column can be looked up where it lies, without
 * making a string of it. Open addressing, linear probing, deletion by shifting back: no tombstones, so removal
 * leaves no trace. Called by filter-index.ts and compile.ts.
 */

const CAPACITY_MIN = 8;

export class ByteTable<V> {
	#size = 0;
	#mask = CAPACITY_MIN - 1;
	#hashes = new Int32Array(CAPACITY_MIN);
	#keys: (Uint8Array | undefined)[] = new Array<Uint8Array | undefined>(CAPACITY_MIN).fill(undefined);
	#values: (V | undefined)[] = new Array<V | undefined>(CAPACITY_MIN).fill(undefined);

	get size(): number {
		return this.#size;
	}

	/** The value at the key `bytes[start, end)`, or undefined. Allocates nothing. */
	get(bytes: Uint8Array, start: number, end: number): V | undefined {
		const position = this.#find(bytes, start, end, hashBytes(bytes, start, end));
		return this.#keys[position] === undefined ? undefined : this.#values[position];
	}

	/** Sets the value at `key`; the table keeps the array. */
	set(key: Uint8Array, value: V): void {
		const hash = hashBytes(key, 0, key.length);
		const position = this.#find(key, 0, key.length, hash);
		if (this.#keys[position] === undefined) {
			this.#size += 1;
			this.#hashes[position] = hash;
			this.#keys[position] = key;
		}
		this.#values[position] = value;
		if (this.#size * 2 > this.#mask) {
			this.#resize((this.#mask + 1) * 2);
		}
	}

	delete(key: Uint8Array): void {
		let hole = this.#find(key, 0, key.length, hashBytes(key, 0, key.length));
		if (this.#keys[hole] === undefined) {
			return;
		}
		this.#size -= 1;
		// Whatever was pushed past the hole, and would not be found across it any more, moves into it.
		for (let next = (hole + 1) & this.#mask; this.#keys[next] !== undefined; next = (next + 1) & this.#mask) {
			const home = (this.#hashes[next] ?? 0) & this.#mask;
			if (((next - home) & this.#mask) >= ((next - hole) & this.#mask)) {
				this.#move(next, hole);
				hole = next;
			}
		}
		this.#keys[hole] = undefined;
		this.#values[hole] = undefined;
		if (this.#mask >= CAPACITY_MIN && this.#size * 8 < this.#mask) {
			this.#resize((this.#mask + 1) / 2);
		}
	}

	/** Where the key is, or the free place where it would go. */
	#find(bytes: Uint8Array, start: number, end: number, hash: number): number {
		const keys = this.#keys;
		const hashes = this.#hashes;
		const mask = this.#mask;
		let position = hash & mask;
		for (;;) {
			const key = keys[position];
			if (key === undefined || (hashes[position] === hash && sameBytes(key, bytes, start, end))) {
				return position;
			}
			position = (position + 1) & mask;
		}
	}

	#move(from: number, to: number): void {
		this.#hashes[to] = this.#hashes[from] ?? 0;
		this.#keys[to] = this.#keys[from];
		this.#values[to] = this.#values[from];
	}

	#resize(capacity: number): void {
		const keys = this.#keys;
		const values = this.#values;
		const hashes = this.#hashes;
		this.#mask = capacity - 1;
		this.#hashes = new Int32Array(capacity);
		this.#keys = new Array<Uint8Array | undefined>(capacity).fill(undefined);
		this.#values = new Array<V | undefined>(capacity).fill(undefined);
		for (let old = 0; old < keys.length; old += 1) {
			if (keys[old] !== undefined) {
				let position = (hashes[old] ?? 0) & this.#mask;
				while (this.#keys[position] !== undefined) {
					position = (position + 1) & this.#mask;
				}
				this.#hashes[position] = hashes[old] ?? 0;
				this.#keys[position] = keys[old];
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
