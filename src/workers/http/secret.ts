/**
 * Does a request carry the secret? Compares digests in constant time. Must never log or return what it saw.
 * Source: shape-http-api.md 18.
 */

import { createHash, timingSafeEqual } from "node:crypto";
import type { Query } from "./query.ts";

export class SecretCheck {
	readonly #digest: Buffer | null;

	/** @param secret undefined: every request passes */
	constructor(secret: string | undefined) {
		this.#digest = secret === undefined ? null : digest(secret);
	}

	/** `secret`, or `api_secret` only when `secret` is absent. */
	allows(query: Query): boolean {
		if (this.#digest === null) {
			return true;
		}
		const given = query.has("secret") ? query.get("secret") : query.get("api_secret");
		return typeof given === "string" && timingSafeEqual(digest(given), this.#digest);
	}
}

function digest(text: string): Buffer {
	return createHash("sha256").update(text).digest();
}
