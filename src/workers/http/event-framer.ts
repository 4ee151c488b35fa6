/**
 * Turns JSON items joined by commas, as log and snapshot files hold them, into server-sent events, piece by piece:
 * the bytes between items are replaced, those of the items are passed on. Pure but for its place in the text. Must
 * never parse a value. Called by the event stream.
 */

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;

const EVENT_START = Buffer.from("data: ");
const EVENT_END = Buffer.from("\n\n");

/** One message as an event. The text has no line break: JSON escapes them. */
export function eventOf(message: string): string {
	return `data: ${message}\n\n`;
}

export class EventFramer {
	#depth = 0;
	#inString = false;
	#escaped = false;

	/** The next bytes of the stream. Call {@link end} after the last piece. */
	frame(piece: Buffer): Buffer {
		const parts: Buffer[] = [];
		let from = 0;
		for (let index = 0; index < piece.length; index += 1) {
			const byte = piece[index];
			if (this.#inString) {
				this.#stepInString(byte);
				continue;
			}
			switch (byte) {
				case QUOTE:
					this.#inString = true;
					break;
				case OPENING_BRACE:
				case OPENING_BRACKET:
					if (this.#depth === 0) {
						parts.push(EVENT_START);
						from = index;
					}
					this.#depth += 1;
					break;
				case CLOSING_BRACE:
				case CLOSING_BRACKET:
					this.#depth -= 1;
					break;
				case COMMA:
					if (this.#depth === 0) {
						parts.push(piece.subarray(from, index), EVENT_END);
						from = index + 1;
					}
			}
		}
		parts.push(piece.subarray(from));
		return Buffer.concat(parts);
	}

	end(): Buffer {
		return EVENT_END;
	}

	#stepInString(byte: number | undefined): void {
		if (this.#escaped) {
			this.#escaped = false;
		} else if (byte === BACKSLASH) {
			this.#escaped = true;
		} else if (byte === QUOTE) {
			this.#inString = false;
		}
	}
}
