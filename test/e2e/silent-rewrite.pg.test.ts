/**
 * What changes values and sends no row: the reconciler's fingerprints tell, also of what was done while nobody looked.
 * Shapes that read such values begin anew; those that do not, and those whose table was only moved, keep their handles.
 */

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestDaemon } from "../support/daemon.ts";
import { testServers, useDatabase } from "../support/postgres.ts";
import { SchemaWatch, type WatchedShape } from "../support/schema-watch.ts";
import { waitFor } from "../support/wait-for.ts";

/** Rows for each test in a table of its own: they run side by side. */
const rowsOf = (table: string): string => `create table ${table} (id int primary key, n int, v text);
	insert into ${table} select g, g, 'v' || g from generate_series(1, 20) g`;
const rewriteOf = (table: string): string => `alter table ${table} alter column v type text using upper(v)`;

/** With an enum of its own. */
const moodsOf = (table: string): string => `create type ${table}_mood as enum ('sad', 'ok');
	create table ${table} (id int primary key, feeling ${table}_mood, n int); insert into ${table} values (1, 'sad', 1), (2, 'ok', 2)`;

describe.each(testServers())("$name", (kind) => {
	const database = useDatabase(kind);
	let daemon: TestDaemon;
	const watches: SchemaWatch[] = [];
	let sentinels = 0;

	beforeAll(async () => {
		daemon = await TestDaemon.start({
			databaseUrl: database.url,
			environment: { SLUICE_RECONCILE_INTERVAL_MS: "600", SLUICE_WORKERS: "1" },
		});
	});

	afterAll(async () => {
		await Promise.all(watches.map((watch) => watch.close()));
		await daemon?.end();
	});

	async function given(ddl: string, ...shapes: readonly WatchedShape[]): Promise<SchemaWatch[]> {
		await database.sql(ddl);
		const opened = await Promise.all(shapes.map((shape) => SchemaWatch.open(daemon, database, shape)));
		watches.push(...opened);
		return opened;
	}

	/** A comparison of all tables has begun after the call, and is over. */
	async function compared(): Promise<void> {
		sentinels += 1;
		const table = `sentinel_${sentinels}`;
		await database.sql(rowsOf(table));
		// The first one that is noticed may be part of a comparison that had begun before.
		for (let round = 0; round < 2; round += 1) {
			const watch = await SchemaWatch.open(daemon, database, { table });
			await database.sql(rewriteOf(table));
			await watch.untilEnded();
			await watch.close();
		}
	}

	/** A new reader of the table gets, letter by letter, what SELECT prints. */
	async function expectAsPrinted(table: string, column: string): Promise<void> {
		await waitFor(`the values of ${table}`, async () => {
			const printed = await database.sql<{ text: string }>(`select ${column}::text as text from ${table}`);
			const response = await fetch(`${daemon.shapeUrl}?table=${table}&offset=-1`);
			const entries = (await response.json()) as { readonly value?: Readonly<Record<string, string>> }[];
			const served = entries.flatMap(({ value }) => (value === undefined ? [] : [value[column]]));
			return response.status === 200 && String(served.sort()) === String(printed.map(({ text }) => text).sort());
		});
	}

	it.concurrent("values rewritten in place: renews the shapes that read them, and no other", async () => {
		const [all, some, where] = await given(
			rowsOf("notes"),
			{ table: "notes" },
			{ table: "notes", columns: ["id", "n"] },
			{ table: "notes", columns: ["id"], where: "v = 'v3'" },
		);
		await database.sql(rewriteOf("notes"));
		await all?.expectRenewed();
		await where?.expectRenewed();
		await some?.expectKept();
	});

	it.concurrent("a table that is only moved is not made anew, whatever is altered before or after", async () => {
		const [all] = await given(rowsOf("moved"), { table: "moved" });
		await database.sql("alter table moved alter column v set default 'd'");
		await compared();
		await database.sql("vacuum full moved");
		await database.sql("cluster moved using moved_pkey");
		await compared();
		await database.sql("alter table moved alter column v set statistics 50; grant select (v) on moved to public");
		await compared();
		await database.sql("insert into moved values (100, 1, 'after')");
		await all?.expectKept();
		await database.sql(rewriteOf("moved"));
		await all?.expectRenewed();
	});

	it.concurrent("a column with a computed default rewrites the table and leaves the other columns' shapes alone", async () => {
		const [all, some] = await given(
			rowsOf("widened"),
			{ table: "widened" },
			{ table: "widened", columns: ["id", "v"] },
		);
		await database.sql("alter table widened add column made text default random()::text");
		await all?.expectRenewed();
		await compared();
		await some?.expectKept();
	});

	it.concurrent("a partitioned table's root and leaves are all renewed", async () => {
		const [root, leaf] = await given(
			`create table parted (id int primary key, v text) partition by range (id);
			create table parted_a partition of parted for values from (0) to (10);
			create table parted_b partition of parted for values from (10) to (100);
			insert into parted select g, 'v' || g from generate_series(1, 20) g`,
			{ table: "parted" },
			{ table: "parted_b" },
		);
		await database.sql("vacuum full parted_a");
		await compared();
		await root?.expectKept();
		await database.sql("alter table parted alter column v type text using upper(v)");
		await root?.expectRenewed();
		await leaf?.expectRenewed();
	});

	it.concurrent("an enum whose value is renamed: renews the shapes that read it; one that gains a value changes nothing", async () => {
		const [all, some] = await given(moodsOf("moods"), { table: "moods" }, { table: "moods", columns: ["id", "n"] });
		await database.sql("alter type moods_mood add value 'fine' before 'ok'");
		await compared();
		await all?.expectKept();
		await database.sql("alter type moods_mood rename value 'sad' to 'blue'");
		await all?.expectRenewed();
		await some?.expectKept();
	});

	it.concurrent("an enum whose value is renamed while a transaction that wrote it is open: its rows come with the new name", async () => {
		const [all] = await given(moodsOf("late"), { table: "late" });
		const writer = await database.connect();
		await writer.query("begin; insert into late values (3, 'sad', 3)");
		await database.sql("alter type late_mood rename value 'sad' to 'blue'");
		await waitFor("the shape to be dropped", () =>
			daemon.log.split("\n").some((line) => line.includes(`${all?.handle}`) && line.includes('"printed"')),
		);
		let isMade = false;
		const made = fetch(`${daemon.shapeUrl}?table=late&offset=-1`).then((response) => {
			isMade = true;
			return response.arrayBuffer();
		});
		await compared();
		expect(isMade).toBe(false);
		await writer.query("commit");
		await made;
		await all?.expectRenewed();
	});

	it.concurrent("an enum in an array, a domain, a composite type and a range", async () => {
		await database.sql("create type mood as enum ('sad', 'ok')");
		for (const [table, type, value, ddl] of [
			["listed", "mood[]", "'{sad,ok}'", ""],
			["narrowed", "narrow", "'sad'", "create domain narrow as mood"],
			["nested", "holder[]", "array[row('sad', 1)::holder]", "create type holder as (m mood, n int)"],
			["ranged", "moods_between", "'[sad,ok]'", "create type moods_between as range (subtype = mood)"],
		]) {
			await database.sql(
				`${ddl}; create table ${table} (id int primary key, c ${type}); insert into ${table} values (1, ${value})`,
			);
		}
		const tables = ["listed", "narrowed", "nested", "ranged"];
		const opened = await given("select", ...tables.map((table) => ({ table })));
		await database.sql("alter type mood rename value 'sad' to 'blue'");
		await Promise.all(opened.map((watch) => watch.untilEnded()));
		await Promise.all(tables.map((table) => expectAsPrinted(table, "c")));
	});

	it.concurrent.each([
		["added", "add attribute c int"],
		["dropped", "drop attribute b"],
	])("a composite type with an attribute %s: renews the shapes that print it", async (name, change) => {
		const table = `boxes_${name}`;
		const [boxed, plain] = await given(
			`create type ${table}_size as (a int, b int);
			create table ${table} (id int primary key, size ${table}_size, n int); insert into ${table} values (1, row(1, 2), 1)`,
			{ table },
			{ table, columns: ["id", "n"] },
		);
		await database.sql(`alter type ${table}_size ${change}`);
		await boxed?.untilEnded();
		await expectAsPrinted(table, "size");
		await plain?.expectKept();
	});

	it.concurrent("shapes that are made while values are rewritten hold what SELECT says", async () => {
		await database.sql(rowsOf("racing"));
		const racing: SchemaWatch[] = [];
		for (let step = 0; step < 8; step += 1) {
			racing.push(new SchemaWatch(daemon, database, { table: "racing", where: `n <> ${100 + step}` }));
			await database.sql("alter table racing alter column v type text using v || '+'");
		}
		watches.push(...racing);
		for (const watch of racing) {
			await watch.untilEqual();
		}
	});

	it("is noticed at the next start; handles live on where nothing changed, and where fingerprints were not taken yet", async () => {
		await Promise.all(watches.splice(0).map((watch) => watch.close()));
		const [away, kept, former] = await given(
			`${rowsOf("away")}; ${rowsOf("kept")}; ${rowsOf("former")}`,
			{ table: "away" },
			{ table: "kept" },
			{ table: "former" },
		);
		await daemon.stop();
		await database.sql(rewriteOf("away"));
		await database.sql("vacuum full kept");
		const catalogue = new DatabaseSync(join(daemon.dataDirectory, "catalogue.sqlite"));
		const stripped = catalogue
			.prepare("update tables set info = json_remove(info, '$.fingerprint') where info ->> '$.name' = 'former'")
			.run();
		catalogue.close();
		expect(stripped.changes).toBe(1);
		await daemon.start();
		await away?.expectRenewed();
		await kept?.expectKept();
		await former?.expectKept();
		await database.sql(rewriteOf("former"));
		await former?.expectRenewed();
	});
});
