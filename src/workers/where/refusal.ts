/**
 * Why a `where` is refused, inside this room: a message and, when one token is to blame, where it stands.
 * Owns the translation to the wire error; must never leave the room as it is. Thrown by every checker here,
 * caught by where-parser.ts.
 */

import { SluiceError } from "../../shared/errors.ts";

/** What is put before the user's text; PostgreSQL's grammar has no entry for a bare expression. */
export const WRAPPER = "SELECT 1 WHERE ";

const QUOTED_VALUE_CHARACTERS_MAX = 200;

export class WhereRefusal extends Error {
	override readonly name = "WhereRefusal";
	/** Byte offset in the wrapped text, or null when the whole clause is meant. */
	readonly location: number | null;

	constructor(message: string, location: number | null) {
		super(message);
		this.location = location;
	}

	/** The 400 that the client gets: N counts bytes of the user's own text. */
	toSluiceError(): SluiceError {
		const message =
			this.location === null
				? this.message
				: `At location ${Math.max(0, this.location - WRAPPER.length)}: ${this.message}`;
		return new SluiceError("SLUICE_REQUEST_INVALID", { errors: { where: [message] } });
	}
}

/** A client's value as an error message shows it: long ones are cut. */
export function shown(value: string): string {
	return value.length <= QUOTED_VALUE_CHARACTERS_MAX ? value : `${value.slice(0, QUOTED_VALUE_CHARACTERS_MAX)}…`;
}

/** An identifier in a message: quoted unless it is plain. */
export function shownName(name: string): string {
	return /^[a-z_][a-z0-9_$]*$/.test(name) ? name : `"${shown(name)}"`;
}

/** Why PostgreSQL has an operator and a `where` has not. */
const OPERATOR_REASONS: Readonly<Record<string, string>> = {
	"^": "its last digits depend on the mathematics library of the server; multiply instead",
	"||/": "its last digits depend on the mathematics library of the server",
	"@@": "text search depends on a configuration of the server",
};

/** The message for a binary operator that does not exist here. */
export function unknownOperator(name: string): string {
	const reason = Object.hasOwn(OPERATOR_REASONS, name) ? `: ${OPERATOR_REASONS[name]}` : "";
	return `unknown binary operator ${JSON.stringify(shown(name))}${reason}`;
}

/** Why an expression that PostgreSQL's grammar has is none here. */
const TAG_REASONS: Readonly<Record<string, string>> = {
	CollateClause: "texts are compared by their bytes; leave COLLATE out",
	SQLValueFunction: "its value changes with time or session; send a constant",
};

/** The message for a kind of expression that does not exist here. */
export function unsupportedTag(tag: string): string {
	const reason = Object.hasOwn(TAG_REASONS, tag) ? `: ${TAG_REASONS[tag]}` : "";
	return `${tag} is not supported in this context${reason}`;
}
