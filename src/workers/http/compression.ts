/**
 * Compressed bodies: which encoding a request gets, whole bodies once for all who wait for them, and large ones piece
 * by piece. Owns the bound on compressions that run: they share the process's few file threads with the lanes' syncs,
 * so what comes beyond it goes out as it is. Must never be used for event streams. Called by what answers requests.
 */

import type { Transform } from "node:stream";
import { promisify } from "node:util";
import {
	brotliCompress,
	constants,
	createBrotliCompress,
	createGzip,
	createZstdCompress,
	gzip,
	zstdCompress,
} from "node:zlib";
import { HTTP_COMPRESS_BYTES_MIN } from "../../shared/limits.ts";

export type Encoding = "identity" | "gzip" | "br" | "zstd";

/** Best first: at these levels zstd and brotli are twice as fast as gzip, and smaller. */
const PREFERRED = ["zstd", "br", "gzip"] as const;
const GZIP = { level: 1 };
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } };
const ZSTD = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** What the client takes, by our preference; quality values only say yes or no. Source: RFC 9110, 12.5.3. */
export function preferredEncoding(acceptEncoding: string | undefined): Encoding {
	if (acceptEncoding === undefined || acceptEncoding === "") {
		return "identity";
	}
	const taken = new Map<string, boolean>();
	for (const part of acceptEncoding.split(",")) {
		const [name = "", ...parameters] = part.split(";").map((text) => text.trim().toLowerCase());
		taken.set(name, !parameters.some((parameter) => /^q\s*=\s*0(?:\.0*)?$/.test(parameter)));
	}
	return PREFERRED.find((encoding) => taken.get(encoding) ?? taken.get("*") ?? false) ?? "identity";
}

export interface Compressor {
	readonly transform: Transform;
	/** Gives the memory and the place back. Idempotent. */
	release(): void;
}

export class Compression {
	readonly #runningMax: number;
	/** Compressed forms of bodies that several requests share. */
	readonly #bodies = new WeakMap<Buffer, Map<Encoding, Promise<Buffer>>>();
	#running = 0;

	constructor(runningMax: number) {
		this.#runningMax = runningMax;
	}

	get running(): number {
		return this.#running;
	}

	/** Of a body of so many bytes: as it is when it is small, or when others are being compressed. */
	choose(acceptEncoding: string | undefined, bytes: number): Encoding {
		return bytes < HTTP_COMPRESS_BYTES_MIN || this.#running >= this.#runningMax
			? "identity"
			: preferredEncoding(acceptEncoding);
	}

	/** The same buffer and encoding are compressed once while anybody holds the buffer. */
	whole(body: Buffer, encoding: Encoding): Promise<Buffer> {
		if (encoding === "identity") {
			return Promise.resolve(body);
		}
		const forms = this.#bodies.get(body) ?? new Map<Encoding, Promise<Buffer>>();
		this.#bodies.set(body, forms);
		const present = forms.get(encoding);
		if (present !== undefined) {
			return present;
		}
		this.#running += 1;
		const form = COMPRESS[encoding](body).finally(() => {
			this.#running -= 1;
		});
		form.catch(() => forms.delete(encoding));
		forms.set(encoding, form);
		return form;
	}

	/** Null when the body goes out as it is. */
	stream(encoding: Encoding): Compressor | null {
		if (encoding === "identity") {
			return null;
		}
		this.#running += 1;
		let held = true;
		const transform = CREATE[encoding]();
		return {
			transform,
			release: () => {
				if (held) {
					held = false;
					this.#running -= 1;
					transform.destroy();
				}
			},
		};
	}
}

const gzipWhole = promisify<Buffer, typeof GZIP, Buffer>(gzip);
const brotliWhole = promisify<Buffer, typeof BROTLI, Buffer>(brotliCompress);
const zstdWhole = promisify<Buffer, typeof ZSTD, Buffer>(zstdCompress);

const COMPRESS = {
	gzip: (body: Buffer) => gzipWhole(body, GZIP),
	br: (body: Buffer) => brotliWhole(body, BROTLI),
	zstd: (body: Buffer) => zstdWhole(body, ZSTD),
} as const satisfies Record<Exclude<Encoding, "identity">, (body: Buffer) => Promise<Buffer>>;

const CREATE = {
	gzip: () => createGzip(GZIP),
	br: () => createBrotliCompress(BROTLI),
	zstd: () => createZstdCompress(ZSTD),
} as const satisfies Record<Exclude<Encoding, "identity">, () => Transform>;
