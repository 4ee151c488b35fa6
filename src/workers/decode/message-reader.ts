/**
 * A bounds-checked cursor over one message of the stream. Owns a position; must never read past the message,
 * whatever lengths the message claims. Network byte order, as everywhere in the protocol. Called by pgoutput.ts
 * for messages that are not rows; rows have their own loop in tuple-data.ts.
 */

import { malformed } from "./malformed.ts";

export class MessageReader {
	#buffer: Buffer = Buffer.alloc(0);
	#start = 0;
	#end = 0;
	#at = 0;

	/** Begins at the message's tag byte, which is skipped. */
	begin(buffer: Buffer, start: number, end: number): void {
		this.#buffer = buffer;
		this.#start = start;
		this.#end = end;
		this.#at = start + 1;
	}

	uint8(): number {
		this.#need(1);
		const value = this.#buffer[this.#at] as number;
		this.#at += 1;
		return value;
	}

	uint16(): number {
		this.#need(2);
		const value = this.#buffer.readUInt16BE(this.#at);
		this.#at += 2;
		return value;
	}

	uint32(): number {
		this.#need(4);
		const value = this.#buffer.readUInt32BE(this.#at);
		this.#at += 4;
		return value;
	}

	int32(): number {
		return this.uint32() | 0;
	}

	/** A string that ends with a zero byte. */
	text(): string {
		const zero = this.#buffer.indexOf(0, this.#at);
		if (zero < 0 || zero >= this.#end) {
			throw this.problem("a string without its end");
		}
		const value = this.#buffer.toString("utf8", this.#at, zero);
		this.#at = zero + 1;
		return value;
	}

	/** @throws SluiceError `SLUICE_TUPLE_MALFORMED` unless all bytes were read */
	finish(): void {
		if (this.#at !== this.#end) {
			throw this.problem("bytes after the end of the message");
		}
	}

	problem(problem: string): Error {
		return malformed(this.#buffer[this.#start] ?? 0, this.#at - this.#start, problem);
	}

	#need(count: number): void {
		if (this.#at + count > this.#end) {
			throw this.problem("the message ends too early");
		}
	}
}
