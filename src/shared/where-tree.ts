/**
 * The typed tree of a checked `where`: plain JSON data. Made by the where room (registrar thread), compiled
 * by the match room (lanes), stored in the catalogue. The where room owns its shape; see where/ and match/.
 */

export type WhereNode = { readonly kind: string; readonly [field: string]: unknown };
