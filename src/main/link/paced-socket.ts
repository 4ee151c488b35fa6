/**
 * The socket as the link uses it: reads in stream order, writes, and two independent reasons not to read, the
 * caller's pause (flow) and a short rest that lets bytes gather (pacing). Owns the raw socket, its listeners and
 * the rest timer; must never interpret a byte or decide on the life of the link. Called by the stream.
 */

import type { Socket } from "node:net";
import type { RawSocket } from "./raw-socket.ts";
import { afterRead, afterRest, PACING_START, type PacingSettings } from "./read-pacing.ts";

export interface SocketEvents {
	/** One read; a view that is valid only during the call. */
	read(chunk: Buffer): void;
	/** The socket is finished, by an error or by the peer's FIN (null). At most once, never after `destroy`. */
	gone(error: Error | null): void;
}

export class PacedSocket {
	readonly #raw: RawSocket;
	readonly #socket: Socket;
	readonly #events: SocketEvents;
	readonly #settings: PacingSettings;
	#pacing = PACING_START;
	#rest: NodeJS.Timeout | null = null;
	#resting = false;
	#held = false;
	#gone = false;
	#receivedBytes = 0;
	#reads = 0;

	/** Takes the socket over; reading begins at once. */
	constructor(raw: RawSocket, settings: PacingSettings, events: SocketEvents) {
		this.#raw = raw;
		this.#socket = raw.socket;
		this.#settings = settings;
		this.#events = events;
		this.#socket.on("error", (error: Error) => this.#finish(error));
		this.#socket.on("end", () => this.#finish(null));
		this.#socket.on("close", () => this.#finish(null));
		raw.takeReads((chunk) => this.#onRead(chunk));
		if (this.#socket.destroyed) {
			queueMicrotask(() => this.#finish(null));
		}
	}

	get receivedBytes(): number {
		return this.#receivedBytes;
	}

	get reads(): number {
		return this.#reads;
	}

	/** The caller wants no more reads for now. Idempotent. */
	hold(): void {
		this.#held = true;
		this.#raw.pauseReads();
	}

	/** The caller wants reads again. Idempotent. */
	release(): void {
		if (this.#held) {
			this.#held = false;
			this.#readOn();
		}
	}

	write(bytes: Buffer): void {
		if (!this.#gone && this.#socket.writable) {
			this.#socket.write(bytes);
		}
	}

	/**
	 * Writes the last bytes, half-closes, and reads on (for nobody) until the peer has closed too: a socket
	 * destroyed with unread input makes the kernel send RST, which can overtake the last bytes.
	 */
	async farewell(bytes: Buffer, timeoutMs: number): Promise<void> {
		if (!this.#socket.destroyed) {
			const closed = new Promise<void>((resolve) => this.#socket.once("close", () => resolve()));
			const timer = setTimeout(() => this.#socket.destroy(), timeoutMs);
			this.#gone = true;
			this.#stopResting();
			this.#held = false;
			this.#socket.end(bytes);
			this.#raw.resumeReads();
			await closed;
			clearTimeout(timer);
		}
		this.destroy();
	}

	/** Ends it at once; nothing is reported any more. Idempotent. */
	destroy(): void {
		this.#gone = true;
		this.#stopResting();
		this.#socket.destroy();
	}

	#onRead(chunk: Buffer): void {
		if (this.#gone) {
			return;
		}
		this.#reads += 1;
		this.#receivedBytes += chunk.length;
		this.#events.read(chunk);
		const read = { bytes: chunk.length, full: chunk.length >= this.#raw.fullReadBytes };
		const { state, gather } = afterRead(this.#pacing, performance.now(), read, this.#settings);
		this.#pacing = state;
		if (gather && !this.#gone && !this.#resting) {
			this.#startResting();
		}
	}

	#startResting(): void {
		this.#resting = true;
		this.#raw.pauseReads();
		if (this.#rest === null) {
			this.#rest = setTimeout(() => this.#onRested(), this.#settings.gatherMs);
		} else {
			this.#rest.refresh();
		}
	}

	#onRested(): void {
		this.#resting = false;
		this.#readOn();
	}

	#stopResting(): void {
		this.#resting = false;
		if (this.#rest !== null) {
			clearTimeout(this.#rest);
			this.#rest = null;
		}
	}

	#readOn(): void {
		if (!this.#held && !this.#resting && !this.#gone) {
			this.#pacing = afterRest(this.#pacing, performance.now());
			this.#raw.resumeReads();
		}
	}

	#finish(error: Error | null): void {
		if (!this.#gone) {
			this.destroy();
			this.#events.gone(error);
		}
	}
}
