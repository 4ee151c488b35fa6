/**
 * Tables of every kind under the official client: keys of several columns or none, names that need quoting, values of
 * every sort, nothing in them at all; and what is no table is refused with the reason.
 */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestDaemon } from "../support/daemon.ts";
import { embeddedServers, useDatabase } from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { waitFor } from "../support/wait-for.ts";

/** How the link and the snapshots have values printed: a SELECT has to say it the same way. */
const FORMS =
	"set datestyle = 'ISO, DMY'; set timezone = 'UTC'; set intervalstyle = 'iso_8601'; set bytea_output = 'hex'; set extra_float_digits = 1";

interface Kind {
	readonly name: string;
	readonly ddl: string;
	/** As a request and SQL name it. */
	readonly table: string;
	readonly first: string;
	readonly later: string;
}

const KINDS: readonly Kind[] = [
	{
		name: "without a primary key",
		ddl: "create table keyless (a int, b text)",
		table: "keyless",
		first: "insert into keyless values (1, 'x'), (2, null), (null, null)",
		later:
			"insert into keyless values (3, 'z'); update keyless set b = 'y' where a = 1; delete from keyless where a is null",
	},
	{
		name: "with a key of several columns, in another order than theirs",
		ddl: "create table pairs (v text, b text, a int, primary key (a, b))",
		table: "pairs",
		first: `insert into pairs values ('1', 'x/"y', 1), ('2', 'x', 1), ('3', '', 2)`,
		later:
			"update pairs set v = 'new' where b = 'x'; update pairs set b = 'moved' where b = ''; delete from pairs where b like 'x/%'",
	},
	{
		name: "with quoted and non-ASCII names",
		ddl: `create schema "Ünter.Schema"; create table "Ünter.Schema"."Bestell ""Liste"" 表" ("Schlüssel ""1""" int primary key, "名前" text, "sel.ect" text)`,
		table: `"Ünter.Schema"."Bestell ""Liste"" 表"`,
		first: `insert into "Ünter.Schema"."Bestell ""Liste"" 表" values (1, 'ünï', 'a'), (2, '日本 🎉', null)`,
		later: `update "Ünter.Schema"."Bestell ""Liste"" 表" set "名前" = '変' where "Schlüssel ""1""" = 2; insert into "Ünter.Schema"."Bestell ""Liste"" 表" values (3, E'\\\\ " \\n \\t', '')`,
	},
	{
		name: "with huge values, TOASTed and left alone by an update",
		ddl: "create table huge (id int primary key, n int, body text); alter table huge alter column body set storage external",
		table: "huge",
		first: "insert into huge values (1, 0, repeat('a', 3000000))",
		later: "update huge set n = 1; insert into huge values (2, 0, repeat('é', 1500000))",
	},
	{
		name: "that is empty at first and in the end",
		ddl: "create table hollow (id int primary key)",
		table: "hollow",
		first: "select",
		later: "insert into hollow values (1); delete from hollow; insert into hollow values (2)",
	},
	{
		name: "of composite, range, network, binary and other types",
		ddl: `create type point3 as (x int, y text); create table zoo (id int primary key, c point3, r int4range, tr tstzrange, mr nummultirange,
			i inet, ci cidr, m macaddr, b bytea, u uuid, j json, jb jsonb, x xml, bi bit(5), vb varbit, mo money, iv interval, d date, ti timetz, ts timestamptz,
			f4 float4, f8 float8, n numeric, a2 text[][], ta text[], p point, pa path, ch "char", na name, tsv tsvector, o oid, bo bool, hs int2vector)`,
		table: "zoo",
		first: `insert into zoo values (1, row(1, 'a,"b)'), '[1,5)', '[2024-01-01,)', '{[1,2),[3,4]}',
			'10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', '\\xdeadbeef00', 'f47ac10b-58cc-4372-a567-0e02b2c3d479', '{"b": 1,  "a":[]}', '{"b": 1, "a": []}',
			'<a b="c"/>', b'10101', b'1', 12.5, '1 year 2 days 03:04:05.6', '0044-03-15 BC', '12:00:00+05:30', '2024-02-29 12:34:56.789+02',
			1.1, 'NaN', 'Infinity', '{{1,2},{3,null}}', '{"a,b","c\\"d",null,""}', '(1,2)', '((0,0),(1,1))', 'q', 'n', 'the fat cat', 4000000000, true, '1 2 3')`,
		later: `insert into zoo (id) values (2); update zoo set f8 = '-0', bo = false, b = '', ta = '{}' where id = 1;
			insert into zoo (id, f4, f8, n, ts, d) values (3, '-Infinity', 1e-300, '-Infinity', 'infinity', '-infinity')`,
	},
];

