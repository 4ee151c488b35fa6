/**
 * A call with a deadline. Owns the timer. Called by everything that waits for the registrar.
 */

export const TIMED_OUT = Symbol("timed out");

/** The call's outcome, or TIMED_OUT after `timeoutMs`; the call itself goes on. */
export function before<T>(call: Promise<T>, timeoutMs: number): Promise<T | typeof TIMED_OUT> {
	return new Promise((resolve, reject) => {
		const timer = setTimeout(() => resolve(TIMED_OUT), Math.max(0, timeoutMs));
		call.then(
			(value) => {
				clearTimeout(timer);
				resolve(value);
			},
			(error: unknown) => {
				clearTimeout(timer);
				reject(error);
			},
		);
	});
}
