/**
 * Subsets before they become SQL: which columns they may name, under which field they are refused, and the queue.
 */

import { beforeAll, describe, expect, it } from "vitest";
import { SluiceError } from "../../../../src/shared/errors.ts";
import type { ShapeDefinition } from "../../../../src/shared/shape-definition.ts";
import type { SubsetRequest } from "../../../../src/shared/subset-task.ts";
import { checkSubset, SubsetQueries, Turns } from "../../../../src/workers/registrar/subset-query.ts";
import { loadWhereParser, type WhereParser } from "../../../../src/workers/where/where-parser.ts";
import { column, table } from "./descriptions.ts";

const DEFINITION: ShapeDefinition = {
	table: table({
		columns: [column("id", { primaryKeyIndex: 0 }), column("title"), column("secret")],
	}),
	where: null,
	selectedColumns: ["id", "title"],
	columnsGiven: true,
	keyColumns: ["id"],
	hasPrimaryKey: true,
	replica: "default",
	log: "changes_only",
};

let parser: WhereParser;
beforeAll(async () => {
	parser = await loadWhereParser();
});

function request(change: Partial<SubsetRequest>): SubsetRequest {
	return {
		ticket: "ticket",
		handle: "1-1",
		generation: 1,
		queryableColumns: null,
		where: null,
		params: {},
		orderBy: null,
		limit: null,
		offset: null,
		...change,
	};
}

function check(change: Partial<SubsetRequest>): unknown {
	try {
		return checkSubset(DEFINITION, request(change), { parser, caseFolding: "unicode" });
	} catch (error) {
		return error instanceof SluiceError ? error.context["errors"] : error;
	}
}

describe("a subset", () => {
	it("becomes SQL that was rebuilt, with defaults", () => {
		expect(check({})).toEqual({ where: null, orderBy: null, limit: null, offset: 0 });
		expect(check({ where: "title = $1", params: { 1: "x'" }, orderBy: "Title desc, 1", limit: 5, offset: 2 })).toEqual({
			where: `"title" = 'x'''::text`,
			orderBy: '"title" DESC',
			limit: 5,
			offset: 2,
		});
	});

	it("may name what its proxy allows, which must hold the key", () => {
		const queryableColumns = ["id", "title"];
		expect(check({ queryableColumns, where: "secret = 'a'" })).toEqual({
			subset: { where: ["At location 0: unknown reference secret"] },
		});
		expect(check({ queryableColumns, orderBy: "title, secret" })).toEqual({
			subset: { order_by: ["At location 7: unknown reference secret"] },
		});
		expect(check({ queryableColumns: ["title"] })).toEqual({
			queryable_columns: ["The list of queryable columns must include all primary key columns, missing: id"],
		});
		expect(check({ queryableColumns: ["id", "nope"] })).toEqual({
			queryable_columns: ["The following queryable columns are not found on the table: nope"],
		});
	});

	it("is refused under its own field", () => {
		expect(check({ where: "id in (select 1)" })).toEqual({
			subset: { where: [expect.stringMatching(/^At location \d+: Subqueries are not allowed in subsets$/)] },
		});
		expect(check({ where: "true", params: { a: "1" } })).toEqual({
			subset: { params: ["Parameters can only use numbers as keys"] },
		});
	});
});

describe("the queue", () => {
	it("runs a few at a time, in order, and refuses what does not fit", async () => {
		const turns = new Turns(2, 1);
		const never = new AbortController().signal;
		const gates = [0, 1, 2].map(() => Promise.withResolvers<number>());
		const begun: number[] = [];
		const run = (index: number) =>
			turns.run(never, () => {
				begun.push(index);
				return gates[index]?.promise ?? Promise.resolve(-1);
			});
		const calls = [run(0), run(1), run(2)];
		await expect(run(3)).rejects.toMatchObject({ code: "SLUICE_SUBSETS_BUSY" });
		expect(begun).toEqual([0, 1]);
		gates[1]?.reject(new Error("failed"));
		await expect(calls[1]).rejects.toThrow("failed");
		expect(begun).toEqual([0, 1, 2]);
		gates[0]?.resolve(7);
		gates[2]?.resolve(8);
		expect(await Promise.all([calls[0], calls[2]])).toEqual([7, 8]);
		expect(await turns.run(never, async () => 9)).toBe(9);
	});

	it("lets whoever gives up leave, before or while it waits, and the next move up", async () => {
		const turns = new Turns(1, 2);
		const gate = Promise.withResolvers<number>();
		const never = new AbortController().signal;
		const gone = new AbortController();
		const first = turns.run(never, () => gate.promise);
		const abandoned = turns.run(gone.signal, async () => 2);
		const third = turns.run(never, async () => 3);
		gone.abort(new SluiceError("SLUICE_SUBSET_ABANDONED"));
		await expect(abandoned).rejects.toMatchObject({ code: "SLUICE_SUBSET_ABANDONED" });
		await expect(turns.run(gone.signal, async () => 4)).rejects.toMatchObject({ code: "SLUICE_SUBSET_ABANDONED" });
		gate.resolve(1);
		expect(await Promise.all([first, third])).toEqual([1, 3]);
	});

	it("ends a query by its ticket, and knows no others", async () => {
		const begun = Promise.withResolvers<void>();
		const queries = new SubsetQueries({
			readableShape: async () => ({ definition: DEFINITION, abort: new AbortController() }),
			caseFolding: async () => "unicode",
			parser,
			snapshots: {
				subset: ({ signal }) =>
					new Promise((_resolve, reject) => {
						signal.addEventListener("abort", () => reject(signal.reason));
						begun.resolve();
					}),
			},
		});
		const query = queries.query(request({ ticket: "one" }));
		await begun.promise;
		await queries.cancel("another");
		await queries.cancel("one");
		await expect(query).rejects.toMatchObject({ code: "SLUICE_SUBSET_ABANDONED" });
		await queries.cancel("one");
	});

	it("gives nothing of a shape that is removed while its turn comes or its query runs", async () => {
		const abort = new AbortController();
		const queries = new SubsetQueries({
			readableShape: async () => ({ definition: DEFINITION, abort }),
			caseFolding: async () => "unicode",
			parser,
			snapshots: {
				subset: async () => {
					abort.abort(new SluiceError("SLUICE_SHAPE_GONE"));
					return new SharedArrayBuffer(2);
				},
			},
		});
		await expect(queries.query(request({}))).rejects.toMatchObject({ code: "SLUICE_SHAPE_GONE" });
		await expect(queries.query(request({}))).rejects.toMatchObject({ code: "SLUICE_SHAPE_GONE" });
	});
});
