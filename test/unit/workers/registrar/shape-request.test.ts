/**
 * Checking a request: order and messages (shape-http-api.md 4), and when two requests are one shape (5).
 */

import { beforeAll, describe, expect, it } from "vitest";
import type { ShapeRequest } from "../../../../src/shared/messages.ts";
import type { TableInfo } from "../../../../src/shared/shape-definition.ts";
import type { InspectedTable, Inspector } from "../../../../src/workers/registrar/inspector.ts";
import { requestDigest, shapeIdentity } from "../../../../src/workers/registrar/shape-identity.ts";
import { ShapeRequests, type WhereParser } from "../../../../src/workers/registrar/shape-request.ts";
import { loadWhereParser } from "../../../../src/workers/where/where-parser.ts";
import { column, table } from "./descriptions.ts";

const ITEMS = table({
	columns: [
		column("id", { typeOid: 23, typeName: "int4", baseTypeName: "int4", primaryKeyIndex: 1 }),
		column("tenant", { primaryKeyIndex: 0 }),
		column("title"),
		column("twice", { isGenerated: true }),
	],
});
const KEYLESS = table({ name: "keyless", columns: [column("b"), column("a")] });

let whereParser: WhereParser;
beforeAll(async () => {
	whereParser = await loadWhereParser();
});

function check(change: Partial<ShapeRequest>, serverVersion = 150_000) {
	const tables = new Map([
		["items", ITEMS],
		["keyless", KEYLESS],
		["mixed", table({ name: "mixed", kind: "p", columns: [column("id")] })],
	]);
	const inspector = {
		facts: async () => ({ serverVersion, caseFolding: "unicode" }),
		table: async ({ name }: { readonly name: string }) => inspected(tables.get(name)),
		invalidate: () => {},
	} as unknown as Inspector;
	return new ShapeRequests(inspector, whereParser).check(request(change));
}

function inspected(found: TableInfo | undefined): InspectedTable | null {
	const foreignPartitions = found?.name === "mixed" ? ["there"] : [];
	return found === undefined ? null : { table: found, persistence: "p", virtualColumns: [], foreignPartitions };
}

function request(change: Partial<ShapeRequest>): ShapeRequest {
	return { table: "items", where: null, params: {}, columns: null, replica: "default", log: "full", ...change };
}

describe("a request", () => {
	it.each<[Partial<ShapeRequest>, string, string]>([
		[{ table: " " }, "table", "can't be blank"],
		[{ table: "a.b.c" }, "table", "Invalid relation identifier, too many delimiters: a.b.c"],
		[
			{ table: "Nothing", where: "garbage(" },
			"table",
			'Table "public"."nothing" does not exist. If the table name contains capitals or special characters you must quote it.',
		],
		[
			{ columns: "id,ti-tle", table: "nothing" },
			"columns",
			"Invalid unquoted identifier contains special characters: ti-tle",
		],
		[
			{ columns: "title,nonsense" },
			"columns",
			"The list of columns must include all primary key columns, missing: tenant, id",
		],
		[{ columns: "id,tenant,nope,nada" }, "columns", "The following columns are not found on the table: nope, nada"],
		[
			{ columns: "id,tenant,twice" },
			"columns",
			"The following columns are generated and cannot be included in the shape: twice",
		],
		[
			{},
			"columns",
			"The following columns are generated and cannot be included in the shape: twice. You can exclude them from the shape by explicitly listing which columns to fetch in the 'columns' query param",
		],
		[
			{ table: "keyless", columns: "a" },
			"columns",
			"The list of columns must include all primary key columns, missing: b",
		],
		[
			{ table: "mixed" },
			"table",
			'Table "public"."mixed" has partitions that are foreign tables, whose changes cannot be followed: there',
		],
		[{ columns: "id,tenant", where: "nope = 1" }, "where", "At location 0: unknown reference nope"],
		[
			{ columns: "id,tenant", where: "twice = 'x'" },
			"where",
			"The following columns are generated and cannot be used in the condition: twice",
		],
		[
			{ columns: "id,tenant", where: "id = $1", params: { a: "1" } },
			"params",
			"Parameters can only use numbers as keys",
		],
		[
			{ columns: "id,tenant", where: "id = $1", params: { "2": "1" } },
			"params",
			"Parameters must be numbered sequentially, starting from 1",
		],
	])("%j is refused under %s", async (change, field, message) => {
		await expect(check(change)).rejects.toMatchObject({
			code: "SLUICE_REQUEST_INVALID",
			context: { errors: { [field]: [message] } },
		});
	});

	it("becomes a definition with sorted columns, the key in key order and the condition in both forms", async () => {
		const definition = await check({ columns: "title,id,tenant", where: "id = $1", params: { "1": "7" } });
		expect(definition).toMatchObject({
			table: ITEMS,
			selectedColumns: ["id", "tenant", "title"],
			columnsGiven: true,
			keyColumns: ["tenant", "id"],
			hasPrimaryKey: true,
		});
		expect(definition.where?.sql).toContain("id");
	});

	it("may select stored generated columns from 18 on", async () => {
		expect((await check({}, 180_000)).selectedColumns).toEqual(["id", "tenant", "title", "twice"]);
	});

	it("takes all columns as the key of a table without one, in attribute order", async () => {
		const definition = await check({ table: "keyless" });
		expect(definition).toMatchObject({ keyColumns: ["b", "a"], hasPrimaryKey: false, selectedColumns: ["a", "b"] });
	});

	it("takes a blank condition as none", async () => {
		expect((await check({ columns: "id,tenant", where: "  " })).where).toBeNull();
	});
});

describe("the identity of a shape", () => {
	it("does not depend on spelling, only on meaning", async () => {
		const one = await check({ columns: "id,tenant", where: "id = $1 AND title IS NOT NULL", params: { "1": "7" } });
		const other = await check({ table: 'public."items"', columns: "tenant,ID", where: "id=7 and (title is not null)" });
		expect(shapeIdentity(one)).toBe(shapeIdentity(other));
	});

	it("differs with anything that the log depends on", async () => {
		const base = { table: "keyless" };
		const definitions = await Promise.all([
			check(base),
			check({ ...base, columns: "a,b" }),
			check({ ...base, replica: "full" }),
			check({ ...base, log: "changes_only" }),
			check({ ...base, where: "a = 'x'" }),
			check({ ...base, where: "a = 'y'" }),
		]);
		const plain = definitions[0];
		const altered =
			plain === undefined
				? []
				: [
						{ ...plain, table: { ...plain.table, oid: 1 } },
						{
							...plain,
							table: { ...plain.table, columns: plain.table.columns.map((each) => ({ ...each, typeOid: 23 })) },
						},
					];
		const identities = [...definitions, ...altered].map(shapeIdentity);
		expect(new Set(identities).size).toBe(8);
	});

	it("of a request ignores the order of parameters, and parameters without a condition", () => {
		const digest = (change: Partial<ShapeRequest>) => requestDigest(request(change));
		expect(digest({ where: "a", params: { "1": "x", "2": "y" } })).toBe(
			digest({ where: "a", params: { "2": "y", "1": "x" } }),
		);
		expect(digest({ params: { "1": "x" } })).toBe(digest({}));
		expect(digest({ where: "a", params: { "1": "x" } })).not.toBe(digest({ where: "a", params: { "1": "z" } }));
	});
});
