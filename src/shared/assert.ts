/**
 * Assertions about our own code. A failure here is a bug in Sluice: it is never retried and never shown
 * to a client; it ends the thread it happens in. Called by every room.
 */

/** A broken invariant. Kept apart from {@link SluiceError}, which describes the outside world. */
export class InvariantError extends Error {
	override readonly name = "InvariantError";
}

/** Throws {@link InvariantError} unless `condition` holds. */
export function invariant(condition: unknown, message: string): asserts condition {
	if (!condition) {
		throw new InvariantError(message);
	}
}

/** The value, or {@link InvariantError} when it is null or undefined. */
export function must<T>(value: T | null | undefined, message: string): T {
	if (value === null || value === undefined) {
		throw new InvariantError(message);
	}
	return value;
}

/** The end of an exhaustive switch. */
export function unreachable(value: never, message = "unreachable case"): never {
	throw new InvariantError(`${message}: ${JSON.stringify(value)}`);
}
