/**
 * The schema changes while clients follow: whatever the statement, only the shapes that it touches are renewed, and
 * every client ends with what SELECT says. Each change comes with rows before and after it in its own transaction.
 */

import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { TestDaemon } from "../support/daemon.ts";
import { embeddedServers, useDatabase } from "../support/postgres.ts";
import { SchemaWatch, type WatchedShape } from "../support/schema-watch.ts";
import { waitFor } from "../support/wait-for.ts";

describe.each(embeddedServers())("$name", (kind) => {
	const database = useDatabase(kind);
	const isOld = kind.name.endsWith(" 15");
	let daemon: TestDaemon;
	let bystander: SchemaWatch;
	let watches: SchemaWatch[] = [];

	beforeAll(async () => {
		await database.sql("create table bystander (id int primary key, v text)");
		daemon = await TestDaemon.start({
			databaseUrl: database.url,
			environment: { SLUICE_RECONCILE_INTERVAL_MS: "600", SLUICE_WORKERS: "2" },
		});
		bystander = await SchemaWatch.open(daemon, database, { table: "bystander" });
	});

	afterAll(async () => {
		await bystander?.close();
		await daemon?.end();
	});

	beforeEach(() => {
		watches = [];
		return async () => {
			await Promise.all(watches.map((watch) => watch.close()));
			// Whatever happened, it was no business of this table's shape.
			await database.sql("insert into bystander select coalesce(max(id), 0) + 1, 'x' from bystander");
			await bystander.expectKept();
		};
	});

	/** Makes the tables anew and opens a shape for each of `shapes`. */
	async function given(ddl: string, ...shapes: readonly WatchedShape[]): Promise<SchemaWatch[]> {
		await database.sql(ddl);
		const opened = await Promise.all(shapes.map((shape) => SchemaWatch.open(daemon, database, shape)));
		watches.push(...opened);
		return opened;
	}

	describe("columns", () => {
		const changes: readonly {
			readonly name: string;
			/** Between an insert before and an update of all rows after it, in one transaction. */
			readonly statement: string;
			readonly all: "kept" | "renewed";
			readonly some: "kept" | "renewed";
			readonly where: "kept" | "renewed";
		}[] = [
			{ name: "added", statement: "add column extra int", all: "renewed", some: "kept", where: "renewed" },
			{
				name: "added with a default",
				statement: "add column extra text not null default 'given'",
				all: "renewed",
				some: "kept",
				where: "renewed",
			},
			{ name: "dropped", statement: "drop column v", all: "renewed", some: "kept", where: "renewed" },
			{ name: "renamed", statement: "rename column v to w", all: "renewed", some: "kept", where: "renewed" },
			{ name: "re-typed", statement: "alter column n type bigint", all: "renewed", some: "renewed", where: "renewed" },
			{
				name: "re-typed with other values",
				statement: "alter column n type text using 'n' || n",
				all: "renewed",
				some: "renewed",
				where: "renewed",
			},
			{
				name: "given another precision",
				statement: "alter column v type varchar(3) using left(v, 3)",
				all: "renewed",
				some: "kept",
				where: "renewed",
			},
			{
				name: "given a default",
				statement: "alter column v set default 'd'",
				all: "kept",
				some: "kept",
				where: "kept",
			},
		];
		it.each(changes)("$name: renews the shapes that read them", async ({ statement, ...expected }) => {
			const [all, some, where] = await given(
				`drop table if exists cols; create table cols (id int primary key, n int, v text, k int default 1);
				insert into cols select g, g, 'v' || g from generate_series(1, 20) g`,
				{ table: "cols" },
				{ table: "cols", columns: ["id", "n"] },
				{ table: "cols", where: "k = 1" },
			);
			await database.sql(
				`begin; insert into cols values (101, 1, 'abcdef'); update cols set n = 50 where id = 1; alter table cols ${statement};
				update cols set k = 1, n = n where id < 10; delete from cols where id = 3; commit`,
			);
			await database.sql("update cols set n = '77' where id = 5");
			for (const [watch, outcome] of [
				[all, expected.all],
				[some, expected.some],
				[where, expected.where],
			] as const) {
				await (outcome === "kept" ? watch?.expectKept() : watch?.expectRenewed());
			}
		});

		it("re-typed: the schema header tells the new type", async () => {
			const [watch] = await given(
				"drop table if exists cols; create table cols (id int primary key, n int); insert into cols values (1, 1)",
				{ table: "cols" },
			);
			await database.sql("alter table cols alter column n type numeric(10, 2)");
			await database.sql("insert into cols values (2, 2.5)");
			expect((await watch?.expectRenewed())?.["n"]).toMatchObject({ type: "numeric", precision: 10, scale: 2 });
		});

		it("dropped and added again under the same name and type, with no row after it: renewed within the interval", async () => {
			const [watch] = await given(
				"drop table if exists cols; create table cols (id int primary key, n int); insert into cols values (1, 1)",
				{ table: "cols" },
			);
			await database.sql("alter table cols drop column n; alter table cols add column n int");
			await watch?.expectRenewed();
		});

		it("the primary key moved to another column: renewed within the interval", async () => {
			const [watch] = await given(
				"drop table if exists cols; create table cols (id int primary key, n int not null); insert into cols values (1, 1)",
				{ table: "cols" },
			);
			await database.sql("alter table cols drop constraint cols_pkey; alter table cols add primary key (n)");
			await watch?.expectRenewed();
		});

		it("an enum's new value comes as a row like any other", async () => {
			const [all, some] = await given(
				`drop table if exists moods; drop type if exists mood; create type mood as enum ('sad', 'ok');
				create table moods (id int primary key, feeling mood); insert into moods values (1, 'sad')`,
				{ table: "moods" },
				{ table: "moods", where: "feeling = 'ok'" },
			);
			await database.sql("alter type mood add value 'happy' before 'ok'");
			await database.sql(
				"insert into moods values (2, 'happy'), (3, 'ok'); update moods set feeling = 'happy' where id = 1",
			);
			await all?.expectKept();
			await some?.expectKept();
			const [happy] = await given("select", { table: "moods", where: "feeling = 'happy'" });
			await database.sql("insert into moods values (4, 'happy')");
			await happy?.expectKept();
		});

		it("a domain's constraint changes nothing; another domain renews", async () => {
			const [watch] = await given(
				`drop table if exists priced; drop domain if exists price; create domain price as int check (value > 0);
				create table priced (id int primary key, cost price); insert into priced values (1, 10)`,
				{ table: "priced", where: "cost > 5" },
			);
			await database.sql("alter domain price drop constraint price_check; insert into priced values (2, 7), (3, -1)");
			await watch?.expectKept();
			await database.sql("alter table priced alter column cost type int; insert into priced values (4, 9)");
			await watch?.expectRenewed();
		});

		it(isOld ? "a generated column is refused" : "a generated column is followed", async () => {
			await database.sql(
				"drop table if exists made; create table made (id int primary key, n int, twice int generated always as (n * 2) stored); insert into made (id, n) values (1, 1)",
			);
			if (isOld) {
				const response = await fetch(`${daemon.shapeUrl}?table=made&offset=-1`);
				expect(response.status).toBe(400);
				const [some] = await given("select", { table: "made", columns: ["id", "n"] });
				await database.sql("update made set n = 3");
				await some?.expectKept();
				return;
			}
			const [watch] = await given("select", { table: "made", where: "twice > 1" });
			await database.sql("update made set n = 3; insert into made (id, n) values (2, 0), (3, 8)");
			await watch?.expectKept();
			await database.sql("alter table made alter column twice drop expression; update made set twice = 1 where id = 1");
			await watch?.expectRenewed();
		});
	});

	describe("tables", () => {
		const table =
			"drop table if exists things, renamed; create table things (id int primary key, v text); insert into things values (1, 'a')";

		it("renamed in the middle of a transaction: the old name is refused, the new one has every row", async () => {
			const [watch] = await given(table, { table: "things" });
			await database.sql(
				"begin; insert into things values (2, 'b'); alter table things rename to renamed; insert into renamed values (3, 'c'); commit",
			);
			await watch?.expectRefused(/does not exist/);
			const [renamed] = await given("select", { table: "renamed" });
			await database.sql("insert into renamed values (4, 'd')");
			await renamed?.expectKept();
		});

		it("renamed without a row after it: ended within the interval", async () => {
			const [watch] = await given(table, { table: "things" });
			await database.sql("alter table things rename to renamed");
			await watch?.expectRefused(/does not exist/);
		});

		it("swapped by renaming, as migrations do", async () => {
			const [watch] = await given(
				`${table}; drop table if exists things_new; create table things_new (id int primary key, v text)`,
				{ table: "things" },
			);
			await database.sql(
				`begin; insert into things_new select id, v || '!' from things; alter table things rename to renamed;
				alter table things_new rename to things; insert into things values (9, 'z'); commit`,
			);
			await watch?.expectRenewed();
			await database.sql("insert into things values (10, 'later')");
			await watch?.untilEqual();
		});

		it("dropped and made anew under the same name", async () => {
			const [watch] = await given(table, { table: "things" });
			await database.sql(
				"begin; insert into things values (2, 'b'); drop table things; create table things (id int primary key, v text); insert into things values (7, 'new'); commit",
			);
			await watch?.expectRenewed();
			await database.sql("insert into things values (8, 'later')");
			await watch?.untilEqual();
		});

		it("dropped: refused within the interval", async () => {
			const [watch] = await given(table, { table: "things" });
			await database.sql("insert into things values (2, 'b'); drop table things");
			await watch?.expectRefused(/does not exist/);
		});

		it("whose schema is renamed", async () => {
			const [watch] = await given(
				"drop schema if exists here, there cascade; create schema here; create table here.items (id int primary key, v text); insert into here.items values (1, 'a')",
				{ table: "here.items" },
			);
			await database.sql("alter schema here rename to there; insert into there.items values (2, 'b')");
			await watch?.expectRefused(/does not exist/);
			const [moved] = await given("select", { table: "there.items" });
			await database.sql("insert into there.items values (3, 'c')");
			await moved?.expectKept();
		});

		it("truncated, with rows before and after it in the transaction", async () => {
			const [all, some] = await given(table, { table: "things" }, { table: "things", where: "id > 5" });
			await database.sql(
				"begin; insert into things values (2, 'b'); truncate things; insert into things values (6, 'f'), (1, 'again'); commit",
			);
			await all?.expectRenewed();
			await some?.expectRenewed();
		});

		it("taken out of the publication and put back: renewed, nothing of the gap is missing", async () => {
			const [watch] = await given(table, { table: "things" });
			const publication = `sluice_publication_${daemon.streamId}`;
			await database.sql(`alter publication ${publication} drop table things`);
			await database.sql("insert into things values (2, 'unseen')");
			await database.sql(`alter publication ${publication} add table things`).catch((error: { code?: string }) => {
				// Sluice may have noticed, and put it back, before us.
				expect(error.code).toBe("42710");
			});
			await database.sql("insert into things values (3, 'seen')");
			await watch?.expectRenewed();
		});
	});

	describe("the replica identity", () => {
		const table =
			"drop table if exists idents; create table idents (id int primary key, v text, u int not null unique); insert into idents values (1, 'a', 1), (2, 'b', 2)";

		it.each(["default", "using index idents_u_key"])("changed to %s while updates flow", async (identity) => {
			const [watch] = await given(table, { table: "idents", where: "id < 100" });
			await database.sql(
				`begin; update idents set v = 'x' where id = 1; alter table idents replica identity ${identity};
				update idents set v = 'y' where id = 1; delete from idents where id = 2; insert into idents values (3, 'c', 3); commit`,
			);
			await watch?.expectRenewed();
			await database.sql("update idents set v = 'z' where id = 1; delete from idents where id = 3");
			await watch?.untilEqual();
		});

		it("changed to nothing: inserts alone are seen through within the interval", async () => {
			const [watch] = await given(table, { table: "idents" });
			await database.sql("alter table idents replica identity nothing; insert into idents values (3, 'c', 3)");
			await watch?.expectRenewed();
			await database.sql("update idents set v = 'z' where id = 1; delete from idents where id = 3");
			await watch?.untilEqual();
		});
	});

	describe("partitions", () => {
		const tree = `drop table if exists parted, loose; create table parted (id int, region text, v text, primary key (id, region)) partition by list (region);
			create table parted_a partition of parted for values in ('a');
			create table parted_b partition of parted for values in ('b') partition by range (id);
			create table parted_b_1 partition of parted_b for values from (0) to (100);
			insert into parted values (1, 'a', 'x'), (2, 'b', 'y')`;
		const fullEverywhere = async (): Promise<boolean> => {
			const rows = await database.sql(
				"select from pg_partition_tree('parted') t join pg_class c on c.oid = t.relid where c.relreplident <> 'f' and t.isleaf",
			);
			return rows.length === 0;
		};

		it("rows in leaves at every depth come under the root's name, and move between leaves", async () => {
			const [root, leaf] = await given(tree, { table: "parted" }, { table: "parted_a" });
			expect(await fullEverywhere()).toBe(true);
			await database.sql(
				"insert into parted values (3, 'a', 'n'), (4, 'b', 'n'); update parted set v = 'u' where id = 2; update parted set region = 'b' where id = 1; delete from parted where id = 3",
			);
			await root?.expectKept();
			await leaf?.expectKept();
			const query = new URLSearchParams({ table: "parted", offset: "0_0", handle: root?.handle ?? "" });
			const entries = (await (await fetch(`${daemon.shapeUrl}?${query}`)).json()) as {
				key?: string;
				headers: { relation?: string[] };
			}[];
			const keys = entries.filter((entry) => entry.key !== undefined);
			expect(keys.length).toBeGreaterThan(4);
			for (const entry of keys) {
				expect(entry.key).toMatch(/^"public"."parted"\//);
			}
		});

		it("a new partition is seen at its first row: renewed, full, and its updates followed", async () => {
			const [root, leaf] = await given(tree, { table: "parted" }, { table: "parted_a" });
			await database.sql(
				"create table parted_c partition of parted for values in ('c'); insert into parted values (5, 'c', 'n')",
			);
			await root?.expectRenewed();
			await waitFor("the new partition to have its replica identity", fullEverywhere);
			await database.sql(
				"update parted set v = 'u' where id = 5; insert into parted values (6, 'c', 'n'); delete from parted where id = 6",
			);
			await root?.untilEqual();
			await leaf?.expectKept();
		});

		it("a full partition is attached, and another detached", async () => {
			const [root] = await given(
				`${tree}; create table loose (id int not null, region text not null, v text, primary key (id, region)); insert into loose values (50, 'd', 'l')`,
				{ table: "parted" },
			);
			await database.sql("alter table parted attach partition loose for values in ('d')");
			await root?.expectRenewed();
			const [again] = await given("select", { table: "parted" });
			await database.sql("alter table parted detach partition loose; insert into loose values (51, 'd', 'l')");
			await again?.expectRenewed();
		});

		it("a truncated leaf ends the root's shape and its own, not its neighbour's", async () => {
			const [root, leaf, other] = await given(tree, { table: "parted" }, { table: "parted_a" }, { table: "parted_b" });
			await database.sql("truncate parted_a; insert into parted values (7, 'a', 'n'), (8, 'b', 'n')");
			await root?.expectRenewed();
			await leaf?.expectRenewed();
			await other?.expectKept();
		});

		it("a truncated root ends all of them", async () => {
			const [root, leaf, other] = await given(tree, { table: "parted" }, { table: "parted_a" }, { table: "parted_b" });
			await database.sql(
				"begin; insert into parted values (9, 'a', 'n'); truncate parted; insert into parted values (7, 'a', 'n'); commit",
			);
			await root?.expectRenewed();
			await leaf?.expectRenewed();
			await other?.expectRenewed();
		});

		it("a column added to the root", async () => {
			const [root, some] = await given(tree, { table: "parted" }, { table: "parted", columns: ["id", "region"] });
			await database.sql(
				"begin; insert into parted values (10, 'a', 'n'); alter table parted add column extra int default 3; insert into parted values (11, 'b', 'n', 4); commit",
			);
			await root?.expectRenewed();
			await some?.expectKept();
		});
	});

	it("statements that race with the making of shapes leave no client with anything but what SELECT says", async () => {
		await database.sql(
			"create table racing (id int primary key, n int, v text); insert into racing select g, g, 'v' from generate_series(1, 500) g",
		);
		const statements = [
			"alter table racing add column extra int default 1",
			"alter table racing drop column extra",
			"alter table racing alter column n type bigint",
			"truncate racing",
			"alter table racing alter column n type int",
			"alter table racing rename column v to w",
			"alter table racing rename column w to v",
		];
		for (let step = 0; step < 28; step += 1) {
			const shape = step % 3 === 0 ? {} : { columns: ["id", "n"], where: `n <> ${step}` };
			// Its first data is taken while the statement runs, and its rows.
			watches.push(new SchemaWatch(daemon, database, { table: "racing", ...shape }));
			await delay(step * 3);
			await database.sql(
				`begin; insert into racing (id, n) values (${1000 + step * 2}, 1); ${statements[step % statements.length]};
				insert into racing (id, n) values (${1001 + step * 2}, 2); update racing set n = n + 1 where id % 7 = 0; commit`,
			);
		}
		await database.sql("insert into racing (id, n) values (1, 1) on conflict do nothing");
		for (const watch of watches) {
			await watch.untilEqual();
		}
	});
});
