/**
 * LIKE and ILIKE as the compiled conditions use them. Owns nothing: patterns are matched in shared/sql, where
 * constants are computed too. Imported by compile.ts.
 */

export { foldCase as fold, likeMatcher as compileLike } from "../../shared/sql/letters.ts";
