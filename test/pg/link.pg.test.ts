/** The replication link against real servers: connecting, streaming, acknowledging, pausing, ending. */

import { setTimeout as delay } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import type { ReplicationLink } from "../../src/main/link/stream.ts";
import { parseLsn } from "../../src/shared/lsn.ts";
import { type TestDatabase, testServers, uniqueName, useDatabase } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";
import { Consumer, connectLink, startLink, type TestLinkOptions } from "./link-consumer.ts";

describe.each(testServers())("$name", (kind) => {
	const database = useDatabase(kind);

	beforeAll(async () => {
		await database.sql("create table item (id bigint primary key, title text)");
	});

	/** A slot and a publication (of the table) of the test's own. */
	async function fresh(publishesTable = true): Promise<TestLinkOptions> {
		const name = uniqueName("link");
		const options = { databaseUrl: database.url, slotName: name, publicationName: `Pub ${name}` };
		const link = await connectLink(new Consumer(), options);
		await link.close();
		if (publishesTable) {
			await database.sql(`alter publication "${options.publicationName}" add table item`);
		}
		await database.sql("truncate item");
		return options;
	}

	async function confirmed(slotName: string): Promise<bigint> {
		const rows = await database.sql<{ lsn: string }>(
			"select confirmed_flush_lsn::text as lsn from pg_replication_slots where slot_name = $1",
			[slotName],
		);
		return parseLsn(rows[0]?.lsn ?? "");
	}

	it("makes publication and slot, then finds them again", async () => {
		const name = uniqueName("link");
		const options = { databaseUrl: database.url, slotName: name, publicationName: `Odd "${name}"` };
		const consumer = new Consumer();
		await using first = await connectLink(consumer, options);
		expect(first.facts.slotCreated).toBe(true);
		expect(first.facts.walSenderTimeoutMs).toBe(60_000);
		expect(consumer.steps).toEqual([
			"connect",
			"identify-system",
			"server-facts",
			"session-settings",
			"wal-level",
			"publication",
			"slot",
			"publication-create",
			"publication-check",
			"slot-create",
		]);
		await first.close();
		await using second = await connectLink(new Consumer(), options);
		expect(second.facts).toMatchObject({
			slotCreated: false,
			systemIdentifier: first.facts.systemIdentifier,
			timeline: first.facts.timeline,
			confirmedFlushLsn: first.facts.confirmedFlushLsn,
		});
		expect(second.facts.walsenderPid).not.toBe(first.facts.walsenderPid);
	});

	it("streams transactions and acknowledges exactly what it was told", async () => {
		const options = await fresh();
		const consumer = new Consumer();
		await using link = await startLink(consumer, options);
		const committedAlready = consumer.commits;
		await database.sql("insert into item select i, 'row' from generate_series(1, 10) i");
		await database.sql("insert into item values (11, 'row')");
		await waitFor("both transactions", () => consumer.inserts === 11 && consumer.commits - committedAlready >= 2);
		expect(consumer.begins).toBe(consumer.commits);
		expect(consumer.readEnds).toBeGreaterThan(0);
		expect(await confirmed(options.slotName)).toBe(link.facts.confirmedFlushLsn);
		consumer.flush = consumer.commitEndLsn;
		link.acknowledge();
		await waitFor("the acknowledgement", async () => (await confirmed(options.slotName)) === consumer.flush);
		expect(link.statistics.sent).toBeGreaterThan(0);
		expect(link.statistics.receivedBytes).toBeGreaterThan(0);
	});

	it("delivers the last acknowledgement when it closes, streaming or paused with input unread", async () => {
		const options = await fresh();
		const first = new Consumer();
		const streaming = await startLink(first, options);
		await database.sql("insert into item values (1, 'row')");
		await waitFor("the row and its commit", () => first.inserts === 1 && first.commitEndLsn > 0n);
		first.flush = first.commitEndLsn;
		await streaming.close();
		expect(await confirmed(options.slotName)).toBe(first.flush);

		const second = new Consumer();
		second.flush = first.flush;
		const paused = await startLink(second, options);
		await database.sql("insert into item values (2, 'row')");
		await waitFor("the row and its commit", () => second.inserts === 1 && second.commitEndLsn > 0n);
		paused.pause();
		await database.sql("insert into item select i, repeat('x', 1000) from generate_series(3, 20000) i");
		await waitFor("a full window", async () => (await waitEvent(database, paused)) === "WalSenderWriteData");
		second.flush = second.commitEndLsn;
		const began = performance.now();
		await paused.close();
		expect(performance.now() - began).toBeLessThan(2_000);
		expect(await confirmed(options.slotName)).toBe(second.flush);
		await waitFor("the walsender to end", async () => (await waitEvent(database, paused)) === undefined);
		expect(second.error).toBeNull();
	});

	it("sends again what was not acknowledged, and nothing else", async () => {
		const options = await fresh();
		const first = new Consumer();
		first.keepsIds = true;
		const link = await startLink(first, options);
		for (const id of [1, 2, 3]) {
			const before = first.commitEndLsn;
			await database.sql(`insert into item values (${id}, 'row')`);
			// The row and its commit may come in two reads.
			await waitFor(`row ${id} and its commit`, () => first.inserts === id && first.commitEndLsn > before);
			if (id === 1) {
				first.flush = first.commitEndLsn;
			}
		}
		await link.close();
		const second = new Consumer();
		second.keepsIds = true;
		await using again = await startLink(second, options);
		await waitFor("the other two", () => second.inserts === 2);
		expect(second.ids).toEqual(["2", "3"]);
		expect(again.facts.confirmedFlushLsn).toBe(first.flush);
	});

	it("advances an idle slot by the server's keepalives alone", async () => {
		const options = await fresh(false);
		const consumer = new Consumer();
		consumer.acknowledgesAtOnce = true;
		await using _link = await startLink(consumer, options);
		await database.sql("insert into item select i, 'unpublished' from generate_series(1, 1000) i");
		const [row] = await database.sql<{ lsn: string }>("select pg_current_wal_flush_lsn()::text as lsn");
		const written = parseLsn(row?.lsn ?? "");
		await waitFor("the slot to advance", async () => (await confirmed(options.slotName)) >= written);
		expect(consumer.inserts).toBe(0);
	});

	it("passes on why the server ended the walsender", async () => {
		const options = await fresh();
		const consumer = new Consumer();
		consumer.acknowledgesAtOnce = true;
		await using link = await startLink(consumer, options);
		await database.sql("insert into item values (1, 'row')");
		await waitFor("the row", () => consumer.inserts === 1);
		await database.sql("select pg_terminate_backend($1)", [link.facts.walsenderPid]);
		const error = await consumer.closed();
		expect(error.code).toBe("SLUICE_LINK_CLOSED");
		expect(error.context).toMatchObject({ sqlState: "57P01", step: "streaming" });
		await link.close();
	});

	it("refuses a slot that another consumer holds", async () => {
		const options = await fresh();
		await using holder = await startLink(new Consumer(), options);
		await expect(connectLink(new Consumer(), options)).rejects.toMatchObject({
			code: "SLUICE_SLOT_IN_USE",
			context: { step: "slot", activePid: holder.facts.walsenderPid },
		});
	});

	it("makes a new slot when the publication was gone: its stream would have a gap", async () => {
		const options = await fresh();
		await database.sql(`drop publication "${options.publicationName}"`);
		await using link = await connectLink(new Consumer(), options);
		expect(link.facts.slotCreated).toBe(true);
	});

	it("makes a new slot when told that the old one has a gap", async () => {
		const options = await fresh();
		await using link = await connectLink(new Consumer(), { ...options, discardSlot: true });
		expect(link.facts.slotCreated).toBe(true);
	});

	it("ends when the publication disappears under the stream, instead of leaving changes out", async () => {
		const options = await fresh();
		const consumer = new Consumer();
		await using _link = await startLink(consumer, options);
		await database.sql(`drop publication "${options.publicationName}"`);
		await database.sql("insert into item values (1, 'row')");
		const error = await consumer.closed();
		expect(error.code).toBe("SLUICE_SLOT_LOST");
		expect(error.context["sqlState"]).toBe(
			kind.source === "given" ? error.context["sqlState"] : expectedState(kind.version),
		);
	});

	it("refuses a publication that leaves operations out, and says what to run", async () => {
		const options = await fresh();
		await database.sql(`alter publication "${options.publicationName}" set (publish = 'insert')`);
		await expect(connectLink(new Consumer(), options)).rejects.toMatchObject({
			code: "SLUICE_LINK_MISCONFIGURED",
			context: {
				step: "publication-check",
				statement: `ALTER PUBLICATION "${options.publicationName}" SET (publish = 'insert, update, delete, truncate')`,
			},
		});
	});

	it("refuses a slot of another plugin or database", async () => {
		const options = await fresh();
		const name = uniqueName("foreign");
		await database.sql("select pg_create_physical_replication_slot($1)", [name]);
		try {
			await expect(connectLink(new Consumer(), { ...options, slotName: name })).rejects.toMatchObject({
				code: "SLUICE_LINK_MISCONFIGURED",
				context: { step: "slot", statement: `SELECT pg_drop_replication_slot('${name}')` },
			});
		} finally {
			await database.sql("select pg_drop_replication_slot($1)", [name]);
		}
		await using other = await database.server.createDatabase();
		await expect(connectLink(new Consumer(), { ...options, databaseUrl: other.url })).rejects.toMatchObject({
			code: "SLUICE_LINK_MISCONFIGURED",
			context: { step: "slot", database: database.name },
		});
	});

	it("tells a role without the right to replicate, or to make a publication, what to run", async () => {
		const options = await fresh();
		const role = uniqueName("role");
		await database.sql(`create role ${role} login password 'x'`);
		const databaseUrl = database.urlAs({ user: role, password: "x" });
		await expect(connectLink(new Consumer(), { ...options, databaseUrl })).rejects.toMatchObject({
			code: "SLUICE_LINK_MISCONFIGURED",
			context: { sqlState: "42501", step: "connect", statement: `ALTER ROLE "${role}" WITH REPLICATION` },
		});
		await database.sql(`alter role ${role} replication`);
		const own = { databaseUrl, slotName: uniqueName("link"), publicationName: "missing_here" };
		await expect(connectLink(new Consumer(), own)).rejects.toMatchObject({
			code: "SLUICE_LINK_MISCONFIGURED",
			context: { step: "publication-create", statement: expect.stringMatching(/^CREATE PUBLICATION "missing_here"/) },
		});
		await using link = await connectLink(new Consumer(), { ...options, databaseUrl });
		expect(link.facts.slotCreated).toBe(false);
		await link.close();
		await database.sql(`drop role ${role}`);
	});

	it("streams text under its own display settings, whatever the database's are", async () => {
		const options = await fresh();
		await using other = await database.server.createDatabase();
		await other.sql(`alter database ${other.name} set bytea_output = 'escape'`);
		await other.sql(`alter database ${other.name} set DateStyle = 'SQL, MDY'`);
		await other.sql(`alter database ${other.name} set TimeZone = 'Asia/Tokyo'`);
		await other.sql(`alter database ${other.name} set IntervalStyle = 'sql_standard'`);
		await other.sql(`alter database ${other.name} set extra_float_digits = 0`);
		await other.sql("create table odd (b bytea, t timestamptz, i interval, f float8)");
		await other.sql(`create publication "${options.publicationName}" for table odd`);
		const texts: string[] = [];
		const consumer = new Consumer();
		consumer.onFrame = (message) => texts.push(message.toString("latin1"));
		await using _link = await startLink(consumer, { ...options, databaseUrl: other.url, slotName: uniqueName("link") });
		await other.sql(
			"insert into odd values ('\\x0510fa', '2022-01-12 09:01:00+09', '1 day 12:59:10', 1.234567890123456)",
		);
		const insert = await waitFor("the row", () => texts.find((text) => text.startsWith("I")));
		for (const value of ["\\x0510fa", "2022-01-12 00:01:00+00", "P1DT12H59M10S", "1.234567890123456"]) {
			expect(insert).toContain(value);
		}
	});

	it("gives up waiting for slot creation when told to", async () => {
		const name = uniqueName("link");
		const blocker = await database.connect();
		await blocker.query("begin; select pg_current_xact_id()");
		const consumer = new Consumer();
		const controller = new AbortController();
		const connecting = connectLink(consumer, {
			databaseUrl: database.url,
			slotName: name,
			publicationName: name,
			signal: controller.signal,
		});
		await waitFor("slot creation to begin", () => consumer.steps.at(-1) === "slot-create");
		controller.abort();
		await expect(connecting).rejects.toMatchObject({ code: "SLUICE_LINK_CLOSED", context: { step: "slot-create" } });
		await blocker.query("rollback");
	});
});

