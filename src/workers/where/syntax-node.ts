/**
 * Reading the parser's JSON without trusting it: one node is `{ Tag: { fields } }`, zero values are left out.
 * Owns the allow-list of tags and fields: whatever is not named here is refused, so a new grammar cannot bring
 * in a construct that nobody checked. Called by the checkers of this room.
 */

import { unsupportedTag, WhereRefusal } from "./refusal.ts";

export interface SyntaxNode {
	readonly tag: Tag;
	readonly fields: Readonly<Record<string, unknown>>;
	/** Byte offset in the wrapped text; null when the parser gives none. */
	readonly location: number | null;
}

const FIELDS = {
	A_Const: ["ival", "fval", "boolval", "sval", "bsval", "isnull", "location"],
	A_Expr: ["kind", "name", "lexpr", "rexpr", "location", "rexpr_list_start", "rexpr_list_end"],
	A_ArrayExpr: ["elements", "list_start", "list_end", "location"],
	CaseExpr: ["arg", "args", "defresult", "location"],
	CaseWhen: ["expr", "result", "location"],
	CoalesceExpr: ["args", "location"],
	MinMaxExpr: ["op", "args", "location"],
	A_Indices: ["is_slice", "lidx", "uidx"],
	A_Indirection: ["arg", "indirection"],
	BoolExpr: ["boolop", "args", "location"],
	BooleanTest: ["arg", "booltesttype", "location"],
	ColumnRef: ["fields", "location"],
	FuncCall: null,
	List: ["items"],
	NullTest: ["arg", "nulltesttype", "location"],
	ParamRef: ["number", "location"],
	RowExpr: ["args", "row_format", "location"],
	SubLink: null,
	TypeCast: ["arg", "typeName", "location"],
} as const;

/** Tags that the checkers know. Those with null fields are known only to be refused in clearer words. */
export type Tag = keyof typeof FIELDS;

function isTag(tag: string): tag is Tag {
	return Object.hasOwn(FIELDS, tag);
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Opens one node. @throws WhereRefusal when its tag or one of its fields is not on the list */
export function openNode(value: unknown, outerLocation: number | null): SyntaxNode {
	const entries = isRecord(value) ? Object.entries(value) : [];
	const [entry] = entries;
	if (entries.length !== 1 || entry === undefined || !isRecord(entry[1])) {
		throw new WhereRefusal("the expression is not supported", outerLocation);
	}
	const [tag, fields] = entry;
	const location = numberField(fields, "location") ?? outerLocation;
	if (!isTag(tag)) {
		throw new WhereRefusal(unsupportedTag(tag), location);
	}
	const allowed: readonly string[] | null = FIELDS[tag];
	if (allowed !== null) {
		for (const field of Object.keys(fields)) {
			if (!allowed.includes(field)) {
				throw new WhereRefusal(`${tag} with ${field} is not supported in this context`, location);
			}
		}
	}
	return { tag, fields, location };
}

/** A number, or null when the field is missing or -1 ("unknown"). */
export function numberField(fields: Readonly<Record<string, unknown>>, name: string): number | null {
	const value = fields[name];
	return typeof value === "number" && value >= 0 ? value : null;
}

export function textField(fields: Readonly<Record<string, unknown>>, name: string): string {
	const value = fields[name];
	return typeof value === "string" ? value : "";
}

export function listField(fields: Readonly<Record<string, unknown>>, name: string): readonly unknown[] {
	const value = fields[name];
	return Array.isArray(value) ? value : [];
}

/** The texts of a list of String nodes, or null when something else is among them. */
export function stringsOf(list: readonly unknown[]): string[] | null {
	const strings: string[] = [];
	for (const item of list) {
		const body = isRecord(item) ? item["String"] : undefined;
		if (!isRecord(body)) {
			return null;
		}
		strings.push(textField(body, "sval"));
	}
	return strings;
}
