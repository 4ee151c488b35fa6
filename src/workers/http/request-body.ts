/**
 * The body of a POST: read up to a limit, parsed, and reduced to what a body may say. A client's body never
 * overrides `table` or anything else of the query (a proxy pins those): only subset keys are looked at. Called by
 * the shape request after admission. Source: shape-http-api.md 3.1.
 */

import type { IncomingMessage } from "node:http";
import { HTTP_BODY_BYTES_MAX } from "../../shared/limits.ts";

export type BodyResult =
	| { readonly ok: true; readonly hasSubset: boolean }
	| { readonly ok: false; readonly status: 400 | 413; readonly body: Readonly<Record<string, string>> };

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

export async function readRequestBody(
	request: IncomingMessage,
	bytesMax: number = HTTP_BODY_BYTES_MAX,
): Promise<BodyResult> {
	const tooLarge: BodyResult = { ok: false, status: 413, body: { error: "Request body too large" } };
	if (Number(request.headers["content-length"] ?? 0) > bytesMax) {
		return tooLarge;
	}
	const pieces: Buffer[] = [];
	let bytes = 0;
	try {
		for await (const piece of request as AsyncIterable<Buffer>) {
			bytes += piece.length;
			if (bytes > bytesMax) {
				return tooLarge;
			}
			pieces.push(piece);
		}
	} catch {
		return { ok: false, status: 400, body: { error: "Failed to read request body" } };
	}
	return parseRequestBody(Buffer.concat(pieces));
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
		return { ok: false, status: 400, body: { error: "Invalid JSON in request body", details } };
	}
	if (typeof value !== "object" || value === null || Array.isArray(value)) {
		return { ok: false, status: 400, body: { error: "Request body must be a JSON object" } };
	}
	return { ok: true, hasSubset: Object.keys(value).some((key) => SUBSET_KEYS.has(key)) };
}
