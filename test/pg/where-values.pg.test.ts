/**
 * PostgreSQL is the oracle of values: generated expressions of every type, over rows of awkward values, are computed
 * by PostgreSQL, once as written and once as Sluice rebuilt them, and by the compiled function. All must agree to
 * the letter, every operator, function and cast must have been used, and where PostgreSQL raises an error anything
 * but a wrong match will do. `SLUICE_WHERE_VALUES=n` generates n expressions a database instead of the default.
 */

import type { Client } from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import type { SqlValue } from "../../src/shared/sql/value.ts";
import type { Tuple } from "../../src/shared/tuple.ts";
import type { CaseFolding } from "../../src/shared/where-tree.ts";
import { compileWhere } from "../../src/workers/match/compile.ts";
import { compileValue } from "../../src/workers/match/compile-value.ts";
import { UNEVALUABLE } from "../../src/workers/match/values.ts";
import { loadWhereParser, type WhereParser } from "../../src/workers/where/where-parser.ts";
import { testServers, useServer } from "../support/postgres.ts";
import { Random } from "../support/random.ts";
import {
	createWhereDatabase,
	FAILED,
	fillWhereTable,
	PREPARE_ANSWERS,
	SESSION,
	tryAll,
	versionOf,
	wrapsAround,
} from "../support/where-database.ts";
import {
	COMPUTED_TYPES,
	ExpressionGenerator,
	GENERATED_CASTS,
	GENERATED_SIGNATURES,
	SPECIAL_FORMS,
	signatureLabel,
} from "../support/where-expressions.ts";
import { WHERE_COLUMN_SPECS, whereColumns } from "../support/where-table.ts";

const EXPRESSIONS = Number(process.env["SLUICE_WHERE_VALUES"] ?? "600");
const BATCH = 40;
const ROWS = 40;

/** As PostgreSQL's answers have it. */
const NULL = "<null>";

interface Rebuilt {
	readonly sql: string;
	readonly evaluate: (row: Tuple) => string;
}

/** The expression as Sluice takes it, or null when it refuses it. */
function rebuild(parser: WhereParser, expression: string, caseFolding: CaseFolding): Rebuilt | string {
	let clause: ReturnType<WhereParser["parse"]>;
	try {
		// The right side is a column, so that the left side stays a value of its own.
		clause = parser.parse({ text: `(${expression})::text = s`, params: {}, columns: whereColumns(), caseFolding });
	} catch (error) {
		return JSON.stringify(error instanceof Error && "context" in error ? error.context : String(error));
	}
	const { sql, tree } = clause;
	if (tree.kind === "constant") {
		return { sql: "null", evaluate: () => NULL };
	}
	if (tree.kind !== "compare") {
		throw new Error(`an unexpected tree for ${expression}`);
	}
	const get = compileValue(
		tree.left,
		(name) => ({ index: WHERE_COLUMN_SPECS.findIndex((spec) => spec.name === name) }),
		compileWhere,
	);
	const evaluate = (row: Tuple): string => {
		let value: SqlValue | null;
		try {
			value = get(row);
		} catch (error) {
			if (error === UNEVALUABLE) {
				return FAILED;
			}
			throw error;
		}
		return value === null ? NULL : String(value);
	};
	return { sql: sql.replace(/(?: COLLATE pg_catalog\."C")? = "s"$/, ""), evaluate };
}

describe.each(testServers())("a computed value on $name", (kind) => {
	const server = useServer(kind);
	const version = versionOf(kind);

	describe.each(["ascii", "unicode"] as const)("in a database that folds %s letters", (caseFolding) => {
		let client: Client;
		let rows: readonly Tuple[];

		beforeAll(async () => {
			const database = await createWhereDatabase(server, caseFolding);
			client = await database.connect();
			await client.query(SESSION);
			rows = await fillWhereTable(client, ROWS);
			await client.query(PREPARE_ANSWERS);
		});

		it("is the same as written, as rebuilt and as compiled, with every function, operator and cast", async () => {
			const parser = await loadWhereParser();
			const used = new Set<string>();
			const random = new Random(Number(process.env["SLUICE_TEST_SEED"] ?? "1"));
			const generator = new ExpressionGenerator(random, used);
			const queue = [
				...GENERATED_SIGNATURES.map((signature) => generator.call(signature, 1)),
				...GENERATED_CASTS.map(([from, to]) => generator.cast(to, 1, from)),
				...SPECIAL_FORMS.map((form) => generator.form("text", 2, form)),
				...Array.from({ length: EXPRESSIONS }, () =>
					generator.value(random.pick(COMPUTED_TYPES), random.integer(1, 3)),
				),
			];
			const refused: string[] = [];
			const failures: string[] = [];
			const reported = new Set<string>();
			for (let start = 0; start < queue.length; start += BATCH) {
				const batch = queue.slice(start, start + BATCH).flatMap((expression) => {
					const rebuilt = rebuild(parser, expression, caseFolding);
					if (typeof rebuilt === "string") {
						refused.push(`${expression}: ${rebuilt}`);
						return [];
					}
					return [{ expression, ...rebuilt }];
				});
				const written = await tryAll(
					client,
					batch.map(({ expression }) => `(${expression})::text`),
				);
				const rewritten = await tryAll(
					client,
					batch.map(({ sql }) => sql),
				);
				batch.forEach(({ expression, sql, evaluate }, index) => {
					rows.forEach((row, rowNumber) => {
						const expected = written[index]?.[rowNumber] ?? "missing";
						const again = rewritten[index]?.[rowNumber] ?? "missing";
						const computed = evaluate(row);
						const isWrong = expected !== FAILED && (again !== expected || computed !== expected);
						if (isWrong && !wrapsAround(expression, computed, version) && !reported.has(expression)) {
							reported.add(expression);
							failures.push(
								`row ${rowNumber}: ${expression}\n  rebuilt ${sql}\n  ${expected} / ${again} / ${computed}`,
							);
						}
					});
				});
			}
			const all = [
				...GENERATED_SIGNATURES.map(signatureLabel),
				...GENERATED_CASTS.map(([from, to]) => `${from} ${to}`),
				...SPECIAL_FORMS,
			];
			expect(all.filter((name) => !used.has(name))).toEqual([]);
			expect(failures.slice(0, 8).join("\n")).toBe("");
			expect(refused.length, refused.slice(0, 12).join("\n")).toBeLessThan(queue.length * 0.15);
		});
	});
});
