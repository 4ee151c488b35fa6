/**
 * Free TCP ports on loopback. Owns nothing: a port found free may be taken before it is used, so callers
 * try again. Called by local-postgres.ts.
 */

import { createServer } from "node:net";

/** The port itself when it can be bound now (0: any free one), else null. */
export function bindablePort(port: number): Promise<number | null> {
	return new Promise((resolve) => {
		const server = createServer();
		server.once("error", () => resolve(null));
		server.listen({ host: "127.0.0.1", port, exclusive: true }, () => {
			const address = server.address();
			const bound = typeof address === "object" && address !== null ? address.port : null;
			server.close(() => resolve(bound));
		});
	});
}