describe.each(embeddedServers())("$name", (kind) => {
	const database = useDatabase(kind);
	let daemon: TestDaemon;

	beforeAll(async () => {
		daemon = await TestDaemon.start({ databaseUrl: database.url });
	});

	afterAll(async () => {
		await daemon?.end();
	});

	it.each(KINDS)("follows a table $name", async ({ ddl, table, first, later }) => {
		await database.sql(ddl);
		await database.sql(first);
		const reader = new ShapeReader(daemon.shapeUrl, { table });
		const late = (): ShapeReader => new ShapeReader(daemon.shapeUrl, { table, replica: "full" });
		const equals = async (who: ShapeReader): Promise<void> => {
			let seen = "";
			let wanted = "";
			await waitFor(`the client to hold ${table}`, async () => {
				wanted = await selected(table);
				seen = text(who.shape.currentRows);
				return seen === wanted;
			}).catch((cause: unknown) => {
				throw new Error(`${seen.slice(0, 3_000)}\nis not\n${wanted.slice(0, 3_000)}`, { cause });
			});
			expect(who.errors).toEqual([]);
		};
		await reader.shape.rows;
		await equals(reader);
		for (const statement of later.split("; ")) {
			await database.sql(statement);
		}
		await equals(reader);
		const second = late();
		await equals(second);
		reader.stop();
		second.stop();
	});

	/** Each row as text per column, the way the settings of Sluice's own sessions print it. */
	async function selected(table: string): Promise<string> {
		const columns = await database.sql<{ name: string; type: string }>(
			"select attname::text as name, format_type(atttypid, null) as type from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped",
			[table],
		);
		const pairs = columns.map(({ name, type }) => {
			const column = `"${name.replaceAll('"', '""')}"`;
			// The client parses arrays; and a boolean in a row is printed by its type, not by a cast.
			const value = type.endsWith("[]")
				? `to_json(${column})`
				: type === "boolean"
					? `case ${column} when true then 't' when false then 'f' end`
					: `${column}::text`;
			return `'${name.replaceAll("'", "''")}', ${value}`;
		});
		const rows = await database.sql<{ row: Record<string, unknown> }>(
			`${FORMS}; select json_build_object(${pairs.join(", ")}) as row from ${table}`,
		);
		return text(rows.map(({ row }) => row));
	}

	it.each([
		["a view", "create view seen as select 1 as id", "seen"],
		["a materialized view", "create materialized view kept as select 1 as id", "kept"],
		["a sequence", "create sequence counted", "counted"],
		["an unlogged table", "create unlogged table forgetful (id int primary key)", "forgetful"],
		[
			"a foreign table",
			"create extension if not exists file_fdw; create server files foreign data wrapper file_fdw; create foreign table far (id int) server files options (filename '/dev/null')",
			"far",
		],
		["a system table", "select", "pg_catalog.pg_class"],
		["a table that is not there", "select", "absent"],
	])("refuses %s with the reason, and stays as it was", async (_what, ddl, table) => {
		const made = await database.sql(ddl).then(
			() => true,
			() => false,
		);
		const response = await fetch(`${daemon.shapeUrl}?table=${table}&offset=-1`);
		const body = await response.text();
		expect(response.status, body).toBe(400);
		expect(JSON.parse(body)).toMatchObject({ errors: { table: [expect.stringMatching(made ? /\w/ : /not exist/)] } });
		expect((await daemon.status()).level).toBe("active");
	});
});

function text(rows: readonly Readonly<Record<string, unknown>>[]): string {
	return rows
		.map((row) => JSON.stringify(Object.fromEntries(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)))))
		.sort()
		.join("\n");
}
