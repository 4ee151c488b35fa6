/**
 * Sends bodies without letting a slow reader cost more than one piece: a piece is read after the one before it has
 * left, and a reader that takes nothing for a while is cut. Must never end a response normally when bytes are
 * missing: the declared length tells the client, and the socket is destroyed. Called by the exchange.
 */

import { type FileHandle, open } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import type { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { SluiceError } from "../../shared/errors.ts";
import { HTTP_READ_BYTES, HTTP_WRITE_STALL_MS } from "../../shared/limits.ts";

/** Part of a file, between two small texts. */
export interface FileBody {
	readonly prefix: Buffer;
	readonly path: string;
	readonly position: number;
	readonly length: number;
	readonly suffix: Buffer;
}

/** The source of a body in pieces, opened before the head of the response is sent so that errors are still a 500. */
export class PieceSource {
	readonly #file: FileHandle;
	readonly #body: FileBody;
	readonly #buffer: Buffer;
	#sent = 0;

	private constructor(file: FileHandle, body: FileBody) {
		this.#file = file;
		this.#body = body;
		this.#buffer = Buffer.allocUnsafeSlow(body.prefix.length + HTTP_READ_BYTES + body.suffix.length);
	}

	static async open(body: FileBody): Promise<PieceSource> {
		return new PieceSource(await open(body.path, "r"), body);
	}

	/**
	 * The next piece, or null at the end. It is overwritten by the next call.
	 * @throws SluiceError SLUICE_LOG_CORRUPT when the file is too short
	 */
	async next(): Promise<Buffer | null> {
		const { prefix, suffix, position, length, path } = this.#body;
		const wanted = Math.min(HTTP_READ_BYTES, length - this.#sent);
		if (wanted <= 0) {
			return null;
		}
		const start = this.#sent === 0 ? prefix.copy(this.#buffer) : 0;
		const { bytesRead } = await this.#file.read(this.#buffer, start, wanted, position + this.#sent);
		if (bytesRead === 0) {
			throw new SluiceError("SLUICE_LOG_CORRUPT", { path, problem: "file too short", position, lengthBytes: length });
		}
		this.#sent += bytesRead;
		let end = start + bytesRead;
		if (this.#sent === length) {
			end += suffix.copy(this.#buffer, end);
		}
		return this.#buffer.subarray(0, end);
	}

	async close(): Promise<void> {
		await this.#file.close();
	}
}

/** Sends one buffer as the whole body; a large one in pieces, so that a reader who is slow is not taken for one who stalls. */
export function sendWhole(response: ServerResponse, body: Buffer | string): void {
	if (typeof body !== "string" && body.length > HTTP_READ_BYTES) {
		void sendSlices(response, body);
		return;
	}
	response.end(body);
	if (!response.writableFinished) {
		const timer = setTimeout(() => response.destroy(), HTTP_WRITE_STALL_MS);
		response.once("close", () => clearTimeout(timer));
	}
}

/** Does not reject. */
async function sendSlices(response: ServerResponse, body: Buffer): Promise<void> {
	for (let from = 0; from < body.length; from += HTTP_READ_BYTES) {
		if (!(await writeOut(response, body.subarray(from, from + HTTP_READ_BYTES)))) {
			return;
		}
	}
	response.end();
}

/**
 * Sends all pieces and ends the response; false when the client went away or stalled.
 * @throws what {@link PieceSource.next} throws
 */
export async function sendPieces(response: ServerResponse, source: PieceSource): Promise<boolean> {
	for (let piece = await source.next(); piece !== null; piece = await source.next()) {
		if (!(await writeOut(response, piece))) {
			return false;
		}
	}
	response.end();
	return true;
}

/**
 * As {@link sendPieces}, through a compressor. The response ends only when all came through: what is cut off in
 * between lacks the end of its chunks.
 */
export async function sendTransformed(
	response: ServerResponse,
	source: PieceSource,
	transform: Transform,
): Promise<boolean> {
	const write = async (pieces: AsyncIterable<Buffer>): Promise<boolean> => {
		for await (const piece of pieces) {
			if (!(await writeOut(response, piece))) {
				return false;
			}
		}
		return true;
	};
	let sent = false;
	try {
		await pipeline(copiesOf(source), transform, async (pieces: AsyncIterable<Buffer>) => {
			sent = await write(pieces);
		});
	} catch (error) {
		// When the client went away the compressor is cut off too.
		if (!response.destroyed) {
			throw error;
		}
		return false;
	}
	if (sent) {
		response.end();
	}
	return sent;
}

/** A compressor holds on to what it was given, and the source writes over it. */
async function* copiesOf(source: PieceSource): AsyncGenerator<Buffer> {
	for (let piece = await source.next(); piece !== null; piece = await source.next()) {
		yield Buffer.from(piece);
	}
}

/** Resolves with true once the bytes have left for the kernel, with false when they never will. */
export function writeOut(response: ServerResponse, bytes: Buffer | string): Promise<boolean> {
	return new Promise((resolve) => {
		const finish = (sent: boolean): void => {
			clearTimeout(timer);
			response.off("close", onClose);
			resolve(sent);
		};
		const onClose = (): void => finish(false);
		const timer = setTimeout(() => {
			response.destroy();
			finish(false);
		}, HTTP_WRITE_STALL_MS);
		response.once("close", onClose);
		if (response.destroyed) {
			finish(false);
			return;
		}
		response.write(bytes, (error) => finish(error === null || error === undefined));
	});
}
