/**
 * A growable buffer that bytes are appended to: UTF-8 text, JSON string contents, decimal numbers. Owns its
 * buffer and its length; must never make a string of what it copies, and never shrink while somebody holds a
 * range of it. Called by the entry encoder, by the lane (its entry arena) and by the snapshot task.
 */

import { invariant } from "./assert.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SLASH = 0x2f;
const DIGIT_ZERO = 0x30;

/** Up to here a byte loop beats the call into TypedArray.prototype.set. */
const LOOP_BYTES_MAX = 24;

/** Ranges up to this length are escaped in one pass with room for the worst case. */
const ONE_PASS_BYTES_MAX = 256;
/** `\u00XX`. */
const ESCAPE_BYTES_MAX = 6;

/** Positions are kept in Int32Arrays. */
const CAPACITY_MAX = 0x7fff_ffff;

const HEX = Buffer.from("0123456789abcdef", "latin1");

/** The letter of the two-character escape of a byte, or 0. RFC 8259, section 7. */
const SHORT_ESCAPE = new Uint8Array(256);
SHORT_ESCAPE[0x08] = 0x62;
SHORT_ESCAPE[0x09] = 0x74;
SHORT_ESCAPE[0x0a] = 0x6e;
SHORT_ESCAPE[0x0c] = 0x66;
SHORT_ESCAPE[0x0d] = 0x72;
SHORT_ESCAPE[QUOTE] = QUOTE;
SHORT_ESCAPE[BACKSLASH] = BACKSLASH;

export class ByteWriter {
	buffer: Buffer;
	length = 0;

	constructor(capacityBytes = 4096) {
		this.buffer = Buffer.allocUnsafeSlow(capacityBytes);
	}

	/** The bytes written so far; valid until the next write. */
	view(): Buffer {
		return this.buffer.subarray(0, this.length);
	}

	clear(): void {
		this.length = 0;
	}

	/** Gives memory beyond `capacityBytes` back. Voids the contents. */
	shrink(capacityBytes: number): void {
		this.length = 0;
		if (this.buffer.length > capacityBytes) {
			this.buffer = Buffer.allocUnsafeSlow(capacityBytes);
		}
	}

	/** Makes room for `count` more bytes. @throws InvariantError beyond 2 GiB */
	reserve(count: number): void {
		if (this.length + count > this.buffer.length) {
			this.#grow(this.length + count);
		}
	}

	byte(value: number): void {
		this.reserve(1);
		this.buffer[this.length] = value;
		this.length += 1;
	}

	/** All of `source`. */
	bytes(source: Uint8Array): void {
		const count = source.length;
		this.reserve(count);
		if (count > LOOP_BYTES_MAX) {
			this.buffer.set(source, this.length);
		} else {
			const target = this.buffer;
			const at = this.length;
			for (let index = 0; index < count; index += 1) {
				target[at + index] = source[index] as number;
			}
		}
		this.length += count;
	}

	/** Bytes `start` to `end` of `source`, as they are. */
	range(source: Buffer, start: number, end: number): void {
		const count = end - start;
		this.reserve(count);
		if (count > LOOP_BYTES_MAX) {
			source.copy(this.buffer, this.length, start, end);
		} else {
			const target = this.buffer;
			const at = this.length - start;
			for (let index = start; index < end; index += 1) {
				target[at + index] = source[index] as number;
			}
		}
		this.length += count;
	}

	/** UTF-8 text as the inside of a JSON string. */
	jsonText(source: Buffer, start: number, end: number): void {
		this.#escaped(source, start, end, false);
	}

	/** The same with every `/` doubled: a component of a row key inside a JSON string. */
	jsonKeyText(source: Buffer, start: number, end: number): void {
		this.#escaped(source, start, end, true);
	}

	/** A non-negative integer below 2^53, in decimal. */
	decimal(value: number): void {
		let digits = 1;
		for (let bound = 10; bound <= value; bound *= 10) {
			digits += 1;
		}
		this.reserve(digits);
		const target = this.buffer;
		let rest = value;
		for (let at = this.length + digits - 1; at >= this.length; at -= 1) {
			const next = Math.floor(rest / 10);
			target[at] = DIGIT_ZERO + (rest - next * 10);
			rest = next;
		}
		this.length += digits;
	}

	/** An ASCII string; not for hot paths. */
	ascii(text: string): void {
		this.reserve(text.length);
		this.length += this.buffer.write(text, this.length, "latin1");
	}

	#escaped(source: Buffer, start: number, end: number, doubleSlashes: boolean): void {
		if (end - start <= ONE_PASS_BYTES_MAX) {
			this.#escapedOnePass(source, start, end, doubleSlashes);
			return;
		}
		let from = start;
		for (let at = start; at < end; at += 1) {
			const value = source[at] as number;
			if (value < 0x20 || value === QUOTE || value === BACKSLASH || (doubleSlashes && value === SLASH)) {
				if (at > from) {
					this.range(source, from, at);
				}
				this.reserve(ESCAPE_BYTES_MAX);
				this.length = escapeByte(this.buffer, this.length, value);
				from = at + 1;
			}
		}
		if (end > from) {
			this.range(source, from, end);
		}
	}

	#escapedOnePass(source: Buffer, start: number, end: number, doubleSlashes: boolean): void {
		this.reserve((end - start) * ESCAPE_BYTES_MAX);
		const target = this.buffer;
		let to = this.length;
		for (let at = start; at < end; at += 1) {
			const value = source[at] as number;
			if (value < 0x20 || value === QUOTE || value === BACKSLASH || (doubleSlashes && value === SLASH)) {
				to = escapeByte(target, to, value);
			} else {
				target[to] = value;
				to += 1;
			}
		}
		this.length = to;
	}

	#grow(needed: number): void {
		invariant(needed <= CAPACITY_MAX, "more than 2 GiB in one byte writer");
		const capacity = Math.min(CAPACITY_MAX, Math.max(needed, this.buffer.length * 2));
		const larger = Buffer.allocUnsafeSlow(capacity);
		this.buffer.copy(larger, 0, 0, this.length);
		this.buffer = larger;
	}
}

/** Writes the escape of `value` (for `/`: the slash twice) and returns the position after it. */
function escapeByte(target: Buffer, at: number, value: number): number {
	if (value === SLASH) {
		target[at] = SLASH;
		target[at + 1] = SLASH;
		return at + 2;
	}
	const short = SHORT_ESCAPE[value] as number;
	target[at] = BACKSLASH;
	if (short !== 0) {
		target[at + 1] = short;
		return at + 2;
	}
	target[at + 1] = 0x75;
	target[at + 2] = DIGIT_ZERO;
	target[at + 3] = DIGIT_ZERO;
	target[at + 4] = HEX[value >> 4] as number;
	target[at + 5] = HEX[value & 15] as number;
	return at + 6;
}
