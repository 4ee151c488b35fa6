/**
 * Manual publishing, and a role that owns nothing: each missing piece is named with the statement that mends it, one
 * after the other, until the shape is there. Nothing is altered by us on the way.
 */

import { expect, it } from "vitest";
import { embeddedServers, uniqueName, useServer } from "../support/postgres.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { createPublication, TestRegistrar } from "./registrar-setup.ts";

const kind = embeddedServers([18])[0];
if (kind === undefined) {
	throw new Error("PostgreSQL 18 comes with the tests");
}
const server = useServer(kind);

it.each([
	["with manual publishing, as a superuser", true, false],
	["with manual publishing, as a role that owns nothing", true, true],
	["as a role that owns nothing", false, true],
] as const)("%s a shape comes into being statement by statement", { timeout: 60_000 }, async (_name, manual, low) => {
	await using database = await server.createDatabase();
	const directory = await temporaryDirectory("registrar");
	const streamId = uniqueName("s");
	const role = uniqueName("role");
	const publication = `sluice_publication_${streamId}`;
	await createPublication(database, streamId);
	await database.sql("create table items (id int primary key, v text); insert into items values (1, 'a')");
	await database.sql(`create role ${role} login`);
	const state = async (): Promise<unknown> =>
		database.sql(
			`select c.relreplident, (select count(*)::int from pg_publication_rel) as members
			from pg_class c where c.relname = 'items'`,
		);
	{
		await using registrar = await TestRegistrar.start({
			database,
			dataDir: directory.path,
			streamId,
			...(low ? { databaseUrl: database.urlAs({ user: role }) } : {}),
			environment: { SLUICE_MANUAL_TABLE_PUBLISHING: String(manual) },
		});
		const refusal = async (): Promise<Record<string, unknown>> => {
			const error = await registrar.resolve({ table: "items" }).then(
				() => null,
				(thrown: { context: Record<string, unknown> }) => thrown,
			);
			return error?.context ?? {};
		};
		const mend = async (context: Record<string, unknown>): Promise<void> => {
			await database.sql(String(context["statement"]));
		};

		const before = await state();
		const missing = await refusal();
		expect(missing["serverMessage"]).toBe(
			`Database table "public"."items" is missing from the publication "${publication}" and ${
				manual
					? "the SLUICE_MANUAL_TABLE_PUBLISHING setting prevents Sluice from adding it"
					: "Sluice lacks privileges to add it"
			}`,
		);
		expect(await state()).toEqual(before);
		await mend(missing);
		const notFull = await refusal();
		expect(notFull["serverMessage"]).toContain('"public"."items" does not have its replica identity set to FULL');
		expect(notFull["serverMessage"]).toEqual(manual ? expect.anything() : expect.stringContaining("must be owner"));
		await mend(notFull);
		if (low) {
			const unreadable = await refusal();
			expect(unreadable).toMatchObject({
				sqlState: "42501",
				serverMessage: "Unable to create initial snapshot: permission denied for table items",
				statement: `GRANT SELECT ON "public"."items" TO "${role}"`,
			});
			await mend(unreadable);
		}
		const shape = await registrar.complete({ table: "items" });
		expect(await registrar.rows(shape)).toEqual([{ id: "1", v: "a" }]);
		expect(await state()).toEqual([{ relreplident: "f", members: 1 }]);
		// A row filter or a missing operation is noticed at the next comparison, and then named.
		await database.sql(`alter publication ${publication} set table items where (id > 5)`);
		await registrar.registrar.reconciler.checkAll();
		expect((await refusal())["serverMessage"]).toContain("row filter or a column list");
		await database.sql(`alter publication ${publication} set table items (id)`);
		expect((await refusal())["serverMessage"]).toContain("row filter or a column list");
		await database.sql(`alter publication ${publication} set table items`);
		await database.sql(`alter publication ${publication} set (publish = 'insert')`);
		const operations = await refusal();
		expect(operations["serverMessage"]).toContain("does not publish all required operations");
		await mend(operations);
		await registrar.complete({ table: "items" });
	}
	await database.sql(`drop owned by ${role}; drop role ${role}`);
	await directory.remove();
});