function expectedState(version: number): string {
	return version >= 18 ? "55000" : "42704";
}

async function waitEvent(database: TestDatabase, link: ReplicationLink): Promise<string | null | undefined> {
	const rows = await database.sql<{ wait_event: string | null }>(
		"select wait_event from pg_stat_activity where pid = $1",
		[link.facts.walsenderPid],
	);
	return rows[0]?.wait_event;
}

describe.each(testServers())("$name with wal_sender_timeout = 3s", (kind) => {
	const database = useDatabase(kind);
	const rows = 25_000;

	beforeAll(async () => {
		await database.sql("create table item (id bigint primary key, title text)");
		await database.sql(`alter database ${database.name} set wal_sender_timeout = '3s'`);
	});

	async function pausedLink(consumer: Consumer, disableKeepalive: boolean) {
		await database.sql("truncate item");
		const name = uniqueName("link");
		const options = { databaseUrl: database.url, slotName: name, publicationName: name };
		const made = await connectLink(new Consumer(), options);
		expect(made.facts.walSenderTimeoutMs).toBe(3_000);
		await made.close();
		await database.sql(`alter publication ${name} add table item`);
		const link = await startLink(consumer, { ...options, testHooks: { disableKeepalive } });
		link.pause();
		await database.sql(`insert into item select i, repeat('x', 1000) from generate_series(1, ${rows}) i`);
		return { link, options };
	}

	it("survives a pause of twice the timeout with 25 MB pending, and delivers them after the resume", async () => {
		const consumer = new Consumer();
		const { link } = await pausedLink(consumer, false);
		const before = consumer.inserts;
		await delay(6_500);
		expect(consumer.inserts).toBe(before);
		expect(await waitEvent(database, link)).toBe("WalSenderWriteData");
		link.resume();
		await waitFor("all rows", () => consumer.inserts === rows && consumer.commits === 1);
		expect(consumer.begins).toBe(1);
		expect(consumer.error).toBeNull();
		expect(link.statistics.intervalMs).toBe(1_000);
		expect(link.statistics.sent).toBeGreaterThanOrEqual(6);
		expect(link.statistics.largestGapMs).toBeGreaterThan(900);
		expect(link.statistics.largestGapMs).toBeLessThan(3_000);
		await link.close();
	});

	it("is cut in the same pause without keepalives, which is an ordinary disconnect; nothing is lost", async () => {
		const consumer = new Consumer();
		const { link, options } = await pausedLink(consumer, true);
		await waitFor("the server to give up", async () => (await waitEvent(database, link)) === undefined);
		link.resume();
		const error = await consumer.closed();
		expect(error.code).toBe("SLUICE_LINK_CLOSED");
		expect(consumer.commits).toBe(0);
		expect(consumer.inserts).toBeLessThan(rows);
		await link.close();

		const again = new Consumer();
		await using _link = await startLink(again, options);
		await waitFor("all rows", () => again.inserts === rows && again.commits === 1);
	});
});
