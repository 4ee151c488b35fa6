/**
 * The socket under a replication connection, made so that reading can really stop. A plain TCP socket reads into
 * one reused buffer: pausing it stops the kernel reads at once (an ordinary stream goes on into its own queue)
 * and no read allocates. Until the link takes it over, pg uses it as any socket. Must never interpret a byte.
 * Called by connect.
 */

import { Socket } from "node:net";
import { READ_BUFFER_BYTES } from "../../shared/limits.ts";

/** Gets each read; the chunk is a view that is valid only during the call. */
export type ReadSink = (chunk: Buffer) => void;

export interface RawSocket {
	readonly socket: Socket;
	/** A read of this size is worth its cost: nothing is won by letting more bytes gather. */
	readonly fullReadBytes: number;
	/** From now on reads go to `sink` instead of `data` listeners. */
	takeReads(sink: ReadSink): void;
	/** No read reaches the sink after this. Idempotent. */
	pauseReads(): void;
	/** Reads reach the sink again, soon, never during the call. Idempotent. */
	resumeReads(): void;
}

/** A plain TCP (or Unix) socket, not yet connected. */
export function openRawSocket(): RawSocket {
	const buffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
	let sink: ReadSink | null = null;
	const socket = new Socket({
		onread: {
			buffer,
			callback(bytes: number): boolean {
				if (sink !== null) {
					sink(buffer.subarray(0, bytes));
				} else {
					// pg's parser keeps views of what it gets.
					socket.emit("data", Buffer.from(buffer.subarray(0, bytes)));
				}
				return true;
			},
		},
	});
	return {
		socket,
		fullReadBytes: READ_BUFFER_BYTES / 2,
		takeReads(taken) {
			socket.removeAllListeners("data");
			sink = taken;
		},
		pauseReads: () => socket.pause(),
		resumeReads: () => socket.resume(),
	};
}

/**
 * A socket that pg has wrapped in TLS. Read by asking, not by `data` events: a paused stream would hand over the
 * small pieces that it kept one by one, `read()` gives all of them at once. The stream stops the kernel reads when
 * its own queue is full.
 */
export function wrapTlsSocket(socket: Socket): RawSocket {
	let sink: ReadSink | null = null;
	let paused = false;
	const drain = (): void => {
		while (!paused) {
			const chunk: unknown = socket.read();
			if (!(chunk instanceof Buffer)) {
				return;
			}
			sink?.(chunk);
		}
	};
	return {
		socket,
		fullReadBytes: socket.readableHighWaterMark / 2,
		takeReads(taken) {
			socket.removeAllListeners("data");
			sink = taken;
			socket.on("readable", drain);
		},
		pauseReads() {
			paused = true;
		},
		resumeReads() {
			paused = false;
			queueMicrotask(drain);
		},
	};
}
