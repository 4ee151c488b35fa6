/**
 * The values of the stream as this room reads them. Owns nothing: they are shared with the where room, which
 * computes with constants by the same code (shared/sql). Imported by all of this room.
 */

export * from "../../shared/sql/stream-values.ts";
export { type Exact, UNEVALUABLE } from "../../shared/sql/value.ts";
