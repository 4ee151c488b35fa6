/**
 * Reads a client's JSON with every number as the text it was written in: an int8 beyond 2^53 must not be rounded on
 * its way into a condition. Pure. Called by the reader of bodies and by the subset's parameters.
 */

/** @throws SyntaxError; its message quotes the text and must not go back to the client */
export function parseJsonText(text: string): unknown {
	return JSON.parse(text, numbersAsText);
}

/** V8 hands the source of primitive values to the reviver. */
function numbersAsText(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
	return typeof value === "number" ? (context?.source ?? String(value)) : value;
}
