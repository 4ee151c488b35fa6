/**
 * Ends a connection of the pg package at once, whatever it is doing: the server ends its transaction. Owns the
 * knowledge of where pg keeps the socket; must be used only where an orderly end could wait for ever. Called by the
 * registrar's lock and by snapshot tasks.
 */

import { must } from "./assert.ts";

/** @param client a pg.Client, connected or not */
export function breakConnection(client: object): void {
	const { connection } = client as { readonly connection?: { readonly stream: { destroy(): void } } };
	must(connection, "a client of pg has a connection").stream.destroy();
}
