/**
 * A certificate for a test server's TLS: self-signed, for `localhost` and 127.0.0.1. Its key is public (it lies
 * beside this file) and good for nothing else. Called by tests of the link.
 */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { ServerOptions } from "./postgres.ts";

/** What a client verifies the server with (`sslrootcert`). */
export const CERTIFICATE_PATH = fileURLToPath(new URL("tls/server.crt", import.meta.url));

export const KEY_PATH = fileURLToPath(new URL("tls/server.key", import.meta.url));

/** A server that takes TLS; `access` lines may then demand it (`hostssl`) of some role. */
export function tlsServer(access?: readonly string[]): ServerOptions {
	return {
		settings: { ssl: "on" },
		files: {
			"server.crt": readFileSync(CERTIFICATE_PATH, "utf8"),
			"server.key": readFileSync(KEY_PATH, "utf8"),
		},
		...(access === undefined ? {} : { access }),
	};
}
