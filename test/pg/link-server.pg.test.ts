/** The replication link and the server around it: TLS and passwords, shutdown, freezing, slots that are lost. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { PACING } from "../../src/main/link/read-pacing.ts";
import { embeddedServers, uniqueName, useDatabase } from "../support/postgres.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { selfSigned } from "./link-certificate.ts";
import { Consumer, connectLink, startLink } from "./link-consumer.ts";

describe.each(embeddedServers())("$name with TLS and passwords", (kind) => {
	const { certificate, key } = selfSigned("127.0.0.1");
	const database = useDatabase(kind, {
		settings: { ssl: "on", ssl_cert_file: "test.crt", ssl_key_file: "test.key", wal_sender_timeout: "3s" },
		files: { "test.crt": certificate, "test.key": key },
		access: [
			"host all postgres 127.0.0.1/32 trust",
			"hostssl all by_scram 127.0.0.1/32 scram-sha-256",
			"hostssl all by_password 127.0.0.1/32 password",
			"hostnossl all by_md5 127.0.0.1/32 md5",
		],
	});
	const password = "p@ss w:rd/?#%";

	beforeAll(async () => {
		await database.sql("create table item (id bigint primary key, title text)");
		const quoted = `'${password}'`;
		await database.sql(`set password_encryption = 'scram-sha-256';
			create role by_scram login replication superuser password ${quoted};
			create role by_password login replication superuser password ${quoted};
			set password_encryption = 'md5';
			create role by_md5 login replication superuser password ${quoted}`);
	});

	const options = (user: string, parameters: Record<string, string> = {}) => ({
		databaseUrl: database.urlAs({ user, password: encodeURIComponent(password), parameters }),
		slotName: uniqueName("link"),
		publicationName: "items",
	});

	async function usesTls(walsenderPid: number): Promise<boolean | undefined> {
		const rows = await database.sql<{ ssl: boolean }>("select ssl from pg_stat_ssl where pid = $1", [walsenderPid]);
		return rows[0]?.ssl;
	}

	it.each([
		["by_scram", {}, true],
		["by_scram", { sslmode: "require" }, true],
		["by_password", { sslmode: "prefer" }, true],
		["by_md5", {}, false],
		["by_md5", { sslmode: "disable" }, false],
		["postgres", {}, true],
	])("connects %s with %j, TLS: %s", async (user, parameters, tls) => {
		await using link = await connectLink(new Consumer(), options(user, parameters));
		expect(await usesTls(link.facts.walsenderPid)).toBe(tls);
	});

	it("verifies the server when a CA file is given, and refuses one that it cannot verify", async () => {
		const directory = await temporaryDirectory("link-tls");
		const right = join(directory.path, "right.crt");
		const wrong = join(directory.path, "wrong.crt");
		await writeFile(right, certificate);
		await writeFile(wrong, selfSigned("127.0.0.1").certificate);
		await using link = await connectLink(new Consumer(), options("by_scram", { sslrootcert: right }));
		expect(await usesTls(link.facts.walsenderPid)).toBe(true);
		for (const parameters of [{ sslrootcert: wrong }, { sslmode: "verify-full" }]) {
			await expect(connectLink(new Consumer(), options("by_scram", parameters))).rejects.toMatchObject({
				code: "SLUICE_LINK_REFUSED",
				context: { step: "connect", problem: expect.stringContaining("not trusted") },
			});
		}
		await expect(
			connectLink(new Consumer(), options("by_scram", { sslrootcert: join(directory.path, "none") })),
		).rejects.toMatchObject({
			code: "SLUICE_LINK_REFUSED",
			context: { problem: expect.stringContaining("cannot be read") },
		});
		await directory.remove();
	});

	it("names a wrong password as refused, without repeating it", async () => {
		const databaseUrl = database.urlAs({ user: "by_scram", password: "wrong-secret" });
		const error: unknown = await connectLink(new Consumer(), { ...options("by_scram"), databaseUrl }).catch(
			(thrown: unknown) => thrown,
		);
		expect(error).toMatchObject({ code: "SLUICE_LINK_REFUSED", retry: "operator" });
		expect(JSON.stringify([error, String(error instanceof Error ? error.stack : "")])).not.toContain("wrong-secret");
	});

	it.each([
		["paced", undefined],
		["eagerly", { ...PACING, streak: Number.POSITIVE_INFINITY }],
	])("streams over TLS, read %s, through a pause of twice the timeout", async (_name, pacing) => {
		await database.sql("truncate item");
		const wanted = options("by_scram");
		const made = await connectLink(new Consumer(), wanted);
		await made.close();
		await database.sql("alter publication items set table item");
		const consumer = new Consumer();
		consumer.keepsIds = true;
		const hooks = pacing === undefined ? {} : { testHooks: { pacing } };
		await using link = await startLink(consumer, { ...wanted, ...hooks });
		link.pause();
		await database.sql("insert into item select i, repeat('x', 1000) from generate_series(1, 25000) i");
		const sent = link.statistics.sent;
		await waitFor("six keepalives while paused", () => link.statistics.sent >= sent + 6);
		link.resume();
		await waitFor("all rows", () => consumer.commits === 1);
		expect(consumer.ids).toEqual(Array.from({ length: 25_000 }, (_, at) => String(at + 1)));
		expect(consumer.error).toBeNull();
	});
});

describe.each(embeddedServers())("$name that ends, freezes or drops", (kind) => {
	const database = useDatabase(kind, {
		settings: { max_slot_wal_keep_size: "1MB", max_wal_size: "32MB", min_wal_size: "32MB" },
	});

	beforeAll(async () => {
		await database.sql("create table item (id bigint primary key, title text)");
		await database.sql("create publication items for table item");
		await database.sql(`alter database ${database.name} set wal_sender_timeout = '3s'`);
	});

	const options = () => ({ databaseUrl: database.url, slotName: uniqueName("link"), publicationName: "items" });

	it("lets a fast shutdown of the server finish, with exact acknowledgements", async () => {
		const consumer = new Consumer();
		consumer.acknowledgesAtOnce = true;
		await using _link = await startLink(consumer, options());
		await database.sql("insert into item values (1, 'row')");
		await waitFor("the row", () => consumer.inserts === 1);
		const began = performance.now();
		await database.server.local.stop("fast");
		expect(performance.now() - began).toBeLessThan(2_000);
		const error = await consumer.closed();
		expect(error).toMatchObject({ code: "SLUICE_LINK_CLOSED", retry: "retry" });
		await expect(connectLink(new Consumer(), options())).rejects.toMatchObject({
			code: "SLUICE_LINK_UNREACHABLE",
			context: { systemCode: "ECONNREFUSED", step: "connect" },
		});
		await database.server.local.start();
	});

	it("calls a frozen walsender silent, and does not while it is paused itself", async () => {
		const consumer = new Consumer();
		const link = await startLink(consumer, options());
		process.kill(link.facts.walsenderPid, "SIGSTOP");
		try {
			link.pause();
			const sent = link.statistics.sent;
			await waitFor("four keepalives while paused", () => link.statistics.sent >= sent + 4);
			expect(consumer.error).toBeNull();
			link.resume();
			const error = await consumer.closed();
			expect(error.code).toBe("SLUICE_LINK_SILENT");
			expect(error.context["limitMs"]).toBe(3_000);
		} finally {
			process.kill(link.facts.walsenderPid, "SIGCONT");
		}
	});

	it("makes a new slot when the old one was invalidated", async () => {
		const wanted = options();
		const first = await connectLink(new Consumer(), wanted);
		await first.close();
		await waitFor("the slot to be lost", async () => {
			await database.sql("insert into item select i, 'x' from generate_series(2, 20000) i; truncate item");
			await database.sql("select pg_switch_wal()");
			await database.sql("checkpoint");
			const rows = await database.sql<{ wal_status: string }>(
				"select wal_status from pg_replication_slots where slot_name = $1",
				[wanted.slotName],
			);
			return rows[0]?.wal_status === "lost";
		});
		const consumer = new Consumer();
		await using second = await startLink(consumer, wanted);
		expect(second.facts.slotCreated).toBe(true);
		await database.sql("insert into item values (1, 'row')");
		await waitFor("the row", () => consumer.inserts === 1);
	});

	it("names wal_level as the problem, with the statement to run", async () => {
		await database.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active");
		await database.server.sql("alter system set wal_level = 'replica'");
		await database.server.local.restart();
		try {
			await expect(connectLink(new Consumer(), options())).rejects.toMatchObject({
				code: "SLUICE_LINK_MISCONFIGURED",
				retry: "fatal",
				context: { step: "wal-level", statement: "ALTER SYSTEM SET wal_level = 'logical'" },
			});
		} finally {
			await database.server.sql("alter system reset wal_level");
			await database.server.local.restart();
		}
	});
});

it("names a host that does not exist, and a port where nobody listens, as unreachable", async () => {
	for (const authority of ["nobody.invalid:5432", "127.0.0.1:1"]) {
		const databaseUrl = `postgresql://u:secret-word@${authority}/x`;
		const error: unknown = await connectLink(new Consumer(), {
			databaseUrl,
			slotName: "s",
			publicationName: "p",
			connectTimeoutMs: 5_000,
		}).catch((thrown: unknown) => thrown);
		expect(error).toMatchObject({ code: "SLUICE_LINK_UNREACHABLE", context: { step: "connect" } });
		expect(JSON.stringify(error)).not.toContain("secret-word");
	}
});
