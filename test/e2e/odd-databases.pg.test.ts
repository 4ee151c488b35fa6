/** Databases that are set up unlike most: two-phase commits, an encoding that is not UTF-8. */

import { expect, it } from "vitest";
import { useDaemons } from "../support/daemon.ts";
import { embeddedServers, TestDatabase, uniqueName, useServer } from "../support/postgres.ts";
import { ShapeReader } from "../support/shape-reader.ts";

const [newest] = embeddedServers([18]);
if (newest === undefined) {
	throw new Error("PostgreSQL 18 is embedded");
}
const server = useServer(newest, { settings: { max_prepared_transactions: "5" } });
const daemons = useDaemons();

async function follow(database: TestDatabase) {
	await database.sql("create table items (id int primary key, body text)");
	const daemon = await daemons.start({ databaseUrl: database.url });
	const reader = new ShapeReader(daemon.shapeUrl, { table: "items" });
	await reader.shape.rows;
	const end = async (): Promise<void> => {
		expect(reader.errors).toEqual([]);
		reader.stop();
		expect(await daemon.stop()).toBe(0);
		await database.drop();
	};
	return { reader, url: daemon.shapeUrl, end };
}

it("F50: a prepared transaction comes when it is committed, and holds nothing else up", {
	timeout: 60_000,
}, async () => {
	const database = await server.createDatabase();
	const { reader, end } = await follow(database);
	const name = uniqueName("prepared");
	const session = await database.connect();
	await session.query("begin");
	await session.query("insert into items values (1, 'prepared')");
	await session.query(`prepare transaction '${name}'`);
	await database.sql("insert into items values (2, 'meanwhile')");
	await reader.until("the other row alone", (rows) => rows.size === 1 && rows.has("2"));
	await database.sql(`commit prepared '${name}'`);
	await reader.until("both rows", (rows) => rows.size === 2);
	await end();
});

it("F54: a database in another encoding gives the same text, first and later", { timeout: 60_000 }, async () => {
	const name = uniqueName("latin");
	await server.sql(`create database ${name} encoding 'LATIN1' locale 'C' template template0`);
	const database = new TestDatabase(server, name);
	const { reader, url, end } = await follow(database);
	await database.sql("insert into items values (1, 'Grüße')");
	await reader.until("the change", (rows) => rows.get("1")?.["body"] === "Grüße");
	const late = new ShapeReader(url, { table: "items", where: "id > 0" });
	expect((await late.shape.rows).map((row) => row["body"])).toEqual(["Grüße"]);
	late.stop();
	await end();
});
