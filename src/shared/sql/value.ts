/**
 * What values of the `where` language are while they are computed, and how an evaluation gives up. Owns the
 * vocabulary of shared/sql; no logic. Used by the where room (constants, at creation) and the match room (rows), so
 * that both compute with the same code.
 */

import type { Decimal } from "./decimal.ts";
import type { Interval } from "./interval.ts";

/** Exact whole numbers: a bigint only where a number could not be exact. Both compare with < and >. */
export type Exact = number | bigint;

/**
 * A value that is not NULL. By type: bool 0 or 1; integers Exact; floats number; numeric Decimal; texts, uuid (as
 * PostgreSQL prints it), enum labels and json string; date days since 2000-01-01, time microseconds since
 * midnight, timestamps Exact microseconds since 2000-01-01 (infinities are the infinite numbers); interval
 * Interval; arrays and jsonb SqlObject.
 */
export type SqlValue = number | bigint | string | Decimal | Interval | SqlObject;

/** Values with a class of their own, in the files that own them (array-value.ts, json-document.ts). */
export interface SqlObject {
	readonly sqlKind: "array" | "jsonb";
}

class UnevaluableError extends Error {
	override readonly name = "UnevaluableError";
}

/**
 * Thrown, without a stack of its own, when PostgreSQL would raise an error (overflow, division by zero, a text that
 * is not a number), or when a value has no form that is known here. The row counts as not inside.
 */
export const UNEVALUABLE = new UnevaluableError("a value cannot be evaluated");

/** A number where one is exact, else the bigint. */
export function exactOf(value: bigint): Exact {
	return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}
