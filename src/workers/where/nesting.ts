/**
 * Looks at the tokens of a `where` before it is parsed, so that no recursion (the parser's own output included)
 * can be driven deep, and so that constructs that would hide depth are refused at once. Pure; must never accept
 * or reject for a reason of types. Called by where-parser.ts.
 */

import { WHERE_DEPTH_MAX } from "../../shared/limits.ts";
import { WhereRefusal } from "./refusal.ts";

/** What libpg-query's scanner says about one token. */
export interface Token {
	/** Byte offset in the wrapped text. */
	readonly start: number;
	readonly text: string;
	readonly tokenName: string;
	readonly keywordName: string;
}

interface Level {
	/** Tokens that may each have opened one more level of the syntax tree since the last AND, OR or comma. */
	chain: number;
	/** BETWEENs whose AND is still to come. */
	betweens: number;
	readonly isCase: boolean;
}

const COMMENTS = new Set(["SQL_COMMENT", "C_COMMENT"]);

/** Words that begin what this language does not have. */
const REFUSED_WORDS: Readonly<Record<string, string>> = {
	select: "subqueries are not supported yet",
	values: "subqueries are not supported yet",
	table: "subqueries are not supported yet",
	union: "malformed query ending with SQL clauses",
	intersect: "malformed query ending with SQL clauses",
	except: "malformed query ending with SQL clauses",
};

const WITHOUT_LOCATION = "malformed query ending with SQL clauses";

/**
 * Refuses `;`, words that are not part of the language, and nesting beyond WHERE_DEPTH_MAX. `skipped` is the
 * number of leading tokens that belong to the wrapper.
 * @throws WhereRefusal
 */
export function checkTokens(tokens: readonly Token[], skipped: number): void {
	const levels: Level[] = [{ chain: 0, betweens: 0, isCase: false }];
	let depth = 0;
	for (let index = skipped; index < tokens.length; index += 1) {
		const token = tokens[index];
		const level = levels.at(-1);
		if (token === undefined || level === undefined || COMMENTS.has(token.tokenName)) {
			continue;
		}
		const word = token.keywordName === "NO_KEYWORD" ? token.text : token.text.toLowerCase();
		if (word === ";") {
			throw new WhereRefusal('unescaped ";" causing statement split', null);
		}
		const refused =
			token.keywordName !== "NO_KEYWORD" && Object.hasOwn(REFUSED_WORDS, word) ? REFUSED_WORDS[word] : undefined;
		if (refused !== undefined) {
			throw new WhereRefusal(refused, refused === WITHOUT_LOCATION ? null : token.start);
		}
		const keyword = token.keywordName === "NO_KEYWORD" ? "" : word;
		const endsBranch = level.isCase && (keyword === "when" || keyword === "then" || keyword === "else");
		if (endsBranch || word === "or" || word === "," || (word === "and" && level.betweens === 0)) {
			depth -= level.chain;
			level.chain = 0;
			level.betweens = 0;
			continue;
		}
		if (word === "and") {
			level.betweens -= 1;
		} else if (word === "between") {
			level.betweens += 1;
		}
		if (word === ")" || word === "]" || keyword === "end") {
			if (levels.length > 1 && level.isCase === (keyword === "end")) {
				depth -= level.chain;
				levels.pop();
			}
			continue;
		}
		level.chain += 1;
		depth += 1;
		if (depth > WHERE_DEPTH_MAX) {
			throw new WhereRefusal(`the expression is nested too deeply (the limit is ${WHERE_DEPTH_MAX})`, token.start);
		}
		if (word === "(" || word === "[" || keyword === "case") {
			levels.push({ chain: 0, betweens: 0, isCase: keyword === "case" });
		}
	}
}
