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
	/** From now on reads go to `sink` instead of `data` listeners. */
	takeReads(sink: ReadSink): void;
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
		takeReads(taken) {
			socket.removeAllListeners("data");
			sink = taken;
		},
	};
}

/** A socket that pg has wrapped in TLS: decrypted bytes come as ordinary `data` events, 16 KiB each at most. */
export function wrapTlsSocket(socket: Socket): RawSocket {
	return {
		socket,
		takeReads(taken) {
			socket.removeAllListeners("data");
			socket.on("data", taken);
		},
	};
}
