/**
 * The body of a POST: read up to a limit, parsed, and reduced to what a body may say. A client's body never
 * overrides `table` or anything else of the query (a proxy pins those): only subset keys are looked at. Called by
 * the shape request after admission. Source: shape-http-api.md 3.1.
 */

import type { IncomingMessage } from "node:http";
import { HTTP_BODY_BYTES_MAX } from "../../shared/limits.ts";

export interface BodyRefusal {
	readonly ok: false;
	readonly status: 400 | 413;
	readonly body: Readonly<Record<string, string>>;
	/** The rest of the request was not read. */
	readonly endsConnection: boolean;
}

export type BodyResult = { readonly ok: true; readonly hasSubset: boolean } | BodyRefusal;

const TOO_LARGE: BodyRefusal = {
	ok: false,
	status: 413,
	body: { error: "Request body too large" },
	endsConnection: false,
};

const SUBSET_KEYS = new Set([
	"subset",
	"where",
	"order_by",
	"limit",
	"offset",
	"params",
	"where_expr",
	"order_by_expr",
]);

/**
 * What is beyond the limit is received and dropped, so that the client reads its 413 instead of a reset; but no more
 * than as much again: then the connection is not worth keeping.
 */
export function readRequestBody(request: IncomingMessage, bytesMax: number = HTTP_BODY_BYTES_MAX): Promise<BodyResult> {
	return new Promise((resolve) => {
		let pieces: Buffer[] = [];
		let bytes = 0;
		request.on("data", (piece: Buffer) => {
			bytes += piece.length;
			if (bytes <= bytesMax) {
				pieces.push(piece);
				return;
			}
			pieces = [];
			if (bytes > 2 * bytesMax) {
				resolve({ ...TOO_LARGE, endsConnection: true });
			}
		});
		request.once("end", () => resolve(bytes > bytesMax ? TOO_LARGE : parseRequestBody(Buffer.concat(pieces))));
		// Also after "end": then it changes nothing.
		const onBroken = (): void => resolve(refused("Failed to read request body"));
		request.once("error", onBroken);
		request.once("close", onBroken);
	});
}

export function parseRequestBody(bytes: Buffer): BodyResult {
	if (bytes.length === 0) {
		return { ok: true, hasSubset: false };
	}
	let value: unknown;
	try {
		value = JSON.parse(bytes.toString("utf8"));
	} catch (error) {
		// The message of JSON.parse quotes the text: only the kind of error goes back.
		const details = error instanceof SyntaxError ? "the body is not valid JSON" : "the body cannot be decoded";
		return refused("Invalid JSON in request body", { details });
	}
	if (typeof value !== "object" || value === null || Array.isArray(value)) {
		return refused("Request body must be a JSON object");
	}
	return { ok: true, hasSubset: Object.keys(value).some((key) => SUBSET_KEYS.has(key)) };
}

function refused(error: string, details: Readonly<Record<string, string>> = {}): BodyRefusal {
	return { ok: false, status: 400, body: { error, ...details }, endsConnection: false };
}
