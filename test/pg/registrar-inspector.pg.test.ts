/**
 * What the inspector reads from a real catalogue, and the schema header that follows from it.
 */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Database } from "../../src/workers/registrar/database.ts";
import { Inspector } from "../../src/workers/registrar/inspector.ts";
import { schemaHeader } from "../../src/workers/registrar/schema-header.ts";
import { keyColumnsOf } from "../../src/workers/registrar/shape-request.ts";
import { testServers, useDatabase } from "../support/postgres.ts";

describe.each(testServers())("the inspector on $name", (kind) => {
	const database = useDatabase(kind);
	let sql: Database;
	let inspector: Inspector;
	beforeAll(() => {
		sql = new Database({
			target: { connectionString: async () => database.url, forgetTls: () => {} },
			applicationName: "test",
			pooled: false,
		});
		inspector = new Inspector(sql);
	});
	afterAll(() => sql.close());

	it("resolves domains, arrays and enums to what they are made of", async () => {
		await database.sql(`
			create type mood as enum ('sad', 'happy');
			create domain small as int4 check (value < 10);
			create domain smalls as small[];
			create collation loose (provider = icu, locale = 'und', deterministic = false);
			create table types (
				b int not null, a text, dropped int, m mood, ms mood[], s small, ss small[], d smalls, v int2vector,
				grid int[][], loose text collate loose, amount numeric(10, 2), span interval day to second (3),
				code char(5), label varchar(20), at timestamptz(3), bits varbit, twice int generated always as (b * 2) stored,
				primary key (b, a) include (m));
			alter table types drop column dropped`);
		const inspected = await inspector.table({ schema: "public", name: "types" });
		const table = inspected?.table;
		const columns = new Map(table?.columns.map((column) => [column.name, column]));
		const kinds = Object.fromEntries(
			[...columns].map(([name, column]) => [
				name,
				[column.typeName, column.baseTypeName, column.typeKind, column.isArray, column.dimensions],
			]),
		);
		expect(kinds).toMatchObject({
			b: ["int4", "int4", "b", false, 0],
			m: ["mood", "mood", "e", false, 0],
			ms: ["mood", "mood", "e", true, 1],
			s: ["small", "int4", "d", false, 0],
			ss: ["small", "int4", "d", true, 1],
			d: ["smalls", "int4", "d", true, 1],
			v: ["int2vector", "int2vector", "b", false, 0],
			grid: ["int4", "int4", "b", true, 2],
		});
		expect(table === undefined ? null : keyColumnsOf(table)).toEqual(["b", "a"]);
		expect(columns.get("m")?.primaryKeyIndex).toBeNull();
		expect(columns.get("loose")?.deterministicCollation).toBe(false);
		expect(columns.get("label")?.deterministicCollation).toBe(true);
		expect(columns.get("twice")?.isGenerated).toBe(true);
		expect(columns.has("dropped")).toBe(false);
		expect(table?.columns.map((column) => column.attributeNumber)).not.toContain(3);
		if (table === undefined) {
			return;
		}
		const header = schemaHeader({
			table,
			where: null,
			selectedColumns: [...columns.keys()].sort(),
			columnsGiven: false,
			keyColumns: ["b", "a"],
			hasPrimaryKey: true,
			replica: "default",
			log: "full",
		});
		expect(JSON.parse(header)).toMatchObject({
			b: { type: "int4", pk_index: 0, not_null: true },
			amount: { type: "numeric", precision: 10, scale: 2 },
			span: { type: "interval", precision: 3, fields: "DAY TO SECOND" },
			code: { type: "bpchar", length: 5 },
			label: { type: "varchar", max_length: 20 },
			at: { type: "timestamptz", precision: 3 },
			bits: { type: "varbit", length: -1 },
			ms: { type: "mood", dims: 1 },
		});
	});

	it("finds nothing that cannot be followed, and finds a table made a moment ago", async () => {
		await database.sql("create view seen as select 1 as id; create table empty (); create sequence counter");
		for (const name of ["seen", "empty", "counter", "later"]) {
			expect(await inspector.table({ schema: "public", name })).toBeNull();
		}
		await database.sql("create table later (id int)");
		expect((await inspector.table({ schema: "public", name: "later" }))?.table.columns).toHaveLength(1);
	});

	it("answers from its cache until told, and shares one object for one description", async () => {
		await database.sql("create table cached (id int)");
		const name = { schema: "public", name: "cached" };
		const first = await inspector.table(name);
		inspector.invalidate(name);
		const second = await inspector.table(name);
		expect(second?.table).toBe(first?.table);
		await database.sql("alter table cached add column more int");
		expect((await inspector.table(name))?.table.columns).toHaveLength(1);
		inspector.invalidate(name);
		expect((await inspector.table(name))?.table.columns).toHaveLength(2);
	});

	it("names partitions that are foreign tables", async () => {
		await database.sql(`
			create foreign data wrapper nowhere;
			create server elsewhere foreign data wrapper nowhere;
			create table mixed (id int) partition by range (id);
			create table here partition of mixed for values from (0) to (10);
			create foreign table there partition of mixed for values from (10) to (20) server elsewhere`);
		const found = await inspector.table({ schema: "public", name: "mixed" });
		expect(found?.foreignPartitions).toEqual(["there"]);
		expect((await inspector.table({ schema: "public", name: "cached" }))?.foreignPartitions).toEqual([]);
	});

	it("names the leaves of a partitioned table, however deep, and the server's facts", async () => {
		await database.sql(`
			create table root (id int) partition by range (id);
			create table low partition of root for values from (0) to (10);
			create table high partition of root for values from (10) to (20) partition by range (id);
			create table higher partition of high for values from (10) to (15)`);
		const leaves = await database.sql<{ oid: string }>(
			"select oid::int8 as oid from pg_class where relname in ('low', 'higher') order by 1",
		);
		expect((await inspector.table({ schema: "public", name: "root" }))?.table).toMatchObject({
			kind: "p",
			leafOids: leaves.map((leaf) => Number(leaf.oid)),
		});
		const facts = await inspector.facts();
		expect(facts.serverVersion).toBeGreaterThanOrEqual(150_000);
		expect(["ascii", "unicode"]).toContain(facts.caseFolding);
	});
});
