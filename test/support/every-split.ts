/**
 * The ways in which bytes may arrive: whole, cut in two at every place, byte by byte. For every reader of a
 * stream, since a socket keeps no message borders. Called by tests.
 */

export interface Arrival {
	/** For the message of a failed assertion. */
	readonly name: string;
	/** Copies: they share no memory with the source or each other. */
	readonly chunks: readonly Buffer[];
}

export function* everySplit(bytes: Uint8Array): Generator<Arrival> {
	const piece = (from: number, to: number): Buffer => Buffer.from(bytes.subarray(from, to));
	yield { name: "whole", chunks: [piece(0, bytes.length)] };
	for (let cut = 1; cut < bytes.length; cut += 1) {
		yield { name: `cut at ${cut}`, chunks: [piece(0, cut), piece(cut, bytes.length)] };
	}
	yield { name: "byte by byte", chunks: Array.from(bytes, (_byte, at) => piece(at, at + 1)) };
}

/**
 * Hands over each chunk in one buffer that is used again and overwritten in between, as a socket reader does:
 * whoever keeps a view instead of a copy reads rubbish.
 */
export function feedReused(chunks: readonly Uint8Array[], feed: (chunk: Buffer) => void): void {
	const shared = Buffer.alloc(Math.max(0, ...chunks.map((chunk) => chunk.length)));
	for (const chunk of chunks) {
		shared.set(chunk);
		feed(shared.subarray(0, chunk.length));
		shared.fill(0xee);
	}
}
